package reports

import (
	"fmt"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/plan"
)

// margins are what more could have been lost, and how long endpoints gave no good answer.
func (c *comparer) margins() {
	x, y := c.a.Tolerance, c.b.Tolerance
	switch {
	case x.Observations == 0 && y.Observations == 0:
	case y.Observations == 0:
		c.add(Worse, "margin", "members of etcd to spare", fmt.Sprint(x.Minimum), "nobody looked")
	case x.Observations == 0:
		c.add(Better, "margin", "members of etcd to spare", "nobody looked", fmt.Sprint(y.Minimum))
	default:
		c.spare("members of etcd to spare", &x.Minimum, &y.Minimum)
		c.took("margin", "with no member of etcd to spare", x.SecondsAtZero, y.SecondsAtZero)
	}
	for _, s := range x.Steps {
		i := slices.IndexFunc(y.Steps, func(o plan.StepTolerance) bool { return o.Name == s.Name })
		if i < 0 {
			continue // it was too short to be seen in: its time is told of
		}
		o := y.Steps[i]
		c.spare(s.Name+": members of etcd to spare", s.Members, o.Members)
		c.spare(s.Name+": API servers to spare", s.APIServers, o.APIServers)
		c.spare(s.Name+": replicas to spare", s.Replicas, o.Replicas)
	}
	name := func(p plan.Probe) string { return p.Name }
	c.paired(namesOf(c.a.Probes, name), namesOf(c.b.Probes, name), "endpoint", func(what string, i, j int) {
		p, q := c.a.Probes[i], c.b.Probes[j]
		if p.Samples > 0 && q.Samples == 0 {
			c.add(Worse, "endpoint", what, fmt.Sprintf("%d tries", p.Samples), "none")
			return
		}
		c.took("unavailable", what, p.LongestGapSeconds, q.LongestGapSeconds)
	})
}

// spare adds a number of which less is worse; one that was not observed says nothing.
func (c *comparer) spare(what string, a, b *int) {
	if a == nil || b == nil || *a == *b {
		return
	}
	way := Better
	if *b < *a {
		way = Worse
	}
	c.add(way, "margin", what, fmt.Sprint(*a), fmt.Sprint(*b))
}

// times are those of the faults, of the runbooks and of the steps.
func (c *comparer) times() {
	a, b := spent(c.a), spent(c.b)
	for _, x := range a {
		if i := slices.IndexFunc(b, func(y lasting) bool { return y.what == x.what }); i >= 0 {
			c.took("recovery", x.what, x.seconds, b[i].seconds)
		}
	}
	order := []string{"done", "expected", "skipped", "unfinished", "failed"}
	name := func(s plan.StepDone) string { return s.Name }
	c.paired(namesOf(c.a.Steps, name), namesOf(c.b.Steps, name), "step", func(what string, i, j int) {
		x, y := c.a.Steps[i], c.b.Steps[j]
		if x.Status != y.Status {
			ranked(c, order, "step", what, x.Status, y.Status)
			return
		}
		if outside(c.a, x) && outside(c.b, y) { // it says more of this host's cache than of the cluster
			if c.noise.differ(x.DurationSeconds, y.DurationSeconds) {
				c.add(Other, "step", what, seconds(x.DurationSeconds), seconds(y.DurationSeconds))
			}
			return
		}
		c.took("step", what, x.DurationSeconds, y.DurationSeconds)
	})
}

// outside reports whether a step ended before anybody looked at the cluster, or began after.
func outside(r *plan.Result, s plan.StepDone) bool {
	return !slices.ContainsFunc(r.Timelines, func(t *plan.Timeline) bool { return s.Started.Before(t.Ended) && s.Ended().After(t.Began) })
}

// lasting is something that took a time.
type lasting struct {
	what    string
	seconds float64
}

// spent are the parts of what was broken and mended: of each fault until its effect was seen and from its undoing until its end was, and of each runbook.
func spent(r *plan.Result) []lasting {
	var out []lasting
	add := func(what string, s float64) { out = append(out, lasting{what, s}) }
	for _, t := range r.Timelines {
		in := strings.TrimPrefix(t.Label+": ", ": ")
		names := numbered(namesOf(t.Faults, func(f plan.FaultWindow) string { return in + f.Name }))
		for i, f := range t.Faults {
			if !f.Armed.IsZero() && !f.Effective.IsZero() {
				add(names[i]+": until it was seen", f.Effective.Sub(f.Armed).Seconds())
			}
			if !f.Recover.IsZero() && !f.Cleared.IsZero() {
				add(names[i]+": from undoing it until its end was seen", f.Cleared.Sub(f.Recover).Seconds())
			}
		}
		for _, g := range t.Groups {
			if g.Name != plan.LanesRemedies {
				continue
			}
			for _, l := range g.Lanes {
				for _, s := range l.Spans {
					add(in+l.Name+": "+s.Label, s.To.Sub(s.From).Seconds())
				}
			}
		}
	}
	return out
}

// cells are what of steps, faults and checks one run has tested and the other has not.
func (c *comparer) cells() {
	c.untested(c.a, c.b, c.add, Worse)
	c.untested(c.b, c.a, func(w Way, of, what, had, has string) { c.add(w, of, what, has, had) }, Better)
}

// untested adds what one run has tested and the other has not, which is that way. A stall of the harness and what a scenario says of itself go neither way.
func (c *comparer) untested(by, not *plan.Result, add func(w Way, of, what, had, has string), way Way) {
	for _, x := range by.Coverage {
		var reached []string
		if i := slices.IndexFunc(not.Coverage, func(y plan.Coverage) bool { return y.Cell == x.Cell && y.Fault == x.Fault }); i >= 0 {
			reached = not.Coverage[i].Reached
		}
		for _, step := range x.Reached {
			if !slices.Contains(reached, step) {
				add(way, "cell", x.Fault+" "+step, "held there", "never")
			}
		}
	}
	for _, n := range not.NotTested {
		if slices.ContainsFunc(by.NotTested, func(o plan.NotTested) bool { return o.What == n.What }) {
			continue // whatever it says of it
		}
		w := way
		if n.What == plan.WhileStalled || n.Said != "" {
			w = Other
		}
		add(w, "not tested", n.What, "–", n.Why)
	}
}
