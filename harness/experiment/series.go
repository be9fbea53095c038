package experiment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

// series is what a step does of faults: waves one after another, each of faults that overlap. A wave is over, and seen to be, before the next begins.
type series struct {
	about string        // of several waves
	calm  time.Duration // between two of them
	waves [][]*choice
}

// choice is a fault with all choices made, and where its receipt belongs.
type choice struct {
	spec      fault.Spec
	expect    string
	during    []Check
	when      *Event         // it waits for; nil: nothing
	traffic   []load.Traffic // that is sent while it holds
	after     time.Duration  // from the beginning of its wave on
	with      []*choice      // without which it would not cost the quorum that it is expected to
	withSteps bool           // so are the steps of the upgrade that it is placed at
	step      *plan.Step     // the group of its steps
	until     bool           // it holds until the step it was placed at has ended
	over      chan struct{}  // closed when the step has ended that it waits in; nil: there is none
	lacks     string         // why it cannot be done where the run is; empty: it can
}

// faults are all of the series, in the order of the plan.
func (s *series) faults() []*choice { return slices.Concat(s.waves...) }

// chooseSeries makes all choices of a step's faults: of one, or of several at the same time, as many times as it says.
func chooseSeries(st Step, cell Cell, rng *rand.Rand) (*series, error) {
	placed := st.Faults
	if st.Fault != nil {
		placed = []Placed{{Fault: *st.Fault, During: st.During, Expect: st.Expect, When: st.When}}
	}
	s := &series{about: fmt.Sprintf("%d times", st.Times), calm: st.Calm}
	for range max(1, st.Times) {
		var wave []*choice
		for _, p := range placed {
			c, err := chooseBeside(p, wave, cell, rng)
			if err != nil {
				return nil, err
			}
			c.traffic = st.Traffic
			wave = append(wave, c)
		}
		s.waves = append(s.waves, wave)
	}
	return s, nil
}

// done are the specs of those faults of a wave that will be done.
func done(wave []*choice) []fault.Spec {
	var out []fault.Spec
	for _, c := range wave {
		if c.lacks == "" {
			out = append(out, c.spec)
		}
	}
	return out
}

// chooseBeside makes the choices of a fault that overlaps with those of its wave, and refuses one that cannot, or that with them takes the quorum.
func chooseBeside(p Placed, wave []*choice, cell Cell, rng *rand.Rand) (*choice, error) {
	t := cell.Topology
	besides := done(wave)
	spec, err := p.Fault.chooseApart(besides, t, rng)
	if err != nil {
		return nil, err
	}
	if spec.Latent() {
		return nil, cluster.Usagef("%s shows only in what an upgrade does: place it with `at:` under an upgrade's faults", spec.Kind)
	}
	if err := p.When.fits(t); err != nil {
		return nil, err
	}
	c := &choice{spec: spec, expect: p.Expect, during: p.During, when: p.When, after: p.After, lacks: spec.Lacking(cell.Lacks)}
	if c.lacks != "" {
		return c, nil
	}
	if err := writesExpected(spec, p.Expect); err != nil {
		return nil, err
	}
	if err := checksFit(spec, p.During, t); err != nil {
		return nil, err
	}
	if _, missing, costs := fault.CostsQuorum(t, nil, besides, spec); costs && p.Expect != ExpectQuorumLost {
		beside := ""
		if len(besides) > 0 {
			beside = ", beside " + describeAll(besides) + ","
		}
		return nil, cluster.Usagef("%s%s leaves %d of %d members, a quorum is %d; say `expect: quorumLost` if that is what you want",
			spec.Describe(), beside, t.EtcdMembers-missing, t.EtcdMembers, cluster.Quorum(t.EtcdMembers))
	}
	if _, _, alone := fault.CostsQuorum(t, nil, nil, spec); p.Expect == ExpectQuorumLost && !alone {
		all := []fault.Spec{spec} // also of those that cannot be done here
		for _, other := range wave {
			all = append(all, other.spec)
		}
		if left := t.EtcdMembers - fault.Impact(t, nil, all...); left >= cluster.Quorum(t.EtcdMembers) {
			return nil, cluster.Usagef("%s leaves %d of %d members, which is a quorum: to expect quorumLost would excuse a loss that is not the fault's",
				describeAll(all), left, t.EtcdMembers)
		}
		c.with = slices.Clone(wave)
	}
	return c, nil
}

