package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

// diskSlow has a machine's disk take longer for each fsync of etcd's: a leader writes slowly, or while it waits for its disk misses to send what tells its
// followers that it leads.
type diskSlow struct{ delay time.Duration }

// How much longer an fsync may be asked to take, and does where nothing is said. etcd wants 99 of 100 to take less than 10 ms; with 500 ms a leader still
// sends its heartbeats before its followers' election time-out of 1 s, from one second on it does not.
const (
	slowByDefault = 500 * time.Millisecond
	slowAtLeast   = 50 * time.Millisecond
	slowAtMost    = 3 * time.Second
)

func validSlow(p Params) error {
	if p.Delay != 0 && (p.Delay < slowAtLeast || p.Delay > slowAtMost) {
		return fmt.Errorf("delay is %s; an fsync can take %s to %s longer", p.Delay, slowAtLeast, slowAtMost)
	}
	return nil
}

func newDiskSlow(s Spec) Fault {
	if s.Delay == 0 {
		s.Delay = slowByDefault
	}
	return &diskSlow{delay: s.Delay}
}

func (f *diskSlow) Inject(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, d cluster.SlowDisk) error {
		return d.SlowSync(ctx, f.delay, etcd.DataDir)
	})
}

func (*diskSlow) Recover(ctx context.Context, e *Env, machines []string) error {
	return capability(ctx, e, machines, func(ctx context.Context, _ cluster.Machine, d cluster.SlowDisk) error { return d.HealSync(ctx) })
}

// Effective: the members themselves say how long their fsyncs take, the victims' so much longer and no other's.
func (f *diskSlow) Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	means, err := f.measure(ctx, e)
	if err != nil {
		return nil, err
	}
	out, err := f.slow(means, machines)
	if err != nil {
		return nil, err
	}
	return others(ctx, e, machines, out)
}

func (f *diskSlow) Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error) {
	out, err := agreed(ctx, e)
	if err != nil {
		return nil, err
	}
	means, err := f.measure(ctx, e)
	if err != nil {
		return nil, err
	}
	for _, m := range machines {
		if means[m] >= f.delay/2 {
			return nil, fmt.Errorf("an fsync of the member on %s still takes %s", m, means[m])
		}
		out = append(out, saw("metrics of the member", "an fsync of the member on %s takes %s", m, means[m].Round(time.Microsecond)))
	}
	return out, nil
}

// measure has something written, and reads how long each member's fsyncs have taken meanwhile.
func (f *diskSlow) measure(ctx context.Context, e *Env) (map[string]time.Duration, error) {
	// One that waits for another to end takes twice as long; a leader that has lost its lease meanwhile takes an election more.
	ctx, cancel := context.WithTimeout(ctx, 3*f.delay+2*look)
	defer cancel()
	before := map[string]etcd.Fsyncs{}
	for _, m := range e.without(e.Etcd.Machines()) { // one that another fault holds may have nothing to say
		var err error
		if before[m], err = e.Etcd.Fsyncs(ctx, m); err != nil {
			return nil, err
		}
	}
	c, err := e.Etcd.Client(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	written := make(chan error, 1)
	go func() { // who waits for the answer sees nothing of a leader that gives none
		_, err := c.Delete(ctx, stirKey) // of which there is none: members write down what they are told, and nothing is left
		written <- err
	}()
	means := map[string]time.Duration{}
	err = cluster.Await(ctx, "an fsync of each member", cluster.Wait{For: 3*f.delay + 2*look, Every: 50 * time.Millisecond}, func(ctx context.Context) error {
		var idle []string
		for m, since := range before {
			now, err := e.Etcd.Fsyncs(ctx, m)
			if err != nil {
				return err
			}
			mean, ok := now.Mean(since)
			if means[m] = mean; !ok {
				idle = append(idle, m)
			}
		}
		slices.Sort(idle)
		if len(idle) > 0 {
			return fmt.Errorf("none of %s", strings.Join(idle, ", "))
		}
		return nil
	})
	if err != nil {
		select {
		case werr := <-written:
			err = errors.Join(err, werr)
		default:
		}
		return nil, err
	}
	return means, nil
}

// stirKey is of what members are given to write while they are looked at.
const stirKey = "/drydock/fault"

// slow says of each victim how long its fsyncs take; an error when it is not as long as it was made, or another's are.
func (f *diskSlow) slow(means map[string]time.Duration, machines []string) ([]plan.Evidence, error) {
	var out []plan.Evidence
	for _, m := range machines {
		// A few that were begun before may be among them.
		if means[m] < f.delay*3/4 {
			return nil, fmt.Errorf("an fsync of the member on %s takes %s, not %s longer than it did", m, means[m], f.delay)
		}
		out = append(out, saw("metrics of the member", "an fsync of the member on %s takes %s", m, means[m].Round(time.Millisecond)))
	}
	var fast []string
	for m, mean := range means {
		switch {
		case slices.Contains(machines, m):
		case mean >= f.delay/2:
			return nil, controlError{fmt.Errorf("the disk of %s should not be slow, and an fsync takes %s there", m, mean)}
		default:
			fast = append(fast, fmt.Sprintf("%s %s", m, mean.Round(time.Microsecond)))
		}
	}
	if len(fast) > 0 {
		slices.Sort(fast)
		out = append(out, saw("metrics of the members", "elsewhere an fsync takes: %s", strings.Join(fast, ", ")))
	}
	return out, nil
}
