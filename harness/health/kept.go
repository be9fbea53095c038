package health

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// tale is what the looks tell of one pod that its node's kubelet was asked to run: static pods are judged as processes.
type tale struct {
	looks []glance
	gone  time.Time // the first look at which it was there no more; zero: there at the end, or done
	old   bool      // it was there at the first look
}

// glance is a pod at a look.
type glance struct {
	observe.Pod
	at time.Time
}

func (t *tale) first() glance { return t.looks[0] }
func (t *tale) last() glance  { return t.looks[len(t.looks)-1] }

// tales are those of all pods that were ever seen, by their UIDs. Why not says that nobody can tell to the end.
func (r *Record) tales() (out map[string]*tale, whyNot string) {
	out = map[string]*tale{}
	var last time.Time
	looks := 0
	for _, o := range r.looks() {
		if len(o.Pods) == 0 {
			continue
		}
		looks++
		there := map[string]bool{}
		for _, p := range o.Pods {
			if strings.HasPrefix(p.Owner, "Node/") || p.Node == "" {
				continue
			}
			there[p.UID] = true
			if out[p.UID] == nil {
				out[p.UID] = &tale{old: last.IsZero()}
			}
			out[p.UID].looks = append(out[p.UID].looks, glance{p, o.Time})
		}
		for uid, t := range out {
			if !there[uid] && t.gone.IsZero() && !t.last().Done {
				t.gone = o.Time
			}
		}
		last = o.Time
	}
	switch {
	case last.IsZero():
		return out, "the pods were never read"
	case len(r.Final.Pods) == 0:
		return out, "the pods were not read at the end"
	case looks == 1:
		return out, "the pods were read once only: what became of them in between is not known"
	}
	return out, r.unread("the pods", func(o observe.Observation) bool { return len(o.Pods) > 0 })
}

// sorted are the tales in the order of their pods' names.
func sorted(tales map[string]*tale) []*tale {
	return slices.SortedFunc(maps.Values(tales), func(a, b *tale) int {
		return strings.Compare(a.first().Name+a.first().UID, b.first().Name+b.first().UID)
	})
}

// onPods reports whether the window is a reason for what becomes of pods on its machines: a fault of the whole machine or a step. What happens to a
// kubelet, or to another program that runs beside the pods, is none.
func (w Window) onPods(machine string) bool {
	return slices.Contains(w.Machines, machine) && (w.Upgrade || len(w.Components) == 0) && !w.Began.IsZero()
}

// within reports whether the window was open at some time between two.
func (w Window) within(from, to time.Time, settle time.Duration) bool {
	return w.Until == "" && w.Began.Before(to.Add(slack)) && (w.Cleared.IsZero() || w.Cleared.Add(settle).After(from))
}

// podsKept: nobody but who has a machine to empty, or to repair, replaces a user's pod. Kubeadm itself replaces its addons' in kube-system.
func podsKept(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	tales, whyNot := r.tales()
	var f findings
	kept := map[string]int{}
	for _, t := range sorted(tales) {
		p := t.first()
		if strings.HasPrefix(p.Name, "kube-system/") || slices.ContainsFunc(r.Windows, func(w Window) bool { return w.onPods(p.Node) }) {
			continue
		}
		switch last := t.last(); {
		case !t.old && last.Phase == "Failed":
			f.add(plan.Fail, "pod %s of %s on %s began after the first look and has failed, and no fault or step was on its machine", p.Name, madeBy(p.Pod), p.Node)
		case !t.old || p.Done || p.Ending: // who scales a workload, or empties a machine, has pods made elsewhere
		case (last.Ending || !t.gone.IsZero()) && r.excusedPod(p.Node, p.at, last.at):
			f.add(plan.Unknown, "pod %s of %s on %s is not there any more, and its node was Unknown for a while: whether it was put off that, or replaced, is not known", p.Name, madeBy(p.Pod), p.Node)
		case last.Ending:
			f.add(plan.Fail, "pod %s of %s on %s was deleted at %s, and no fault or step was on its machine%s", p.Name, madeBy(p.Pod), p.Node, clock(last.Deleted), r.successor(tales, t))
		case last.Phase == "Failed":
			f.add(plan.Fail, "pod %s of %s on %s has failed and is not started again, and no fault or step was on its machine", p.Name, madeBy(p.Pod), p.Node)
		case !t.gone.IsZero() && kindOf(p.Pod) == "Job":
			f.add(plan.Unknown, "pod %s of %s on %s was gone at %s, and whether it was done nobody saw", p.Name, madeBy(p.Pod), p.Node, clock(t.gone))
		case !t.gone.IsZero():
			f.add(plan.Fail, "pod %s of %s on %s was gone at %s, and no fault or step was on its machine%s", p.Name, madeBy(p.Pod), p.Node, clock(t.gone), r.successor(tales, t))
		default:
			kept[kindOf(p.Pod)]++
		}
	}
	switch {
	case whyNot != "":
		f.add(plan.Unknown, "%s", whyNot)
	case len(kept) == 0 && len(f.wrong) == 0:
		f.add(plan.Unknown, "no user's pod was on a machine that all faults and steps had left alone")
	default:
		f.add(plan.Pass, "the same from the first look to the last: pods of %s", counted(kept))
	}
	return f.verdict()
}

