// Package upgrade takes a cluster from one Kubernetes version to another with the real kubeadm, one machine at a time: the plan of the steps, and
// the steps themselves, each of which looks at the machine before it acts, so that an interrupted upgrade is resumed by running it again. The rules of
// versions are in policy, what must hold before in preflight.
package upgrade

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/harness/upgrade/policy"
)

// Upgrade carries out the steps of a plan. The plan is built before there is a cluster; Target and the rest are set before its steps run.
type Upgrade struct {
	Spec     Spec
	Path     policy.Path
	Topology cluster.Topology

	Target   *observe.Target
	Observer *observe.Observer
	Dir      string   // where etcd snapshots are kept, and what replaced nodes carried
	Env      []string // of the strategy command: KUBECONFIG and the like
	Cloud    string   // of the strategy replace: the file that says where the Resource Manager is; empty: there is none
	By       Replacer // of the strategy replace
	Driver   Driver   // of the strategy aks-engine

	Chooser cluster.EtcdChooser // knows which etcd the kubeadm of a version takes members to; nil: nobody does

	ailing []string // pods and workloads that were not well before: preflight has seen them
	// Accepted is called when preflight has let the upgrade pass and nothing is touched yet, with what it has found all the same; may be nil.
	Accepted func(found []plan.Finding) error
}

// Replacer has the steps of the strategy replace: it is in a package of its own, so that who upgrades otherwise links no client of a cloud.
type Replacer interface {
	// Hop is what replaces every machine by one of a version.
	Hop(from, version string) []*plan.Step
	// Stands says, before anything is touched and touching nothing, what stands against it, and which machines are gone that the upgrade knows how to make
	// anew, with the version they had.
	Stands(ctx context.Context) (found []plan.Finding, gone map[string]string, err error)
}

// Driver is somebody else's tool that upgrades a cluster, all of it. An error is that it did not end well, by what it says itself.
type Driver interface {
	Upgrade(ctx context.Context) error
}

// New judges the path from the cluster's version and returns the upgrade; what the policy refuses is a UsageError.
func New(spec Spec, from string, t cluster.Topology) (*Upgrade, error) {
	if err := spec.Fits(t); err != nil {
		return nil, err
	}
	known, err := policy.KnownVersions(spec.Product())
	if err != nil {
		return nil, err
	}
	for _, v := range append(slices.Clone(spec.Via), spec.To) { // any patch release of a known minor is one
		if r, err := release.Resolve(spec.Product(), v); err == nil && r.Version == v && !slices.Contains(known, v) {
			known = append(known, v)
		}
	}
	path, err := policy.PathTo(spec.Product(), from, spec.To, spec.Via, known, spec.Force)
	if err != nil {
		return nil, err
	}
	return &Upgrade{Spec: spec, Path: path, Topology: t}, nil
}

// Describe says what will be done, from the fields that will be used.
func (u *Upgrade) Describe() string {
	how := "kubeadm, workers " + u.Spec.Workers
	switch {
	case u.Spec.Strategy == Command:
		how = strings.Join(u.Spec.Command, " ")
	case u.Spec.Strategy == Etcd:
		how = "etcd, one member at a time"
	case u.Spec.Strategy == Replace && u.Spec.ControlPlaneOnly:
		how = "new machines, control plane only"
	case u.Spec.Strategy == Replace:
		how = "new machines, workers by surge"
	case u.Spec.Strategy == AKSEngine:
		how = fmt.Sprintf("AKS Engine, which calls it %s to %s", u.Spec.Tool.From, u.Spec.Tool.To)
	case u.Spec.ControlPlaneOnly:
		how = "kubeadm, control plane only"
	case u.Spec.Workers == Rolling:
		how += fmt.Sprintf(" %d at a time", u.Spec.MaxUnavailable)
	}
	if u.Spec.EtcdVersion != "" {
		how += ", etcd to " + u.Spec.EtcdVersion
	}
	return fmt.Sprintf("%s (%s)", u.Path, how)
}

