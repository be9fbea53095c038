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

// findings of a check over several machines and pods.
type findings struct{ wrong, unclear, fine []string }

func (f *findings) add(v plan.Verdict, format string, args ...any) {
	said := fmt.Sprintf(format, args...)
	switch v {
	case plan.Fail:
		f.wrong = append(f.wrong, said)
	case plan.Unknown:
		f.unclear = append(f.unclear, said)
	default:
		f.fine = append(f.fine, said)
	}
}

func (f *findings) verdict() (plan.Verdict, string) {
	if len(f.wrong)+len(f.unclear)+len(f.fine) == 0 {
		return plan.Unknown, "nothing was there to judge"
	}
	return worst(shortened(f.wrong), shortened(f.unclear), f.fine)
}

// shortened is as many as a reader takes in, as one.
func shortened(said []string) []string {
	if len(said) == 0 {
		return nil
	}
	return []string{some(said)}
}

// each judges every absence of the window.
func (r *Record) each(w *Window, judge func(a *absence, f *findings)) (plan.Verdict, string) {
	all, err := r.absences(w)
	if err != nil {
		return plan.Unknown, err.Error()
	}
	var f findings
	for _, a := range all {
		judge(a, &f)
	}
	return f.verdict()
}

// eachOfPods judges what became of the pods. What is certainly wrong stays wrong with a hole beside it, and nothing passes with one.
func (r *Record) eachOfPods(w *Window, judge func(a *absence, f *findings)) (plan.Verdict, string) {
	return r.each(w, func(a *absence, f *findings) {
		if why := a.podsUnread(); why != "" {
			f.add(plan.Unknown, "%s", why)
		}
		judge(a, f)
	})
}

// nodeUnreachable: the node controller waits for the grace period since it last noticed a heartbeat, and that was up to one renewal before the loss and
// up to one of its own looks after it. It then taints, one node every taintEvery.
func nodeUnreachable(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	return r.each(w, func(a *absence, f *findings) {
		t := a.times
		if !a.unknown.seen() {
			v, said := a.never(w.Began, a.unknown.after, a.noticed(), "was never Unknown")
			f.add(v, "node %s %s", a.machine, said)
			return
		}
		took, usual := a.unknown.at.Sub(w.Began), t.Grace-t.Renew-tardy
		if v, said := a.when(a.unknown, w.Began, t.Grace-t.Lease, a.noticed()); v != plan.Pass {
			f.add(v, "node %s was Unknown %s", a.machine, said)
		} else if took < usual {
			f.add(plan.Unknown, "node %s was Unknown after %s already, sooner than %s: it may have missed a heartbeat before it was lost", a.machine, round(took), usual)
		}
		if why := a.withheld(); why != "" && !a.tainted.seen() {
			f.add(plan.Unknown, "node %s was never tainted: %s", a.machine, why)
			return
		}
		if !a.tainted.seen() {
			v, said := a.never(a.unknown.at, a.tainted.after, a.taintWithin(), "was never tainted")
			f.add(v, "node %s %s since it was Unknown", a.machine, said)
			return
		}
		if a.tainted.at.Before(a.unknown.after) {
			f.add(plan.Fail, "node %s was tainted unreachable at %s, and was not Unknown before %s", a.machine, clock(a.tainted.at), clock(a.unknown.after))
		}
		if v, said := a.when(a.tainted, a.unknown.at, -tardy, a.taintWithin()); v != plan.Pass {
			f.add(v, "node %s was tainted %s since it was Unknown", a.machine, said)
		}
		f.add(plan.Pass, "node %s was Unknown %s after the loss and tainted %s later", a.machine, round(a.unknown.at.Sub(w.Began)), round(max(0, a.tainted.at.Sub(a.unknown.at))))
	})
}

// taintWithin is how long the taint of the last of all lost nodes may take.
func (a *absence) taintWithin() time.Duration {
	return time.Duration(len(a.w.Machines)-1) * taintEvery
}

