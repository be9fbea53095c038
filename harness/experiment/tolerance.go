package experiment

import (
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// tolerance is the least margin and how long it was nothing, each observation standing for the time to the next.
func tolerance(obs []observe.Observation) plan.Tolerance {
	t := plan.Tolerance{Observations: len(obs)}
	for i, o := range obs {
		if m := max(o.Margin(), 0); i == 0 || m < t.Minimum {
			t.Minimum = m
		}
		if o.Margin() <= 0 && i+1 < len(obs) {
			t.SecondsAtZero += obs[i+1].Time.Sub(o.Time).Seconds()
		}
	}
	return t
}

// upgradeSteps are the steps of the run's upgrades that have run, whichever process did them.
func (c *cellRun) upgradeSteps() []plan.StepDone {
	names := map[string]bool{}
	var out []plan.StepDone
	for _, it := range c.outline.items {
		(&plan.Plan{Steps: it.steps}).Walk(func(s *plan.Step) { names[s.Name] = s.Run != nil })
		if len(it.kills) > 0 {
			out = append(out, driverSteps(c.driverDir())...)
		}
	}
	for _, d := range c.runner.Done() {
		if names[d.Name] && d.Status != "skipped" {
			out = append(out, d)
		}
	}
	return out
}

// toleranceBySteps is what could have been lost while each step ran. A step that was shorter than the time between two observations has none.
func toleranceBySteps(obs []observe.Observation, steps []plan.StepDone) []plan.StepTolerance {
	var out []plan.StepTolerance
	for _, d := range steps {
		t := plan.StepTolerance{ID: d.ID, Name: d.Name}
		seen := false
		for i, o := range obs {
			if o.Time.Before(d.Started) || o.Time.After(d.Ended()) {
				continue
			}
			seen = true
			if atZero(&t, o) && i+1 < len(obs) {
				t.SecondsAtZero += obs[i+1].Time.Sub(o.Time).Seconds()
			}
		}
		if seen {
			out = append(out, t)
		}
	}
	return out
}

// atZero lowers the minima by one observation and reports whether something could not have been lost at that time.
func atZero(t *plan.StepTolerance, o observe.Observation) bool {
	zero := false
	lower := func(to **int, spare int) {
		spare = max(spare, 0)
		zero = zero || spare == 0
		if *to == nil || spare < **to {
			*to = &spare
		}
	}
	if len(o.Members) > 0 {
		lower(&t.Members, o.Margin())
	}
	if len(o.APIServers) > 0 {
		ready := 0
		for _, s := range o.APIServers {
			if s.Ready == "" {
				ready++
			}
		}
		lower(&t.APIServers, ready-1)
	}
	if o.Workload != nil {
		lower(&t.Replicas, o.Workload.Spare())
	}
	return zero
}
