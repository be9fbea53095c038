package experiment

import (
	"context"
	"errors"
	"fmt"

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
	for i, t := range st.Traffic {
		if err := t.Validate(); err != nil {
			return fmt.Errorf("traffic[%d]: %w", i, err)
		}
	}
	return nil
}

// fitTraffic refuses, with a UsageError, traffic that cannot be sent in the cell.
func fitTraffic(traffic []load.Traffic, cell Cell) error {
	if len(traffic) == 0 {
		return nil
	}
	if _, reserved := cell.On.(cluster.Reserved); reserved {
		return cluster.Usagef("traffic is written straight to etcd, and the cluster is somebody's own: run the scenario where the cluster is made for it")
	}
	for _, t := range traffic {
		if err := t.Fits(cell.Topology); err != nil {
			return err
		}
	}
	return nil
}

// trafficSteps are the entries as steps of a plan.
func trafficSteps(traffic []load.Traffic, a actions) []*plan.Step {
	var out []*plan.Step
	for _, t := range traffic {
		out = append(out, &plan.Step{Name: "send " + t.String(), Run: func(ctx context.Context) error { return a.traffic(ctx, t) }})
	}
	return out
}

// traffic sends one entry. What was seen of it is evidence, also where it failed.
func (c *cellRun) traffic(ctx context.Context, t load.Traffic) error {
	sent, err := c.watched.Send(ctx, t)
	return errors.Join(err, c.journal.Write("traffic", sent))
}