// noEarlyEviction: as important as the eviction itself. A node that is only cut off may come back, and its pods may run.
func noEarlyEviction(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	return r.eachOfPods(w, func(a *absence, f *findings) {
		if len(a.pods) == 0 {
			f.add(plan.Unknown, "no pod was on %s", a.machine)
			return
		}
		early := false
		for _, p := range a.pods {
			if v, why := a.tooEarly(p); v != plan.Pass {
				early = true
				f.add(v, "%s", why)
			}
		}
		switch {
		case early:
		case !a.tainted.seen():
			f.add(plan.Unknown, "node %s was never tainted, so no toleration began", a.machine)
		default:
			f.add(plan.Pass, "none of the %d pods on %s was deleted before its toleration had ended", len(a.pods), a.machine)
		}
	})
}

// tooEarly says why a pod should not have been deleted when it was, or might not.
func (a *absence) tooEarly(p *fate) (plan.Verdict, string) {
	at := p.removed()
	if !a.away(at) {
		return plan.Pass, ""
	}
	how := "deleted"
	if p.deleted.IsZero() {
		how = "gone"
	}
	switch {
	case a.added.IsZero():
		return plan.Fail, fmt.Sprintf("pod %s on %s was %s at %s, and its node was not tainted", p.Name, a.machine, how, clock(at))
	case !p.evictable():
		return plan.Fail, fmt.Sprintf("pod %s on %s was %s at %s, and tolerates the taint for ever", p.Name, a.machine, how, clock(at))
	case at.Before(a.due(p).Add(-stamp)):
		return plan.Fail, fmt.Sprintf("pod %s on %s was %s at %s, %s after its node was tainted, and tolerates that for %s", p.Name, a.machine, how, clock(at), round(at.Sub(a.added)), p.Stays)
	case p.deleted.IsZero() && p.gone.after.Before(a.due(p).Add(-stamp)):
		return plan.Unknown, fmt.Sprintf("pod %s on %s was last seen at %s and gone at %s; its toleration ended at %s, and whether it was deleted after that nobody saw",
			p.Name, a.machine, clock(p.gone.after), clock(p.gone.at), clock(a.due(p)))
	}
	return plan.Pass, ""
}

// podsEvicted: of a machine that is off nobody can say that a pod has ended, so what is deleted stays there, Terminating.
func podsEvicted(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	return r.eachOfPods(w, func(a *absence, f *findings) {
		evicted := map[string]int{}
		for _, p := range a.pods {
			if !p.evictable() {
				continue // that it stays is noEarlyEviction's
			}
			if p.gone.seen() && a.whileOff(p.gone.at) {
				f.add(plan.Fail, "pod %s on %s was gone at %s, and nobody can have seen it end: its machine was off", p.Name, a.machine, clock(p.gone.at))
				continue
			}
			if v, why := a.notEvicted(p); v != plan.Pass {
				f.add(v, "%s", why)
				continue
			}
			evicted[cmp.Or(p.kind(), "nobody")]++
		}
		if !slices.ContainsFunc(a.pods, (*fate).evictable) {
			f.add(plan.Unknown, "no pod that is ever evicted was on %s", a.machine)
			return
		}
		f.add(plan.Pass, "evicted from %s after their tolerations, Terminating while it was off: pods of %s%s", a.machine, counted(evicted), r.budgetThen(a))
	})
}

func (a *absence) notEvicted(p *fate) (plan.Verdict, string) {
	switch {
	case a.added.IsZero():
		return plan.Unknown, fmt.Sprintf("pod %s on %s was not due: its node was never tainted", p.Name, a.machine)
	case p.deleted.IsZero() || !a.whileOff(p.deleted):
		until := a.w.Recover
		if p.deleted.IsZero() && p.gone.seen() && p.gone.after.Before(until) {
			until = p.gone.after // it may have been deleted since
		}
		v, said := a.never(a.added, until, p.Stays, "was not deleted")
		return v, fmt.Sprintf("pod %s on %s %s since its node was tainted", p.Name, a.machine, said)
	case p.deleted.Sub(a.added) > a.allowed(p.Stays, a.added, p.deleted)+stamp:
		return plan.Fail, fmt.Sprintf("pod %s on %s was deleted %s after its node was tainted, later than %s", p.Name, a.machine, round(p.deleted.Sub(a.added)), p.Stays+tardy)
	}
	return plan.Pass, ""
}

