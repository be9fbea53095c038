package replace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// machine takes one machine away and puts a new one of the same name in its place. Its methods are the steps' actions; each can be run again.
type machine struct {
	*Replacement
	name, role    string
	from, version string
	done          error // why nothing is left to do, once that was seen
}

// deployment is the name of what makes the machine. It is the same whoever makes it, and whenever: a second one of the name is refused while the first runs, so
// that two never make one machine, also where the directory of the first is lost; and the 800 deployments that a resource group may have are not used up, since
// one of a name that has ended is put in the place of the one before. What became of that is in the journal.
func (m *machine) deployment() string {
	return "drydock-replace-" + m.name + "-" + strings.ReplaceAll(strings.TrimPrefix(m.version, "v"), ".", "-")
}

// within is the deadline of a step that calls the Resource Manager.
func (m *machine) within(ctx context.Context, attempt string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, m.Spec.MachineTimeout, fmt.Errorf("%s has taken %s (--vm-timeout)", attempt, m.Spec.MachineTimeout))
}

// drain keeps what the machine is, and moves its pods away. Of a replacement that was begun only a machine that is still the old one is drained.
func (m *machine) drain(ctx context.Context) error {
	if err := m.skipIfDone(ctx); err != nil {
		return err
	}
	vm, err := m.Manager.VM(ctx, m.name)
	if err != nil {
		return err
	}
	if !m.Replacing(m.name) {
		if err := m.begin(ctx, vm); err != nil {
			return err
		}
	}
	was, err := m.kept()
	if err != nil {
		return err
	}
	if vm == nil || vm.Made() != was.Made {
		return fmt.Errorf("%w: the old machine is gone already", plan.ErrSkip)
	}
	node, err := m.node(ctx)
	if err != nil {
		return err
	}
	if node == nil || kubeadm.NodeReady(node) != nil {
		return fmt.Errorf("%w: its kubelet is silent, and nobody would end its pods", plan.ErrSkip)
	}
	return m.Evict(ctx, m.name)
}

// delete takes the old machine away, its interface and its system's disk, and of a worker the Node. The data disk stays; so does the new machine, where it
// is there already.
func (m *machine) delete(ctx context.Context) error {
	if err := m.skipIfDone(ctx); err != nil {
		return err
	}
	ctx, cancel := m.within(ctx, "deleting "+m.name)
	defer cancel()
	was, err := m.kept()
	if err != nil {
		return err
	}
	vm, err := m.settled(ctx)
	if err != nil {
		return err
	}
	if vm != nil && vm.Made() != was.Made {
		return fmt.Errorf("%w: the new machine is there already", plan.ErrSkip)
	}
	if err := m.takeAway(ctx, vm, was.parts); err != nil {
		return err
	}
	if m.role == controlPlane { // its kubelet comes back as the same Node
		return nil
	}
	return m.deleteNode(ctx)
}

// settled reads the virtual machine. Where there is none one may be on its way: a deployment that was begun makes the interface first.
func (m *machine) settled(ctx context.Context) (*manager.VM, error) {
	vm, err := m.Manager.VM(ctx, m.name)
	if err != nil || vm != nil {
		return vm, err
	}
	if _, err := m.Manager.AwaitDeployment(ctx, m.deployment()); err != nil && !manager.DeploymentFailed(err) {
		return nil, err
	}
	return m.Manager.VM(ctx, m.name)
}

// takeAway deletes a virtual machine, if there is one, and what went with it. Whether it may go is looked at each time the call is made: a refused one is made again
// when what was there to spare has long gone.
func (m *machine) takeAway(ctx context.Context, vm *manager.VM, p parts) error {
	if vm != nil {
		if err := m.staying(vm); err != nil {
			return err
		}
		if err := m.Manager.DeleteIf(ctx, vm.ID, m.mayGo); err != nil {
			return err
		}
	}
	for _, id := range append(slices.Clone(p.Interfaces), p.OSDisk) {
		if id == "" {
			continue
		}
		if err := m.Manager.Delete(ctx, id); err != nil {
			return err
		}
	}
	return m.revoke(ctx, p.Principal)
}

