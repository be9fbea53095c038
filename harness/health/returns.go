package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// nodeReturns: a node that comes back late comes back empty. "Replaced" and "gone" are two things: what was evicted ends only now.
func nodeReturns(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	return r.eachOfPods(w, func(a *absence, f *findings) {
		last := r.Final
		i := slices.IndexFunc(last.Nodes, func(n observe.Node) bool { return n.Name == a.machine })
		switch {
		case len(last.Nodes) == 0 || len(last.Pods) == 0:
			f.add(plan.Unknown, "node %s or the pods were not read at the end", a.machine)
			return
		case i < 0 && !a.next.IsZero():
			f.add(plan.Unknown, "node %s is gone at the end, and another step came after its loss", a.machine)
		case i < 0:
			f.add(plan.Fail, "node %s is gone at the end", a.machine)
		case !last.Nodes[i].Ready:
			f.add(plan.Fail, "node %s is not Ready at the end", a.machine)
		case len(last.Nodes[i].NoExecute) > 0:
			f.add(plan.Fail, "node %s is tainted %s at the end", a.machine, last.Nodes[i].NoExecute[0].Key)
		}
		evicted, stayed := 0, 0
		for _, p := range a.pods {
			if a.evicted(p) {
				evicted++
			} else {
				stayed++
			}
			if v, why := a.notBack(p, last); v != plan.Pass {
				f.add(v, "%s", why)
			}
		}
		if evicted == 0 {
			f.add(plan.Unknown, "no pod was evicted from %s, so it has not come back empty of any", a.machine)
			return
		}
		f.add(plan.Pass, "node %s is back, %d evicted pods are gone, %d that were not run on", a.machine, evicted, stayed)
	})
}

// evicted reports whether a pod was deleted while its machine was off, or was due when it was deleted, and the node not back yet.
func (a *absence) evicted(p *fate) bool {
	return a.whileOff(p.deleted) || a.away(p.deleted) && p.evictable() && !a.added.IsZero() && !p.deleted.Before(a.due(p).Add(-stamp))
}

// notBack says what is wrong with a pod after its machine has come back.
func (a *absence) notBack(p *fate, last observe.Observation) (plan.Verdict, string) {
	i := slices.IndexFunc(last.Pods, func(x observe.Pod) bool { return x.UID == p.UID })
	is, certain := a.anothers(p)
	switch {
	case a.evicted(p) && !p.resumed.IsZero() && len(a.w.Components) == 0: // one that was cut off has never ended
		return plan.Fail, fmt.Sprintf("pod %s was evicted from %s, and ran there again at %s", p.Name, a.machine, clock(p.resumed))
	case a.evicted(p) && i >= 0:
		return plan.Fail, fmt.Sprintf("pod %s was evicted from %s, and is still there at the end", p.Name, a.machine)
	case a.evicted(p) || is && certain:
		return plan.Pass, ""
	case is:
		return plan.Unknown, fmt.Sprintf("pod %s was not evicted from %s, and whether it went before the next step on it nobody saw", p.Name, a.machine)
	case !p.deleted.IsZero():
		return plan.Fail, fmt.Sprintf("pod %s was not evicted from %s, and was deleted at %s, after that was back", p.Name, a.machine, clock(p.deleted))
	case i < 0:
		return plan.Fail, fmt.Sprintf("pod %s was not evicted from %s, and is gone at the end", p.Name, a.machine)
	case !last.Pods[i].Ready && !last.Pods[i].Done:
		return plan.Fail, fmt.Sprintf("pod %s was not evicted from %s, and is not ready at the end", p.Name, a.machine)
	}
	return plan.Pass, ""
}

