package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
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
	if err := m.wayBack(ctx, machine); err != nil {
		return err
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
	if err := m.restoreConfig(ctx, machine); err != nil {
		return err
	}
	return m.rolledBack(ctx, machine)
}

// wayBack says why the member of the old manifest would not start, before it takes the place of one that may be well. Where etcd is taken back to the snapshot
// next, the old data goes with the old manifest.
func (m *machineUpgrade) wayBack(ctx context.Context, machine cluster.Machine) error {
	if m.Spec.RestoreSnapshot || m.Topology.Etcd != cluster.EtcdStacked || machine.Role() != cluster.ControlPlane {
		return nil
	}
	tag, err := kubeadm.ManifestVersion(ctx, machine, m.saved()+kubeadm.Manifest(etcd.Program))
	if errors.Is(err, fs.ErrNotExist) { // the one that is there stays
		return nil
	}
	if err != nil {
		return err
	}
	from := release.EtcdTagged(tag)
	at := m.wentOn(ctx, from)
	if at == "" {
		return nil
	}
	return fmt.Errorf("nothing was put back: etcd is at %[1]s by now, on which no member of %[2]s starts. Mend %[3]s as it is, and the same command again goes on; or take etcd down first "+
		"(etcdctl downgrade validate %[4]s, then enable %[4]s), and it can roll back; or have etcd go back to %[5]s, which loses what was written since (--restore-snapshot)",
		at, from, m.machine, etcd.Minor(from), m.snapshotFile(m.version))
}

// rolledBack opens the machine for work again and drops what was kept for the rollback.
func (m *machineUpgrade) rolledBack(ctx context.Context, machine cluster.Machine) error {
	return errors.Join(unskip(m.uncordon(ctx)), sh(ctx, machine, "rm -rf "+m.saved()))
}

// restoreEtcd is the last resort, for whoever asked for it: when the old files and programs do not make the machine well, what is left to
// differ is the data. It proves that the members are the ones they should be, that they hold the same, and that the machine is well.
func (m *machineUpgrade) restoreEtcd(ctx context.Context) error {
	if err := m.dataToBlame(ctx); err != nil {
		return err
	}
	if err := m.belongs(m.version); err != nil {
		return err
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

// sureFor is how long etcd's data must be seen to be to blame before it is taken back: a member that restarts, a lost packet or a busy host look
// like it for a moment, and what is written since the snapshot is lost.
const sureFor = 30 * time.Second

// dataToBlame returns when it is certain that the machine is not well because of etcd's data; a skip when it is well.
func (m *machineUpgrade) dataToBlame(ctx context.Context) error {
	well := false
	var since time.Time
	what := fmt.Sprintf("etcd's data keeps %s from being well, and that for %s", m.machine, sureFor)
	err := cluster.Await(ctx, what, cluster.Wait{For: m.Spec.MachineTimeout + sureFor, Every: 500 * time.Millisecond}, func(ctx context.Context) error {
		o := m.Observer.Look(ctx)
		sick := errors.Join(m.well(ctx, o, m.from), health.Whole(o, m.Wanted(m.from, m.machine)))
		if well = sick == nil; well {
			return nil
		}
		cause := blame(o, m.machine, m.from, m.running(ctx), membersDiffer(o, m.Topology))
		if ctx.Err() != nil || cause == nil {
			since = time.Time{}
			return fmt.Errorf("etcd is left as it is: %s is not well, and not because of etcd's data: %w", m.machine, sick)
		}
		if since.IsZero() {
			since = time.Now()
		}
		if so := time.Since(since); so < sureFor {
			return fmt.Errorf("for %s only: %w", so.Round(time.Second), cause)
		}
		return nil
	})
	if err == nil && well {
		return fmt.Errorf("%w: the rollback made %s well", plan.ErrSkip, m.machine)
	}
	return err
}

// running are the machines of members whose supervisor runs, as they say themselves: a kubelet would tell through the API, which needs etcd.
func (m *machineUpgrade) running(ctx context.Context) map[string]bool {
	out := map[string]bool{}
	for _, name := range m.Topology.EtcdMachines() {
		machine, err := m.Target.Cluster.Machine(name)
		if err != nil {
			continue
		}
		script := "systemctl is-active kubelet"
		if m.Topology.Etcd != cluster.EtcdStacked {
			script = "true"
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		out[name] = sh(ctx, machine, script) == nil
		cancel()
	}
	return out
}

// membersDiffer says in what members are not those there should be or hold other data; a look that could not be taken says nothing.
func membersDiffer(o observe.Observation, t cluster.Topology) error {
	if o.Quorum.Error != "" || o.Synced == nil || o.Synced.Error != "" {
		return nil
	}
	return errors.Join(etcd.Exact(o.Quorum.Members, t.EtcdMachines()), o.Synced.Equal(t.EtcdMachines()))
}

// blame is what speaks for etcd's data as the reason that a machine at the version is not well; nil when something else may be, such as a machine that
// is off or a kubelet that does not run. A member counts as broken by its data only where what would run it is there.
func blame(o observe.Observation, machine, version string, running map[string]bool, etcdErr error) error {
	for _, c := range o.Components {
		if c.Name == observe.Kubelet && c.Machine == machine && c.Version != "" && c.Version != version {
			return nil
		}
	}
	voting, own, away := 0, false, false
	var broken []string
	for _, e := range o.Members {
		switch {
		case e.Healthy():
			voting++
		case !running[e.Machine]:
			away = true
		default:
			own = own || e.Machine == machine
			broken = append(broken, fmt.Sprintf("%s (%s)", e.Machine, e.Error))
		}
	}
	switch {
	case away || len(o.Members) == 0:
		return nil
	case own || len(broken) > 0 && voting < cluster.Quorum(len(o.Members)):
		return fmt.Errorf("of %d members %d vote and follow a leader, and not those on %s, whose machines are well", len(o.Members), voting, strings.Join(broken, ", "))
	case len(broken) > 0:
		return nil // another machine's: its own rollback sees to it
	case etcdErr != nil:
		return etcdErr
	}
	for _, s := range o.APIServers {
		if s.Machine == machine && s.Ready != "" {
			return fmt.Errorf("with every member well the API server %s cannot serve: %s", version, s.Ready)
		}
	}
	return nil
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
	if err := errors.Join(inst.Install(ctx, release.Kubernetes, m.from, "kubeadm"), kubeadm.FollowEtcd(ctx, m.Target.Cluster, machine)); err != nil {
		return err
	}
	if err := kubeadm.RemoveBackups(ctx, machine); err != nil {
		return err
	}
	return swapKubelet(ctx, machine, m.from)
}
