package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Spec is a fault with all choices made, as a plan has it.
type Spec struct {
	Kind     string        `json:"kind"`
	Target   string        `json:"target"`
	Machines []string      `json:"machines"` // empty for a target that is only known when it happens
	Pick     int           `json:"pick"`     // which follower
	For      time.Duration `json:"for"`
	Params
}

// Latent reports whether the effect shows only in what happens later, such as the start of a program.
func (s Spec) Latent() bool {
	k, err := Find(s.Kind)
	return err == nil && k.Latent
}

// Touches are the components the fault takes down on its machines; empty: everything.
func (s Spec) Touches() []string {
	k, err := Find(s.Kind)
	if err != nil {
		return nil
	}
	return k.Touches
}

// Lacking says which of the capabilities that the fault needs are missing, and why; empty: none is.
func (s Spec) Lacking(l cluster.Lacks) string {
	k, err := Find(s.Kind)
	if err != nil {
		return ""
	}
	return l.Why(k.Needs...)
}

// Targets that are resolved when the fault happens, and those resolved when it is planned.
const (
	Leader   = "leader"
	Follower = "follower"
	Any      = "any"
	Minority = "minority"
	Majority = "majority"
	Workers  = "workers" // all of them
	Members  = "members" // all of etcd's
)

// NewSpec makes all choices of a fault; a UsageError says why there can be no such fault on the cluster. A minority is as many members as may be lost,
// a majority one more.
func NewSpec(kind, target string, hold time.Duration, p Params, t cluster.Topology, rng *rand.Rand) (Spec, error) {
	s := Spec{Kind: kind, Target: target, For: hold, Machines: []string{}, Params: p}
	k, err := Find(kind)
	if err != nil {
		return s, err
	}
	if err := k.Check(p); err != nil {
		return s, &cluster.UsageError{Err: err}
	}
	members := t.EtcdMachines()
	shuffled := slices.Clone(members)
	rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	s.Pick = rng.IntN(max(1, len(members)-1))
	switch target {
	case Leader, Follower:
	case Any:
		s.Machines = shuffled[:1]
	case Minority:
		s.Machines = shuffled[:cluster.Tolerance(len(members))]
	case Majority:
		s.Machines = shuffled[:cluster.Tolerance(len(members))+1]
	case Workers:
		if s.Machines = append(s.Machines, t.WorkerMachines()...); len(s.Machines) == 0 {
			return s, cluster.Usagef("%s: target %s: the cluster has none", kind, target)
		}
	case Members:
		s.Machines = shuffled
	default:
		if m, ok := t.Find(target); ok {
			s.Machines = []string{m}
		} else {
			var names []string
			for _, m := range t.Machines() {
				names = append(names, m.Name)
			}
			return s, cluster.Usagef("%s: unknown target %q; known: %s, %s, %s, %s, %s, %s, %s, or a machine: %s", kind, target,
				Leader, Follower, Any, Minority, Majority, Workers, Members, strings.Join(names, ", "))
		}
	}
	slices.Sort(s.Machines)
	return s, k.fits(s, t)
}

// fits refuses machines that have nothing of what the fault is done to, and what the kind itself finds does not fit.
func (k Kind) fits(s Spec, t cluster.Topology) error {
	if k.On != nil {
		on := k.On(t)
		for _, m := range s.Machines {
			if !slices.Contains(on, m) {
				return cluster.Usagef("%s: target %s: what it is done to does not run on %s; it does on %s", k.Name, s.Target, m, none(on))
			}
		}
	}
	if k.Fits == nil {
		return nil
	}
	return k.Fits(s, t)
}

func none(names []string) string {
	if len(names) == 0 {
		return "no machine of this cluster"
	}
	return strings.Join(names, ", ")
}

// Describe says what will be done, from the fields that will be used.
func (s Spec) Describe() string {
	on := s.Target
	switch s.Target {
	case Follower:
		on = fmt.Sprintf("follower #%d", s.Pick+1)
	case Minority, Majority, Any, Workers, Members:
		on = fmt.Sprintf("%s (%s)", s.Target, strings.Join(s.Machines, ", "))
		if len(s.Machines) == 0 {
			on = s.Target + " (none)"
		}
	default:
		if len(s.Machines) == 1 && s.Machines[0] != s.Target {
			on = fmt.Sprintf("%s (%s)", s.Target, s.Machines[0])
		}
	}
	kind := s.Kind
	if s.Version != "" {
		kind += " " + s.Version
	}
	if len(s.From) > 0 {
		on += " from " + strings.Join(s.From, ", ")
	}
	switch s.Way {
	case cluster.Outbound:
		on += ", of what it sends only,"
	case cluster.Inbound:
		on += ", of what is sent to it only,"
	case cluster.BothWays:
	}
	out := fmt.Sprintf("%s of %s for %s", kind, on, s.For)
	if s.Apart > 0 {
		out += fmt.Sprintf(", %s apart", s.Apart)
	}
	return out
}

// ImpactWith is how many etcd members are down or cut off while the fault holds and the given machines are down besides. A leader or follower
// may be one more.
func (s Spec) ImpactWith(t cluster.Topology, down []string) int {
	all := map[string]bool{}
	for _, m := range append(slices.Clone(down), s.Machines...) {
		if slices.Contains(t.EtcdMachines(), m) {
			all[m] = true
		}
	}
	if s.Target == Leader || s.Target == Follower {
		return len(all) + 1
	}
	return len(all)
}

// resolve finds the machines of a target that depends on who leads.
func (s Spec) resolve(ctx context.Context, e *Env) ([]string, error) {
	if s.Target != Leader && s.Target != Follower {
		return s.Machines, nil
	}
	var out []string
	err := cluster.Await(ctx, "an etcd leader", cluster.Wait{For: 15 * time.Second}, func(ctx context.Context) error {
		var leaders, followers []string
		for _, m := range e.Members.Members(ctx, 2*time.Second) {
			switch {
			case m.IsLeader():
				leaders = append(leaders, m.Machine)
			case m.Healthy():
				followers = append(followers, m.Machine)
			}
		}
		if len(leaders) != 1 {
			return fmt.Errorf("%d members take themselves for the leader", len(leaders))
		}
		out = leaders
		if s.Target == Follower {
			if len(followers) == 0 {
				return fmt.Errorf("there is no follower")
			}
			slices.Sort(followers)
			out = followers[s.Pick%len(followers) : s.Pick%len(followers)+1]
		}
		return nil
	})
	return out, err
}
