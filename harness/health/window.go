package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
)

// Window is the time of a fault, or of a step that takes something down, as checks need it: what is excused, where, and from when to when.
type Window struct {
	ID         string        `json:"id"`
	Machines   []string      `json:"machines"`
	Components []string      `json:"components,omitempty"` // what is excused on them; empty: all that runs there, and the machines themselves
	AtMost     int           `json:"atMost,omitempty"`     // so many of the machines at any instant; 0: all of them
	Until      string        `json:"until,omitempty"`      // a version: a machine that stays at it is excused no longer; see narrowed
	Expected   bool          `json:"expected,omitempty"`   // the loss of quorum is what the scenario wants
	With       []string      `json:"with,omitempty"`       // the windows without which it would not be; see expects
	WithSteps  bool          `json:"withSteps,omitempty"`  // so are those of an upgrade's steps
	NoWrites   bool          `json:"noWrites,omitempty"`   // that etcd refuses what writes is what the scenario wants
	Upgrade    bool          `json:"upgrade,omitempty"`    // no fault but a step of an upgrade
	Clock      time.Duration `json:"clock,omitempty"`      // by which the clocks of the machines are ahead while the fault holds; less than 0: behind
	Began      time.Time     `json:"began,omitzero"`       // from here on losses are the fault's
	Effective  time.Time     `json:"effective,omitzero"`   // zero when its effect was never seen
	Mending    time.Time     `json:"mending,omitzero"`     // when a runbook began to undo it, which knows itself how far it has come; zero: none did
	Recover    time.Time     `json:"recover,omitzero"`     // when undoing it began, or the runbook had ended
	Cleared    time.Time     `json:"cleared,omitzero"`     // when all was seen to be as before; zero when it was not
	Refused    string        `json:"refused,omitempty"`    // why undoing it failed; empty when it did not
}

// off is the window until its machines may be back: of what a runbook mends, until that begins.
func (w *Window) off() *Window {
	if w.Mending.IsZero() || !w.Mending.Before(w.Recover) {
		return w
	}
	out := *w
	out.Recover = w.Mending
	return &out
}

// early is how much before its time a process's start may be told: the kernel tells the boot it is counted from in whole seconds.
const early = 1500 * time.Millisecond

// slack is for what is looked at every half second and takes up to one.
const slack = 3 * time.Second

// Settle is how long after a fault was seen to be over what hangs on it may still come back. A controller-manager or scheduler that starts without an
// API server waits 10 s for one and ends (k8s.io/kubernetes, WaitForAPIServer), and its kubelet starts it once more after its back-off: at most 3 s
// with fast timing (fixtures/kubeadm), 10 s and then 20 s with production's.
func Settle(t cluster.Timing) time.Duration {
	if t == cluster.TimingFast {
		return 15 * time.Second
	}
	return 40 * time.Second
}

// settle is the time for one component. The end of a fault in etcd is seen on the members themselves, and the end of an upgrade's step by its gate.
func (r *Record) settle(w Window, component string) time.Duration {
	if w.Upgrade || component == etcd.Program {
		return slack
	}
	return Settle(r.Topology.Timing)
}

// covers reports whether the window excuses at a time.
func (w Window) covers(t time.Time, settle time.Duration) bool {
	return w.Until == "" && w.spans(t, settle)
}

// spans reports whether the window was open at a time.
func (w Window) spans(t time.Time, settle time.Duration) bool {
	return !w.Began.IsZero() && t.After(w.Began.Add(-early)) && (w.Cleared.IsZero() || t.Before(w.Cleared.Add(settle)))
}

// narrowed gives the record as checks want it. What somebody else's program did while nobody knew when it was where excuses each machine only until that
// is done with: for a while every look has found all its components at the version. The window of all of them stays, for how many were away at a time, and
// excuses nobody.
func (r *Record) narrowed() *Record {
	out := *r
	out.Windows = nil
	for _, w := range r.Windows {
		out.Windows = append(out.Windows, w)
		for _, m := range w.Machines {
			if w.Until == "" {
				break
			}
			own := w
			own.Machines, own.Until = []string{m}, ""
			if done := r.doneWith(m, w); !done.IsZero() {
				own.Recover, own.Cleared = done, done
			}
			out.Windows = append(out.Windows, own)
		}
	}
	return &out
}

