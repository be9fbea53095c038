package health

import (
	"fmt"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

func workloadAvailable(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	return gapWithin(r.Samples[load.ProbeWorkload], p, "workload request")
}

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

func labelsPreserved(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if v, why := r.compared(); v != plan.Pass {
		return v, why
	}
	if gone := lost(r.Before, r.After); len(gone) > 0 {
		return plan.Fail, strings.Join(gone, "; ")
	}
	return plan.Pass, fmt.Sprintf("%d nodes have the labels, annotations and taints they had", len(r.Before.Nodes))
}

func noResidue(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if v, why := r.compared(); v != plan.Pass {
		return v, why
	}
	if more := left(r.Before, r.After); len(more) > 0 {
		return plan.Fail, strings.Join(more, "; ")
	}
	return plan.Pass, "nothing is left that was not there before"
}

func (r *Record) compared() (plan.Verdict, string) {
	switch {
	case r.Before == nil || len(r.Before.Nodes) == 0:
		return plan.Unknown, "no inventory was taken before"
	case r.After == nil:
		return plan.Unknown, "no inventory could be taken after: " + r.AfterError
	default:
		return plan.Pass, ""
	}
}

// versionsAre believes the components themselves, and the observe.Node objects besides: a kubelet that was swapped and does not report is not done.
func versionsAre(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	want := p.Version
	if want == "" {
		want = r.Topology.Version
	}
	workers := map[string]bool{}
	for _, m := range r.Topology.Machines() {
		workers[m.Name] = m.Role == cluster.Worker && p.Of == "control-plane"
	}
	seen := map[string]bool{}
	for _, c := range r.Final.Components {
		if workers[c.Machine] {
			continue
		}
		switch {
		case c.Version == "":
			return plan.Unknown, fmt.Sprintf("%s did not tell its version: %s", c, c.Error)
		case !isVersion(c.Version, want):
			return plan.Fail, fmt.Sprintf("%s is %s instead of %s", c, c.Version, want)
		}
		seen[c.Machine] = true
	}
	for _, n := range r.Final.Nodes {
		if !workers[n.Name] && !isVersion(n.Version, want) {
			return plan.Fail, fmt.Sprintf("node %s reports a kubelet %s instead of %s", n.Name, n.Version, want)
		}
	}
	for _, m := range r.Topology.Machines() {
		if m.Role != cluster.Etcd && !workers[m.Name] && !seen[m.Name] {
			return plan.Unknown, "no component of " + m.Name + " was seen at the end"
		}
	}
	if len(seen) == 0 {
		return plan.Unknown, "no component was seen at the end"
	}
	return plan.Pass, fmt.Sprintf("the components on %d machines run %s", len(seen), want)
}