func (m *machine) deleteNode(ctx context.Context) error {
	return cluster.Await(ctx, "remove node "+m.name, cluster.Wait{For: apiFor}, func(ctx context.Context) error {
		err := m.Target.Client.CoreV1().Nodes().Delete(ctx, m.name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// deploy makes the new machine. One that was begun is waited for; one whose deployment has failed is taken away again, unless it is well all the same.
func (m *machine) deploy(ctx context.Context) error {
	if err := m.skipIfDone(ctx); err != nil {
		return err
	}
	ctx, cancel := m.within(ctx, "deploying "+m.name)
	defer cancel()
	was, err := m.kept()
	if err != nil {
		return err
	}
	vm, err := m.Manager.VM(ctx, m.name)
	if err != nil {
		return err
	}
	if vm != nil && vm.Made() == was.Made {
		return fmt.Errorf("the old virtual machine %s is still there (%s)", m.name, vm.Properties.State)
	}
	if vm != nil {
		if err := m.deployed(ctx); err != nil {
			return err
		}
	}
	return m.begun(ctx)
}

// begun begins the deployment, and sees it to its end.
func (m *machine) begun(ctx context.Context) error {
	rec, err := m.must()
	if err != nil {
		return err
	}
	disk := m.name + "-os-" + uuid.NewString()[:8]
	if m.template.declared["osDisk"] { // otherwise it is named by whoever makes it, and known when its machine is there
		if err := m.tried(parts{OSDisk: m.Manager.ID(manager.Disks, disk)}); err != nil {
			return err
		}
	}
	err = m.Manager.Deploy(ctx, m.deployment(), m.template.body, m.template.parameters(*rec, m.version, disk))
	if manager.DeploymentFailed(err) {
		return fmt.Errorf("%w. Nothing else was touched. %smend what it names and run the same again: what the deployment has left of %s is taken away and made anew", err, toDo, m.name)
	}
	if err != nil {
		return err
	}
	vm, err := m.Manager.VM(ctx, m.name)
	if err != nil || vm == nil {
		return errors.Join(err, m.made(vm, old{}))
	}
	if err := m.note(vm); err != nil {
		return err
	}
	return m.permit(ctx, vm)
}

// deployed looks at a new machine that is there already: a skip when nothing is left to deploy; nil when it was taken away, to be made anew.
func (m *machine) deployed(ctx context.Context) error {
	there, failed := m.Manager.AwaitDeployment(ctx, m.deployment())
	if failed != nil && !manager.DeploymentFailed(failed) {
		return failed
	}
	vm, err := m.Manager.VM(ctx, m.name) // it may have come to its end meanwhile
	if err != nil || vm == nil {
		return err
	}
	if !there {
		return fmt.Errorf("the virtual machine %s is neither the old one nor made by this upgrade (there is no deployment %s), and is left alone. What to do: find out whose it is, delete it, and run the same again", m.name, m.deployment())
	}
	if err := errors.Join(m.note(vm), m.permit(ctx, vm)); err != nil {
		return err
	}
	made := failed == nil && vm.Properties.State == manager.Succeeded && vm.Tags[provider.VersionTag] == provider.VersionTagged(m.version)
	if made && !m.Spec.Force { // one that is not well is not deleted unasked
		return fmt.Errorf("%w: it is deployed already", plan.ErrSkip)
	}
	if m.wellWithin(ctx, lookAgain) == nil {
		return fmt.Errorf("%w: it is at %s and well, whatever became of its deployment", plan.ErrSkip, m.version)
	}
	return m.takeAway(ctx, vm, partsOf(vm))
}

// carry puts on the new Node what the old one carried, and lets it work.
func (m *machine) carry(ctx context.Context) error {
	if err := m.skipIfDone(ctx); err != nil {
		return err
	}
	was, err := m.kept()
	if err != nil {
		return err
	}
	err = cluster.Await(ctx, "the Node of the new "+m.name, cluster.Wait{For: m.Spec.MachineTimeout}, func(ctx context.Context) error {
		n, err := m.Target.Client.CoreV1().Nodes().Get(ctx, m.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return kubeadm.Another(n, was.Identity)
	})
	if err != nil {
		return err
	}
	if err := m.GiveBack(ctx, m.name); err != nil {
		return err
	}
	if err := m.Uncordon(ctx, m.name); !errors.Is(err, plan.ErrSkip) {
		return err
	}
	return nil
}

// gate waits until the new machine is proven, writes down which it is, and forgets the old one.
func (m *machine) gate(ctx context.Context) error {
	if err := m.skipIfDone(ctx); err != nil {
		return err
	}
	was, err := m.kept()
	if err != nil {
		return err
	}
	vm, err := m.proven(ctx, was)
	if err != nil {
		return fmt.Errorf("%w. %smend what was seen last, and run the same again: it goes on where it is; a new %s that nobody can mend is deleted and made anew with --force", err, toDo, m.name)
	}
	if err := m.clear(ctx, vm, was); err != nil {
		return err
	}
	rec, err := m.must()
	if err != nil {
		return err
	}
	rec.parts, rec.Done = partsOf(vm), m.version
	return errors.Join(m.write(rec), m.Forget(m.name))
}

// clear deletes what machines have left that were made in the old one's place and did not stay.
func (m *machine) clear(ctx context.Context, vm *manager.VM, was old) error {
	ctx, cancel := m.within(ctx, "deleting what is left of earlier attempts at "+m.name)
	defer cancel()
	now := append(vm.Interfaces(), vm.OSDisk())
	for _, p := range was.Tried {
		if p.Principal != vm.Identity.Principal {
			if err := m.revoke(ctx, p.Principal); err != nil {
				return err
			}
		}
		for _, id := range append(slices.Clone(p.Interfaces), p.OSDisk) {
			if id == "" || slices.ContainsFunc(now, func(used string) bool { return strings.EqualFold(used, id) }) {
				continue
			}
			if err := m.Manager.Delete(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// rollback lets the old machine work again when it is still there.
func (m *machine) rollback(ctx context.Context) error {
	if !m.Replacing(m.name) {
		return fmt.Errorf("%w: nothing was changed", plan.ErrSkip)
	}
	was, err := m.kept()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, apiFor)
	defer cancel()
	vm, err := m.Manager.VM(ctx, m.name)
	if err != nil { // what throttles the upgrade throttles this
		return fmt.Errorf("%w: whether anything was deleted is not answered (%w); it is as it is: run the same again", plan.ErrSkip, err)
	}
	if vm == nil || vm.Made() != was.Made || vm.Properties.State != manager.Succeeded {
		return fmt.Errorf("%w: the old machine is gone, and only forward leads on: run the same again", plan.ErrSkip)
	}
	if err := m.Uncordon(ctx, m.name); err != nil && !errors.Is(err, plan.ErrSkip) {
		return err
	}
	return m.Forget(m.name)
}