// budgetThen says how many evictions the workload's budget would have allowed just before the first: an eviction by taint asks for none.
func (r *Record) budgetThen(a *absence) string {
	var begun time.Time
	for _, p := range a.pods {
		if a.whileOff(p.deleted) && (begun.IsZero() || p.deleted.Before(begun)) {
			begun = p.deleted
		}
	}
	var last *observe.WorkloadState
	for _, o := range r.Observations {
		if o.Workload != nil && o.Time.Before(begun) {
			last = o.Workload
		}
	}
	if last == nil || last.NoBudget {
		return ""
	}
	return fmt.Sprintf("; the PodDisruptionBudget allowed %d disruptions then, and is not asked", last.DisruptionsAllowed)
}

// podsReplaced: whoever wants so many pods makes others as soon as one is deleted.
func podsReplaced(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	all, err := r.absences(w)
	if err != nil {
		return plan.Unknown, err.Error()
	}
	var f findings
	if why := all[0].podsUnread(); why != "" {
		f.add(plan.Unknown, "%s", why)
	}
	sets := replaceable(all)
	for _, s := range sets {
		s.judge(all[0], &f)
	}
	if len(sets) == 0 {
		f.add(plan.Unknown, "no pod of a Deployment was evicted from %s", strings.Join(w.Machines, ", "))
		return f.verdict()
	}
	for _, x := range r.lastPodsOff(all[0].w).Wanted {
		if strings.HasPrefix(x.Name, "Deployment/") && x.Ready+stayed(all, x.Name) < x.Wanted && !slices.Contains(r.Ailing, x.Name) && len(f.unclear) == 0 {
			f.add(plan.Fail, "%s had %d of %d replicas ready when %s came back", x.Name, x.Ready, x.Wanted, strings.Join(w.Machines, ", "))
		}
	}
	return f.verdict()
}

// stayed is how many pods of a Deployment were on lost machines and were not evicted, because they tolerate that for longer or for ever: they are not
// replaced either. A ReplicaSet has the name of its Deployment and a hash.
func stayed(all []*absence, deployment string) (n int) {
	for _, a := range all {
		for _, p := range a.pods {
			ns, _, _ := strings.Cut(p.Name, "/")
			set := strings.TrimPrefix(p.Owner, "ReplicaSet/")
			hash := strings.LastIndex(set, "-")
			of := func(name string) bool { return deployment == "Deployment/"+ns+"/"+name }
			notDue := !p.evictable() || a.added.IsZero() || a.due(p).After(a.w.Recover)
			if p.kind() == "ReplicaSet" && notDue && !a.whileOff(p.removed()) && (of(set) || hash > 0 && of(set[:hash])) {
				n++
			}
		}
	}
	return n
}

func (r *Record) lastPodsOff(w *Window) observe.Observation {
	if o := r.lastPods(w.Recover); o != nil {
		return *o
	}
	return observe.Observation{}
}

// replacement is what became of the pods of one ReplicaSet that were evicted.
type replacement struct {
	owner   string // NAMESPACE/KIND/NAME
	evicted []time.Time
	ready   []time.Time // others of it, since then, on other machines, by the time they were ready; the earliest first
}