// Steps is the plan. Every step looks before it acts and skips what is done, so that running the same plan again resumes it. Step names are
// MACHINE-ROLE/NUMBER/ACTION, below the hop's version when there are several hops.
func (u *Upgrade) Steps() []*plan.Step {
	steps := []*plan.Step{
		{Name: "preflight", About: "refuse what is unsafe before anything is touched", Run: u.preflight},
	}
	if u.Spec.Foreign() {
		command := &plan.Step{Name: "command", About: strings.Join(u.Spec.Command, " "), Run: u.command, Disrupts: u.oneAtATime()}
		if u.Spec.Strategy == AKSEngine {
			command = &plan.Step{Name: "aks-engine", About: u.Spec.Tool.about(), Run: func(ctx context.Context) error { return u.Driver.Upgrade(ctx) }, Disrupts: u.oneAtATime()}
		}
		return append(steps,
			&plan.Step{Name: "snapshot", About: "save etcd", Run: func(ctx context.Context) error { return u.snapshot(ctx, u.Spec.To) }},
			command,
			&plan.Step{Name: "verify", About: "every machine runs " + u.Spec.To, Run: func(ctx context.Context) error { return u.verify(ctx, u.Spec.To) }},
		)
	}
	if u.Spec.Strategy == Etcd {
		return append(steps, u.hops()...)
	}
	steps = append(steps, &plan.Step{Name: "autoscaler/pause", About: "so that nobody else changes the nodes", Run: u.pauseAutoscaler})
	steps = append(steps, u.hops()...)
	return append(steps, &plan.Step{Name: "autoscaler/resume", About: "also after a failure", Run: u.resumeAutoscaler, Cleanup: true})
}

// Provide gets the programs of every version on the path, and keeps who knows what they choose.
func (u *Upgrade) Provide(ctx context.Context, p cluster.Provider) error {
	u.Chooser, _ = p.(cluster.EtcdChooser)
	if u.Spec.EtcdVersion != "" {
		if err := p.Provide(ctx, release.Etcd, u.Spec.EtcdVersion); err != nil {
			return err
		}
	}
	for _, v := range u.Path.Hops {
		if err := p.Provide(ctx, u.Spec.Product(), v); err != nil {
			return err
		}
	}
	return nil
}

// hops are the steps of each version on the path; of several, in a group that is called by it.
func (u *Upgrade) hops() (steps []*plan.Step) {
	from := u.Path.From
	for _, version := range u.Path.Hops {
		hop := u.hop(from, version)
		from = version
		if len(u.Path.Hops) > 1 {
			prefix(hop, version+"/")
			hop = []*plan.Step{{Name: version, About: "upgrade to " + version, Children: hop}}
		}
		steps = append(steps, hop...)
	}
	return steps
}

func prefix(steps []*plan.Step, with string) {
	for _, s := range steps {
		s.Name = with + s.Name
		prefix(s.Children, with)
	}
}

// oneAtATime is what somebody else's program may take down: nobody knows when it is where, but never two control planes at once, no more workers than the
// spec says, and no machine any more that it has brought to the version.
func (u *Upgrade) oneAtATime() []plan.Disruption {
	out := []plan.Disruption{{Machines: u.Topology.ControlPlaneMachines(), AtMost: 1, Until: u.Spec.To}}
	if workers := u.Topology.WorkerMachines(); !u.Spec.ControlPlaneOnly && len(workers) > 0 {
		out = append(out, plan.Disruption{Machines: workers, AtMost: u.Spec.MaxUnavailable, Until: u.Spec.To})
	}
	return out
}

// static are the static pods of control planes.
func (u *Upgrade) static(machines ...string) []plan.Disruption {
	return []plan.Disruption{{Machines: machines, Components: kubeadm.StaticPods(u.Topology)}}
}

// node is a machine's kubelet, and on a control plane its static pods, which a new kubelet starts anew.
func (u *Upgrade) node(machine string) []plan.Disruption {
	out := []plan.Disruption{{Machines: []string{machine}, Components: []string{observe.Kubelet}}}
	if slices.Contains(u.Topology.ControlPlaneMachines(), machine) {
		out = append(out, u.static(machine)...)
	}
	return out
}