// doneWith is when a machine had stayed at the window's version for so long that whatever hangs on its restarts has had its time: static pods that a new
// kubelet starts anew, and who leans on them. Zero: not within the window.
func (r *Record) doneWith(machine string, w Window) time.Time {
	stays := Steady(r.Topology) + Settle(r.Topology.Timing)
	var since time.Time
	for _, o := range r.Observations {
		switch {
		case o.Time.Before(w.Began):
		case !w.Cleared.IsZero() && o.Time.After(w.Cleared):
			return time.Time{}
		case At(o, machine, w.Until) != nil:
			since = time.Time{}
		case since.IsZero():
			since = o.Time
		case o.Time.Sub(since) >= stays:
			return o.Time
		}
	}
	return time.Time{}
}

// excuses says how wide the excuse of somebody else's program was, of a narrowed record; empty where there was none.
func (r *Record) excuses() string {
	var out []string
	for _, w := range r.Windows {
		if w.Until == "" {
			continue
		}
		var each []string
		for _, own := range r.Windows {
			if own.ID == w.ID && own.Until == "" && len(own.Machines) == 1 && slices.Contains(w.Machines, own.Machines[0]) {
				end := own.Cleared
				if end.IsZero() && len(r.Observations) > 0 {
					end = r.Observations[len(r.Observations)-1].Time
				}
				each = append(each, fmt.Sprintf("%s for %s", own.Machines[0], end.Sub(own.Began).Round(time.Second)))
			}
		}
		out = append(out, fmt.Sprintf("; step %s excused at most %d at a time, until it stays at %s: %s", w.ID, w.AtMost, w.Until, strings.Join(each, ", ")))
	}
	return strings.Join(out, "")
}

// skews are by how much the clock of a machine may have been ahead for faults at any time until then.
func (r *Record) skews(machine string, until time.Time) []time.Duration {
	out := []time.Duration{0}
	for _, w := range r.Windows {
		if w.Clock != 0 && slices.Contains(w.Machines, machine) && w.Began.Before(until.Add(jumpSeen)) {
			out = append(out, w.Clock)
		}
	}
	return out
}

func (w Window) touches(machine, component string) bool {
	return slices.Contains(w.Machines, machine) && (len(w.Components) == 0 || slices.Contains(w.Components, component))
}

// ofServers reports whether the window is on what API servers and kubelets depend on where it is: not a fault of a component that nobody needs to serve
// requests, or to tell of a node. Steps of an upgrade always are.
func (w Window) ofServers(components ...string) bool {
	return w.Upgrade || len(w.Components) == 0 || slices.ContainsFunc(append(components, observe.APIServer, etcd.Program), func(c string) bool { return slices.Contains(w.Components, c) })
}

func (r *Record) expected(t time.Time) bool {
	return slices.ContainsFunc(r.Windows, func(w Window) bool { return w.covers(t, slack) && r.expects(w, t, slack) })
}

// expects reports whether the loss of quorum is what the scenario wants of a window at a time, or what came of it is, that may take so long to come back. Where
// a fault costs it only together with others, or with what an upgrade has down, that is while so many of them hold as it takes.
func (r *Record) expects(w Window, t time.Time, settle time.Duration) bool {
	if !w.Expected || len(w.With) == 0 && !w.WithSteps {
		return w.Expected
	}
	away, n := map[string]bool{}, 0
	for _, other := range r.Windows {
		counts := other.ID == w.ID || slices.Contains(w.With, other.ID) || w.WithSteps && other.Upgrade && other.AtMost == 0
		if !counts || !other.covers(t, settle) {
			continue
		}
		some := false
		for _, m := range r.Topology.EtcdMachines() {
			touches := other.touches(m, etcd.Program)
			some = some || touches
			away[m] = away[m] || touches && other.AtMost == 0
		}
		if some { // whichever they are
			n += other.AtMost
		}
	}
	for _, gone := range away {
		if gone {
			n++
		}
	}
	return n > cluster.Tolerance(len(r.Topology.EtcdMachines()))
}

