package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// tardy is how much later than it should something may come about: controllers on a busy host have their turn late, and whoever looks sees it half a
// second later.
const tardy = 5 * time.Second

// taintEvery is the time between the taints of two nodes (--node-eviction-rate is 0.1 a second; the first is tainted at once).
const taintEvery = 10 * time.Second

// labelExclude is of nodes that the node life cycle controller does not count when it asks how many are lost.
const labelExclude = "node.kubernetes.io/exclude-disruption"

// stamp is how exact the times in objects are: whole seconds, by two clocks.
const stamp = time.Second

// first is when something was first seen: it came about after the look before that.
type first struct{ after, at time.Time }

func (f first) seen() bool { return !f.at.IsZero() }

// see takes in a look at which something was so, or was not so yet.
func (f *first) see(t time.Time, so bool) {
	switch {
	case f.seen():
	case so:
		f.at = t
	default:
		f.after = t
	}
}

// absence is the loss of a machine with a Node for the time of a fault, as the Node and the pods tell of it. Nothing in it is a verdict.
type absence struct {
	*Record
	w        *Window
	machine  string
	blind    Blind
	times    kubeadm.NodeLossTimes
	unknown  first     // its Ready condition
	tainted  first     // unreachable:NoExecute
	added    time.Time // that taint, as it says itself
	cleared  first     // the taint gone again, while the machine was still off
	ready    first     // the node again, after the machine was put back
	next     time.Time // when another step began that may take pods away there; zero: none did
	pods     []*fate   // those on it when it was lost, but for what the machine itself runs (static pods)
	podsRead []time.Time
}

// fate is what became of a pod whose machine was lost.
type fate struct {
	observe.Pod           // as it was when that happened
	deleted     time.Time // when its deletion was asked for, as it says itself
	gone        first
	twin        observe.Pod // another of its name
	twinned     first
	resumed     time.Time // a look at which it was Ready after the machine had come back
}

// kind is what made the pod; empty: nobody.
func (f *fate) kind() string {
	kind, _, _ := strings.Cut(f.Owner, "/")
	return kind
}

// evictable reports whether it is evicted at all.
func (f *fate) evictable() bool { return f.Stays != observe.StaysForEver }

// absences are those of the window's machines that have a Node. An error says why nothing can be said of them.
func (r *Record) absences(w *Window) ([]*absence, error) {
	var out []*absence
	w = w.off()
	for _, m := range w.Machines {
		if !slices.Contains(r.Topology.KubernetesMachines(), m) {
			continue
		}
		a := &absence{Record: r, w: w, machine: m, blind: r.Blind(), times: kubeadm.NodeLoss(r.Topology.Timing), next: r.nextOn(m, w)}
		before := r.lastPods(w.Began)
		if before == nil || w.Began.Sub(before.Time) > a.podsApart() {
			return nil, fmt.Errorf("the pods were not read before %s was lost", m)
		}
		for _, p := range before.Pods {
			if p.Node == m && !p.Done && !p.Ending && !strings.HasPrefix(p.Owner, "Node/") {
				a.pods = append(a.pods, &fate{Pod: p, gone: first{after: before.Time}, twinned: first{after: before.Time}})
			}
		}
		for _, o := range r.looks() {
			if !o.Time.Before(w.Began) {
				a.take(o)
			}
		}
		a.pods = slices.DeleteFunc(a.pods, func(p *fate) bool { return !p.deleted.IsZero() && p.deleted.Before(w.Began.Add(-stamp)) }) // and nobody had read that
		out = append(out, a)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the fault was on no machine that has a node: %s", strings.Join(w.Machines, ", "))
	}
	return out, nil
}

// nextOn is when the next step after a fault began that may take pods away from a machine: a fault there, or any of an upgrade, which puts kube-proxy's anew
// on every node.
func (r *Record) nextOn(machine string, w *Window) (next time.Time) {
	for _, x := range r.Windows {
		takes := x.Upgrade || len(x.Components) == 0 && slices.Contains(x.Machines, machine)
		if takes && !w.Recover.IsZero() && x.Began.After(w.Recover) && (next.IsZero() || x.Began.Before(next)) {
			next = x.Began
		}
	}
	return next
}

// lastPods is the last observation before a time in which the pods were read.
func (r *Record) lastPods(t time.Time) *observe.Observation {
	for _, o := range slices.Backward(r.Observations) {
		if o.Time.Before(t) && len(o.Pods) > 0 {
			return &o
		}
	}
	return nil
}

// take takes in an observation from the loss on.
func (a *absence) take(o observe.Observation) {
	off := a.w.Recover.IsZero() || o.Time.Before(a.w.Recover)
	for _, n := range o.Nodes {
		if n.Name == a.machine {
			a.node(n, o.Time, off)
		}
	}
	if len(o.Pods) == 0 {
		return
	}
	a.podsRead = append(a.podsRead, o.Time)
	for _, f := range a.pods {
		f.take(o, off)
	}
}

func (a *absence) node(n observe.Node, t time.Time, off bool) {
	i := slices.IndexFunc(n.NoExecute, func(x observe.Taint) bool { return x.Key == corev1.TaintNodeUnreachable })
	if !off {
		a.ready.see(t, n.Ready && len(n.NoExecute) == 0)
		return
	}
	a.unknown.see(t, n.Status == string(corev1.ConditionUnknown))
	if i >= 0 && a.added.IsZero() {
		a.added = n.NoExecute[i].Added
	}
	a.tainted.see(t, i >= 0)
	if a.tainted.seen() {
		a.cleared.see(t, i < 0)
	}
	a.ready.after = t
}

