package upgrade

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/release"
)

// rollback takes the machine back to where it was: the files from before, the programs from before, and schedulable. It proves that the machine
// is well at the old version and that etcd lost nothing by it.
func (m *machineUpgrade) rollback(ctx context.Context) error {
	machine, err := m.open()
	if err != nil {
		return err
	}
	if sh(ctx, machine, "test -e "+m.saved()+"/complete") != nil {
		return errors.Join(unskip(m.uncordon(ctx)), m.awaitWell(ctx, m.from)) // nothing was changed yet
	}
	if err := m.restore(ctx, machine); err != nil {
		return err
	}
	if err := m.awaitWell(ctx, m.from); err != nil {
		if m.Spec.RestoreSnapshot {
			return err // the next step goes on
		}
		return fmt.Errorf("%w; the etcd snapshot from before is %s: with --restore-snapshot etcd would have been taken back to it", err, m.snapshotFile(m.version))
	}
	return m.rolledBack(ctx, machine)
}

// rolledBack opens the machine for work again and drops what was kept for the rollback.
func (m *machineUpgrade) rolledBack(ctx context.Context, machine cluster.Machine) error {
	return errors.Join(unskip(m.uncordon(ctx)), sh(ctx, machine, "rm -rf "+m.saved()))
}

// restoreEtcd is the last resort, for whoever asked for it: when the old files and programs do not make the machine well, what is left to
// differ is the data. It proves that the members are the ones they should be, that they hold the same, and that the machine is well.
func (m *machineUpgrade) restoreEtcd(ctx context.Context) error {
	o := m.Observer.Look(ctx)
	if err := errors.Join(m.well(ctx, o, m.from), health.Whole(o, m.wanted(m.from, m.machine))); err == nil {
		return fmt.Errorf("%w: the rollback made %s well", plan.ErrSkip, m.machine)
	}
	if err := kubeadm.RestoreEtcd(ctx, m.Target.Cluster, m.snapshotFile(m.version)); err != nil {
		return err
	}
	if err := m.awaitWell(ctx, m.from); err != nil {
		return err
	}
	machine, err := m.open()
	if err != nil {
		return err
	}
	return m.rolledBack(ctx, machine)
}

func unskip(err error) error {
	if errors.Is(err, plan.ErrSkip) {
		return nil
	}
	return err
}

// restore puts the saved files and the old programs back and restarts the kubelet, which then runs the old static pods.
func (m *machineUpgrade) restore(ctx context.Context, machine cluster.Machine) error {
	inst, err := cluster.As[cluster.Installer](machine)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, f := range kubeadm.SavedFiles(m.Topology, machine) {
		// A file that is as it was is not touched: the kubelet would restart its pod for nothing.
		fmt.Fprintf(&b, "if test -e %[1]s && ! cmp -s %[1]s %[2]s; then %[3]s; fi\n", m.saved()+f, f, replace(m.saved()+f, f))
	}
	b.WriteString("rm -f " + m.marker() + "\n")
	if err := sh(ctx, machine, b.String()); err != nil {
		return err
	}
	if err := inst.Install(ctx, release.Kubernetes, m.from, "kubeadm"); err != nil {
		return err
	}
	if err := kubeadm.RemoveBackups(ctx, machine); err != nil {
		return err
	}
	return swapKubelet(ctx, machine, m.from)
}
