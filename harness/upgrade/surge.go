package upgrade

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
)

// Surge replaces workers instead of changing them: one machine more than before is there throughout, so that no capacity is missing. What
// a worker's Node object carries for its owner is kept in a file from before its drain until its replacement has passed the gate; that
// file also says, to a second run, that the replacement is not finished.

// SurgeMachine is the machine that is there for the time of the upgrade.
const SurgeMachine = "surge-1"

// replacement takes a worker away and puts a new machine of the same name in its place.
type replacement struct{ *machineUpgrade }

// surge is the order of the steps: a new machine, every worker in turn, and the new machine away again.
func (u *Upgrade) surge(from, version string) []*plan.Step {
	extra := &replacement{&machineUpgrade{Upgrade: u, machine: SurgeMachine, from: from, version: version}}
	whole := func(machine string) []plan.Disruption { return []plan.Disruption{{Machines: []string{machine}}} }
	steps := []*plan.Step{{Name: "surge", About: SurgeMachine + ", for the time of the upgrade", Children: []*plan.Step{
		{Name: "surge/add", About: "join a new machine at " + version, Run: extra.join, Disrupts: whole(SurgeMachine), Lingers: true},
		{Name: "surge/gate", About: "well at the new version, or go no further", Run: extra.joined, Disrupts: whole(SurgeMachine)},
		{Name: "surge/rollback", About: "when a step above fails: remove it", Run: extra.end, Rollback: true, Disrupts: whole(SurgeMachine)},
	}}}
	for i, name := range u.Topology.WorkerMachines() {
		r := &replacement{&machineUpgrade{Upgrade: u, machine: name, from: from, version: version}}
		id := fmt.Sprintf("worker/%d", i+1)
		steps = append(steps, &plan.Step{Name: id, About: name, Children: []*plan.Step{
			{Name: id + "/drain", About: fmt.Sprintf("cordon and evict within %s", u.Spec.DrainTimeout), Run: r.drain},
			{Name: id + "/remove", About: "take the machine and its Node away", Run: r.remove, Disrupts: whole(name), Lingers: true},
			{Name: id + "/add", About: "join a new machine of that name at " + version, Run: r.add, Disrupts: whole(name), Lingers: true},
			{Name: id + "/gate", About: "well at the new version, or go no further", Run: r.gate, Disrupts: whole(name)},
			{Name: id + "/rollback", About: "when a step above fails: a machine at the version before", Run: r.rollback, Rollback: true, Disrupts: whole(name)},
		}})
	}
	return append(steps, &plan.Step{Name: "surge/end", About: SurgeMachine, Children: []*plan.Step{
		{Name: "surge/drain", About: fmt.Sprintf("cordon and evict within %s", u.Spec.DrainTimeout), Run: extra.empty},
		{Name: "surge/remove", About: "take the machine and its Node away", Run: extra.end, Disrupts: whole(SurgeMachine)},
	}})
}

func (u *Upgrade) scaler() (cluster.Scaler, error) {
	s, ok := u.Target.Cluster.(cluster.Scaler)
	if !ok {
		return nil, fmt.Errorf("machines cannot be added to this cluster: %w", cluster.ErrUnsupported)
	}
	return s, nil
}

// begun reports whether the worker's replacement was begun and is not finished.
func (r *replacement) begun() bool { return r.Replacing(r.machine) }

func (r *replacement) skipIfDone(ctx context.Context) error {
	if r.begun() {
		return nil
	}
	return r.machineUpgrade.skipIfDone(ctx)
}

// drain keeps what the Node carries and evicts its pods. Of a replacement that was begun only a Node that is still there is drained.
func (r *replacement) drain(ctx context.Context) error {
	if err := r.skipIfDone(ctx); err != nil {
		return err
	}
	node, err := r.Target.Client.CoreV1().Nodes().Get(ctx, r.machine, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && r.begun():
		return fmt.Errorf("%w: the Node of %s is removed already", plan.ErrSkip, r.machine)
	case err != nil:
		return fmt.Errorf("drain %s: %w", r.machine, err)
	case !r.begun():
		if err := r.Keep(r.machine, Carried(node, r.from)); err != nil {
			return err
		}
	default:
		if err := r.skipIfNew(ctx); err != nil {
			return err
		}
	}
	return r.evict(ctx)
}

