package health

import (
	"fmt"

	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// pdbRespected counts ready pods itself: the budget's own status is its controller's word, and that may be down. A fault is no voluntary
// disruption, so what is missing while one holds is not held against the budget.
func pdbRespected(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	n, least := 0, 0
	for _, o := range r.Observations {
		if o.Workload == nil {
			continue
		}
		if n == 0 || o.Workload.Spare() < least {
			least = o.Workload.Spare()
		}
		n++
		if o.Workload.Spare() >= 0 || r.during(o) {
			continue
		}
		return plan.Fail, fmt.Sprintf("at %s only %d replicas were ready, the PodDisruptionBudget asks for %d", clock(o.Time), o.Workload.Ready, o.Workload.MinAvailable)
	}
	if n == 0 {
		return plan.Unknown, "the workload was never observed"
	}
	return plan.Pass, fmt.Sprintf("held at %d observations, at least %d replicas to spare outside faults", n, max(least, 0))
}

// during reports whether a fault that takes machines away held, or had held until a moment before: pods need time to be replaced.
func (r *Record) during(o observe.Observation) bool {
	for _, w := range r.Windows {
		w.Cleared = laterThan(w.Cleared, replaceWithin)
		if !w.Upgrade && len(w.Machines) > 0 && w.covers(o.Time) {
			return true
		}
	}
	return false
}
