// Package replace upgrades a cluster by new machines in the place of the old ones, through the Azure Resource Manager: AKS Engine's way, with the gates it
// lacks. A machine is drained, its virtual machine, interface and system disk are deleted, a template makes it anew with the data disk it had, and nobody
// goes on before it is seen to be another machine, at the version and whole, its member of etcd voting and holding what the others hold. A tag proves
// nothing. Every step looks at what there is before it acts: what has died at any call goes on by running it again.
package replace

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// Replacement has the steps of an upgrade by replacement.
type Replacement struct {
	*upgrade.Upgrade
	Manager *manager.Client                           // nil: the one of the upgrade's Cloud
	Look    func(context.Context) observe.Observation // nil: the upgrade's observer's

	template *template
	found    map[string]*record // by preflight, which writes nothing
}

// Take gives an upgrade of the strategy replace its steps; one of another is left as it is. What is wrong with its template is a UsageError.
func Take(u *upgrade.Upgrade) error {
	if u.Spec.Strategy != upgrade.Replace {
		return nil
	}
	_, err := New(u)
	return err
}

// New makes the steps of an upgrade.
func New(u *upgrade.Upgrade) (*Replacement, error) {
	t, err := readTemplate(u.Spec.Template, u.Spec.Parameters)
	if err != nil {
		return nil, err
	}
	r := &Replacement{Upgrade: u, template: t, found: map[string]*record{}}
	u.By = r
	return r, nil
}

// named is a machine of the topology.
type named struct{ id, name, role string }

// The roles as records and templates have them.
const (
	controlPlane = "control-plane"
	worker       = "worker"
)

// names are the machines that are replaced, in the order in which they are.
func (r *Replacement) names() []named {
	var out []named
	for i, m := range r.Topology.ControlPlaneMachines() {
		out = append(out, named{fmt.Sprintf("control-plane/%d", i+1), m, controlPlane})
	}
	if r.Spec.ControlPlaneOnly {
		return out
	}
	for i, m := range r.Topology.WorkerMachines() {
		out = append(out, named{fmt.Sprintf("worker/%d", i+1), m, worker})
	}
	return out
}

// Hop is the plan of one version. Step names are MACHINE-ROLE/NUMBER/ACTION, as those of an upgrade in place.
func (r *Replacement) Hop(from, version string) []*plan.Step {
	steps := []*plan.Step{
		{Name: "claim", About: "one at a time replaces machines of this cluster", Run: r.connected(r.claim)},
		{Name: "record", About: "write down how every machine is made", Run: r.connected(r.record)},
		{Name: "missing", About: "make anew first what is lost of the control plane", Run: r.connected(func(ctx context.Context) error { return r.missing(ctx, from, version) }),
			Disrupts: []plan.Disruption{{Machines: r.Topology.ControlPlaneMachines(), AtMost: 1}}},
	}
	workers := 0
	for _, n := range r.names() {
		if n.role == worker {
			if workers++; workers == 1 {
				steps = append(steps, r.adopt(version), r.surge(from, version))
			}
		}
		steps = append(steps, r.steps(n, from, version))
	}
	if workers == 0 {
		steps = append(steps, r.adopt(version))
	} else {
		steps = append(steps, r.surgeEnd(from, version))
	}
	if !r.Spec.ControlPlaneOnly {
		for _, name := range r.Spec.ScaleSets {
			steps = append(steps, r.setSteps(name, from, version))
		}
	}
	return append(steps, &plan.Step{Name: "release", About: "let others replace machines", Run: r.connected(r.release)})
}

// adopt is between the control planes and the workers, as in an upgrade in place: who joins goes by what kubeadm keeps of the cluster.
func (r *Replacement) adopt(version string) *plan.Step {
	first := r.Topology.ControlPlaneMachines()[:1]
	return &plan.Step{Name: "control-plane/kubeadm", About: "have kubeadm bring what it keeps of the cluster to " + version, Run: r.connected(func(ctx context.Context) error { return r.Adopt(ctx, version) }),
		Disrupts: []plan.Disruption{{Machines: first}}}
}