// writesExpected refuses a fault that has etcd refuse all writes where nobody expects that, and the expectation where there is no such fault.
func writesExpected(spec fault.Spec, expect string) error {
	switch wanted := expect == ExpectWritesRefused; {
	case spec.StopsWrites() && !wanted:
		return cluster.Usagef("%s: nobody can write while it holds; expect %s if that is what you want", spec.Describe(), ExpectWritesRefused)
	case wanted && !spec.StopsWrites():
		return cluster.Usagef("%s refuses no writes: %s is expected of a fault that does", spec.Describe(), ExpectWritesRefused)
	}
	return nil
}

// checksFit refuses a check that would blame a cluster for what the fault does not do to it.
func checksFit(spec fault.Spec, during []Check, t cluster.Topology) error {
	for _, c := range during {
		if why := spec.CutsMinority(t); c.Name == health.MinorityStepsDown && why != "" {
			return cluster.Usagef("%s: %s: %s; the check is of members that are cut off from a quorum", c.Name, spec.Describe(), why)
		}
	}
	return nil
}

// draws is how often a member is chosen by chance until it is none that another fault has.
const draws = 50

// chooseApart makes the fault's own choices; what is left to chance is none of what the others hold.
func (f *Fault) chooseApart(besides []fault.Spec, t cluster.Topology, rng *rand.Rand) (spec fault.Spec, err error) {
	for range draws {
		if spec, err = f.choose(t, rng); err != nil {
			return spec, err
		}
		if err = fault.Together(append(slices.Clone(besides), spec)...); err == nil || f.Target != fault.Any {
			break
		}
	}
	return spec, err
}

// latent reports whether the fault shows only in what an upgrade does.
func (f *Fault) latent() bool {
	k, err := fault.Find(f.Kind)
	return err == nil && k.Latent
}

func describeAll(specs []fault.Spec) string {
	var out []string
	for _, s := range specs {
		out = append(out, s.Describe())
	}
	return strings.Join(out, " and ")
}

// steps are the waves as steps of a plan.
func (s *series) steps(o *outline, a actions) *plan.Step {
	group := &plan.Step{Name: s.about}
	for i, w := range s.waves {
		if i > 0 && s.calm > 0 {
			group.Children = append(group.Children, &plan.Step{Name: "calm for " + s.calm.String(), Run: func(ctx context.Context) error { return a.observe(ctx, s.calm) }})
		}
		group.Children = append(group.Children, o.wave(w, a))
	}
	if len(group.Children) == 1 {
		return group.Children[0]
	}
	return group
}

// wave is one fault, or several at the same time. That all are over is awaited when each has been undone: one may not be seen to be while another holds.
func (o *outline) wave(w []*choice, a actions) *plan.Step {
	if len(w) == 1 {
		return o.life(w[0], a, false)
	}
	branches := &plan.Step{Name: "meanwhile", Parallel: true}
	group := &plan.Step{Name: fmt.Sprintf("%d faults at the same time", len(w)), Children: []*plan.Step{branches}}
	for _, c := range w {
		branches.Children = append(branches.Children, o.life(c, a, true))
		if c.lacks == "" && !c.nobody() {
			group.Children = append(group.Children, &plan.Step{Name: "await recovery from " + c.spec.Kind + " of " + c.spec.Target, Run: at(a.recovered, c), Cleanup: true})
		}
	}
	return group
}

// life is the life of a fault: from what it waits for to its end, or, among others, to when it was undone.
func (o *outline) life(c *choice, a actions, among bool) *plan.Step {
	switch {
	case c.lacks != "":
		return lacking(c)
	case c.nobody():
		why := fmt.Errorf("%w: %d members tolerate no loss", plan.ErrSkip, o.cell.Topology.EtcdMembers)
		c.step = &plan.Step{Name: c.spec.Describe(), Run: func(context.Context) error { return why }}
		return c.step
	}
	faultSteps(c, a)
	if among {
		last := len(c.step.Children) - 1
		c.step.Children[last] = &plan.Step{Name: "see it recovered", Run: at(a.seeRecovered, c)}
	}
	return c.step
}

