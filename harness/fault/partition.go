package fault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// partition loses what machines send to each other across a line, both ways or one; on each side of it, and to machines on neither, all goes through.
type partition struct {
	from []string // the other side; empty: all machines that are not on this one
	way  cluster.Way
	ring []string // in the place of sides: machines in a ring, each of which is parted from all that are not its neighbours; empty: there are sides
}

// way is the way of what is lost: both, where it is not said.
func (p Params) way() cluster.Way { return cmp.Or(p.Way, cluster.BothWays) }

func validWay(p Params) error {
	if known := []cluster.Way{cluster.BothWays, cluster.Outbound, cluster.Inbound}; !slices.Contains(known, p.way()) {
		return fmt.Errorf("way is %q; known: %s, %s (what the target sends is lost), %s (what is sent to it)", p.Way, known[0], known[1], known[2])
	}
	return nil
}

// fitsPartition refuses a partition of nobody from nobody, of machines from themselves, and one whose target is the side that goes on: whoever is on the
// other would be taken for unharmed.
func fitsPartition(s Spec, t cluster.Topology) error {
	if s.Ring {
		return fitsRing(s)
	}
	all, err := sides(s, t)
	if err != nil {
		return err
	}
	late := s.Late()
	switch here, there := within(s.Machines, t.EtcdMachines()), within(across(all, s.Machines, s.From), t.EtcdMachines()); {
	case late && len(all) < 2, !late && len(s.Machines) == 0, !late && len(across(all, s.Machines, s.From)) == 0:
		return cluster.Usagef("%s of %s: there is no machine on one of the two sides", s.Kind, s.Target)
	case here > there && there > 0:
		return cluster.Usagef("%s of %s: with %d of %d members it is the side that goes on; name the smaller side", s.Kind, s.Target, here, here+there)
	}
	return nil
}

// sides refuses, with a UsageError, a from that is not one, and gives the names of all machines.
func sides(s Spec, t cluster.Topology) (all []string, err error) {
	all = t.MachineNames()
	for _, m := range s.From {
		switch {
		case !slices.Contains(all, m):
			return nil, cluster.Usagef("%s: from: unknown machine %q; known: %s", s.Kind, m, strings.Join(all, ", "))
		case slices.Contains(s.Machines, m):
			return nil, cluster.Usagef("%s: %s cannot be on both sides", s.Kind, m)
		}
	}
	if s.Late() && len(s.From) > 0 {
		return nil, cluster.Usagef("%s of a %s takes no from: who that is shows when it happens, and may be among them", s.Kind, s.Target)
	}
	return all, nil
}

func within(names, set []string) (n int) {
	for _, m := range names {
		if slices.Contains(set, m) {
			n++
		}
	}
	return n
}

// across are the machines on the other side of a line.
func across(all, here, from []string) []string {
	if len(from) > 0 {
		return from
	}
	return slices.DeleteFunc(slices.Clone(all), func(m string) bool { return slices.Contains(here, m) })
}

// across are those that one of the machines is parted from.
func (f *partition) across(e *Env, machine string, machines []string) []string {
	if len(f.ring) > 0 {
		return acrossRing(f.ring, machine)
	}
	return across(namesOf(e), machines, f.from)
}

// parting is two machines that are parted. near is on the side whose way it is.
type parting struct{ near, far string }

// partings are all of the machines, each once.
func (f *partition) partings(e *Env, machines []string) []parting {
	var out []parting
	for _, near := range machines {
		for _, far := range f.across(e, near, machines) {
			if !slices.Contains(out, parting{far, near}) {
				out = append(out, parting{near, far})
			}
		}
	}
	return out
}

// seen are those of them whose state is this fault's: a machine that another has taken hears nobody anyway.
func (f *partition) seen(e *Env, machines []string) ([]parting, error) {
	out := slices.DeleteFunc(f.partings(e, machines), func(l parting) bool { return len(e.without([]string{l.near, l.far})) < 2 })
	if len(out) == 0 {
		return nil, fmt.Errorf("nobody is left across from %s to look at: other faults hold %s", strings.Join(machines, ", "), strings.Join(e.besides, ", "))
	}
	return out, nil
}

func (f *partition) Inject(ctx context.Context, e *Env, machines []string) error {
	way := f.way
	if len(f.ring) > 0 { // each loses what it sends: its own packets are then dropped on its own links, and counted there
		way = cluster.Outbound
	}
	return capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, l cluster.Links) error {
		far, err := machinesOf(e, f.across(e, m.Name(), machines))
		if err != nil {
			return err
		}
		var peers []netip.Addr
		for _, m := range far {
			peers = append(peers, m.Addr())
		}
		if len(peers) == 0 { // which the capability takes for everybody
			return fmt.Errorf("no machine is across from %s", m.Name())
		}
		return l.Cut(ctx, way, peers...)
	})
}

func (f *partition) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, l cluster.Links) error {
		return l.HealLinks(ctx)
	})
}

// Effective: of every two machines across the line each is seen not to hear the other, or, one way, to be the only one that hears; packets were dropped
// on every machine's links; and every two machines on one side, or with one on neither, still talk. One pair that was forgotten is no partition.
func (f *partition) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	lines, err := f.seen(e, machines)
	if err != nil {
		return nil, err
	}
	out, err := atOnce(ctx, lines, func(ctx context.Context, near, far string) (plan.Evidence, error) { return f.apart(ctx, e, near, far) })
	if err != nil {
		return nil, err
	}
	if err := capability(ctx, e, machines, func(ctx context.Context, m cluster.Machine, l cluster.Links) error {
		n, err := l.Dropped(ctx)
		if err == nil && n == 0 {
			err = errors.New("no packet was dropped on the links of " + m.Name())
		}
		return err
	}); err != nil {
		return nil, err
	}
	control, err := f.control(ctx, e, machines)
	if err != nil {
		return nil, controlError{err}
	}
	return append(out, control...), nil
}