// hop is the upgrade to one version: snapshot, control planes one at a time, then workers; or members.
func (u *Upgrade) hop(from, version string) []*plan.Step {
	steps := []*plan.Step{
		{Name: "snapshot", About: "save etcd", Run: func(ctx context.Context) error { return u.snapshot(ctx, version) }},
	}
	if u.Spec.Strategy == Etcd {
		return append(steps, u.members(from, version)...)
	}
	if u.Spec.Strategy == Replace {
		steps = append(steps, u.By.Hop(from, version)...)
	} else {
		steps = append(steps, u.machines(from, version)...)
	}
	return append(steps, &plan.Step{Name: "verify", About: "every machine runs " + version, Run: func(ctx context.Context) error { return u.verify(ctx, version) }})
}

// machines are upgraded in place, control planes one at a time.
func (u *Upgrade) machines(from, version string) []*plan.Step {
	var steps []*plan.Step
	for i, name := range u.Topology.ControlPlaneMachines() {
		steps = append(steps, u.machineSteps(fmt.Sprintf("control-plane/%d", i+1), name, from, version, true))
	}
	if !u.Spec.ControlPlaneOnly {
		steps = append(steps, u.workers(from, version)...)
	}
	return steps
}

// workers are upgraded in batches; a batch of one needs no group.
func (u *Upgrade) workers(from, version string) []*plan.Step {
	if u.Spec.Workers == Surge {
		return u.surge(from, version)
	}
	var all, out []*plan.Step
	for i, name := range u.Topology.WorkerMachines() {
		all = append(all, u.machineSteps(fmt.Sprintf("worker/%d", i+1), name, from, version, u.Spec.Workers == Rolling))
	}
	size := u.Spec.MaxUnavailable
	if u.Spec.Workers == AllAtOnce {
		size = len(all)
	}
	for len(all) > 0 {
		n := min(size, len(all))
		if n == 1 {
			out = append(out, all[0])
		} else {
			out = append(out, &plan.Step{Name: fmt.Sprintf("workers/%d", len(out)+1), About: fmt.Sprintf("%d workers at the same time", n), Parallel: true, Children: all[:n]})
		}
		all = all[n:]
	}
	return out
}

// machineSteps takes one machine to the version and proves that it is well.
func (u *Upgrade) machineSteps(id, machine, from, version string, drain bool) *plan.Step {
	m := &machineUpgrade{Upgrade: u, machine: machine, from: from, version: version}
	command := "kubeadm upgrade node"
	controlPlane := strings.HasPrefix(id, "control-plane")
	if id == "control-plane/1" {
		command = "kubeadm upgrade apply"
	}
	steps := []*plan.Step{}
	if drain {
		steps = append(steps, &plan.Step{Name: id + "/drain", About: fmt.Sprintf("cordon and evict within %s", u.Spec.DrainTimeout), Run: m.drain})
	}
	var static []plan.Disruption // of a worker kubeadm rewrites files only
	if controlPlane {
		static = u.static(machine)
	}
	node := u.node(machine)
	about := command + " to " + version
	if controlPlane && kubeadm.Hastened(u.Topology) {
		static = node
		about += ", the kubelet restarted as soon as an old static pod has ended"
	}
	steps = append(steps,
		&plan.Step{Name: id + "/kubeadm", About: about, Run: m.kubeadm, Disrupts: static},
		&plan.Step{Name: id + "/kubelet", About: "swap and restart the kubelet", Run: m.kubelet, Disrupts: node, Lingers: true},
	)
	if drain {
		steps = append(steps, &plan.Step{Name: id + "/uncordon", Run: m.uncordon, Disrupts: node, Lingers: true})
	}
	steps = append(steps, &plan.Step{Name: id + "/gate", About: "well at the new version, or go no further", Run: m.gate, Disrupts: node})
	back := &plan.Step{Name: id + "/rollback", About: "when a step above fails: back to the version before", Run: m.rollback, Rollback: true, Disrupts: node}
	if !controlPlane {
		back.About = "when a step above fails: back to the version before, and uncordon"
	}
	steps = append(steps, back)
	if controlPlane && u.Spec.RestoreSnapshot {
		steps = append(steps, &plan.Step{
			Name: id + "/restore", About: "when the rollback does not make it well: etcd back to the snapshot, writes since are lost", Run: m.restoreEtcd,
			Rollback: true, Disrupts: append(u.static(u.Topology.ControlPlaneMachines()...), plan.Disruption{Machines: u.Topology.EtcdMachines(), Components: []string{etcd.Program}}),
		})
	}
	return &plan.Step{Name: id, About: machine, Children: steps}
}