// skipIfNew is a skip when the machine is the new one already.
func (r *replacement) skipIfNew(ctx context.Context) error {
	if r.Spec.Force {
		return nil
	}
	yes, err := r.at(ctx, r.version)
	if err == nil && yes {
		return fmt.Errorf("%w: %s is the new machine already", plan.ErrSkip, r.machine)
	}
	return err
}

// remove takes the old machine and its Node away; the new one, if that is there already, stays.
func (r *replacement) remove(ctx context.Context) error {
	if err := r.skipIfDone(ctx); err != nil {
		return err
	}
	if err := r.skipIfNew(ctx); err != nil {
		return err
	}
	return r.leave(ctx)
}

// leave removes the machine, then its Node: the other way round its kubelet would go on for nobody.
func (r *replacement) leave(ctx context.Context) error {
	s, err := r.scaler()
	if err != nil {
		return err
	}
	if err := s.RemoveMachine(ctx, r.machine); err != nil {
		return err
	}
	err = r.Target.Client.CoreV1().Nodes().Delete(ctx, r.machine, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove node %s: %w", r.machine, err)
	}
	return nil
}

// add makes the new machine and joins it. One that was begun and does not run the version is thrown away: nobody knows how far it came.
func (r *replacement) add(ctx context.Context) error {
	if err := r.skipIfDone(ctx); err != nil {
		return err
	}
	return r.addAt(ctx, r.version)
}

func (r *replacement) addAt(ctx context.Context, version string) error {
	there, err := r.at(ctx, version)
	if err != nil {
		return err
	}
	if !there {
		if err := r.leave(ctx); err != nil {
			return err
		}
		s, err := r.scaler()
		if err != nil {
			return err
		}
		m, err := s.AddMachine(ctx, cluster.MachineSpec{Name: r.machine, Role: cluster.Worker})
		if err != nil {
			return err
		}
		if err := kubeadm.Join(ctx, r.Target.Cluster, m, version); err != nil {
			return err
		}
	}
	return r.GiveBack(ctx, r.machine)
}

// gate waits until the new machine is well, and forgets the old one.
func (r *replacement) gate(ctx context.Context) error {
	if err := r.skipIfDone(ctx); err != nil {
		return err
	}
	if err := r.awaitWell(ctx, r.version); err != nil {
		return err
	}
	return r.Forget(r.machine)
}

// rollback puts a machine at the version before in the worker's place, or lets the old one work again when it was not removed yet.
func (r *replacement) rollback(ctx context.Context) error {
	if !r.begun() {
		return fmt.Errorf("%w: nothing was changed", plan.ErrSkip)
	}
	if err := r.addAt(ctx, r.from); err != nil {
		return err
	}
	if err := r.awaitWell(ctx, r.from); err != nil {
		return err
	}
	return errors.Join(unskip(r.uncordon(ctx)), r.Forget(r.machine))
}

// join adds the surge machine, unless every worker is done.
func (r *replacement) join(ctx context.Context) error {
	if err := r.workersDone(ctx); err != nil {
		return err
	}
	if err := r.Keep(r.machine, Kept{From: r.from}); err != nil { // it carries nothing, and a second run knows whose it is
		return err
	}
	return r.addAt(ctx, r.version)
}

// end removes the surge machine.
func (r *replacement) end(ctx context.Context) error {
	if err := r.leave(ctx); err != nil {
		return err
	}
	return r.Forget(r.machine)
}

func (r *replacement) joined(ctx context.Context) error {
	if err := r.workersDone(ctx); err != nil {
		return err
	}
	return r.awaitWell(ctx, r.version)
}

// workersDone is a skip when nothing is left to replace.
func (r *replacement) workersDone(ctx context.Context) error {
	if r.Spec.Force {
		return nil
	}
	for _, name := range r.Topology.WorkerMachines() {
		w := &replacement{&machineUpgrade{Upgrade: r.Upgrade, machine: name, from: r.from, version: r.version}}
		if _, err := w.open(); err != nil {
			return nil //nolint:nilerr // removed and not yet replaced
		}
		if err := w.skipIfDone(ctx); !errors.Is(err, plan.ErrSkip) {
			return err
		}
	}
	return fmt.Errorf("%w: every worker was observed at %s and well", plan.ErrSkip, r.version)
}

// empty moves everything off the surge machine.
func (r *replacement) empty(ctx context.Context) error {
	_, err := r.Target.Client.CoreV1().Nodes().Get(ctx, r.machine, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: there is no %s", plan.ErrSkip, r.machine)
	}
	if err != nil {
		return fmt.Errorf("drain %s: %w", r.machine, err)
	}
	return r.evict(ctx)
}