// replaceable are the ReplicaSets of evicted pods, with the pods that took their places while the machines were off.
func replaceable(all []*absence) []*replacement {
	var out []*replacement
	ownerOf := func(p observe.Pod) string {
		ns, _, _ := strings.Cut(p.Name, "/")
		return ns + "/" + p.Owner
	}
	for _, a := range all {
		for _, p := range a.pods {
			if p.kind() != "ReplicaSet" || !a.whileOff(p.deleted) {
				continue
			}
			i := slices.IndexFunc(out, func(s *replacement) bool { return s.owner == ownerOf(p.Pod) })
			if i < 0 {
				out, i = append(out, &replacement{owner: ownerOf(p.Pod)}), len(out)
			}
			out[i].evicted = append(out[i].evicted, p.deleted)
		}
	}
	if len(all) == 0 {
		return out
	}
	r, w := all[0].Record, all[0].w
	old := map[string]bool{}
	if before := r.lastPods(w.Began); before != nil {
		for _, p := range before.Pods {
			old[p.UID] = true
		}
	}
	for _, p := range r.lastPodsOff(w).Pods {
		for _, s := range out {
			if s.owner == ownerOf(p) && !old[p.UID] && p.Ready && !p.Ending && !slices.Contains(w.Machines, p.Node) {
				s.ready = append(s.ready, p.ReadySince)
			}
		}
	}
	for _, s := range out {
		slices.SortFunc(s.evicted, time.Time.Compare)
		slices.SortFunc(s.ready, time.Time.Compare)
	}
	return out
}

// took is how long after the last eviction the last replacement was ready.
func (s *replacement) took() time.Duration {
	n := len(s.evicted)
	return max(0, s.ready[n-1].Sub(s.evicted[n-1]))
}

func (s *replacement) judge(a *absence, f *findings) {
	n, last := len(s.evicted), s.evicted[len(s.evicted)-1]
	if len(s.ready) < n {
		v, said := a.never(last, a.w.Recover, replaceWithin, fmt.Sprintf("%d of %d evicted pods of %s were replaced by ready ones on other machines", len(s.ready), n, s.owner))
		f.add(v, "%s", said)
		return
	}
	if took := s.took(); took > a.allowed(replaceWithin, last, s.ready[n-1]) {
		f.add(plan.Fail, "the evicted pods of %s were replaced %s after the eviction, later than %s", s.owner, round(took), replaceWithin+tardy)
		return
	}
	f.add(plan.Pass, "%d evicted pods of %s were replaced on other machines, ready %s after the eviction", n, s.owner, round(s.took()))
}

// noTwins: the machine may only be cut off, and what runs on it has an identity (a StatefulSet's pod) or nobody who would make it anew.
func noTwins(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	return r.eachOfPods(w, func(a *absence, f *findings) {
		kept := map[string]int{}
		for _, p := range a.pods {
			kind := cmp.Or(p.kind(), "nobody")
			switch {
			case kind != "nobody" && kind != "StatefulSet":
			case p.twinned.seen() && a.whileOff(p.twinned.at):
				f.add(plan.Fail, "pod %s, which was on %s, had a twin on %q at %s: another pod of its name, and the first may live", p.Name, a.machine, p.twin.Node, clock(p.twinned.at))
			case a.whileOff(p.deleted):
				kept[kind]++
			}
		}
		if len(kept) == 0 && len(f.wrong) == 0 {
			f.add(plan.Unknown, "no pod of a StatefulSet and none of nobody's was evicted from %s, so nobody had a reason to make another", a.machine)
			return
		}
		f.add(plan.Pass, "evicted from %s and not made anew while it was off: pods of %s", a.machine, counted(kept))
	})
}

// counted lists how many there are of each.
func counted(kinds map[string]int) string {
	var out []string
	for _, k := range []string{"ReplicaSet", "StatefulSet", "DaemonSet", "Job", "nobody"} {
		if n := kinds[k]; n > 0 {
			out = append(out, fmt.Sprintf("%s %d", k, n))
			delete(kinds, k)
		}
	}
	for k, n := range kinds {
		out = append(out, fmt.Sprintf("%s %d", k, n))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
