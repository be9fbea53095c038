package scenarios

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
)

// outline is a cell with all choices made: a fault spec a step, nil for a step that only observes.
type outline struct {
	cell   Cell
	seed   int64
	faults []*fault.Spec
}

// choose spends all randomness there is in a run of the cell.
func (s *Scenario) choose(cell Cell, seed int64) (*outline, error) {
	o := &outline{cell: cell, seed: seed}
	t := cell.Topology
	rng := rand.New(rand.NewPCG(uint64(seed), uint64(t.EtcdMembers)))
	for i, st := range s.Spec.Steps {
		if st.Fault == nil {
			o.faults = append(o.faults, nil)
			continue
		}
		spec, err := fault.NewSpec(st.Fault.Kind, st.Fault.Target, st.Fault.For, t, rng)
		if err != nil {
			return nil, fmt.Errorf("spec.steps[%d]: %w", i, err)
		}
		if left := t.EtcdMembers - spec.Impact(t); left < cluster.Quorum(t.EtcdMembers) && spec.Impact(t) > 0 && st.Expect != ExpectQuorumLost {
			return nil, cluster.Usagef("spec.steps[%d]: %s leaves %d of %d members, a quorum is %d; say `expect: quorumLost` if that is what you want",
				i, spec.Describe(), left, t.EtcdMembers, cluster.Quorum(t.EtcdMembers))
		}
		o.faults = append(o.faults, &spec)
	}
	return o, nil
}

// Plan is the plan of every cell, without anything to run in it: for printing.
func (s *Scenario) Plan(seed int64) (*plan.Plan, error) {
	cells, err := s.Cells()
	if err != nil {
		return nil, err
	}
	p := &plan.Plan{Header: []string{
		fmt.Sprintf("scenario %s, seed %d", s.Metadata.Name, seed), "  " + s.Metadata.About,
	}}
	for _, c := range cells {
		o, err := s.choose(c, seed)
		if err != nil {
			return nil, err
		}
		cell := s.steps(o, &inert{})
		if c.Label == "" {
			p.Header = append(p.Header, "cluster "+c.Topology.String())
			p.Steps = cell
			continue
		}
		p.Steps = append(p.Steps, &plan.Step{Name: c.Label + ": " + c.Topology.String(), Children: cell})
	}
	p.Number()
	return p, nil
}

// actions are what the steps of a cell do; the plan for printing has inert ones.
type actions interface {
	up(ctx context.Context) error
	load(ctx context.Context) error
	observe(ctx context.Context, d time.Duration) error
	inject(ctx context.Context, i int) error
	effective(ctx context.Context, i int) error
	hold(ctx context.Context, i int) error
	recover(ctx context.Context, i int) error
	recovered(ctx context.Context, i int) error
	settle(ctx context.Context) error
	down(ctx context.Context) error
}

// steps is the outline of a run.
func (s *Scenario) steps(o *outline, a actions) []*plan.Step {
	out := []*plan.Step{
		{Name: "bring up " + o.cell.Topology.String(), Run: a.up},
		{Name: "start probes and recorded clients", Run: a.load},
	}
	for i, st := range s.Spec.Steps {
		if st.Fault == nil {
			out = append(out, &plan.Step{Name: "observe for " + st.Observe.String(), Run: func(ctx context.Context) error { return a.observe(ctx, st.Observe) }})
			continue
		}
		at := func(do func(context.Context, int) error) func(context.Context) error {
			return func(ctx context.Context) error { return do(ctx, i) }
		}
		spec := o.faults[i]
		if len(spec.Machines) == 0 && spec.Target == fault.Minority {
			why := fmt.Errorf("%w: %d members tolerate no loss", plan.ErrSkip, o.cell.Topology.EtcdMembers)
			out = append(out, &plan.Step{Name: spec.Describe(), Run: func(context.Context) error { return why }})
			continue
		}
		out = append(out, &plan.Step{Name: spec.Describe(), Children: []*plan.Step{
			{Name: "inject", Run: at(a.inject)},
			{Name: "await its effect", Run: at(a.effective)},
			{Name: "hold for " + spec.For.String(), Run: at(a.hold)},
			{Name: "recover", Run: at(a.recover), Cleanup: true},
			{Name: "await recovery", Run: at(a.recovered), Cleanup: true},
		}})
	}
	return append(out,
		&plan.Step{Name: "let it settle, stop the load, look once more", Run: a.settle, Cleanup: true},
		&plan.Step{Name: "take down", Run: a.down, Cleanup: true},
	)
}

// inert does nothing.
type inert struct{}

func (*inert) up(context.Context) error                     { return nil }
func (*inert) load(context.Context) error                   { return nil }
func (*inert) observe(context.Context, time.Duration) error { return nil }
func (*inert) inject(context.Context, int) error            { return nil }
func (*inert) effective(context.Context, int) error         { return nil }
func (*inert) hold(context.Context, int) error              { return nil }
func (*inert) recover(context.Context, int) error           { return nil }
func (*inert) recovered(context.Context, int) error         { return nil }
func (*inert) settle(context.Context) error                 { return nil }
func (*inert) down(context.Context) error                   { return nil }