func (f *fate) take(o observe.Observation, off bool) {
	there := false
	for _, p := range o.Pods {
		switch {
		case p.UID == f.UID:
			there = true
			if f.deleted.IsZero() {
				f.deleted = p.Deleted
			}
			if !off && p.Ready && f.resumed.IsZero() {
				f.resumed = o.Time
			}
		case p.Name == f.Name && !f.twinned.seen():
			f.twin = p
			f.twinned.at = o.Time
		}
	}
	f.gone.see(o.Time, !there)
	if !f.twinned.seen() {
		f.twinned.after = o.Time
	}
}

// due is when a pod's toleration ends.
func (a *absence) due(f *fate) time.Time { return a.added.Add(f.Stays) }

// removed is when a pod's deletion was asked for, or by when it was gone without anybody having seen that; zero: neither.
func (f *fate) removed() time.Time {
	if f.deleted.IsZero() {
		return f.gone.at
	}
	return f.deleted
}

// noticed is how long after the loss the node may become Unknown: a heartbeat may have been noticed one look of the controller late, and its absence
// another. Several machines need not have been lost at one instant; all were when the effect was seen.
func (a *absence) noticed() time.Duration {
	most := a.times.Grace + 2*a.times.Monitor
	if len(a.w.Machines) > 1 {
		most += a.w.Effective.Sub(a.w.Began).Round(time.Second)
	}
	return most
}

// whileOff reports whether a time that was told lies before the machine was put back.
func (a *absence) whileOff(t time.Time) bool { return !t.IsZero() && t.Before(a.w.Recover) }

// away reports whether the node was certainly not back yet at a time.
func (a *absence) away(t time.Time) bool {
	return a.whileOff(t) || !t.IsZero() && a.next.IsZero() && !t.After(a.ready.after)
}

// anothers reports whether what became of a pod is another step's, and whether that is certain.
func (a *absence) anothers(p *fate) (is, certain bool) {
	if a.next.IsZero() || p.removed().Before(a.next) {
		return false, true
	}
	return true, !p.deleted.IsZero() || !p.gone.after.Before(a.next)
}

// withheld says of how many nodes the node life cycle controller has lost so many that it puts on no more taints; empty: it has not. All may be lost, or
// more than two and 55 % (--unhealthy-zone-threshold) in a cluster of at most 50 (--large-cluster-size-threshold). It does not count who is labelled so.
func (a *absence) withheld() string {
	lost, counted := 0, 0
	for _, m := range a.Topology.KubernetesMachines() {
		if a.Before != nil && a.Before.Objects != nil && a.Before.Objects.Items["Node "+m]["metadata.labels["+labelExclude+"]"] != "" {
			continue
		}
		counted++
		if slices.Contains(a.w.Machines, m) {
			lost++
		}
	}
	if lost > 0 && (lost == counted || lost > 2 && 100*lost >= 55*counted) {
		return fmt.Sprintf("%d of %d nodes were lost, and of so many not all are tainted", lost, counted)
	}
	return ""
}

// allowed is how long something that should take at most so long may have taken since a time until another: what was not seen does not count.
func (a *absence) allowed(most time.Duration, from, to time.Time) time.Duration {
	return most + tardy + a.blind.Unseen(from, to)
}

// when judges when something was first seen after a time it hangs on. Too soon or too late it was only where it certainly was. An empty word: in time.
func (a *absence) when(f first, from time.Time, least, most time.Duration) (plan.Verdict, string) {
	took, certain := f.at.Sub(from), f.after.Sub(from)
	switch {
	case took < least:
		return plan.Fail, fmt.Sprintf("after %s already, sooner than %s", round(took), least)
	case certain > a.allowed(most, from, f.after):
		return plan.Fail, fmt.Sprintf("only after %s, later than %s", round(took), most+tardy)
	case took > a.allowed(most, from, f.at):
		return plan.Unknown, fmt.Sprintf("when is not known: it was not so after %s and it was after %s", round(certain), round(took))
	}
	return plan.Pass, ""
}

// never judges that something which should come about so long after a time did not until another, the last look. It was due only where that was long
// enough.
func (a *absence) never(from, until time.Time, most time.Duration, what string) (plan.Verdict, string) {
	if until.IsZero() {
		return plan.Unknown, what + ", and nobody looked"
	}
	if waited := until.Sub(from); waited > a.allowed(most, from, until) {
		return plan.Fail, fmt.Sprintf("%s within %s, and at most %s was due", what, round(waited), most)
	}
	return plan.Unknown, fmt.Sprintf("%s, and %s was too short for it", what, round(until.Sub(from)))
}

// podsApart is how long nobody may have read the pods: they are read every observe.PodsEvery, and two looks may be cut short, or what is a tenth of a
// toleration.
func (a *absence) podsApart() time.Duration { return max(3*observe.PodsEvery, a.times.Toleration/10) }

// podsUnread says where nobody read the pods for too long while the machine was off; empty: nowhere. What is deleted tells when, and what is made anew in
// its place stays. Of the node each look says enough by itself.
func (a *absence) podsUnread() string {
	if a.w.Recover.IsZero() {
		return "the end of the fault is not known"
	}
	apart, last := a.podsApart(), a.w.Began
	for _, t := range append(slices.Clone(a.podsRead), a.w.Recover) {
		if t.Before(a.w.Began) || t.After(a.w.Recover) {
			continue
		}
		if t.Sub(last) > apart {
			return fmt.Sprintf("nobody looked at the pods from %s to %s, while %s was off", clock(last), clock(t), a.machine)
		}
		last = t
	}
	return ""
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
