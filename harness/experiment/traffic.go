package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

// validateTraffic refuses traffic that has no meaning where it is: by itself, or while one fault holds.
func (st Step) validateTraffic() error {
	if len(st.Traffic) == 0 {
		return nil
	}
	if st.procedure() {
		return errors.New("traffic is a step of its own, or beside a fault: what is sent while that holds")
	}
	return validTraffic(st.Traffic)
}

func validTraffic(traffic []load.Traffic) error {
	for i, t := range traffic {
		if err := t.Validate(); err != nil {
			return fmt.Errorf("traffic[%d]: %w", i, err)
		}
	}
	return nil
}

// entries are all of the step's traffic, whatever it is beside.
func (st Step) entries() []load.Traffic {
	traffic := slices.Clone(st.Traffic)
	if st.When != nil {
		traffic = append(traffic, st.When.Traffic...)
	}
	for _, p := range st.Faults {
		if p.When != nil {
			traffic = append(traffic, p.When.Traffic...)
		}
	}
	return traffic
}

// asksForNames reports whether etcd does at some time of the run.
func (o *outline) asksForNames() bool {
	return slices.ContainsFunc(o.items, func(it item) bool { return slices.ContainsFunc(it.step.entries(), load.Traffic.Enables) })
}

// fitTraffic refuses, with a UsageError, traffic that cannot be sent in the cell.
func fitTraffic(st Step, cell Cell) error {
	traffic := st.entries()
	if len(traffic) == 0 {
		return nil
	}
	if _, reserved := cell.On.(cluster.Reserved); reserved {
		return cluster.Usagef("traffic is written straight to etcd, and the cluster is somebody's own: run the scenario where the cluster is made for it")
	}
	if cell.On != nil && slices.ContainsFunc(traffic, load.Traffic.Enables) {
		return cluster.Usagef("traffic: auth has etcd ask for passwords, and were the run killed nobody would know them of a cluster that outlives it: run the scenario where the cluster is made for it")
	}
	for _, t := range traffic {
		if err := t.Fits(cell.Topology); err != nil {
			return err
		}
	}
	return nil
}

// trafficSteps are the entries as steps of a plan; during a fault, where there is one.
func trafficSteps(traffic []load.Traffic, during *choice, a actions) []*plan.Step {
	var out []*plan.Step
	for _, t := range traffic {
		out = append(out, &plan.Step{Name: "send " + t.String(), Run: func(ctx context.Context) error { return a.traffic(ctx, during, t) }})
	}
	return out
}

// traffic sends one entry. What was seen of it is evidence, also where it failed. What is to be sent during a fault is not where that never began.
func (c *cellRun) traffic(ctx context.Context, during *choice, t load.Traffic) error {
	if during != nil {
		if _, err := c.begun(during); err != nil {
			return err
		}
	}
	sent, err := c.watched.Send(ctx, t)
	return errors.Join(err, c.journal.Write("traffic", sent))
}

// sends is the event of traffic in a plan.
func (ev *Event) sends() string {
	var entries []string
	for _, t := range ev.Traffic {
		entries = append(entries, t.String())
	}
	last := "acknowledged"
	if ev.CalledFor > 0 {
		last = fmt.Sprintf("sent %s ago", ev.CalledFor)
	}
	return fmt.Sprintf("%s to be %s, within %s", strings.Join(entries, ", then "), last, ev.Within)
}

// seeTraffic sends all entries and returns when the last of them is acknowledged, or is called for long enough. Nothing is written down in between: the
// moment would pass. The record has it all at the end.
func (c *cellRun) seeTraffic(ctx context.Context, ev *Event) (plan.Evidence, error) {
	within, cancel := context.WithTimeout(ctx, ev.Within)
	defer cancel()
	last := ev.Traffic[len(ev.Traffic)-1]
	for _, t := range ev.Traffic[:len(ev.Traffic)-1] {
		if _, err := c.watched.Send(within, t); err != nil {
			return plan.Evidence{}, err
		}
	}
	if ev.CalledFor > 0 {
		if err := c.watched.Call(ctx, last, ev.CalledFor); err != nil {
			return plan.Evidence{}, err
		}
		return plan.Evidence{Time: time.Now(), Observer: "scripted traffic", Saw: fmt.Sprintf("%s was called %s ago and is not answered", last, ev.CalledFor)}, nil
	}
	sent, err := c.watched.Send(within, last)
	if err != nil {
		return plan.Evidence{}, err
	}
	return plan.Evidence{Time: sent.Returned, Observer: "scripted traffic", Saw: fmt.Sprintf("%s: %s, after %s", sent.Entry, sent.Saw, sent.Returned.Sub(sent.Called).Round(time.Millisecond))}, nil
}