func kindOf(p observe.Pod) string {
	kind, _, _ := strings.Cut(p.Owner, "/")
	if kind == "" {
		return "nobody"
	}
	return kind
}

func madeBy(p observe.Pod) string {
	if p.Owner == "" {
		return "nobody"
	}
	return p.Owner
}

// successor tells of the pod that has the name of one that is gone.
func (r *Record) successor(tales map[string]*tale, gone *tale) string {
	for _, t := range sorted(tales) {
		if t != gone && t.first().Name == gone.first().Name && t.first().at.After(gone.first().at) {
			return fmt.Sprintf(": its owner made another, UID %s in the place of %s", t.first().UID, gone.first().UID)
		}
	}
	return ""
}

// readyKept: to be Ready is what a Service sends requests by. Of a kubelet that starts anew and has not probed yet nobody has learned that a pod is not.
func readyKept(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	tales, whyNot := r.tales()
	var f findings
	judged, failed := 0, 0
	for _, t := range sorted(tales) {
		if slices.ContainsFunc(t.looks, func(g glance) bool { return g.Ready }) {
			judged++
		}
		if down, since := r.downAtEnd(t); down != "" {
			r.unready(&f, down, t.last(), since)
		}
		for i, g := range t.looks[1:] {
			from := t.looks[i]
			lost := dip(from, g)
			if lost == "" || t.countedAfter(i, g) || r.excusedPod(g.Node, from.at, g.at) {
				continue
			}
			if r.unready(&f, lost, g, from.at) {
				failed++
			}
		}
	}
	switch {
	case whyNot != "":
		f.add(plan.Unknown, "%s", whyNot)
	case judged == 0 && len(f.wrong) == 0:
		f.add(plan.Unknown, "no pod but static ones was Ready")
	default:
		f.add(plan.Pass, "%d pods stayed Ready, but for %d times after a failed probe", judged, failed)
	}
	return f.verdict()
}

// unready finds that a pod is not Ready, or was not, as the words say, although no readiness probe of it had failed from a time to a look. It reports whether one had.
func (r *Record) unready(f *findings, words string, g glance, from time.Time) (probed bool) {
	switch v, said := r.probeFailed(g, from); v {
	case plan.Pass:
		return true
	case plan.Unknown:
		f.add(plan.Unknown, "%s; %s", words, said)
	default:
		f.add(plan.Fail, "%s, and no readiness probe had failed%s%s", words, because(g.Unready), r.kubeletAnew(g.Node, from, g.at))
	}
	return false
}

// downAtEnd says that a pod that was Ready is not when it is looked at last, and that no fault or step is on its machine then: what excused that it went
// down does not excuse that it stays down. Since is when it was last seen to be Ready.
func (r *Record) downAtEnd(t *tale) (down string, since time.Time) {
	g := t.last()
	for _, l := range t.looks {
		if l.Ready {
			since = l.at
		}
	}
	if since.IsZero() || g.Ready || g.Ending || g.Done || !t.gone.IsZero() || r.excusedPod(g.Node, g.at, g.at) {
		return "", since
	}
	return fmt.Sprintf("pod %s on %s was Ready and is not at the end", g.Name, g.Node), since
}

// countedAfter reports whether a pod was down since a look because a container ended: its kubelet has counted that it started it anew, at the next look, or, while
// the container waits for that, at a later one. An end that nobody counts is none of the container's.
func (t *tale) countedAfter(i int, next glance) bool {
	from := t.looks[i]
	return next.Restarts > from.Restarts ||
		next.Waiting != "" && slices.ContainsFunc(t.looks[i+1:], func(l glance) bool { return l.Restarts > from.Restarts })
}

// dip says how a pod that was Ready at one look was not at another, or not between the two: since when it is Ready is written down.
func dip(from, to glance) string {
	switch {
	case !from.Ready || to.Ending || to.Done:
	case !to.Ready:
		return fmt.Sprintf("pod %s on %s was Ready at %s and not Ready at %s", to.Name, to.Node, clock(from.at), clock(to.at))
	case !from.ReadySince.IsZero() && to.ReadySince.After(from.ReadySince):
		return fmt.Sprintf("pod %s on %s was Ready at %s and again at %s, and not Ready in between: it is since %s", to.Name, to.Node, clock(from.at), clock(to.at), clock(to.ReadySince))
	}
	return ""
}

func because(words string) string {
	if words == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", words)
}

// kubeletAnew tells that a machine's kubelet had started anew not long before.
func (r *Record) kubeletAnew(machine string, from, to time.Time) string {
	for _, o := range r.Observations {
		for _, c := range o.Components {
			if c.Name == observe.Kubelet && c.Machine == machine && c.Started.After(from.Add(-Settle(r.Topology.Timing))) && c.Started.Before(to) {
				return fmt.Sprintf("; its kubelet had started anew at %s", clock(c.Started))
			}
		}
	}
	return ""
}

