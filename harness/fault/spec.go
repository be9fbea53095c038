package fault

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
)

// Spec is a fault with all choices made, as a plan has it.
type Spec struct {
	Kind     string        `json:"kind"`
	Target   string        `json:"target"`
	Machines []string      `json:"machines"`        // empty for a target that is only known when it happens
	Among    []string      `json:"among,omitempty"` // those it is one of, then
	Pick     int           `json:"pick"`            // which follower
	For      time.Duration `json:"for"`
	Params
}

// Late reports whether its machine is found only when it happens.
func (s Spec) Late() bool { return len(s.Among) > 0 }

// Latent reports whether the effect shows only in what happens later, such as the start of a program.
func (s Spec) Latent() bool {
	k, err := Find(s.Kind)
	return err == nil && k.Latent
}

// OfTwin reports whether it is done to the twin of Azure Resource Manager beside the cluster.
func (s Spec) OfTwin() bool {
	k, err := Find(s.Kind)
	return err == nil && k.OfTwin
}

// StopsWrites reports whether nobody can write to etcd while the fault holds.
func (s Spec) StopsWrites() bool {
	k, err := Find(s.Kind)
	return err == nil && k.StopsWrites
}

// Touches are the components the fault takes down on its machines; empty: everything.
func (s Spec) Touches() []string {
	k, err := Find(s.Kind)
	if err != nil {
		return nil
	}
	if k.TouchesOf != nil {
		return k.TouchesOf(s.Params)
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
	if err := s.aim(t, rng); err != nil {
		return s, cluster.Usagef("%s: %w", kind, err)
	}
	if k.OfCluster != (target == Cluster) {
		return s, cluster.Usagef("%s: target %s: its target is %s, or what is like it", kind, target, k.Target())
	}
	slices.Sort(s.Machines)
	return s, k.fits(s, t)
}

// aim finds the machines of the target, or whom it can be when it happens.
func (s *Spec) aim(t cluster.Topology, rng *rand.Rand) error {
	members := t.EtcdMachines()
	shuffled := slices.Clone(members)
	rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	s.Pick = rng.IntN(max(1, len(members)-1))
	r, of, found := roleOf(s.Target)
	if !found {
		m, there := t.Find(s.Target)
		if !there {
			return unknownTarget(s.Target, t)
		}
		s.Machines = []string{m}
		return nil
	}
	among, err := r.Among(t, of)
	if err != nil {
		return fmt.Errorf("target %s: %w", s.Target, err)
	}
	if r.Choose == nil {
		s.Among = among
		return nil
	}
	if slices.Equal(among, members) {
		among = shuffled
	}
	s.Machines = append(s.Machines, r.Choose(among)...)
	return nil
}

func unknownTarget(target string, t cluster.Topology) error {
	var roles []string
	for _, r := range Roles() {
		roles = append(roles, r.String())
	}
	return fmt.Errorf("unknown target %q; known: %s, or a machine: %s", target, strings.Join(roles, ", "), strings.Join(t.MachineNames(), ", "))
}

// fits refuses machines that have nothing of what the fault is done to, and what the kind itself finds does not fit.
func (k Kind) fits(s Spec, t cluster.Topology) error {
	if k.On != nil {
		on := k.On(t)
		if k.OfCluster && len(on) == 0 {
			return cluster.Usagef("%s: what it is done to is on no machine of this cluster", k.Name)
		}
		for _, m := range append(slices.Clone(s.Machines), s.Among...) {
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
func (s Spec) Describe() string { return s.describe("for " + s.For.String()) }

// DescribeUntil says the same of a fault that holds until something happens, and not for a time.
func (s Spec) DescribeUntil(end string) string { return s.describe("until " + end) }

func (s Spec) describe(held string) string {
	if s.Kind == DeadOnArrival {
		return s.Kind + " of " + s.ARM.Resource + " " + held
	}
	if s.OfTwin() {
		return OnTwin + " " + s.ofTwin().Describe() + " " + held
	}
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
	if s.Service != "" {
		on = s.Service + " on " + on
	}
	switch {
	case s.Loss > 0:
		kind += " " + s.Loss.String()
	case s.Rate > 0:
		kind += " " + s.Rate.String()
	case s.By != 0:
		kind += " " + signed(s.By)
	}
	if s.Ring {
		on += ", each from all but its neighbours,"
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
	out := fmt.Sprintf("%s of %s %s", kind, on, held)
	if k, err := Find(s.Kind); err == nil && k.Once {
		out = fmt.Sprintf("%s of %s, looked at for %s", kind, on, s.For)
	}
	if s.Delay > 0 {
		out += fmt.Sprintf(", delay %s", s.Delay)
	}
	if s.Jitter > 0 {
		out += fmt.Sprintf(" ± %s", s.Jitter)
	}
	if s.Stays {
		out += ", and does not boot by itself"
	}
	if s.Apart > 0 {
		out += fmt.Sprintf(", %s apart", s.Apart)
	}
	return out
}

// signed is a duration with its sign.
func signed(d time.Duration) string {
	if d > 0 {
		return "+" + d.String()
	}
	return d.String()
}

// Away is how many of the machines are away at most while all the faults hold and those of down are away as well. One that is found only when it happens
// may be any that it can be, and so may those of a fault that takes some of its machines at a time.
func Away(of, down []string, faults ...Spec) int {
	sure, may, late := map[string]bool{}, map[string]bool{}, 0
	note := func(in map[string]bool, names []string) (some bool) {
		for _, m := range names {
			if slices.Contains(of, m) && !sure[m] {
				in[m], some = true, true
			}
		}
		return some
	}
	note(sure, down)
	for _, s := range faults {
		if s.AtMost() == 0 {
			note(sure, s.Machines)
		}
	}
	for _, s := range faults {
		if n := s.AtMost(); n > 0 && note(may, s.Machines) {
			late += n
		}
		if note(may, s.Among) {
			late++
		}
	}
	return len(sure) + min(late, len(may))
}

// Impact is how many etcd members are down or cut off at most while all the faults hold and those of the machines given are down as well. A fault that
// does not touch etcd takes none.
func Impact(t cluster.Topology, down []string, faults ...Spec) int {
	return Away(t.EtcdMachines(), down, slices.DeleteFunc(slices.Clone(faults), func(s Spec) bool { return !s.touches(etcd.Program) })...)
}

// CostsQuorum reports whether a fault takes members that a quorum needs, beside the others and those of down; taken is how many it takes, missing how many are
// away with it.
func CostsQuorum(t cluster.Topology, down []string, besides []Spec, s Spec) (taken, missing int, costs bool) {
	missing = Impact(t, down, append(slices.Clone(besides), s)...)
	taken = missing - Impact(t, down, besides...)
	return taken, missing, taken > 0 && t.EtcdMembers-missing < cluster.Quorum(t.EtcdMembers)
}

// touches reports whether the fault takes a component down on its machines.
func (s Spec) touches(component string) bool {
	touched := s.Touches()
	return len(touched) == 0 || slices.Contains(touched, component)
}
