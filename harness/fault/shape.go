package fault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// linkKinds are the faults of links that are there and bad.
func linkKinds() []Kind {
	member, needs := aroundMember(), []cluster.Capability{cluster.CanShape, cluster.CanDial}
	return []Kind{
		{
			Name: "linkLoss", About: "machines' links lose a share of the packets, to all others or to those of from; way as of a partition",
			Touches: member, Needs: needs, Takes: []string{"loss", "from", "way"}, Samples: []Params{{Loss: 0.2}, {Loss: 0.3, Way: cluster.Outbound}}, Valid: validLoss, Fits: fitsShape, New: newLinkLoss,
		},
		{
			Name: "linkDelay", About: "all that machines send and are sent, or one of it (way), is so much longer on its way, by a jitter more or less", Touches: member,
			Needs: needs, Takes: []string{"delay", "jitter", "way"}, Samples: []Params{{Delay: 80 * time.Millisecond, Jitter: 30 * time.Millisecond}, {Delay: 200 * time.Millisecond, Way: cluster.Inbound}}, Valid: validDelay, Fits: fitsShape, New: newLinkDelay,
		},
		{
			Name: "linkRate", About: "of what machines send and are sent, or one of it (way), only so many bits get through a second", Touches: member,
			Needs: needs, Takes: []string{"rate", "way"}, Samples: []Params{{Rate: 5_000_000}}, Valid: validRate, Fits: fitsShape, New: newLinkRate,
		},
	}
}

// linkShape makes the links of machines worse in one thing: some packets are lost, or all are late, or only so many get through.
type linkShape struct {
	shape cluster.Shape
	from  []string // whom a loss is from; empty: everybody
	gauge gauge
}

// gauge sees from a pair of machines what their link is like.
type gauge interface {
	// bad sees that the link of the first is as bad as it should be between the two, and no worse; good that nothing is wrong with it.
	bad(ctx context.Context, e *Env, near, far string) (plan.Evidence, error)
	good(ctx context.Context, e *Env, near, far string) (plan.Evidence, error)
}

func newLinkLoss(s Spec) Fault {
	shape := cluster.Shape{What: cluster.Loses, Way: s.way(), Share: float64(s.Loss)}
	return &linkShape{shape: shape, from: s.From, gauge: lossGauge{share: shape.Share, ways: ways(shape.Way)}}
}

func newLinkDelay(s Spec) Fault {
	shape := cluster.Shape{What: cluster.Delays, Way: s.way(), Delay: s.Delay, Jitter: s.Jitter, Seed: uint64(s.Pick)} //nolint:gosec // never negative
	return &linkShape{shape: shape, gauge: newDelayGauge(shape)}
}

func newLinkRate(s Spec) Fault {
	shape := cluster.Shape{What: cluster.Limits, Way: s.way(), Rate: int64(s.Rate)}
	return &linkShape{shape: shape, gauge: rateGauge{rate: shape.Rate, way: shape.Way}}
}

// ways is by how many of the two a round trip is affected.
func ways(w cluster.Way) int {
	if w == cluster.BothWays {
		return 2
	}
	return 1
}

// Below these an effect could not be told from what a busy host does, or a gauge would take too long; above, the link is as good as cut.
const (
	leastLoss, mostLoss   = 0.1, 0.5
	leastDelay, mostDelay = 10 * time.Millisecond, time.Second
	leastRate, mostRate   = 64_000, 100_000_000
)

func validLoss(p Params) error {
	if p.Loss < leastLoss || p.Loss > mostLoss {
		return fmt.Errorf("loss is %s; it can be seen from %s to %s", p.Loss, Share(leastLoss), Share(mostLoss))
	}
	return validWay(p)
}

func validDelay(p Params) error {
	if p.Delay < leastDelay || p.Delay > mostDelay {
		return fmt.Errorf("delay is %s; it can be seen from %s to %s", p.Delay, leastDelay, mostDelay)
	}
	if p.Jitter < 0 || p.Jitter > p.Delay/2 {
		return fmt.Errorf("jitter is %s; of a delay of %s it can be up to %s", p.Jitter, p.Delay, p.Delay/2)
	}
	return validWay(p)
}

func validRate(p Params) error {
	if p.Rate < leastRate || p.Rate > mostRate {
		return fmt.Errorf("rate is %s; it can be seen from %s to %s", p.Rate, Rate(leastRate), Rate(mostRate))
	}
	return validWay(p)
}

// fitsShape refuses, with a UsageError, links of which there is nobody at the other end.
func fitsShape(s Spec, t cluster.Topology) error {
	all, err := sides(s, t)
	if err != nil {
		return err
	}
	if late := s.Late(); late && len(all) < 2 || !late && (len(s.Machines) == 0 || len(across(all, s.Machines, s.From)) == 0) {
		return cluster.Usagef("%s of %s: there is no machine at one end of the links, and nobody to see it", s.Kind, s.Target)
	}
	return nil
}

func (f *linkShape) Inject(ctx context.Context, e *Env, machines []string) error {
	shape := f.shape
	if len(f.from) > 0 {
		far, err := machinesOf(e, f.from)
		if err != nil {
			return err
		}
		shape.Peers = []netip.Addr{}
		for _, m := range far {
			shape.Peers = append(shape.Peers, m.Addr())
		}
	}
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, s cluster.Shaper) error { return s.Shape(ctx, shape) })
}

func (f *linkShape) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, s cluster.Shaper) error {
		return s.Unshape(ctx, f.shape.What)
	})
}