// nothingEvicted: of an absence shorter than the tolerations, and of the loss of all workers at once: then the fault is taken to be the control plane's
// or the network's, evictions would have nowhere to go, and the node life cycle controller withdraws its taints (full disruption). It counts the
// control planes' nodes as well, unless they are labelled as the scenario asks for with excludeDisruption.
func nothingEvicted(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	workers := r.Topology.WorkerMachines()
	all := len(workers) > 0 && !slices.ContainsFunc(workers, func(m string) bool { return !slices.Contains(w.Machines, m) })
	return r.eachOfPods(w, func(a *absence, f *findings) {
		if len(a.pods) == 0 {
			f.add(plan.Unknown, "no pod was on %s", a.machine)
			return
		}
		for _, p := range a.pods {
			if v, why := a.evictedAfterAll(p, all); v != plan.Pass {
				f.add(v, "%s", why)
			}
		}
		if why := a.untried(all); why != "" {
			f.add(plan.Unknown, "%s", why)
			return
		}
		said := ""
		switch {
		case !all:
			said = fmt.Sprintf(", and was tainted at %s", clock(a.tainted.at))
		case a.tainted.seen() && a.cleared.seen():
			said = fmt.Sprintf(", and its taint was withdrawn at %s", clock(a.cleared.at))
		case !a.tainted.seen():
			said = ", and was never tainted"
		}
		f.add(plan.Pass, "node %s was Unknown from %s on%s: all %d pods are still there", a.machine, clock(a.unknown.at), said, len(a.pods))
	})
}

// evictedAfterAll judges one pod that should have been left alone.
func (a *absence) evictedAfterAll(p *fate, all bool) (plan.Verdict, string) {
	i := slices.IndexFunc(a.Final.Pods, func(x observe.Pod) bool { return x.UID == p.UID })
	at := p.removed()
	is, certain := a.anothers(p)
	switch {
	case is && certain:
		return plan.Pass, ""
	case is:
		return plan.Unknown, fmt.Sprintf("whether pod %s on %s went before the next step on it nobody saw", p.Name, a.machine)
	case !at.IsZero() && all:
		return plan.Fail, fmt.Sprintf("pod %s on %s was deleted at %s, and all %d workers were lost: nothing should be evicted while no node is healthy", p.Name, a.machine, clock(at), len(a.w.Machines))
	case !at.IsZero() && p.evictable() && !a.added.IsZero() && !at.Before(a.due(p).Add(-stamp)) && (!a.ready.seen() || at.Before(a.ready.at)):
		return plan.Unknown, fmt.Sprintf("pod %s on %s was due when it was deleted at %s: the absence was longer than its toleration of %s", p.Name, a.machine, clock(at), p.Stays)
	case !at.IsZero():
		return plan.Fail, fmt.Sprintf("pod %s on %s was deleted at %s, and its machine was away for less than its toleration", p.Name, a.machine, clock(at))
	case len(a.Final.Pods) == 0:
		return plan.Unknown, "the pods were not read at the end"
	case a.Final.Pods[i].Ending || !a.Final.Pods[i].Ready && !a.Final.Pods[i].Done:
		return plan.Fail, fmt.Sprintf("pod %s on %s is not ready at the end", p.Name, a.machine)
	}
	return plan.Pass, ""
}

// untried says why the absence has put nothing to the test; empty: it has.
func (a *absence) untried(all bool) string {
	switch {
	case !a.unknown.seen():
		return fmt.Sprintf("node %s was never Unknown: nobody had noticed that it was away", a.machine)
	case !all && !a.tainted.seen():
		return fmt.Sprintf("node %s was never tainted, so no toleration began", a.machine)
	case !all:
		return ""
	}
	longest := time.Duration(0)
	for _, p := range a.pods {
		longest = max(longest, p.Stays)
	}
	if unknown := a.w.Recover.Sub(a.unknown.at); unknown < longest+tardy {
		return fmt.Sprintf("node %s was Unknown for %s only, and its pods tolerate that for up to %s", a.machine, round(unknown), longest)
	}
	return ""
}

// evictedWith reports whether a pod that nobody makes anew was evicted from a machine that a fault has taken away: that it is gone is the fault's.
func (r *Record) evictedWith(pod string) bool {
	return slices.ContainsFunc(r.Windows, func(w Window) bool {
		if w.Upgrade || len(w.Components) > 0 || w.Began.IsZero() || w.Recover.IsZero() {
			return false
		}
		all, err := r.absences(&w)
		if err != nil {
			return false
		}
		return slices.ContainsFunc(all, func(a *absence) bool {
			return slices.ContainsFunc(a.pods, func(p *fate) bool {
				v, _ := a.tooEarly(p)
				return p.Name == pod && p.kind() == "" && a.whileOff(p.deleted) && v == plan.Pass
			})
		})
	})
}

