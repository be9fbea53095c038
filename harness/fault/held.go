package fault

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
)

// Held is what the faults of a run hold at a time. Who looks whether one bites, or is over, must know of the others: what they took is no control.
type Held struct {
	mu sync.Mutex
	by map[*Guard][]string
}

// take notes that a fault holds machines; an error names another that it cannot overlap with.
func (h *Held) take(g *Guard, machines []string) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for other, theirs := range h.by {
		why := overlap(g.Spec, other.Spec)
		for _, m := range machines {
			if other != g && why != "" && slices.Contains(theirs, m) {
				return fmt.Errorf("%s is held by %s %s: %s", m, other.Spec.Kind, other.ID, why)
			}
		}
	}
	if h.by == nil {
		h.by = map[*Guard][]string{}
	}
	h.by[g] = machines
	return nil
}

// Resume notes what faults hold that another process has injected and nobody has undone.
func (h *Held) Resume(guards ...*Guard) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.by == nil {
		h.by = map[*Guard][]string{}
	}
	for _, g := range guards {
		h.by[g] = g.receipt.Machines
	}
}

// take notes it in the run's book, where there is one.
func (e *Env) take(g *Guard, machines []string) error {
	if e == nil {
		return nil
	}
	return e.Held.take(g, machines)
}

func (h *Held) drop(g *Guard) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.by, g)
}

// others are the machines that other faults hold and this one is not done to, and of those that it cannot be done to as well, why. Its own are looked at,
// whoever else holds them: what the other does to a machine that both can be on is not what this one does.
func (h *Held) others(g *Guard) (held []string, taken map[string]string) {
	taken = map[string]string{}
	if h == nil {
		return nil, taken
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for other, theirs := range h.by {
		if other == g {
			continue
		}
		for _, m := range theirs {
			if !slices.Contains(g.receipt.Machines, m) {
				held = append(held, m)
			}
			if why := overlap(g.Spec, other.Spec); why != "" {
				taken[m] = fmt.Sprintf("%s %s holds it: %s", other.Spec.Kind, other.ID, why)
			}
		}
	}
	return held, taken
}

// env is what the guard's fault sees: with what others hold by now.
func (g *Guard) env(e *Env) *Env {
	if e == nil {
		return nil
	}
	out := *e
	out.due = g.Due
	out.besides, out.taken = e.Held.others(g)
	return &out
}

// overlap says why two faults cannot be on one machine at the same time; empty: they can. What undoes the one would undo the other, or what is seen could
// be the effect of either.
func overlap(a, b Spec) string {
	ka, errA := Find(a.Kind)
	kb, errB := Find(b.Kind)
	if errA != nil || errB != nil {
		return "" // no such fault is ever made
	}
	ofPrograms := []cluster.Capability{cluster.CanKill, cluster.CanFreeze, cluster.CanHoldStarts, cluster.CanDial} // each of which is undone by itself
	for _, c := range ka.Needs {
		if !slices.Contains(ofPrograms, c) && slices.Contains(kb.Needs, c) {
			return fmt.Sprintf("both are done by %s, and what undoes one would undo the other", c)
		}
	}
	switch {
	case ka.Kubelet && b.kubeletAway(kb), kb.Kubelet && a.kubeletAway(ka):
		return "the kubelet of a machine is away in one, and the other has it start what has ended there, or tell of it"
	case len(a.Touches()) == 0 || len(b.Touches()) == 0:
		return "one of the two takes all that runs there"
	default:
		for _, c := range a.Touches() {
			if b.touches(c) {
				return "both are on " + c
			}
		}
	}
	return ""
}

// kubeletAway reports whether the fault takes a kubelet, and does not have it back at once.
func (s Spec) kubeletAway(k Kind) bool {
	return !k.Once && slices.Contains(s.Touches(), observe.Kubelet)
}

// Together refuses, with a UsageError, faults that cannot be there at the same time. Machines that are found only when it happens are looked at then.
func Together(faults ...Spec) error {
	for i, a := range faults {
		for _, b := range faults[i+1:] {
			if alone(a, b) {
				return cluster.Usagef("%s and %s cannot overlap: while a member is replaced the quorum is that of another number of members", a.Describe(), b.Describe())
			}
			for _, m := range a.Machines {
				if why := overlap(a, b); why != "" && slices.Contains(b.Machines, m) {
					return cluster.Usagef("%s and %s cannot overlap on %s: %s", a.Describe(), b.Describe(), m, why)
				}
			}
		}
	}
	return nil
}

// Collide reports whether two faults that can be there together may turn out to be on one machine where they cannot. A follower is one that the other has
// not got, but for who is told beforehand, and may find the follower there already.
func Collide(a, b Spec) bool {
	members := []string{Leader, Follower}
	apart := (a.Target == Follower || b.Target == Follower) && slices.Contains(members, a.Target) && slices.Contains(members, b.Target)
	may := func(s Spec) []string { return append(slices.Clone(s.Machines), s.Among...) }
	theirs := may(b)
	return !apart && overlap(a, b) != "" &&
		slices.ContainsFunc(may(a), func(m string) bool { return slices.Contains(theirs, m) })
}

// alone reports whether one of the two replaces members, and the other takes some.
func alone(a, b Spec) bool {
	replaces := func(s Spec) bool { k, err := Find(s.Kind); return err == nil && k.Replaces }
	return replaces(a) && b.touches(etcd.Program) || replaces(b) && a.touches(etcd.Program)
}

// without leaves out what another fault holds.
func (e *Env) without(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(m string) bool { return slices.Contains(e.besides, m) })
}

// held says who else holds something, for evidence.
func (e *Env) held() string {
	if len(e.besides) == 0 {
		return ""
	}
	return "; another fault holds " + strings.Join(e.besides, ", ")
}
