package upgrade

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
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
	if err := m.well(ctx, m.Observer.Observe(ctx), m.version); err != nil {
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
	if err := kubeadm.Upgrade(ctx, m.Topology, machine, m.version, apply); err != nil {
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
	return errors.Join(kubeadm.RemoveBackups(ctx, machine), sh(ctx, machine, "rm -rf "+m.saved()))
}

// steadyFor is how long a machine must stay well to pass. A new kubelet starts the static pods anew some seconds after it was started
// itself; who looks before that sees the old ones, and lets the next member be taken down beside this one.
const steadyFor = 6 * time.Second

func (m *machineUpgrade) awaitWell(ctx context.Context, version string) error {
	controlPlane := slices.Contains(m.Topology.ControlPlaneMachines(), m.machine)
	steady := steadyFor
	if !controlPlane {
		steady = 0 // nothing on it is started anew
	}
	what := fmt.Sprintf("%s well at %s for %s", m.machine, version, steady)
	var since time.Time
	return cluster.Await(ctx, what, cluster.Wait{For: m.Spec.MachineTimeout, Every: 500 * time.Millisecond}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		o := m.Observer.Observe(ctx)
		err := m.well(ctx, o, version)
		if err == nil && controlPlane {
			err = errors.Join(m.controlPlaneWell(ctx, o), m.staticPodsReady(ctx))
		}
		switch {
		case err != nil:
			since = time.Time{}
			return err
		case since.IsZero():
			since = time.Now()
		}
		if so := time.Since(since); so < steady {
			return fmt.Errorf("well for %s only", so.Round(100*time.Millisecond))
		}
		return nil
	})
}

// staticPodsReady: the kubelet reports every static pod of the machine as ready.
func (m *machineUpgrade) staticPodsReady(ctx context.Context) error {
	for _, name := range kubeadm.StaticPods(m.Topology) {
		p, err := m.Target.Client.CoreV1().Pods(metav1.NamespaceSystem).Get(ctx, name+"-"+m.machine, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("static pod: %w", err)
		}
		if !observe.PodReady(p) {
			return fmt.Errorf("static pod %s is %s and not ready", p.Name, p.Status.Phase)
		}
	}
	return nil
}

// well says what is wrong with the machine itself: a component at another version, an API server that is not ready, a member that does not
// vote, a node that is not Ready now. "Ready" of a Node object alone could be an old word.
func (m *machineUpgrade) well(ctx context.Context, o observe.Observation, version string) error {
	machine, err := m.open()
	if err != nil {
		return err
	}
	if err := componentsAt(o, m.machine, version); err != nil {
		return err
	}
	if err := m.nodeFresh(ctx, o, version); err != nil {
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
	for _, s := range o.APIServers {
		if s.Machine == m.machine && s.Ready != "" {
			return fmt.Errorf("API server: %s", s.Ready)
		}
	}
	for _, e := range o.Members {
		if e.Machine == m.machine && !e.Healthy() {
			return fmt.Errorf("the member on %s does not follow a leader or has no vote: %s", m.machine, e.Error)
		}
	}
	return nil
}

// componentsAt compares what the machine's components say of themselves.
func componentsAt(o observe.Observation, machine, version string) error {
	seen := 0
	for _, c := range o.Components {
		if c.Machine != machine {
			continue
		}
		seen++
		switch {
		case c.Version == "":
			return fmt.Errorf("%s does not answer: %s", c, c.Error)
		case c.Version != version:
			return fmt.Errorf("%s is %s", c, c.Version)
		}
	}
	if seen == 0 {
		return fmt.Errorf("no component of %s was observed", machine)
	}
	return nil
}

// nodeFresh: the Node is Ready, reports the kubelet's version, and its kubelet has renewed its lease within the lease's time.
func (m *machineUpgrade) nodeFresh(ctx context.Context, o observe.Observation, version string) error {
	for _, n := range o.Nodes {
		if n.Name != m.machine {
			continue
		}
		if !n.Ready || n.Version != version {
			return fmt.Errorf("node %s: ready %v, kubelet %s", n.Name, n.Ready, n.Version)
		}
		l, err := m.Target.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, m.machine, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("heartbeat of %s: %w", m.machine, err)
		}
		if l.Spec.RenewTime == nil || l.Spec.LeaseDurationSeconds == nil {
			return fmt.Errorf("node %s has no heartbeat", m.machine)
		}
		if age := time.Since(l.Spec.RenewTime.Time); age > time.Duration(*l.Spec.LeaseDurationSeconds)*time.Second {
			return fmt.Errorf("the last heartbeat of %s is %s old", m.machine, age.Round(time.Second))
		}
		return nil
	}
	return fmt.Errorf("node %s was not seen: no API server answered, or it is not registered", m.machine)
}

// controlPlaneWell looks at what the control planes have in common: the next machine may go only when nobody is missing.
func (m *machineUpgrade) controlPlaneWell(ctx context.Context, o observe.Observation) error {
	if err := health.Settled(o, m.Topology); err != nil {
		return err
	}
	if held := health.LeasesHeld(o); held != nil {
		return held
	}
	return m.etcdWell(ctx)
}

// etcdWell: as many members as there should be, all voting, with the same data at one revision.
func (u *Upgrade) etcdWell(ctx context.Context) error {
	if err := u.Target.Etcd.ExactMembers(ctx); err != nil {
		return err
	}
	hashes, rev, err := u.Target.Members.Hashes(ctx)
	if err != nil {
		return err
	}
	first, seen := uint32(0), false
	for machine, h := range hashes {
		if seen && h != first {
			return fmt.Errorf("the member on %s holds other data at revision %d: %v", machine, rev, hashes)
		}
		first, seen = h, true
	}
	return nil
}

// verify looks at the whole cluster once more.
func (u *Upgrade) verify(ctx context.Context, version string) error {
	return cluster.Await(ctx, "the whole cluster at "+version, cluster.Wait{For: u.Spec.MachineTimeout}, func(ctx context.Context) error {
		o := u.Observer.Observe(ctx)
		machines := u.Topology.ControlPlaneMachines()
		if !u.Spec.ControlPlaneOnly {
			machines = append(machines, u.Topology.WorkerMachines()...)
		}
		for _, name := range machines {
			if err := componentsAt(o, name, version); err != nil {
				return err
			}
		}
		if err := health.Settled(o, u.Topology); err != nil {
			return err
		}
		if u.Spec.Strategy != Command {
			if at, err := kubeadm.ClusterVersion(ctx, u.Target.Client); err != nil || at != version {
				return fmt.Errorf("kubeadm-config says %q: %w", at, err)
			}
		}
		return u.etcdWell(ctx)
	})
}
