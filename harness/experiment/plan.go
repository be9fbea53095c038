package experiment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/harness/remedy"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/harness/upgrade/replace"
)

// outline is a cell with all choices made.
type outline struct {
	cell     Cell
	seed     int64
	items    []item    // one a step of the scenario
	faults   []*choice // in the order of the plan
	upgrades []*upgrade.Upgrade
	remedies []*remedy.Remedy
	kills    int // of the processes that upgrade or mend
}

// item is one step of the scenario with its choices.
type item struct {
	step    Step
	number  int // in the scenario, from 1
	faults  *series
	upgrade *upgrade.Upgrade
	remedy  *remedy.Remedy
	notes   []remedy.Note // what its steps told, in this process
	mended  *plan.Step    // sees whether the remedy has ended its fault
	from    string        // the version the cluster has before the upgrade
	refused error         // why the policy refuses the upgrade, where that is expected
	steps   []*plan.Step  // the upgrade's, or the remedy's
	placed  []placement
	kills   []kill
}

// choose spends all randomness there is in a run of the cell.
func (s *Scenario) choose(cell Cell, seed int64) (*outline, error) {
	o := &outline{cell: cell, seed: seed}
	t := cell.Topology
	rng := rand.New(rand.NewPCG(uint64(seed), uint64(t.EtcdMembers)))
	at := map[string]string{release.Kubernetes: t.Version, release.Etcd: t.EtcdVersion}
	for i, st := range s.Spec.Steps {
		it := item{step: st, number: i + 1}
		err := fitTraffic(st, cell)
		switch {
		case err != nil:
		case st.Storm != nil:
			it.faults, err = st.Storm.choose(cell, rng)
		case st.Remedy != nil:
			err = o.chooseRemedy(&it, rng)
		case st.Upgrade == nil && (st.Fault != nil || len(st.Faults) > 0):
			it.faults, err = chooseSeries(st, cell, rng)
		case st.Upgrade != nil:
			err = o.chooseUpgrade(&it, at, rng)
		}
		if err != nil {
			return nil, fmt.Errorf("spec.steps[%d]: %w", i, err)
		}
		if it.faults != nil {
			o.faults = append(o.faults, it.faults.faults()...)
		}
		for _, p := range it.placed {
			o.faults = append(o.faults, p.choice)
		}
		o.items = append(o.items, it)
	}
	return o, o.allowed()
}

// allowed asks the cluster that is up whether all that is planned may be done to it.
func (o *outline) allowed() error {
	c, reserved := o.cell.On.(cluster.Reserved)
	if !reserved {
		return nil
	}
	var acts []cluster.Act
	for _, it := range o.items {
		var waves [][]*choice
		if it.faults != nil {
			waves = it.faults.waves
		}
		var placed []*choice // of all that an upgrade may have broken at a time, whatever its steps
		for _, p := range it.placed {
			placed = append(placed, p.choice)
		}
		for _, w := range append(waves, placed) {
			for i, ch := range w {
				acts = append(acts, act(o.cell.Topology, ch, done(w[:i])))
			}
		}
	}
	return c.Allow(acts)
}

// act is a fault with what the others have broken by then.
func act(t cluster.Topology, c *choice, besides []fault.Spec) cluster.Act {
	all := append(slices.Clone(besides), c.spec)
	return cluster.Act{Fault: c.spec.Kind, Machines: fault.Away(t.MachineNames(), nil, all...), Members: fault.Impact(t, nil, all...), For: c.spec.For}
}

// chooseUpgrade builds the upgrade from the version that its product has in the cluster by then, and notes which it has afterwards.
func (o *outline) chooseUpgrade(it *item, at map[string]string, rng *rand.Rand) error {
	t := o.cell.Topology
	spec, err := it.step.Upgrade.Complete()
	if err != nil {
		return err
	}
	it.from = at[spec.Product()]
	if it.upgrade, err = upgrade.New(spec, it.from, t); err != nil {
		if it.step.Expect != ExpectRefused {
			return err
		}
		it.refused = err
		return nil
	}
	if err := replace.Take(it.upgrade); err != nil {
		return err
	}
	if why := o.cell.Lacks.Why(spec.Needs()...); why != "" {
		return cluster.Usagef("the upgrade cannot be done here, %s; with strategy: command your own program does it", why)
	}
	o.upgrades = append(o.upgrades, it.upgrade)
	if err := o.disturb(it, it.upgrade.Steps(), rng); err != nil {
		return err
	}
	if it.step.Expect == "" {
		at[spec.Product()] = spec.To
	}
	return nil
}

// disturb chooses what happens in the middle of a procedure's steps: the kills of its process, and faults.
func (o *outline) disturb(it *item, steps []*plan.Step, rng *rand.Rand) (err error) {
	if it.kills, err = chooseKills(it.step.KillDriver, steps, rng); err != nil {
		return err
	}
	for i := range it.kills {
		o.kills++
		it.kills[i].number = o.kills
	}
	var lasting []*choice
	if it.faults != nil {
		lasting = it.faults.faults()
	}
	for _, p := range it.step.Faults {
		placed, err := place(p, steps, o.cell, lasting, it.placed, rng)
		if err != nil {
			return err
		}
		it.placed = append(it.placed, placed...)
	}
	it.steps = steps
	return nil
}

