// Package fault breaks things on purpose and puts them right: the Fault contract, the Guard that enforces its life cycle and
// writes receipts, and one file per family of faults. List is the explicit list of all of them.
package fault

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/azure"
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
	Client  kubernetes.Interface // the run's own, whose connections roles are about; nil: one is made
	Held    *Held                // by all faults of the run; nil: there is one at a time
	// Twin is that of Azure Resource Manager beside the cluster, and TwinWall turns its times into the wall's; nil: there is none.
	Twin     *azure.Twin
	TwinWall func(t time.Time) time.Time
	Pool     Provisioner // makes machines by the twin's calls; nil: nobody does

	besides []string          // machines that only other faults hold: they are no control, and their state is not this fault's
	taken   map[string]string // those of them that this one cannot be done to as well, and why
	due     func() error      // why it is too late to begin it, of a fault that takes a while to prepare; nil: it never is
}

// late says that it is too late to begin the fault; nil: it is not.
func (e *Env) late() error {
	if e.due == nil {
		return nil
	}
	if err := e.due(); err != nil {
		return fmt.Errorf("%w: %w", plan.ErrSkip, err)
	}
	return nil
}

// recoversWithin is how long the end of a fault may take to be seen.
func (e *Env) recoversWithin() time.Duration {
	if e == nil || e.Cluster == nil {
		return cluster.Topology{}.RecoversWithin()
	}
	return e.Cluster.Topology().RecoversWithin()
}