// Effective: every link of the machines to the others is seen to be as bad as it should be, and where that is one way that way alone; the lab has
// counted packets; and the links between all others are seen to be good.
func (f *linkShape) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	far, err := f.far(e, machines)
	if err != nil {
		return nil, err
	}
	out, err := links(ctx, e, machines, f.ends(far), f.gauge.bad)
	if err != nil {
		return nil, err
	}
	for _, name := range machines {
		h, tells := f.gauge.(heading)
		if f.shape.Way == cluster.BothWays || !tells {
			continue
		}
		seen, err := headed(ctx, e, h, f.shape.Way, name, far[0])
		if err != nil {
			return nil, err
		}
		out = append(out, seen...)
	}
	for _, name := range machines {
		if err := capability(ctx, e, []string{name}, func(ctx context.Context, _ cluster.Machine, s cluster.Shaper) error {
			n, err := s.Shaped(ctx, f.shape.What)
			if err == nil && n.Held+n.Lost == 0 {
				err = fmt.Errorf("no packet was counted on the links of %s", name)
			}
			out = append(out, saw("lab", "on the links of %s %d packets were lost, and %d held", name, n.Lost, n.Held))
			return err
		}); err != nil {
			return nil, err
		}
	}
	// A machine whose links are bad to some only is good to the others.
	others := slices.DeleteFunc(e.without(namesOf(e)), func(m string) bool { return slices.Contains(machines, m) })
	control, err := each(ctx, e, f.ends(others), f.gauge.good)
	if err == nil && len(f.from) > 0 {
		var rest []plan.Evidence
		rest, err = links(ctx, e, machines, slices.DeleteFunc(others, func(m string) bool { return slices.Contains(far, m) }), f.gauge.good)
		control = append(control, rest...)
	}
	if err != nil {
		return nil, controlError{err}
	}
	if len(control) == 0 {
		control = append(control, saw("plan", "no link is left that should be as it was: there is nothing to compare with"))
	}
	return append(out, control...), nil
}

// far are the machines at the other end of the links, but those whose state is another fault's.
func (f *linkShape) far(e *Env, machines []string) ([]string, error) {
	far := e.without(across(namesOf(e), machines, f.from))
	if len(far) == 0 {
		return nil, fmt.Errorf("nobody is left to see the links of %s from: other faults hold %s", strings.Join(machines, ", "), strings.Join(e.besides, ", "))
	}
	return far, nil
}

// ends are the machines to look from. To flood a link from each in turn would only take longer: a machine's rate is that of its cable.
func (f *linkShape) ends(of []string) []string {
	if f.shape.What == cluster.Limits {
		return of[:min(2, len(of))]
	}
	return of
}

// Recovered: the links are good again, and all that the machines serve is served.
func (f *linkShape) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	far, err := f.far(e, machines)
	if err != nil {
		return nil, err
	}
	out, err := links(ctx, e, machines, f.ends(far), f.gauge.good)
	if err != nil {
		return nil, err
	}
	back, err := served(ctx, e, machines)
	return append(out, back...), err
}

func namesOf(e *Env) (all []string) {
	for _, m := range e.Cluster.Machines() {
		all = append(all, m.Name())
	}
	return all
}

type lookAtPair = func(ctx context.Context, e *Env, near, far string) (plan.Evidence, error)

// links looks at every pair of two sets, one after another: what one look sends would be in the way of the next.
func links(ctx context.Context, e *Env, near, far []string, look lookAtPair) (out []plan.Evidence, err error) {
	for _, n := range near {
		for _, f := range far {
			v, err := look(ctx, e, n, f)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
	}
	return out, nil
}

// each looks at every pair of one set.
func each(ctx context.Context, e *Env, of []string, look lookAtPair) (out []plan.Evidence, err error) {
	for i, name := range of {
		more, err := links(ctx, e, []string{name}, of[i+1:], look)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// unserved dials from one machine a port of another that nobody serves (discard, RFC 863), and gives the other.
func unserved(e *Env, from, to string) (dial func(ctx context.Context, network string) (net.Conn, error), other cluster.Machine, err error) {
	const discard = 9
	ms, err := machinesOf(e, []string{from, to})
	if err != nil {
		return nil, nil, err
	}
	d, err := cluster.As[cluster.Dialer](ms[0])
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, network string) (net.Conn, error) {
		return d.Dial(ctx, network, netip.AddrPortFrom(ms[1].Addr(), discard).String())
	}, ms[1], nil
}

// knocks connects from one machine to another, each time after a pause, to a port that nobody serves: a kernel answers that at once, with a refusal,
// whatever its programs do. Of each try it tells how long the answer took, and less than nothing of one that did not come within a time.
func knocks(ctx context.Context, e *Env, from, to string, tries int, pause, within time.Duration) ([]time.Duration, error) {
	dial, _, err := unserved(e, from, to)
	if err != nil {
		return nil, err
	}
	took := make([]time.Duration, tries)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	var g errgroup.Group
	for i := range tries {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, within)
			defer cancel()
			start := time.Now()
			conn, err := dial(ctx, "tcp")
			switch kind := cluster.FailureOf(err); {
			case err == nil:
				took[i] = time.Since(start)
				return conn.Close()
			case kind == cluster.Refused, kind == cluster.Reset:
				took[i] = time.Since(start)
				return nil
			case kind == cluster.Deadline:
				took[i] = -1
				return nil
			default:
				return fmt.Errorf("%s to %s: %w", from, to, err)
			}
		})
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), g.Wait())
		case <-tick.C:
		}
	}
	return took, g.Wait()
}