// faultSteps is the life of a fault.
func faultSteps(c *choice, a actions) *plan.Step {
	c.step = &plan.Step{Name: c.spec.Describe(), Children: slices.Concat(c.waits(a),
		[]*plan.Step{{Name: "inject", Run: at(a.inject, c)}, {Name: "await its effect", Run: at(a.effective, c)}},
		trafficSteps(c.traffic, c, a),
		[]*plan.Step{
			{Name: "hold for " + c.spec.For.String(), Run: at(a.hold, c)},
			{Name: "recover", Run: at(a.recover, c), Cleanup: true},
			{Name: "await recovery", Run: at(a.recovered, c), Cleanup: true},
		})}
	return c.step
}

// waits is what comes before a fault.
func (c *choice) waits(a actions) []*plan.Step {
	var out []*plan.Step
	if c.after > 0 {
		out = append(out, &plan.Step{Name: "wait " + c.after.String(), Run: func(ctx context.Context) error { return a.observe(ctx, c.after) }})
	}
	if c.when != nil {
		out = append(out, &plan.Step{Name: "wait for " + c.when.String(), Run: at(a.event, c)})
	}
	return out
}

// nobody reports whether a fault has no machine to happen to: a minority of members that tolerate no loss.
func (c *choice) nobody() bool {
	return len(c.spec.Machines) == 0 && c.spec.Target == fault.Minority
}

func at(do func(context.Context, *choice) error, c *choice) func(context.Context) error {
	return func(ctx context.Context) error { return do(ctx, c) }
}

// validateFaults refuses what does not belong together of a step with faults.
func (st Step) validateFaults() error {
	several := !st.procedure() && len(st.Faults) > 0
	if st.When != nil {
		if st.Fault == nil {
			return errors.New("when belongs to a fault: of several, say it of each")
		}
		if err := st.When.complete(); err != nil {
			return fmt.Errorf("when: %w", err)
		}
	}
	switch {
	case (st.Times != 0 || st.Calm != 0) && st.Fault == nil && !several:
		return errors.New("times and calm belong to faults")
	case st.Times < 0 || st.Calm < 0:
		return fmt.Errorf("times is %d, calm %s; neither can be negative", st.Times, st.Calm)
	case st.Calm > 0 && st.Times < 2:
		return errors.New("calm is between one time and the next: say how many times")
	case len(st.Faults) > 0 && len(st.During) > 0, several && st.Expect != "":
		return errors.New("during and expect of several faults are said of each")
	case st.Fault == nil && len(st.During) > 0: // it would be asked for, and never made
		return errors.New("during belongs to a fault")
	case st.Fault == nil && !st.procedure() && st.Expect != "":
		return errors.New("expect belongs to a fault, an upgrade or a remedy")
	}
	for _, p := range st.Faults {
		if err := p.validate(st.procedure()); err != nil {
			return fmt.Errorf("line %d: %w", p.line, err)
		}
	}
	return nil
}

// validate refuses what has no meaning where the fault is: at a step of an upgrade, or beside others.
func (p Placed) validate(procedure bool) error {
	phase, _ := selector(p.At)
	switch {
	case !slices.Contains([]string{"", ExpectQuorumLost, ExpectWritesRefused}, p.Expect):
		return fmt.Errorf("expect is %q; known: %s, %s", p.Expect, ExpectQuorumLost, ExpectWritesRefused)
	case procedure && p.At == "":
		return errors.New("at is missing: the step of the upgrade or the remedy")
	case procedure && p.After != 0:
		return errors.New("after is from the beginning of a step with several faults; at the steps of an upgrade or a remedy say at")
	case procedure && p.When != nil && (phase != during || p.Fault.until || p.Fault.latent()):
		return errors.New("when is of a fault during a step that has an effect of its own, and says for how long")
	case !procedure && (p.At != "" || p.Every):
		return errors.New("at and every name steps of an upgrade or a remedy, and there is none")
	case p.After < 0:
		return fmt.Errorf("after is %s; it cannot be negative", p.After)
	}
	return nil
}
