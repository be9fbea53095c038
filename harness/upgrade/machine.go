package upgrade

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/util/podutils"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/release"
)

// machineUpgrade takes one machine from one version to another. Its methods are the steps' actions; each can be run again.
type machineUpgrade struct {
	*Upgrade
	machine       string
	from, version string
}

// SavedDir is where a machine's old files are kept, on its own disk, from before its upgrade until it has passed the gate.
const SavedDir = "/var/lib/drydock/upgrade"

func (m *machineUpgrade) saved() string { return path.Join(SavedDir, m.from) }

// marker says that kubeadm has ended well: manifests alone may be those of a kubeadm that was killed after the last of them.
func (m *machineUpgrade) marker() string { return path.Join(m.saved(), "kubeadm-"+m.version) }

func (m *machineUpgrade) open() (cluster.Machine, error) { return m.Target.Cluster.Machine(m.machine) }

func sh(ctx context.Context, m cluster.Machine, script string) error {
	_, err := cluster.Shell(ctx, m, script)
	return err
}

// skipIfDone looks whether nothing is left to do on the machine: everything on it runs the version, and the gate was passed.
func (m *machineUpgrade) skipIfDone(ctx context.Context) error {
	if m.Spec.Force {
		return nil
	}
	machine, err := m.open()
	if err != nil {
		return err
	}
	if sh(ctx, machine, "test ! -e "+m.saved()) != nil {
		return nil //nolint:nilerr // begun and not finished
	}
	if err := errors.Join(m.well(ctx, m.Observer.Look(ctx), m.version), m.etcdMoved(ctx, machine)); err != nil {
		return nil //nolint:nilerr // not done: that is what the steps are for
	}
	return fmt.Errorf("%w: %s was observed at %s and well", plan.ErrSkip, m.machine, m.version)
}

// save copies what the upgrade will change, once, while it is still what it was.
func (m *machineUpgrade) save(ctx context.Context, machine cluster.Machine) error {
	var b strings.Builder
	dir := m.saved()
	fmt.Fprintf(&b, "test -e %s/complete && exit 0; rm -rf %s; mkdir -p %s\n", dir, dir, dir)
	for _, f := range kubeadm.SavedFiles(m.Topology, machine) {
		fmt.Fprintf(&b, "if test -e %s; then mkdir -p %s; cp -p %s %s; fi\n", f, path.Dir(dir+f), f, dir+f)
	}
	fmt.Fprintf(&b, "sync; touch %s/complete\n", dir)
	return sh(ctx, machine, b.String())
}

// restoreMissing puts a manifest back that a killed kubeadm had moved away and not yet replaced.
func (m *machineUpgrade) restoreMissing(ctx context.Context, machine cluster.Machine) error {
	var b strings.Builder
	for _, f := range kubeadm.SavedFiles(m.Topology, machine) {
		fmt.Fprintf(&b, "if test ! -e %s && test -e %s; then %s; fi\n", f, m.saved()+f, replace(m.saved()+f, f))
	}
	return sh(ctx, machine, b.String())
}

// replace is the shell command that copies a file over another at once, by a hidden name that the kubelet does not take for a manifest.
func replace(from, to string) string {
	tmp := path.Join(path.Dir(to), "."+path.Base(to)+".drydock-new")
	return fmt.Sprintf("cp -p %s %s; mv %s %s", from, tmp, tmp, to)
}

// kubeadm upgrades the machine's static pods and its kubelet's configuration.
func (m *machineUpgrade) kubeadm(ctx context.Context) error {
	if err := m.skipIfDone(ctx); err != nil {
		return err
	}
	machine, err := m.open()
	if err != nil {
		return err
	}
	if !m.Spec.Force && sh(ctx, machine, "test -e "+m.marker()) == nil {
		return fmt.Errorf("%w: kubeadm has ended well on %s, and its kubelet is next", plan.ErrSkip, m.machine)
	}
	inst, err := cluster.As[cluster.Installer](machine)
	if err != nil {
		return err
	}
	if err := errors.Join(m.save(ctx, machine), m.restoreMissing(ctx, machine)); err != nil {
		return err
	}
	if err := inst.Install(ctx, release.Kubernetes, m.version, "kubeadm"); err != nil {
		return err
	}
	apply := false
	if machine.Role() == cluster.ControlPlane {
		at, err := m.clusterVersion(ctx)
		if err != nil {
			return err
		}
		apply = at != m.version || m.Spec.Force
	}
	if apply {
		if err := m.saveConfig(ctx, machine); err != nil {
			return err
		}
		if err := m.pinEtcd(ctx); err != nil {
			return err
		}
	}
	if err := kubeadm.Upgrade(ctx, m.Target.Cluster, machine, m.version, apply); err != nil {
		return err
	}
	return machine.WriteFile(ctx, m.marker(), nil, 0o644)
}

// clusterVersion reads it through whatever API server answers; a new one refuses for some seconds while its RBAC caches fill.
func (u *Upgrade) clusterVersion(ctx context.Context) (at string, err error) {
	err = cluster.Await(ctx, "read kubeadm-config", cluster.Wait{For: 30 * time.Second}, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		at, err = kubeadm.ClusterVersion(ctx, u.Target.Client)
		return err
	})
	return at, err
}

// kubelet puts the new kubelet in place and restarts it. Whether it runs is seen from what it answers, not from the file.
func (m *machineUpgrade) kubelet(ctx context.Context) error {
	if err := m.skipIfDone(ctx); err != nil {
		return err
	}
	machine, err := m.open()
	if err != nil {
		return err
	}
	return swapKubelet(ctx, machine, m.version)
}

