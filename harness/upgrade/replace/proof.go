package replace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// lookAgain is how long a machine that should be well may be seen otherwise before that is believed.
const lookAgain = 30 * time.Second

// skipIfDone looks whether nothing is left to do: the machine was made at the version, and is seen to be well at it. Its tag alone says what it was asked for.
// With force that is only what this upgrade has made.
func (m *machine) skipIfDone(ctx context.Context) error {
	if m.done != nil || m.Replacing(m.name) {
		return m.done
	}
	rec, err := m.must()
	if err != nil {
		return err
	}
	vm, err := m.Manager.VM(ctx, m.name)
	if err != nil || vm == nil {
		return err
	}
	own := rec.Done == m.version && rec.Made == vm.Made()
	if m.Spec.Force && !own || vm.Tags[provider.VersionTag] != provider.VersionTagged(m.version) || vm.Properties.State != manager.Succeeded {
		return nil
	}
	sick := m.wellWithin(ctx, lookAgain)
	if sick == nil {
		m.done = fmt.Errorf("%w: %s was observed at %s and well", plan.ErrSkip, m.name, m.version)
		return m.done
	}
	if ctx.Err() != nil || m.silent(ctx) {
		return ctx.Err()
	}
	return plan.Refusal("to take "+m.name+" for done", []plan.Finding{{
		Check: "done", Severity: plan.Blocker, What: fmt.Sprintf("its virtual machine is tagged %s, and its kubelet runs, but %v", provider.VersionTagged(m.version), sick),
		Why: "nobody goes on beside a machine that is not well, and one that lives is not deleted unasked",
		Fix: "mend it, or delete its virtual machine, and run the same again: what is gone is made anew first",
	}})
}

// wellWithin looks until the machine is well at the version, and says what is wrong with it when it is not by then.
func (m *machine) wellWithin(ctx context.Context, d time.Duration) error {
	return cluster.Await(ctx, m.name+" well at "+m.version, cluster.Wait{For: d, Every: time.Second}, func(ctx context.Context) error {
		return health.MachineWhole(m.Look(ctx), m.name, m.Wanted(m.version, m.name))
	})
}

// silent reports whether nothing on the machine answers: it is lost.
func (m *machine) silent(ctx context.Context) bool {
	return !slices.ContainsFunc(m.Look(ctx).Components, func(c observe.Component) bool { return c.Machine == m.name && c.Version != "" })
}

// proven waits until the machine is another one than the old, at the version, with the data disks it had, and everything whole with it for a steady time.
func (m *machine) proven(ctx context.Context, was old) (*manager.VM, error) {
	vm, err := m.Manager.VM(ctx, m.name)
	if err != nil {
		return nil, err
	}
	if err := m.made(vm, was); err != nil {
		return nil, err
	}
	if err := errors.Join(m.balanced(ctx, vm), m.permitted(ctx, vm)); err != nil {
		return nil, err
	}
	wanted := m.Wanted(m.version, m.name)
	_, err = observe.AwaitSteady(ctx, m.Look, fmt.Sprintf("the new %s well at %s", m.name, m.version), m.Spec.MachineTimeout, health.Steady(m.Topology), func(o observe.Observation) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		n, err := m.Target.Client.CoreV1().Nodes().Get(ctx, m.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return errors.Join(kubeadm.Another(n, was.Identity), health.MachineWhole(o, m.name, wanted), health.Whole(o, wanted))
	})
	return vm, err
}

// made says why a virtual machine is not the new one, made as it should be.
func (m *machine) made(vm *manager.VM, was old) error {
	rec, err := m.must()
	switch {
	case err != nil:
		return err
	case vm == nil:
		return fmt.Errorf("there is no virtual machine %s", m.name)
	case vm.Made() == was.Made:
		return fmt.Errorf("the virtual machine %s is still the old one", m.name)
	case vm.Properties.State != manager.Succeeded || vm.Tags[provider.VersionTag] != provider.VersionTagged(m.version):
		return fmt.Errorf("the virtual machine %s is %s and tagged %q", m.name, vm.Properties.State, vm.Tags[provider.VersionTag])
	}
	for _, d := range rec.DataDisks {
		attached := func(a manager.DataDisk) bool { return strings.EqualFold(a.ManagedDisk.ID, d.ManagedDisk.ID) }
		if !slices.ContainsFunc(vm.Properties.StorageProfile.DataDisks, attached) {
			return fmt.Errorf("the data disk %s is not attached to the new virtual machine %s: its template must take dataDisks", d.Name, m.name)
		}
	}
	return nil
}

