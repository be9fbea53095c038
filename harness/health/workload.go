package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Budget is what the scenario wants of the workload's PodDisruptionBudget, from a time on.
type Budget struct {
	From         time.Time `json:"from"`
	MinAvailable int       `json:"minAvailable"`
}

// budget is what the scenario wanted at a time. While it is being changed the lesser of both holds.
func (r *Record) budget(t time.Time) int {
	want, changed := 0, false
	for _, b := range r.Budgets {
		switch {
		case b.From.After(t.Add(slack)):
		case changed && t.Sub(b.From) < slack:
			want = min(want, b.MinAvailable)
		default:
			want = b.MinAvailable
		}
		changed = true
	}
	return want
}

// pdbRespected counts ready pods itself: the budget's own status is its controller's word, and that may be down. The budget is the scenario's: one
// that is gone, or asks for less, is a failure of its own. A fault is no voluntary disruption, so what is missing while one holds on a machine
// that carries replicas is not held against the budget.
func pdbRespected(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	n, least := 0, 0
	carried, found := map[string]bool{}, map[string]bool{}
	var why []string
	fail := func(kind, format string, args ...any) { // each kind once
		if !found[kind] {
			found[kind] = true
			why = append(why, fmt.Sprintf(format, args...))
		}
	}
	for _, o := range r.Observations {
		if o.Workload == nil {
			continue
		}
		s := *o.Workload
		want := r.budget(o.Time)
		switch {
		case s.NoBudget:
			fail("gone", "at %s the workload had no PodDisruptionBudget, the scenario asks for one that keeps %d", clock(o.Time), want)
		case s.MinAvailable < want:
			fail("lowered", "at %s the PodDisruptionBudget asked for %d replicas, the scenario for %d, and no step had changed it", clock(o.Time), s.MinAvailable, want)
		}
		if n++; n == 1 || s.Ready-want < least {
			least = s.Ready - want
		}
		if s.Ready < want && !r.replicasLost(o, carried) {
			fail("short", "at %s only %d replicas were ready, the PodDisruptionBudget asks for %d", clock(o.Time), s.Ready, want)
		}
		for _, m := range s.On {
			carried[m] = true
		}
	}
	if len(why) > 0 {
		return plan.Fail, strings.Join(why, "; ")
	}
	if n == 0 || len(r.Budgets) == 0 {
		return plan.Unknown, "the workload was never observed"
	}
	if why := cmp.Or(r.unread("the workload's replicas", func(o observe.Observation) bool { return o.Workload != nil }), r.sparse(lookedAway)); why != "" {
		return plan.Unknown, why
	}
	return plan.Pass, fmt.Sprintf("held at %d observations, at least %d replicas to spare outside faults", n, max(least, 0))
}

// replaceWithin is how long after a fault its lost pods may still be missing.
const replaceWithin = 30 * time.Second

// replicasLost reports whether a fault on a worker, or on another machine that carried replicas, held, or had held until a moment before: pods need
// time to be replaced.
func (r *Record) replicasLost(o observe.Observation, carried map[string]bool) bool {
	return slices.ContainsFunc(r.Windows, func(w Window) bool {
		return !w.Upgrade && w.ofServers(observe.Kubelet) && w.covers(o.Time, replaceWithin) && slices.ContainsFunc(w.Machines, func(m string) bool {
			return carried[m] || slices.Contains(r.Topology.WorkerMachines(), m)
		})
	})
}
