package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// until is when what is looked at after a fault may be another step's; zero: to the end.
func (r *Record) until(w *Window) (next time.Time) {
	for _, x := range r.Windows {
		touched := slices.ContainsFunc(x.Machines, func(m string) bool { return slices.Contains(w.Machines, m) })
		if (x.Upgrade || touched) && !w.Recover.IsZero() && x.Began.After(w.Recover) && (next.IsZero() || x.Began.Before(next)) {
			next = x.Began
		}
	}
	return next
}

// nodeStaysReady: who looks at the nodes notices nothing of the fault.
func nodeStaysReady(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	var f findings
	next := r.until(w)
	for _, m := range w.Machines {
		if !slices.Contains(r.Topology.KubernetesMachines(), m) {
			continue
		}
		seen, last := 0, w.Began
		for _, o := range r.looks() {
			i := slices.IndexFunc(o.Nodes, func(n observe.Node) bool { return n.Name == m })
			if o.Time.Before(w.Began) || !next.IsZero() && o.Time.After(next) || i < 0 && len(o.Nodes) == 0 {
				continue
			}
			switch {
			case i < 0:
				f.add(plan.Fail, "node %s was gone at %s", m, clock(o.Time))
			case !o.Nodes[i].Ready:
				f.add(plan.Fail, "node %s was %s and not Ready at %s", m, o.Nodes[i].Status, clock(o.Time))
			case len(o.Nodes[i].NoExecute) > 0:
				f.add(plan.Fail, "node %s was tainted %s at %s", m, o.Nodes[i].NoExecute[0].Key, clock(o.Time))
			}
			if o.Time.Sub(last) > lookedAway {
				f.add(plan.Unknown, "nobody looked at node %s from %s to %s", m, clock(last), clock(o.Time))
			}
			seen, last = seen+1, o.Time
		}
		switch {
		case w.Cleared.IsZero():
			f.add(plan.Unknown, "the end of the fault on %s was not seen", m)
		case seen == 0 || last.Before(w.Cleared):
			f.add(plan.Unknown, "nobody looked at node %s to the end of the fault", m)
		default:
			f.add(plan.Pass, "node %s was Ready at all %d looks from %s to %s", m, seen, clock(w.Began), clock(last))
		}
	}
	return f.verdict()
}

// podsRunOn: what ran on the machines before the fault is the same after it, its containers not started anew. A kubelet that comes back counts a container
// that has ended meanwhile.
func podsRunOn(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	before, after := r.lastPods(w.Began), (*observe.Observation)(nil)
	next := r.until(w)
	for _, o := range r.looks() {
		if !w.Cleared.IsZero() && o.Time.After(w.Cleared) && len(o.Pods) > 0 && (next.IsZero() || o.Time.Before(next)) {
			after = &o
		}
	}
	switch {
	case before == nil:
		return plan.Unknown, "the pods were not read before the fault"
	case after == nil:
		return plan.Unknown, "the pods were not read after the fault"
	}
	var f findings
	for _, m := range w.Machines {
		n := 0
		for _, p := range before.Pods {
			if p.Node != m || p.Done || p.Ending {
				continue
			}
			n++
			if why := changed(p, after.Pods); why != "" {
				f.add(plan.Fail, "pod %s on %s %s", p.Name, m, why)
			}
		}
		if n == 0 {
			if slices.Contains(r.Topology.KubernetesMachines(), m) {
				f.add(plan.Unknown, "no pod was on %s", m)
			}
			continue
		}
		f.add(plan.Pass, "all %d pods on %s, as they were at %s, run on at %s", n, m, clock(before.Time), clock(after.Time))
	}
	return f.verdict()
}

// changed says what became of a pod that should have run on; empty: it has.
func changed(p observe.Pod, after []observe.Pod) string {
	i := slices.IndexFunc(after, func(x observe.Pod) bool { return x.UID == p.UID })
	switch {
	case i < 0:
		return "is gone, or another is there by its name"
	case after[i].Ending:
		return fmt.Sprintf("was deleted at %s", clock(after[i].Deleted))
	case after[i].Restarts > p.Restarts:
		return fmt.Sprintf("had its containers started anew %d times", after[i].Restarts-p.Restarts)
	case !after[i].Ready && !after[i].Done:
		return strings.TrimSuffix("is not ready: "+after[i].Waiting, ": ")
	}
	return ""
}