// writesRefused reports whether the scenario wants etcd to refuse what writes.
func (r *Record) writesRefused(t time.Time) bool {
	return slices.ContainsFunc(r.Windows, func(w Window) bool { return w.NoWrites && w.covers(t, slack) })
}

// withoutQuorum are the components that end when etcd has no quorum, on whatever machine they are: an API server's liveness probe asks etcd, and who
// cannot renew the lease he leads by ends himself.
func withoutQuorum(component string) bool {
	return component == observe.APIServer || component == observe.ControllerManager || component == observe.Scheduler
}

// planned reports whether a fault or a step accounts for a machine's member not answering at a time: it was its own, or it took the quorum and so
// everybody's health.
func (r *Record) planned(machine string, t time.Time) bool {
	return r.expected(t) || r.excused(machine, etcd.Program, t)
}

// excused reports whether a fault or a step accounts for a component of a machine being away, or starting anew, at a time.
func (r *Record) excused(machine, component string, t time.Time) bool {
	for _, w := range r.Windows {
		if w.covers(t, r.settle(w, component)) && (w.touches(machine, component) || r.expects(w, t, r.settle(w, component)) && withoutQuorum(component)) {
			return true
		}
	}
	return false
}

// etcdTouched reports whether a fault or a step was on a member of etcd somewhere at a time: while etcd elects nobody can renew a lease, and a
// controller-manager or scheduler that led ends itself.
func (r *Record) etcdTouched(component string, t time.Time) bool {
	if component != observe.ControllerManager && component != observe.Scheduler {
		return false
	}
	return slices.ContainsFunc(r.Windows, func(w Window) bool {
		return w.covers(t, r.settle(w, component)) && (len(w.Components) == 0 || slices.Contains(w.Components, etcd.Program)) &&
			slices.ContainsFunc(w.Machines, func(m string) bool { return slices.Contains(r.Topology.EtcdMachines(), m) })
	})
}

// hearsAgain is how long after a fault the API server of its machine, the only one that a kubelet there tells of itself, may still turn it away. Where the
// fault took the etcd that this API server asks, that one tries it again in gRPC's pauses (doc/connection-backoff.md there): each is 1.6 times the one
// before and no longer than 120 s, 20 % more or less, so the one that is under way when etcd comes back takes up to 0.9 times as long as etcd was away, and
// 1.2 s.
func (r *Record) hearsAgain(w Window) time.Duration {
	settle := Settle(r.Topology.Timing)
	if w.Upgrade || r.Topology.Etcd != cluster.EtcdStacked || !slices.Contains(w.Components, etcd.Program) {
		return settle
	}
	const (
		heartbeat = 5 * time.Second // one that failed, after 2 s, and the next
		longest   = 120 * time.Second * 12 / 10
	)
	pause := min(w.Cleared.Sub(w.Began)*9/10+1200*time.Millisecond, longest)
	return max(settle, pause+heartbeat)
}

// excusedNode reports whether a fault or a step accounts for a node not being Ready: one on its machine, or one that left no API server its kubelet
// could have told of itself.
func (r *Record) excusedNode(machine string, t time.Time) bool {
	servers := map[string]bool{}
	for _, w := range r.Windows {
		if slices.Contains(w.Machines, machine) && w.ofServers(observe.Kubelet) && w.covers(t, r.hearsAgain(w)) {
			return true
		}
		if !w.covers(t, Settle(r.Topology.Timing)) {
			continue
		}
		if r.expects(w, t, Settle(r.Topology.Timing)) {
			return true
		}
		for _, m := range r.Topology.ControlPlaneMachines() {
			servers[m] = servers[m] || w.AtMost == 0 && w.touches(m, observe.APIServer)
		}
	}
	for _, m := range r.Topology.ControlPlaneMachines() {
		if !servers[m] {
			return false
		}
	}
	return len(servers) > 0
}

// excusedBoot reports whether a fault or a step was on the whole machine, as a power cut is.
func (r *Record) excusedBoot(machine string, t time.Time) bool {
	return slices.ContainsFunc(r.Windows, func(w Window) bool {
		return len(w.Components) == 0 && w.covers(t, Settle(r.Topology.Timing)) && slices.Contains(w.Machines, machine)
	})
}