// balanced says why the interfaces of the new machine are not where load balancers had that of the old one: it would be whole, and nobody would be sent to it.
func (m *machine) balanced(ctx context.Context, vm *manager.VM) error {
	rec, err := m.must()
	if err != nil || len(rec.Pools)+len(rec.NATRules) == 0 {
		return err
	}
	var pools, rules []manager.Reference
	for _, id := range vm.Interfaces() {
		nic, err := m.Manager.Interface(ctx, id)
		if err != nil {
			return err
		}
		if nic == nil {
			return fmt.Errorf("the interface %s of the new virtual machine %s is not there", manager.Short(id), m.name)
		}
		for _, c := range nic.Properties.IPConfigurations {
			pools, rules = append(pools, c.Properties.Pools...), append(rules, c.Properties.NATRules...)
		}
	}
	return errors.Join(
		lacking("the new virtual machine "+m.name+" is not in the backend pool %s that the old one was in: its template must take pools", rec.Pools, pools),
		lacking("the inbound NAT rule %s does not lead to the new virtual machine "+m.name+" as it did to the old one: its template must take natRules", rec.NATRules, rules),
	)
}

// lacking says in such words which of the references are no more.
func lacking(says string, were, are []manager.Reference) error {
	for _, w := range were {
		if !slices.ContainsFunc(are, func(r manager.Reference) bool { return strings.EqualFold(r.ID, w.ID) }) {
			return fmt.Errorf(says, manager.Short(w.ID))
		}
	}
	return nil
}

// mayGo refuses to take the machine away where a quorum would miss it, or where the cluster is somebody else's by now.
func (m *machine) mayGo(ctx context.Context) error {
	if err := m.safe(ctx); err != nil {
		return err
	}
	other, err := m.held(ctx)
	if err != nil || other == nil {
		return err
	}
	return plan.Refusal("to delete the virtual machine "+m.name, []plan.Finding{*other})
}

// staying refuses to delete a virtual machine with which a data disk would go that the new one is to have.
func (m *machine) staying(vm *manager.VM) error {
	rec, err := m.must()
	if err != nil {
		return err
	}
	var going []manager.DataDisk
	for _, d := range vm.Properties.StorageProfile.DataDisks {
		if slices.ContainsFunc(rec.DataDisks, func(kept manager.DataDisk) bool { return strings.EqualFold(kept.ManagedDisk.ID, d.ManagedDisk.ID) }) {
			going = append(going, d)
		}
	}
	return plan.Refusal("to delete the virtual machine "+m.name, goAlong(m.name, going))
}

// goAlong says which data disks the Resource Manager deletes with their machine.
func goAlong(machine string, disks []manager.DataDisk) (found []plan.Finding) {
	for _, d := range disks {
		if d.GoesAlong() {
			found = append(found, plan.Finding{
				Check: "data", Severity: plan.Blocker, What: fmt.Sprintf("the data disk %s is deleted with the virtual machine %s (deleteOption: Delete)", d.Name, machine),
				Why: "the new machine is to have what is on it", Fix: "set its deleteOption to Detach in the virtual machine, and run the same again",
			})
		}
	}
	return found
}

// safe refuses to take a control plane away that a quorum would miss, with the sum. It looks for a moment longer: what was answered late is not lost.
func (m *machine) safe(ctx context.Context) error {
	if m.role != controlPlane {
		return nil
	}
	var stands *plan.Finding
	_ = cluster.Await(ctx, "a quorum without "+m.name, cluster.Wait{For: lookAgain, Every: time.Second}, func(ctx context.Context) error {
		if stands = without(m.Look(ctx), m.name); stands != nil {
			return errors.New(stands.What)
		}
		return nil
	}) // the finding says it
	if stands == nil {
		return ctx.Err()
	}
	return plan.Refusal("to delete the virtual machine "+m.name, []plan.Finding{*stands})
}

// without says why there would be no quorum without a machine; nil: there would be.
func without(o observe.Observation, machine string) *plan.Finding {
	f := &plan.Finding{
		Check: "quorum", Severity: plan.Blocker, Why: "without a quorum nobody can write, and nothing would come back by itself",
		Fix: "bring the others back first; one whose virtual machine is gone, or deleted, is made anew by running the same again",
	}
	if o.Quorum.Error != "" {
		f.What = "etcd: " + o.Quorum.Error
		return f
	}
	well, votes := 0, 0
	var ill []string
	for _, l := range o.Quorum.Members {
		if l.Learner {
			continue
		}
		votes++
		i := slices.IndexFunc(o.Members, func(e etcd.Member) bool { return e.Machine == l.Machine && l.Machine != "" })
		switch {
		case l.Machine == machine:
		case l.Well(o.Members):
			well++
		case i >= 0 && o.Members[i].Error == "" && o.Members[i].ID != l.ID:
			ill = append(ill, fmt.Sprintf("%s (calls itself %x, and the list has %x)", l.Machine, o.Members[i].ID, l.ID))
		case i >= 0 && o.Members[i].Error != "":
			ill = append(ill, fmt.Sprintf("%s (%s)", l.Machine, o.Members[i].Error))
		default:
			ill = append(ill, fmt.Sprintf("%s%s (follows no leader)", l.Machine, l.Name))
		}
	}
	need := cluster.Quorum(votes)
	if well >= need {
		return nil
	}
	f.What = fmt.Sprintf("of %d members %d would be well without %s, and a quorum of %d is %d", votes, well, machine, votes, need)
	if len(ill) > 0 {
		f.What += "; not well besides: " + strings.Join(ill, ", ")
	}
	return f
}