// Plan is the plan of every cell, without anything to run in it: for printing. It is of no provider: machines are called as the lab's and can do
// everything.
func (s *Scenario) Plan(seed int64) (*plan.Plan, error) {
	if s.ofTwin() {
		return s.armPlan(seed), nil
	}
	cells, err := s.Cells()
	if err != nil {
		return nil, err
	}
	p, err := s.plan(cells, seed)
	if err == nil && slices.ContainsFunc(s.Spec.Steps, func(st Step) bool { return st.Storm != nil }) {
		p.Header = append(p.Header, "of a provider that lacks nothing: a storm draws nothing that its provider lacks, and is then another; --provider NAME prints that one's")
	}
	return p, err
}

// PlanFor is the plan as Run would carry it out with the options: on the machines the provider offers, or on the cluster that is up.
func (s *Scenario) PlanFor(ctx context.Context, o Options) (*plan.Plan, error) {
	if s.ofTwin() {
		if o.On != "" {
			return nil, cluster.Usagef("scenario %s runs against the twin and on no cluster", s.Metadata.Name)
		}
		return s.armPlan(o.Seed), nil
	}
	cells, err := s.sited(ctx, o)
	if err != nil {
		return nil, err
	}
	return s.plan(cells, o.Seed)
}

func (s *Scenario) plan(cells []Cell, seed int64) (*plan.Plan, error) {
	p := &plan.Plan{Header: []string{
		fmt.Sprintf("scenario %s, seed %d", s.Metadata.Name, seed), "  " + s.Metadata.About,
	}}
	p.Header = append(p.Header, s.header()...)
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
	twin(ctx context.Context) error
	endTwin(ctx context.Context) error
	cloud(ctx context.Context) error
	endCloud(ctx context.Context) error
	load(ctx context.Context) error
	observe(ctx context.Context, d time.Duration) error
	traffic(ctx context.Context, c *choice, t load.Traffic) error
	event(ctx context.Context, c *choice) error
	stepEnded(ctx context.Context, c *choice) error
	inject(ctx context.Context, c *choice) error
	effective(ctx context.Context, c *choice) error
	hold(ctx context.Context, c *choice) error
	recover(ctx context.Context, c *choice) error
	recovered(ctx context.Context, c *choice) error
	mended(ctx context.Context, c *choice) error
	seeRecovered(ctx context.Context, c *choice) error
	budget(ctx context.Context, minAvailable int32) error
	refuse(ctx context.Context, it *item) error
	drive(ctx context.Context, it *item, k *kill) error
	settle(ctx context.Context) error
	down(ctx context.Context) error
}

// steps is the outline of a run.
func (s *Scenario) steps(o *outline, a actions) []*plan.Step {
	begin, end := o.ends()
	beginTwin, endTwin := s.twinSteps(a)
	beginCloud, endCloud := s.cloudSteps(a)
	beginTwin, endTwin = append(beginTwin, beginCloud...), append(endCloud, endTwin...)
	out := append([]*plan.Step{{Name: begin, About: o.cell.leftOut(), Run: a.up}}, beginTwin...)
	out = append(out, &plan.Step{Name: o.begins(s), Run: a.load})
	for i := range o.items {
		out = append(out, o.itemStep(&o.items[i], a))
	}
	out = append(out, &plan.Step{Name: "let it settle, stop the load, look once more", Run: a.settle, Cleanup: true})
	return append(append(out, endTwin...), &plan.Step{Name: end, Run: a.down, Cleanup: true})
}

func (o *outline) itemStep(it *item, a actions) *plan.Step {
	st := it.step
	switch {
	case st.Observe > 0:
		return &plan.Step{Name: "observe for " + st.Observe.String(), Run: func(ctx context.Context) error { return a.observe(ctx, st.Observe) }}
	case st.Workload != nil:
		least := st.Workload.MinAvailable
		return &plan.Step{Name: fmt.Sprintf("change the workload's PodDisruptionBudget to minAvailable %d", least), Run: func(ctx context.Context) error { return a.budget(ctx, least) }}
	case st.Fault == nil && len(st.Traffic) > 0:
		return &plan.Step{Name: "traffic", Children: trafficSteps(st.Traffic, nil, a)}
	case st.Upgrade != nil:
		return it.upgradeStep(a)
	case st.Remedy != nil:
		return it.remedyStep(a)
	default:
		return it.faults.steps(o, a)
	}
}

// inert does nothing.
type inert struct{}

func (*inert) up(context.Context) error                             { return nil }
func (*inert) twin(context.Context) error                           { return nil }
func (*inert) endTwin(context.Context) error                        { return nil }
func (*inert) cloud(context.Context) error                          { return nil }
func (*inert) endCloud(context.Context) error                       { return nil }
func (*inert) load(context.Context) error                           { return nil }
func (*inert) observe(context.Context, time.Duration) error         { return nil }
func (*inert) traffic(context.Context, *choice, load.Traffic) error { return nil }
func (*inert) event(context.Context, *choice) error                 { return nil }
func (*inert) stepEnded(context.Context, *choice) error             { return nil }
func (*inert) inject(context.Context, *choice) error                { return nil }
func (*inert) effective(context.Context, *choice) error             { return nil }
func (*inert) hold(context.Context, *choice) error                  { return nil }
func (*inert) recover(context.Context, *choice) error               { return nil }
func (*inert) recovered(context.Context, *choice) error             { return nil }
func (*inert) mended(context.Context, *choice) error                { return nil }
func (*inert) seeRecovered(context.Context, *choice) error          { return nil }
func (*inert) budget(context.Context, int32) error                  { return nil }
func (*inert) refuse(context.Context, *item) error                  { return nil }
func (*inert) drive(context.Context, *item, *kill) error            { return nil }
func (*inert) settle(context.Context) error                         { return nil }
func (*inert) down(context.Context) error                           { return nil }