// excusedPod reports whether a fault or a step was on a pod's machine between two times, or its node was Unknown, whose pods the node life cycle controller
// marks as not ready.
func (r *Record) excusedPod(machine string, from, to time.Time) bool {
	if slices.ContainsFunc(r.Windows, func(w Window) bool { return w.onPods(machine) && w.within(from, to, Settle(r.Topology.Timing)) }) {
		return true
	}
	return slices.ContainsFunc(r.Observations, func(o observe.Observation) bool {
		return o.Time.After(from.Add(-slack)) && o.Time.Before(to.Add(slack)) && slices.ContainsFunc(o.Nodes, func(n observe.Node) bool { return n.Name == machine && n.Status == "Unknown" })
	})
}

// toldMuch is of how many failed probes a kubelet may have told that told of no more: other events of the pod count as well.
const toldMuch = observe.EventsTold - 5

// readiness is how kubelets call that probe in what they tell.
const readiness = "Readiness"

// probeFailed reports whether the pod's kubelet told that a readiness probe had failed between a time and a look: pass. Unknown: nobody can say. An event that
// came again says when it came first and last, and no more of the times between.
func (r *Record) probeFailed(g glance, from time.Time) (plan.Verdict, string) {
	switch {
	case r.Probed == nil:
		return plan.Unknown, "what kubelets told of probes was not read"
	case r.Probed.Error != "":
		return plan.Unknown, r.Probed.Error
	case r.Probed.Time.Sub(from) > observe.EventsLast:
		return plan.Unknown, "what its kubelet told of its probes then is no longer kept"
	}
	begin, end := from.Add(-slack), g.at.Add(slack)
	then := func(t time.Time) bool { return t.After(begin) && t.Before(end) }
	told, perhaps := 0, ""
	for _, x := range r.Probed.Failures {
		if x.UID != g.UID {
			continue
		}
		told += x.Times
		switch {
		case x.Probe == readiness && (then(x.Last) || then(x.First) && !x.Combined):
			return plan.Pass, x.Said
		case (x.Probe == readiness && x.Times > 2 || x.Combined && x.Times > 1) && x.First.Before(end) && x.Last.After(begin):
			perhaps = fmt.Sprintf("its kubelet told of failed probes %d times from %s to %s, and not whether then: the last was %q", x.Times, clock(x.First), clock(x.Last), x.Said)
		}
	}
	switch {
	case perhaps != "":
		return plan.Unknown, perhaps
	case told >= toldMuch:
		return plan.Unknown, fmt.Sprintf("its kubelet told of failed probes %d times, and tells of no more than %d events of a pod in a row", told, observe.EventsTold)
	}
	return plan.Fail, ""
}

// restartsPlanned: a container ends when its machine does, and is started anew once for that. That it then ends again is its own doing, or its kubelet's.
func restartsPlanned(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	tales, whyNot := r.tales()
	var f findings
	planned := 0
	for _, t := range sorted(tales) {
		all, own := r.startedAnew(t)
		if allowed := int(p.Max) * t.holds(); own > allowed {
			f.add(plan.Fail, "the containers of pod %s on %s were started anew %d times by %s; the faults and steps on its machine account for %d, and the scenario allows %d%s",
				t.last().Name, t.last().Node, all, clock(t.last().at), all-own, allowed, r.saidOfProbes(t))
			continue
		}
		planned += all
	}
	switch {
	case whyNot != "":
		f.add(plan.Unknown, "%s", whyNot)
	case len(tales) == 0:
		f.add(plan.Unknown, "no pod but static ones was there")
	default:
		f.add(plan.Pass, "the containers of %d pods were started anew %d times, all accounted for", len(tales), planned)
	}
	return f.verdict()
}

// holds is how many containers the pod has: one that is put off its machine may tell of none any more.
func (t *tale) holds() int {
	most := 0
	for _, g := range t.looks {
		most = max(most, g.Holds)
	}
	return most
}

// startedAnew is how often the pod's containers were, and how often for reasons of their own: each fault or step on its machine accounts for one start of
// each, while it lasts and until all that hangs on it is back.
func (r *Record) startedAnew(t *tale) (all, own int) {
	seen, since := 0, t.first().at
	if t.old {
		seen = t.first().Restarts
	}
	accounted := make([]int, len(r.Windows))
	for _, g := range t.looks {
		more := max(0, g.Restarts-seen)
		all, seen = all+more, seen+more
		for i, w := range r.Windows {
			if w.onPods(g.Node) && w.within(since, g.at, Settle(r.Topology.Timing)) {
				n := min(more, max(0, g.Holds-accounted[i]))
				more, accounted[i] = more-n, accounted[i]+n
			}
		}
		own, since = own+more, g.at
	}
	return all, own
}

// saidOfProbes is what the pod's kubelet told of its probes.
func (r *Record) saidOfProbes(t *tale) string {
	var out []string
	if r.Probed != nil {
		for _, x := range r.Probed.Failures {
			if x.UID == t.last().UID && x.Probe != readiness {
				out = append(out, fmt.Sprintf("%q (%d times, to %s)", x.Said, x.Times, clock(x.Last)))
			}
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "; its kubelet said: " + some(out)
}