// apart sees of two machines who hears whom. near is on the side whose way it is.
func (f *partition) apart(ctx context.Context, e *Env, near, far string) (plan.Evidence, error) {
	var nearHears, farHears ear
	var g errgroup.Group
	g.Go(func() (err error) { nearHears, err = hears(ctx, e, near, far); return err })
	g.Go(func() (err error) { farHears, err = hears(ctx, e, far, near); return err })
	if err := g.Wait(); err != nil {
		return plan.Evidence{}, err
	}
	for _, c := range []struct {
		who, whom string
		ear
		want bool
	}{{near, far, nearHears, f.way == cluster.Outbound}, {far, near, farHears, f.way == cluster.Inbound}} {
		switch {
		case c.answered:
			return plan.Evidence{}, fmt.Errorf("%s still reaches %s: %s", c.whom, c.who, c.said)
		case c.heard && !c.want:
			return plan.Evidence{}, fmt.Errorf("%s still hears %s: %s", c.who, c.whom, c.said)
		case !c.heard && c.want:
			return plan.Evidence{}, fmt.Errorf("%s does not hear %s any more, which it should: %s", c.who, c.whom, c.said)
		}
	}
	return saw(far, "%s; and on %s: %s", farHears.said, near, nearHears.said), nil
}

// ear is what one machine is seen to hear of another.
type ear struct {
	heard    bool // what the other sends arrives
	answered bool // and the answer to it
	said     string
}

// hears has one machine connect to another. A connection that is made, or refused, is heard and answered. Of one that is not, the other's kernel knows
// whether it has heard: it then has a connection half open (SYN_RECV of tcp(7)).
func hears(ctx context.Context, e *Env, who, whom string) (ear, error) {
	ms, err := machinesOf(e, []string{who, whom})
	if err != nil {
		return ear{}, err
	}
	d, err := cluster.As[cluster.Dialer](ms[1])
	if err != nil {
		return ear{}, err
	}
	port := servicePort(e, who)
	dialErr := reach(ctx, d, ms[0].Addr(), port)
	if kind := cluster.FailureOf(dialErr); dialErr == nil || kind == cluster.Refused || kind == cluster.Reset {
		return ear{heard: true, answered: true, said: fmt.Sprintf("%s and %s talk", who, whom)}, nil
	}
	if err := ctx.Err(); err != nil {
		return ear{}, err
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		raw, err := ms[0].ReadFile(ctx, table)
		if err != nil && table == "/proc/net/tcp" { // a kernel without IPv6 has no other
			return ear{}, fmt.Errorf("who knocks at %s: %w", who, err)
		}
		if err == nil && halfOpen(string(raw), port, ms[1].Addr()) {
			return ear{heard: true, said: fmt.Sprintf("it hears %s, and its answers are lost: %v", whom, dialErr)}, nil
		}
	}
	return ear{said: fmt.Sprintf("it does not hear %s: %v", whom, dialErr)}, nil
}

// control sees that every two machines that should still talk do, but those that another fault holds.
func (f *partition) control(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	parted := f.partings(e, machines)
	var together []parting
	all := e.without(namesOf(e))
	for i, a := range all {
		for _, b := range all[i+1:] {
			if !slices.Contains(parted, parting{a, b}) && !slices.Contains(parted, parting{b, a}) {
				together = append(together, parting{a, b})
			}
		}
	}
	if len(together) == 0 {
		return []plan.Evidence{saw("plan", "no two machines are left that should still talk: there is nothing to compare with")}, nil
	}
	return atOnce(ctx, together, func(ctx context.Context, a, b string) (plan.Evidence, error) {
		got, err := hears(ctx, e, a, b)
		if err == nil && !got.answered {
			err = fmt.Errorf("%s and %s should not be affected, and: on %s %s", a, b, a, got.said)
		}
		return saw(a, "%s, as they should", got.said), err
	})
}

// atOnce looks at every pair at the same time: each look may take as long as a time-out.
func atOnce(ctx context.Context, lines []parting, look func(ctx context.Context, a, b string) (plan.Evidence, error)) ([]plan.Evidence, error) {
	out := make([]plan.Evidence, len(lines))
	var g errgroup.Group
	for i, l := range lines {
		g.Go(func() (err error) { out[i], err = look(ctx, l.near, l.far); return err })
	}
	return out, g.Wait()
}

// Recovered: every two machines across the line talk, and all that the smaller side served is served.
func (f *partition) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	lines, err := f.seen(e, machines)
	if err != nil {
		return nil, err
	}
	out, err := atOnce(ctx, lines, func(ctx context.Context, near, far string) (plan.Evidence, error) {
		got, err := hears(ctx, e, near, far)
		if err == nil && !got.answered {
			err = fmt.Errorf("%s and %s are still apart: on %s %s", near, far, near, got.said)
		}
		return saw(near, "%s", got.said), err
	})
	if err != nil {
		return nil, err
	}
	back, err := served(ctx, e, machines)
	return append(out, back...), err
}