func swapKubelet(ctx context.Context, machine cluster.Machine, version string) error {
	inst, err := cluster.As[cluster.Installer](machine)
	if err != nil {
		return err
	}
	if err := inst.Install(ctx, release.Kubernetes, version, "kubelet", "kubectl"); err != nil {
		return err
	}
	for _, args := range [][]string{{"systemctl", "daemon-reload"}, {"systemctl", "restart", "kubelet"}} {
		if _, err := machine.Exec(ctx, cluster.Command{Args: args}); err != nil {
			return err
		}
	}
	return nil
}

// gate waits until the machine is well at the new version, and clears what is only needed for a rollback.
func (m *machineUpgrade) gate(ctx context.Context) error {
	if err := m.skipIfDone(ctx); err != nil {
		return err
	}
	if err := m.awaitWell(ctx, m.version); err != nil {
		return err
	}
	machine, err := m.open()
	if err != nil {
		return err
	}
	if err := m.etcdMoved(ctx, machine); err != nil {
		return err
	}
	return errors.Join(kubeadm.RemoveBackups(ctx, machine), sh(ctx, machine, "rm -rf "+m.saved()))
}

// awaitWell waits until the machine is well at the version and the cluster whole, for a steady time: a new kubelet starts the static pods anew some
// seconds after it was started itself; who looks once before that sees the old ones, and lets the next member be taken down beside this one.
func (m *machineUpgrade) awaitWell(ctx context.Context, version string) error {
	wanted := m.Wanted(version, m.machine)
	_, err := m.Observer.AwaitSteady(ctx, fmt.Sprintf("%s well at %s", m.machine, version), m.Spec.MachineTimeout, health.Steady(m.Topology), func(o observe.Observation) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := m.well(ctx, o, version); err != nil {
			return err
		}
		return health.Whole(o, wanted)
	})
	return err
}

// Wanted is what a whole cluster is held against when the machines have come to the version. Where several workers are upgraded at the same time the
// others of them may be away, and so may one whose replacement was interrupted: its turn comes after gates that are passed again.
func (u *Upgrade) Wanted(version string, machines ...string) health.Wanted {
	w := health.Wanted{Topology: u.Topology, Versions: map[string]string{}, Ailing: u.ailing}
	for _, m := range machines {
		w.Versions[m] = version
	}
	several := u.Spec.Workers == AllAtOnce || u.Spec.MaxUnavailable > 1
	for _, m := range u.Topology.WorkerMachines() {
		if _, judged := w.Versions[m]; !judged && (several || u.Replacing(m)) {
			w.Away = append(w.Away, m)
		}
	}
	return w
}

// staticPodsReady: the kubelet reports every static pod of the machine as ready.
func (m *machineUpgrade) staticPodsReady(ctx context.Context) error {
	for _, name := range kubeadm.StaticPods(m.Topology) {
		p, err := m.Target.Client.CoreV1().Pods(metav1.NamespaceSystem).Get(ctx, name+"-"+m.machine, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("static pod: %w", err)
		}
		if !podutils.IsPodReady(p) {
			return fmt.Errorf("static pod %s is %s and not ready", p.Name, p.Status.Phase)
		}
	}
	return nil
}

// well says what is wrong with the machine itself, and whether its manifests and static pods are the version's: health.MachineWhole cannot know what
// kubeadm wrote.
func (m *machineUpgrade) well(ctx context.Context, o observe.Observation, version string) error {
	machine, err := m.open()
	if err != nil {
		return err
	}
	if err := health.MachineWhole(o, m.machine, m.Wanted(version, m.machine)); err != nil {
		return err
	}
	if machine.Role() != cluster.ControlPlane {
		return nil
	}
	tags, err := kubeadm.ManifestVersions(ctx, m.Topology, machine)
	if err != nil {
		return err
	}
	for _, pod := range kubeadm.StaticPods(m.Topology) {
		if pod != "etcd" && tags[pod] != version {
			return fmt.Errorf("the manifest of %s on %s is of version %q", pod, m.machine, tags[pod])
		}
	}
	return m.staticPodsReady(ctx)
}

// etcdMoved looks whether the machine's member is of the version that was asked for: kubeadm leaves one that is newer as it is, and ends well.
func (m *machineUpgrade) etcdMoved(ctx context.Context, machine cluster.Machine) error {
	to := m.Spec.EtcdVersion
	if to == "" || machine.Role() != cluster.ControlPlane {
		return nil
	}
	tags, err := kubeadm.ManifestVersions(ctx, m.Topology, machine)
	if err != nil {
		return err
	}
	if is := release.EtcdTagged(tags[etcd.Program]); is != to {
		return fmt.Errorf("the manifest of etcd on %s is of %s instead of %s", m.machine, is, to)
	}
	return nil
}

// verify looks at the whole cluster once more.
func (u *Upgrade) verify(ctx context.Context, version string) error {
	machines := u.Topology.ControlPlaneMachines()
	if !u.Spec.ControlPlaneOnly {
		machines = append(machines, u.Topology.WorkerMachines()...)
	}
	wanted := u.Wanted(version, machines...)
	wanted.Away = nil
	_, err := u.Observer.AwaitSteady(ctx, "the whole cluster at "+version, u.Spec.MachineTimeout, health.Steady(u.Topology), func(o observe.Observation) error {
		if err := health.Whole(o, wanted); err != nil {
			return err
		}
		if u.Spec.Foreign() {
			return nil
		}
		at, err := kubeadm.ClusterVersion(ctx, u.Target.Client)
		if u.Spec.Strategy == Replace && apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if at != version {
			return fmt.Errorf("kubeadm-config says %q", at)
		}
		return nil
	})
	return err
}