// effectiveWithin is how long a fault's effect may take to be seen. What is done in a machine whose processor a program imitates takes several times as
// long.
func (e *Env) effectiveWithin(g *Guard) time.Duration {
	if g.Null && g.Spec.OfTwin() { // nobody's call will come to meet it
		return redWithin
	}
	const slowly = 3 * time.Minute
	if !g.Null && e != nil && e.Cluster != nil && e.Cluster.Topology().VMWorkers > 0 {
		return max(g.within, slowly)
	}
	return g.within
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

// tidier is a fault that keeps something on its machines to be undone by. What somebody else has ended needs it no more.
type tidier interface {
	// Tidy removes it; idempotent.
	Tidy(ctx context.Context, e *Env, machines []string) error
}

// Kind is a fault in the list: how a scenario names it and how it is made.
type Kind struct {
	Name  string
	About string
	// Latent: the effect shows only in what an upgrade does while the fault holds.
	Latent bool
	// Replaces: to undo it a member is removed and another added, and while that goes on no other member may be away.
	Replaces bool
	// Touches are the components it takes down or has started anew on its machines; empty: all that runs there, and the machine itself.
	Touches []string
	// TouchesOf is the same of a kind where the params say it.
	TouchesOf func(p Params) []string
	// Kubelet: that of its machine must go on, where there is one: it starts what the fault has ended, or tells what comes of it.
	Kubelet bool
	// Once: it is over as soon as it is done, and its duration is how long is looked at what comes of it.
	Once bool
	// OfCluster: it is done to the cluster as a whole, which is its only target, and to no machine.
	OfCluster bool
	// OfTwin: it is done to the twin of Azure Resource Manager beside the cluster, and shows when somebody calls that: what comes next goes on while its
	// effect is awaited.
	OfTwin bool
	// StopsWrites: while it holds nobody can write to etcd, whomever he asks.
	StopsWrites bool
	// Silent: what is sent meanwhile is lost without a word, and the kernels of both ends try again ever more seldom.
	Silent bool
	// Needs are the capabilities of machines it is done, seen and undone by.
	Needs []cluster.Capability
	// Takes are the names of the Params it has a use for.
	Takes []string
	// Valid refuses params that nothing can be done by, whatever the cluster; nil: all will do.
	Valid func(p Params) error
	// Samples are what a storm does it with; none: it needs no params, or is not for storms.
	Samples []Params
	// On are the machines of a cluster with what it is done to; nil: any machine.
	On func(t cluster.Topology) []string
	// Fits refuses, with a UsageError, choices that make no sense together on a cluster; nil: all do.
	Fits func(s Spec, t cluster.Topology) error
	New  func(s Spec) Fault
}

// Target is where it is done when nothing is said.
func (k Kind) Target() string {
	if k.OfCluster {
		return Cluster
	}
	return Any
}

// List is every fault there is.
func List() []Kind {
	server, member := aroundServer(), aroundMember()
	needs := func(c ...cluster.Capability) []cluster.Capability { return c }
	return slices.Concat([]Kind{
		{
			Name: "etcdMemberCrash", About: "kill -9 of an etcd member that stays down", Touches: member, Kubelet: true, Needs: needs(cluster.CanKill),
			On: cluster.Topology.EtcdMachines, New: func(Spec) Fault { return &memberCrash{} },
		},
		{
			Name: "etcdMemberFreeze", About: "SIGSTOP of an etcd member: its sockets stay open, nothing answers", Touches: member, Needs: needs(cluster.CanFreeze),
			On: cluster.Topology.EtcdMachines, New: func(Spec) Fault { return &memberFreeze{} },
		},
		{
			Name: "etcdMemberDataLoss", About: "an etcd member loses its data directory and is replaced", Replaces: true, Touches: member, Kubelet: true, Needs: needs(cluster.CanKill),
			On: cluster.Topology.EtcdMachines, New: func(Spec) Fault { return &memberDataLoss{} },
		},
		{
			Name: "machinePowerOff", About: "a machine loses power: nothing is flushed, nothing says goodbye", Needs: needs(cluster.CanPower),
			Takes: []string{"apart"}, New: func(s Spec) Fault { return &machinePowerOff{apart: s.Apart} },
		},
		{
			Name: "machineFreeze", About: "all that runs on a machine is stopped: its kernel accepts connections, nothing answers", Needs: needs(cluster.CanPause),
			New: func(Spec) Fault { return &machineFreeze{} },
		},
		{
			Name: "unsyncedWritesLost", About: "a machine loses power, and with it what etcd wrote in the last 2 s and did not fsync; with delay each fsync takes so much longer then",
			Needs: needs(cluster.CanPower, cluster.CanLoseUnsynced, cluster.CanSlowDisk), Takes: []string{"delay"}, Samples: []Params{{}}, Valid: validSlow,
			On: cluster.Topology.EtcdMachines, New: func(s Spec) Fault { return &unsyncedWritesLost{delay: s.Delay} },
		},
		{
			Name: "diskFull", About: "the disk of a member is full: what it writes there fails, and it ends", Touches: member, Kubelet: true, Needs: needs(cluster.CanFillDisk),
			On: cluster.Topology.EtcdMachines, New: func(Spec) Fault { return &diskFull{} },
		},
		{
			Name: "etcdNoSpace", About: "etcd's database is full: nobody can write until it is compacted, defragmented and the alarm NOSPACE disarmed",
			Touches: []string{etcd.Program}, StopsWrites: true, Needs: needs(cluster.CanLimitEtcd), On: cluster.Topology.EtcdMachines, Fits: fitsNoSpace,
			New: func(Spec) Fault { return &etcdNoSpace{} },
		},
		{
			Name: "diskSlow", About: "each fsync of etcd's takes longer on a machine: delay, 500ms by default", Touches: member,
			Needs: needs(cluster.CanSlowDisk, cluster.CanDial), Takes: []string{"delay"}, Samples: []Params{{}, {Delay: 300 * time.Millisecond}}, Valid: validSlow, On: cluster.Topology.EtcdMachines, New: newDiskSlow,
		},
		{
			Name: "oomPanic", About: "a machine's memory runs out and its kernel panics (vm.panic_on_oom=1), to boot 5 s later (kernel.panic=5), or with stays: true to stand still (kernel.panic=0)",
			Needs: needs(cluster.CanPanic, cluster.CanPower), Takes: []string{"stays"}, Samples: []Params{{}}, New: func(s Spec) Fault { return &outOfMemory{panics: true, stays: s.Stays} },
		},
		{
			Name: "oomKill", About: "a machine's memory runs out and its kernel ends one process, whichever it chooses (vm.panic_on_oom=0)",
			Needs: needs(cluster.CanPanic, cluster.CanPower), New: func(Spec) Fault { return &outOfMemory{} },
		},
		{
			Name: "apiServerCrashLoop", About: "an API server of one version crashes at every start on a machine", Latent: true, Touches: server, Kubelet: true,
			Needs: needs(cluster.CanKill, cluster.CanHoldStarts), Takes: []string{"version"}, Valid: validCrashLoop,
			On: cluster.Topology.ControlPlaneMachines, New: func(s Spec) Fault { return &apiServerCrashLoop{version: s.Version} },
		},
		{
			Name: "machineIsolate", About: "a machine is cut off from the network", Silent: true, Touches: member, Needs: needs(cluster.CanLinks, cluster.CanDial),
			New: func(Spec) Fault { return &machineIsolate{} },
		},
		{
			Name: "partition", About: "machines lose the links to all others, or to those of from; with way: out or in only what they send, or are sent; ring: true leaves each only those to its neighbours",
			Silent: true, Touches: member, Needs: needs(cluster.CanLinks, cluster.CanDial), Takes: []string{"from", "way", "ring"}, Samples: []Params{{}, {Way: cluster.Outbound}, {Way: cluster.Inbound}}, Valid: validWay, Fits: fitsPartition,
			New: func(s Spec) Fault { return &partition{from: s.From, way: s.way(), ring: s.ring()} },
		},
		{
			Name: "certificateExpired", About: "an API server serves a certificate that has run out, or with service: kubelet a kubelet starts with one; signed by the cluster's authority",
			TouchesOf: touchesCertificate, Needs: needs(cluster.CanKeepFiles), Takes: []string{"service"}, Samples: []Params{{}, {Service: observe.Kubelet}}, Valid: validCertificate,
			On: cluster.Topology.KubernetesMachines, Fits: fitsCertificate, New: newCertificate,
		},
		{
			Name: "controlPlaneExpired", About: "all certificates that kubeadm keeps on a control plane have run out, in files and kubeconfigs, and its static pods use them; signed by the cluster's authorities",
			Touches: slices.Concat(member, []string{observe.Kubelet}), Kubelet: true, Needs: needs(cluster.CanKeepFiles, cluster.CanKill),
			On: cluster.Topology.ControlPlaneMachines, New: func(Spec) Fault { return &controlPlaneExpired{} },
		},
		{
			Name: "webhookDead", About: "every new pod outside kube-system must be admitted by a webhook that nobody serves", OfCluster: true, Touches: []string{"admission"},
			On: cluster.Topology.ControlPlaneMachines, New: func(Spec) Fault { return &webhookDead{} },
		},
		{
			Name: "imagePullFails", About: "a machine's container runtime can pull no image; what runs there goes on", Touches: []string{"image pulls"}, Kubelet: true,
			Needs: needs(cluster.CanRefusePulls), On: cluster.Topology.KubernetesMachines, Fits: fitsAnother, New: func(Spec) Fault { return &imagePullFails{} },
		},
		{
			Name: "dnsLost", About: "what pods and programs of a machine ask of DNS servers is lost, over UDP and TCP", Touches: []string{"DNS"}, Kubelet: true,
			Needs: needs(cluster.CanLoseNames), On: cluster.Topology.KubernetesMachines, Fits: fitsAnother, New: func(Spec) Fault { return &dnsLost{} },
		},
		{
			Name: "clockSkew", About: "a machine's clock is ahead of the others' by so much, or behind with a minus: by, 1m to 24h", Touches: []string{observe.Kubelet},
			Needs: needs(cluster.CanSetClock), Takes: []string{"by"}, Samples: []Params{{By: 10 * time.Minute}, {By: -10 * time.Minute}}, Valid: validSkew,
			On: cluster.Topology.KubernetesMachines, Fits: fitsSkew, New: func(s Spec) Fault { return &clockSkew{by: s.By} },
		},
		{
			Name: OnTwin, About: "the twin of Azure Resource Manager beside the cluster has a fault of a kind: what `drydock arm fault inject` knows, in its words", OfCluster: true, OfTwin: true, Needs: needs(cluster.CanScale), Touches: []string{"Azure Resource Manager"},
			Takes: armFields(), Valid: func(p Params) error { return p.ofTwin().Check() }, New: func(s Spec) Fault { return &onTwin{asked: s.ofTwin()} },
		},
		{
			Name: DeadOnArrival, About: "a machine that is made by a call of the twin is back and provisioned, and then its kubelet dies: resource says which, by name", OfCluster: true, OfTwin: true, Needs: needs(cluster.CanScale),
			Touches: []string{observe.Kubelet}, Takes: []string{"resource"}, Valid: validDead, New: func(s Spec) Fault { return &deadOnArrival{pattern: s.ARM.Resource} },
		},
	}, linkKinds(), serviceKinds())
}

// aroundServer is what an API server takes with it. Controller-manager and scheduler know their own machine's only: what takes that down makes them lose
// their leases, end, and be started anew by their kubelet, which itself goes on.
func aroundServer() []string {
	return []string{observe.APIServer, observe.ControllerManager, observe.Scheduler}
}

// aroundMember is what a member takes with it: a stacked API server knows its own machine's only.
func aroundMember() []string { return append([]string{etcd.Program}, aroundServer()...) }

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
