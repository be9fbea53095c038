// Package fault breaks things on purpose and puts them right: the Fault contract, the Guard that enforces its life cycle and
// writes receipts, and one file per family of faults. List is the explicit list of all of them.
package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Env is what a fault acts on and observes with.
type Env struct {
	Cluster cluster.Cluster
	Etcd    *etcd.Access
	Members *etcd.Watcher
}

// recoversWithin is how long the end of a fault may take to be seen.
func (e *Env) recoversWithin() time.Duration {
	if e == nil || e.Cluster == nil {
		return cluster.Topology{}.RecoversWithin()
	}
	return e.Cluster.Topology().RecoversWithin()
}

// Fault is something done to the chosen machines and undone.
type Fault interface {
	// Inject does it. What was there before is remembered on the machines themselves, so that Recover needs nothing else.
	Inject(ctx context.Context, e *Env, machines []string) error
	// Recover undoes it: idempotent, and safe after half an Inject.
	Recover(ctx context.Context, e *Env, machines []string) error
	// Effective is one observation of the effect, from somewhere other than the injector; an error says what was seen instead. It looks at the
	// machines first and then, as the control of the experiment, at what should not be affected. It is asked before Inject too, one machine at a time.
	Effective(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error)
	// Recovered is one observation that all is as before.
	Recovered(ctx context.Context, e *Env, machines []string) ([]plan.Evidence, error)
}

// Kind is a fault in the list: how a scenario names it and how it is made.
type Kind struct {
	Name  string
	About string
	// Latent: the effect shows only in what an upgrade does while the fault holds.
	Latent bool
	// Touches are the components it takes down or has started anew on its machines; empty: all that runs there, and the machine itself.
	Touches []string
	// Needs are the capabilities of machines it is done, seen and undone by.
	Needs []cluster.Capability
	New   func(s Spec) Fault
}

// List is every fault there is.
func List() []Kind {
	// A stacked API server knows its own machine's member only, controller-manager and scheduler their own machine's API server: what takes the one
	// down makes the others unready, lose their leases, end, and be started anew by their kubelet. The kubelet itself goes on.
	server := []string{observe.APIServer, observe.ControllerManager, observe.Scheduler}
	member := append([]string{etcd.Program}, server...)
	needs := func(c ...cluster.Capability) []cluster.Capability { return c }
	return []Kind{
		{"etcdMemberCrash", "kill -9 of an etcd member that stays down", false, member, needs(cluster.CanKill), func(Spec) Fault { return &memberCrash{} }},
		{"etcdMemberFreeze", "SIGSTOP of an etcd member: its sockets stay open, nothing answers", false, member, needs(cluster.CanFreeze), func(Spec) Fault { return &memberFreeze{} }},
		{"etcdMemberDataLoss", "an etcd member loses its data directory and is replaced", false, member, needs(cluster.CanKill), func(Spec) Fault { return &memberDataLoss{} }},
		{"machinePowerOff", "a machine loses power: nothing is flushed, nothing says goodbye", false, nil, needs(cluster.CanPower), func(s Spec) Fault { return &machinePowerOff{apart: s.Apart} }},
		{"unsyncedWritesLost", "a machine loses power, and with it what etcd wrote in the last 2 s and did not fsync", false, nil, needs(cluster.CanPower, cluster.CanLoseUnsynced), func(Spec) Fault { return &unsyncedWritesLost{} }},
		{"apiServerCrashLoop", "an API server of one version crashes at every start on a machine", true, server, needs(cluster.CanKill, cluster.CanHoldStarts), func(s Spec) Fault { return &apiServerCrashLoop{version: s.Version} }},
		{"machineIsolate", "a machine is cut off from the network", false, member, needs(cluster.CanLinks, cluster.CanDial), func(Spec) Fault { return &machineIsolate{} }},
		{"partition", "machines lose the links to all others, or to those of from; with way: out or in only what they send, or are sent", false, member, needs(cluster.CanLinks, cluster.CanDial), func(s Spec) Fault { return &partition{from: s.From, way: s.Way} }},
	}
}

// Find returns a kind by name; the error lists the known.
func Find(name string) (Kind, error) {
	var known []string
	for _, k := range List() {
		if k.Name == name {
			return k, nil
		}
		known = append(known, k.Name)
	}
	return Kind{}, cluster.Usagef("unknown fault %q; known: %s", name, strings.Join(known, ", "))
}

// Spec is a fault with all choices made, as a plan has it.
type Spec struct {
	Kind     string        `json:"kind"`
	Target   string        `json:"target"`
	Machines []string      `json:"machines"` // empty for a target that is only known when it happens
	Pick     int           `json:"pick"`     // which follower
	For      time.Duration `json:"for"`
	Apart    time.Duration `json:"apart,omitempty"`   // between two of its machines; 0: all at once
	From     []string      `json:"from,omitempty"`    // across from its machines; empty: all others
	Way      cluster.Way   `json:"way,omitempty"`     // of what is lost between them
	Version  string        `json:"version,omitempty"` // of the program, for faults in a version's programs
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

// NewSpec makes all choices of a fault. A minority is as many members as may be lost, a majority one more.
func NewSpec(kind, target string, hold time.Duration, t cluster.Topology, rng *rand.Rand) (Spec, error) {
	s := Spec{Kind: kind, Target: target, For: hold, Machines: []string{}}
	if _, err := Find(kind); err != nil {
		return s, err
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
	for _, m := range s.Machines {
		if on := runsOn(kind, t); on != nil && !slices.Contains(on, m) {
			return s, cluster.Usagef("%s: target %s: what it is done to does not run on %s; it does on %s", kind, target, m, strings.Join(on, ", "))
		}
	}
	return s, nil
}

// runsOn are the machines with the program that a kind of fault is done to; nil: it is done to machines.
func runsOn(kind string, t cluster.Topology) []string {
	switch {
	case strings.HasPrefix(kind, "etcdMember"), kind == "unsyncedWritesLost":
		return t.EtcdMachines()
	case strings.HasPrefix(kind, "apiServer"):
		return t.ControlPlaneMachines()
	}
	return nil
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

func machinesOf(e *Env, names []string) ([]cluster.Machine, error) {
	var out []cluster.Machine
	for _, n := range names {
		m, err := e.Cluster.Machine(n)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// capability runs something on the capability of every named machine, all at once.
func capability[T any](ctx context.Context, e *Env, names []string, do func(ctx context.Context, m cluster.Machine, c T) error) error {
	ms, err := machinesOf(e, names)
	if err != nil {
		return err
	}
	errs := make(chan error, len(ms))
	for _, m := range ms {
		go func() {
			c, err := cluster.As[T](m)
			if err == nil {
				err = do(ctx, m, c)
			}
			errs <- err
		}()
	}
	var first error
	for range ms {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func saw(observer, format string, args ...any) plan.Evidence {
	return plan.Evidence{Time: time.Now(), Observer: observer, Saw: fmt.Sprintf(format, args...)}
}
