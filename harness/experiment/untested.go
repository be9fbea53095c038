package experiment

import (
	"fmt"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
)

// notTested is what a reader might take for tested and the evidence does not show, beside what receipts and checks say themselves.
func (e *Evidence) notTested(res *plan.Result) {
	not := func(what, format string, args ...any) {
		res.NotTested = append(res.NotTested, plan.NotTested{What: what, Why: fmt.Sprintf(format, args...)})
	}
	res.Coverage = e.coverage()
	for _, c := range res.Coverage {
		if len(c.Never) > 0 {
			not(c.Fault+" in other steps", "it was seen to hold %s, and in none of %d others that ran", few(c.Reached, "nowhere"), len(c.Never))
		}
	}
	e.unseen(res, not)
}

// unasked are the kinds of faults that a cell has no receipt of, and the checks that were not made of it.
func unasked(res *plan.Result) []plan.NotTested {
	var out []plan.NotTested
	not := func(what, format string, args ...any) {
		out = append(out, plan.NotTested{What: what, Why: fmt.Sprintf(format, args...)})
	}
	var others []string
	for _, k := range fault.List() {
		if !slices.ContainsFunc(res.Receipts, func(r plan.Receipt) bool { return kindOf(r) == k.Name }) {
			others = append(others, k.Name)
		}
	}
	if len(others) > 0 {
		not("other kinds of faults", "there is no receipt of these %d: %s", len(others), strings.Join(others, ", "))
	}
	var checks []string
	for _, k := range AllChecks() {
		if !slices.ContainsFunc(res.Checks, func(c plan.Check) bool { return c.Name == k.Name }) {
			checks = append(checks, k.Name)
		}
	}
	if len(checks) > 0 {
		not("what other checks judge", "none of these %d was judged: %s", len(checks), strings.Join(checks, ", "))
	}
	return out
}

// unseen is what nobody used or looked at.
func (e *Evidence) unseen(res *plan.Result, not func(what, format string, args ...any)) {
	r := &e.Record
	if r.ReadOnly {
		not("writes, and anything broken", "the cluster was looked at only")
	}
	if r.Quiet {
		not("whether clients were served, and in what order", "the scenario has a quiet load: no probe and no recorded client, its traffic alone")
	}
	worked := false
	for _, o := range r.Observations {
		worked = worked || o.Workload != nil
	}
	if r.Topology.Kubernetes() && !worked {
		not("applications", "no workload was watched in the cluster")
	}
	if h := res.Host; h != nil && h.BlindSeconds > 0 {
		not(plan.WhileStalled, "%.1f s of which it saw nothing", h.BlindSeconds)
	}
	if res.Host == nil {
		not("whether the host kept up", "it was not watched")
	}
}

// coverage is in which steps of upgrades and remedies each kind of fault was seen to hold, or before which. Without such steps there is none: a fault is a
// step of its own.
func (e *Evidence) coverage() []plan.Coverage {
	ran := e.acts()
	if len(ran) == 0 {
		return nil
	}
	var out []plan.Coverage
	for _, rc := range e.receipts() {
		kind := kindOf(rc)
		if slices.ContainsFunc(out, func(c plan.Coverage) bool { return c.Fault == kind }) {
			continue
		}
		c := plan.Coverage{Cell: e.Label, Fault: kind, Reached: []string{}, Never: []string{}}
		for _, r := range e.receipts() {
			if kindOf(r) == kind && r.State == plan.Confirmed {
				c.Reached = append(c.Reached, places(r, ran)...)
			}
		}
		for _, d := range ran { // a step that was killed and done again is one
			if !slices.Contains(c.Reached, "in "+d.Name) && !slices.Contains(c.Never, d.Name) {
				c.Never = append(c.Never, d.Name)
			}
		}
		slices.Sort(c.Reached)
		c.Reached = slices.Compact(c.Reached)
		out = append(out, c)
	}
	return out
}

// kindOf is the kind of a receipt's fault. Of one that never began there is the plan's word alone, which tells more.
func kindOf(r plan.Receipt) string {
	kind, _, _ := strings.Cut(r.Fault, " ")
	return strings.TrimSuffix(kind, ":")
}

// acts are the steps of upgrades and remedies that ran, in the order of time, without those that faults placed at them are made of.
func (e *Evidence) acts() []plan.StepDone {
	var ran []plan.StepDone
	for _, d := range e.Upgrade {
		if d.Started.IsZero() || d.Status == "skipped" || slices.ContainsFunc(e.Planned, func(p PlannedFault) bool { return strings.HasPrefix(d.ID, p.Step+".") }) {
			continue
		}
		ran = append(ran, d)
	}
	slices.SortStableFunc(ran, func(a, b plan.StepDone) int { return a.Started.Compare(b.Started) })
	return ran
}

// places are the steps that a fault was seen to hold in; where it held between two, the one that it held before.
func places(r plan.Receipt, ran []plan.StepDone) []string {
	var in []string
	for _, d := range ran {
		if !r.EffectiveAt.After(d.Ended()) && !r.ClearedAt.Before(d.Started) {
			in = append(in, "in "+d.Name)
		}
	}
	if len(in) > 0 {
		return in
	}
	if i := slices.IndexFunc(ran, func(d plan.StepDone) bool { return d.Started.After(r.EffectiveAt) }); i >= 0 {
		return []string{"before " + ran[i].Name}
	}
	return []string{"after " + ran[len(ran)-1].Name}
}

// unreached are the steps of the plan that the run is not seen to have come to the end of.
func unreached(planned []plan.Planned, done []plan.StepDone) []plan.NotTested {
	var left, back []string
	for _, p := range planned {
		if p.Group || slices.ContainsFunc(done, func(d plan.StepDone) bool { return d.ID == p.ID && d.Status != "unfinished" }) {
			continue
		}
		if p.Rollback {
			back = append(back, p.ID+" "+p.Name)
			continue
		}
		left = append(left, p.ID+" "+p.Name)
	}
	var out []plan.NotTested
	if len(left) > 0 {
		out = append(out, plan.NotTested{What: "steps of the plan", Why: fmt.Sprintf("nothing shows that the run came to the end of %d: %s", len(left), few(left, ""))})
	}
	if len(back) > 0 {
		out = append(out, plan.NotTested{What: "rollback", Why: fmt.Sprintf("%d were planned and not carried out: %s", len(back), few(back, ""))})
	}
	return out
}

// few lists the first of many names.
func few(names []string, none string) string {
	const most = 8
	switch n := len(names); {
	case n == 0:
		return none
	case n > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n-most)
	}
	return strings.Join(names, ", ")
}