// NodeLosses is a table for each worker that was lost long enough to be noticed: what was expected and what was measured, side by side. A control plane
// may take with it who would notice.
func NodeLosses(r *Record) []plan.Table {
	var out []plan.Table
	for i := range r.Windows {
		w := r.Windows[i].off()
		if w.Upgrade || len(w.Components) > 0 || w.Effective.IsZero() || w.Recover.IsZero() {
			continue
		}
		all, err := r.absences(w)
		if err != nil {
			continue
		}
		for _, a := range all {
			if a.unknown.seen() && slices.Contains(r.Topology.WorkerMachines(), a.machine) {
				out = append(out, plan.Table{
					Title:   fmt.Sprintf("Loss of %s for %s, step %s, %s timing", a.machine, round(w.Recover.Sub(w.Began)), w.ID, r.Topology.Timing),
					Columns: []string{"what", "since", "expected", "measured"}, Rows: a.rows(),
				})
			}
		}
	}
	return out
}

const notSeen = "not seen"

func (a *absence) rows() [][]string {
	t := a.times
	since := func(f first, from time.Time) string {
		if !f.seen() {
			return notSeen
		}
		return round(max(0, f.at.Sub(from))).String()
	}
	rows := [][]string{
		{"Ready is Unknown", "the loss", span(t.Grace-t.Renew, a.noticed()), since(a.unknown, a.w.Began)},
		{"tainted unreachable:NoExecute", "Unknown", span(0, a.taintWithin()), since(a.tainted, a.unknown.at)},
	}
	var stays, took []time.Duration
	kept, gone := 0, first{}
	for _, p := range a.pods {
		switch {
		case !p.evictable():
			kept++
		case a.whileOff(p.deleted):
			took = append(took, p.deleted.Sub(a.added))
			fallthrough
		default:
			stays = append(stays, p.Stays)
		}
		if a.whileOff(p.deleted) && p.gone.at.After(gone.at) {
			gone = p.gone
		}
	}
	measured := notSeen
	if len(took) > 0 {
		measured = fmt.Sprintf("%s (%d of %d pods)", span(slices.Min(took), slices.Max(took)), len(took), len(stays))
	}
	if len(stays) > 0 {
		rows = append(rows, []string{"pods evicted", "the taint", span(slices.Min(stays), slices.Max(stays)), measured})
	}
	if kept > 0 {
		rows = append(rows, []string{"pods that tolerate it for ever evicted", "the taint", "never", a.everEvicted(kept)})
	}
	for _, s := range replaceable([]*absence{a}) {
		ready, full := notSeen, notSeen
		if n := len(s.evicted); len(s.ready) >= n {
			ready, full = s.took().String(), round(s.ready[n-1].Sub(a.w.Began)).String()
		}
		_, name, _ := strings.Cut(s.owner, "/")
		rows = append(rows, []string{"replacements ready, " + name, "the eviction", span(0, replaceWithin), ready},
			[]string{"at full strength again, " + name, "the loss", span(t.Grace-t.Renew+slices.Min(stays), a.noticed()+a.taintWithin()+slices.Max(stays)+replaceWithin), full})
	}
	rows = append(rows, []string{"node Ready and untainted again", "power was back", "–", since(a.ready, a.w.Recover)})
	if len(took) > 0 {
		rows = append(rows, []string{"evicted pods gone", "power was back", "–", since(gone, a.w.Recover)})
	}
	return rows
}

func (a *absence) everEvicted(kept int) string {
	n := 0
	for _, p := range a.pods {
		if !p.evictable() && a.whileOff(p.removed()) {
			n++
		}
	}
	if n == 0 {
		return fmt.Sprintf("never (%d pods)", kept)
	}
	return fmt.Sprintf("%d of %d pods", n, kept)
}

func span(least, most time.Duration) string {
	if most == 0 {
		return "at once"
	}
	if least == most {
		return round(most).String()
	}
	return fmt.Sprintf("%s to %s", round(least), round(most))
}
