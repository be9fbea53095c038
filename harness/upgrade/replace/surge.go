package replace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade"
)

// surge is the machine that is there for the time of the upgrade, so that no capacity is missing.
type surge struct{ *machine }

func (r *Replacement) surgeMachine(from, version string) *surge {
	return &surge{&machine{Replacement: r, name: upgrade.SurgeMachine, role: worker, from: from, version: version}}
}

// add makes the machine, unless every worker is done.
func (s *surge) add(ctx context.Context) error {
	if err := s.workersDone(ctx); err != nil {
		return err
	}
	rec, err := s.recorded(s.name)
	if err != nil {
		return err
	}
	if rec == nil {
		if rec, err = s.surgeRecord(); err != nil {
			return err
		}
		if err := s.write(rec); err != nil {
			return err
		}
	}
	if !s.Replacing(s.name) { // a second run knows whose it is
		if err := s.Keep(s.name, upgrade.Kept{From: s.from}); err != nil {
			return err
		}
	}
	return s.deploy(ctx)
}

// added waits until it is well.
func (s *surge) added(ctx context.Context) error {
	if err := s.workersDone(ctx); err != nil {
		return err
	}
	_, err := s.proven(ctx, old{})
	return err
}

// workersDone is a skip when nothing is left to replace.
func (s *surge) workersDone(ctx context.Context) error {
	for _, n := range s.names() {
		if n.role != worker {
			continue
		}
		w := &machine{Replacement: s.Replacement, name: n.name, role: n.role, from: s.from, version: s.version}
		if err := w.skipIfDone(ctx); !errors.Is(err, plan.ErrSkip) {
			return err
		}
	}
	return fmt.Errorf("%w: every worker was observed at %s and well", plan.ErrSkip, s.version)
}

// empty moves everything off the machine.
func (s *surge) empty(ctx context.Context) error {
	node, err := s.node(ctx)
	if err != nil {
		return err
	}
	if node == nil || kubeadm.NodeReady(node) != nil {
		return fmt.Errorf("%w: there is no %s that runs anything", plan.ErrSkip, s.name)
	}
	return s.Evict(ctx, s.name)
}

// remove takes it away with all that was made for it.
func (s *surge) remove(ctx context.Context) error {
	ctx, cancel := s.within(ctx, "deleting "+s.name)
	defer cancel()
	rec, err := s.recorded(s.name)
	if err != nil {
		return err
	}
	if rec == nil {
		return fmt.Errorf("%w: none was added", plan.ErrSkip)
	}
	vm, err := s.Manager.VM(ctx, s.name)
	if err != nil {
		return err
	}
	if vm != nil && vm.Made() != rec.Made { // written before it is deleted: afterwards nobody could say what went with it
		rec.parts = partsOf(vm)
		if err := s.write(rec); err != nil {
			return err
		}
	}
	if len(rec.Interfaces) == 0 { // a deployment that has failed may have come no further
		rec.Interfaces = []string{s.Manager.ID("Microsoft.Network/networkInterfaces", rec.Interface)}
	}
	if err := s.takeAway(ctx, vm, rec.parts); err != nil {
		return err
	}
	if was, err := s.kept(); err == nil {
		for _, p := range was.Tried {
			if err := s.takeAway(ctx, nil, p); err != nil {
				return err
			}
		}
	}
	if err := s.deleteNode(ctx); err != nil {
		return err
	}
	err = os.Remove(s.recordFile(s.name))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, s.Forget(s.name))
}