// steps replace one machine.
func (r *Replacement) steps(n named, from, version string) *plan.Step {
	m := &machine{Replacement: r, name: n.name, role: n.role, from: from, version: version}
	whole := []plan.Disruption{{Machines: []string{n.name}}}
	gone := "delete its virtual machine, interface and system disk"
	if n.role == worker {
		gone += ", and its Node"
	}
	return &plan.Step{Name: n.id, About: n.name, Children: []*plan.Step{
		{Name: n.id + "/drain", About: fmt.Sprintf("cordon and evict within %s", r.Spec.DrainTimeout), Run: r.connected(m.drain)},
		{Name: n.id + "/delete", About: gone, Run: r.connected(m.delete), Disrupts: whole, Lingers: true},
		{Name: n.id + "/deploy", About: "a new machine of that name at " + version + ", by template", Run: r.connected(m.deploy), Disrupts: whole, Lingers: true},
		{Name: n.id + "/carry", About: "give its Node the labels, annotations and taints of the old", Run: r.connected(m.carry), Disrupts: whole, Lingers: true},
		{Name: n.id + "/gate", About: "another machine, at the version, and whole, or go no further", Run: r.connected(m.gate), Disrupts: whole},
		{Name: n.id + "/rollback", About: "when a step above fails and nothing was deleted: uncordon", Run: r.connected(m.rollback), Rollback: true},
	}}
}

// surge adds a machine for the time of the upgrade.
func (r *Replacement) surge(from, version string) *plan.Step {
	m := r.surgeMachine(from, version)
	whole := []plan.Disruption{{Machines: []string{m.name}}}
	return &plan.Step{Name: "surge", About: m.name + ", for the time of the upgrade", Children: []*plan.Step{
		{Name: "surge/add", About: "a machine more at " + version + ", by template", Run: r.connected(m.add), Disrupts: whole, Lingers: true},
		{Name: "surge/gate", About: "at the version, and whole, or go no further", Run: r.connected(m.added), Disrupts: whole},
	}}
}

// surgeEnd takes it away.
func (r *Replacement) surgeEnd(from, version string) *plan.Step {
	m := r.surgeMachine(from, version)
	whole := []plan.Disruption{{Machines: []string{m.name}}}
	return &plan.Step{Name: "surge/end", About: m.name, Children: []*plan.Step{
		{Name: "surge/drain", About: fmt.Sprintf("cordon and evict within %s", r.Spec.DrainTimeout), Run: r.connected(m.empty)},
		{Name: "surge/delete", About: "delete its virtual machine, interface and system disk, and its Node", Run: r.connected(m.remove), Disrupts: whole},
	}}
}

// connected opens what a step needs, which is there only when the plan is carried out. Whatever stops it says what to do.
func (r *Replacement) connected(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := r.connect(); err != nil {
			return err
		}
		return advised(run(ctx))
	}
}

// toDo is before what an error says that its reader is to do.
const toDo = "What to do: "

// advised is an error that says what to do: what it says itself, or what holds for all.
func advised(err error) error {
	if err == nil || errors.Is(err, plan.ErrSkip) || strings.Contains(err.Error(), toDo) {
		return err
	}
	return fmt.Errorf("%w. %smend what it names, and run the same again: it goes on where it is", err, toDo)
}

func (r *Replacement) connect() (err error) {
	if r.Look == nil {
		r.Look = r.Observer.Look
	}
	if r.Manager == nil {
		if r.Cloud == "" {
			return cluster.Usagef("strategy: %s needs an Azure Resource Manager whose virtual machines the cluster's machines are: --ready-file FILE of a twin, or spec.twin in a scenario", upgrade.Replace)
		}
		r.Manager, err = open(r.Cloud, r.Topology.Name, r.Spec.MachineTimeout)
	}
	return err
}

// Stands says which machines are not there as virtual machines, and whether somebody else replaces machines.
func (r *Replacement) Stands(ctx context.Context) (found []plan.Finding, gone map[string]string, err error) {
	if err := r.connect(); err != nil {
		return nil, nil, err
	}
	gone = map[string]string{}
	for _, m := range r.names() {
		rec, err := r.recorded(m.name)
		if err != nil {
			return nil, nil, err
		}
		if rec != nil {
			vm, err := r.Manager.VM(ctx, m.name)
			if err != nil {
				return nil, nil, err
			}
			if vm == nil {
				gone[m.name] = r.Path.From
			}
			continue
		}
		if rec, err = r.read(ctx, m.name, m.role); err != nil {
			return nil, nil, err
		}
		if r.found[m.name] = rec; rec == nil {
			found = append(found, unknown(m.name))
			continue
		}
		found = append(found, goAlong(m.name, rec.DataDisks)...)
	}
	other, err := r.held(ctx)
	if other != nil {
		found = append(found, *other)
	}
	return found, gone, err
}
