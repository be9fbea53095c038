package experiment

import (
	"math/rand/v2"
	"slices"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/remedy"
)

// chooseRemedy builds the remedy, and the fault that it is to mend.
func (o *outline) chooseRemedy(it *item, rng *rand.Rand) (err error) {
	st := &it.step
	if it.remedy, err = remedy.New(*st.Remedy, o.cell.Topology); err != nil {
		return err
	}
	if why := o.cell.Lacks.Why(it.remedy.Needs()...); why != "" {
		return cluster.Usagef("remedy %s cannot be done here, %s", st.Remedy.Runbook, why)
	}
	o.remedies = append(o.remedies, it.remedy)
	if st.Fault != nil {
		if it.faults, err = chooseSeries(it.symptom(), o.cell, rng); err != nil {
			return err
		}
	}
	return o.disturb(it, it.remedy.Steps(), rng)
}

// symptom is the step of the fault alone.
func (it *item) symptom() Step {
	st := Step{Fault: it.step.Fault, During: it.step.During}
	if it.step.Says == "" { // else it is the remedy's outcome that is expected
		st.Expect = it.step.Expect
	}
	return st
}

// remedyStep is the remedy with its faults woven in. The fault that it is to mend begins first, and nobody undoes it but the remedy; only where that has
// failed is it undone at the end.
func (it *item) remedyStep(a actions) *plan.Step {
	group := &plan.Step{Name: "remedy", About: it.remedy.Describe()}
	it.carriedOut(group, a)
	if it.faults == nil {
		return group
	}
	c := it.faults.faults()[0]
	if c.lacks != "" {
		return lacking(c)
	}
	name, until, undo := group.Name+" of a fault", "the remedy has mended it", "recover what the remedy has not"
	begin := append(c.waits(a), &plan.Step{Name: "inject", Run: at(a.inject, c)}, &plan.Step{Name: "await its effect", Run: at(a.effective, c)})
	if held := it.unheeded(); held > 0 {
		begin = append(begin, &plan.Step{Name: "hold for " + held.String(), About: "until somebody comes", Run: at(a.hold, c)})
	}
	middle := []*plan.Step{group}
	if it.step.Says != "" { // refused, or failed: the fault is nobody's to mend but its own
		name, until, undo = group.Name+" of what it must not mend", "the remedy has ended", "recover"
	} else {
		it.mended = &plan.Step{Name: "see it mended", Run: at(a.mended, c)}
		middle = append(middle, it.mended)
	}
	c.step = &plan.Step{Name: name, About: c.spec.DescribeUntil(until)}
	c.step.Children = slices.Concat(
		begin, middle,
		[]*plan.Step{{Name: undo, Run: at(a.recover, c), Cleanup: true}, {Name: "await recovery", Run: at(a.recovered, c), Cleanup: true}},
	)
	return c.step
}

// unheeded is how long the fault holds before anybody comes to mend it.
func (it *item) unheeded() time.Duration {
	if it.faults == nil || it.step.Fault.until {
		return 0
	}
	return it.step.Fault.For
}

// mending is when the remedy that is to end a fault began to change something there; zero: it has none, or did not come to it.
func (c *cellRun) mending(ch *choice) time.Time {
	for i := range c.outline.items {
		it := &c.outline.items[i]
		if it.remedy == nil || it.faults == nil || it.faults.faults()[0] != ch {
			continue
		}
		acts := map[string]bool{}
		(&plan.Plan{Steps: it.steps}).Walk(func(s *plan.Step) { acts[s.Name] = len(s.Disrupts) > 0 })
		done := c.runner.Done()
		if len(it.kills) > 0 {
			done = driverSteps(c.driverDir(it))
		}
		return firstAct(done, acts)
	}
	return time.Time{}
}

// firstAct is when the first of these steps began that was not skipped.
func firstAct(done []plan.StepDone, acts map[string]bool) (first time.Time) {
	for _, d := range done {
		if acts[d.Name] && d.Status != "skipped" && !d.Started.IsZero() && (first.IsZero() || d.Started.Before(first)) {
			first = d.Started
		}
	}
	return first
}

// toTheEnd is the step in which the process that mends is not killed any more.
const toTheEnd = "run it to its end"

// remedied is what the cell's runbooks did.
func (c *cellRun) remedied(cut bool) []health.Remedy {
	var out []health.Remedy
	for i := range c.outline.items {
		it := &c.outline.items[i]
		if it.remedy == nil {
			continue
		}
		m := health.Remedy{Runbook: it.remedy.Spec.Runbook, Images: it.remedy.Spec.Images, Cut: cut}
		if it.step.Says != "" {
			m.Wanted = it.step.Expect
		}
		if it.faults != nil {
			ch := it.faults.faults()[0]
			m.Fault, m.Unheeded = ch.spec.Kind+" of "+ch.spec.Target, it.unheeded()
			if g := c.guard(ch); g != nil {
				r := g.Receipt()
				m.Broken, m.Seen = r.Armed, r.EffectiveAt
			}
		}
		own, mends := map[string]bool{}, map[string]bool{}
		(&plan.Plan{Steps: it.steps}).Walk(func(s *plan.Step) { own[s.Name], mends[s.Name] = s.Run != nil, s.Run != nil && !s.Looks })
		for _, d := range c.runner.Done() {
			ours := own[d.Name] || len(it.kills) > 0 && d.Name == toTheEnd
			seen := it.mended != nil && d.ID == it.mended.ID
			if seen && d.Status == "done" {
				m.Mended = d.Ended()
			}
			if (ours || seen) && d.Status == "failed" && m.Error == "" {
				m.Error = d.Name + ": " + d.Error
			}
			if ours {
				m.Steps = append(m.Steps, d)
			}
		}
		if len(it.kills) > 0 {
			m.Steps, m.Notes = driverSteps(c.driverDir(it)), driverNotes(c.driverDir(it))
		}
		m.Idle = len(m.Steps) > 0 && firstAct(m.Steps, mends).IsZero()
		for _, n := range it.notes {
			m.Notes = append(m.Notes, health.Note(n))
		}
		out = append(out, m)
	}
	return out
}
