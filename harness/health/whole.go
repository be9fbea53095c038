package health

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
)

// Wanted is what a well cluster is held against. The zero value of a field asks for less.
type Wanted struct {
	Topology cluster.Topology
	Versions map[string]string // machine → version of its components; of a machine that is not there, any
	Away     []string          // machines that may be away: somebody else is at work on them
	Ailing   []string          // pods and workloads that were not well before, and are not held against the cluster now
}

// Whole is the only definition of a well cluster. It says what is wrong with one, as a Look has it, naming the offender first; nil means that
//
//   - a quorum stands behind the member list (it was read linearizably), and the list is one voting member a machine;
//   - every member answers, votes, and agrees with the others on leader and term;
//   - after a last write every member has come to it and holds the same;
//   - every API server is ready and every component answers, calls itself healthy and has the version it should;
//   - controller-manager and scheduler have one holder each, whose lease is renewed;
//   - every node is Ready, with a heartbeat younger than its lease and the boot id its machine has;
//   - no pod is pending, unready or crash-looping, and every workload has the replicas it wants.
//
// One such look is a blink: whoever decides by it holds it for Steady.
func Whole(o observe.Observation, w Wanted) error {
	found := []error{etcdWhole(o, w.Topology)}
	if !w.Topology.Kubernetes() {
		return gravest(found)
	}
	for _, m := range w.Topology.KubernetesMachines() {
		if !slices.Contains(w.Away, m) {
			found = append(found, MachineWhole(o, m, w))
		}
	}
	found = append(found, leasesWhole(o))
	if len(w.Away) == 0 { // else their pods wait for them
		found = append(found, podsWhole(o, w))
	}
	return gravest(found)
}

// UnreadError is that a part of an observation was not answered in time. It says nothing of the cluster, where all that was answered is well: whoever asked
// may have been too slow.
type UnreadError struct{ What, Why string }

func (e *UnreadError) Error() string {
	return fmt.Sprintf("%s could not be read in time: %s", e.What, e.Why)
}

// notRead is why a part of an observation is not there; nil: it was not noted.
func notRead(o observe.Observation, what string) error {
	for _, u := range o.Unread {
		switch {
		case u.What != what:
		case u.Failure == cluster.Deadline:
			return &UnreadError{u.What, u.Why}
		default:
			return fmt.Errorf("%s could not be read: %s", u.What, u.Why)
		}
	}
	return nil
}

// gravest is the first error that says something of the cluster; without one the first.
func gravest(found []error) error {
	var first error
	for _, err := range found {
		var late *UnreadError
		switch {
		case err == nil:
		case !errors.As(err, &late):
			return err
		case first == nil:
			first = err
		}
	}
	return first
}

// MachineWhole is the part of Whole that is one machine's own: its components, its Node, its API server and its member where it has them.
func MachineWhole(o observe.Observation, machine string, w Wanted) error {
	found := []error{At(o, machine, w.Versions[machine])}
	for _, c := range o.Components {
		if c.Machine == machine && c.Unhealthy != "" {
			found = append(found, fmt.Errorf("%s is not healthy: %s", c, c.Unhealthy))
		}
	}
	found = append(found, nodeWhole(o, machine, w))
	if slices.Contains(w.Topology.ControlPlaneMachines(), machine) {
		found = append(found, serverWhole(o, machine))
	}
	for _, e := range o.Members {
		if e.Machine == machine && !e.Healthy() {
			found = append(found, fmt.Errorf("the member on %s does not follow a leader or has no vote: %s", machine, e.Error))
		}
	}
	return gravest(found)
}

// Steady is how long a cluster must be whole to be called so: one term of a component's lease, within which a process that came up and falls again has
// fallen, and within which a new kubelet has started the static pods anew (it does so about 8 s after its own start on production's clock). Without
// Kubernetes two election time-outs do.
func Steady(t cluster.Topology) time.Duration {
	if !t.Kubernetes() {
		return 2 * time.Second
	}
	return kubeadm.Lease(t.Timing).Duration
}

func etcdWhole(o observe.Observation, t cluster.Topology) error {
	if o.Quorum.Error != "" {
		return fmt.Errorf("etcd: %s", o.Quorum.Error)
	}
	if err := etcd.Exact(o.Quorum.Members, t.EtcdMachines()); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	if err := etcd.Agree(o.Members); err != nil {
		return err
	}
	if o.Synced == nil {
		return fmt.Errorf("etcd: no last write was made: what members hold was not compared")
	}
	return o.Synced.Equal(t.EtcdMachines())
}

func serverWhole(o observe.Observation, machine string) error {
	for _, s := range o.APIServers {
		if s.Machine == machine {
			if s.Ready != "" {
				return fmt.Errorf("API server: %s", s.Ready)
			}
			return nil
		}
	}
	return fmt.Errorf("the API server on %s was not seen", machine)
}

// At says which component of a machine is not well at the version; an empty version is any.
func At(o observe.Observation, machine, version string) error {
	seen := 0
	for _, c := range o.Components {
		if c.Machine != machine {
			continue
		}
		seen++
		switch {
		case c.Version == "":
			return fmt.Errorf("%s does not answer: %s", c, c.Error)
		case version != "" && !cluster.IsVersion(c.Version, version):
			return fmt.Errorf("%s is %s instead of %s", c, c.Version, version)
		}
	}
	if seen == 0 {
		return fmt.Errorf("no component of %s was observed", machine)
	}
	return nil
}

// leasesWhole says which component has no leader now: its lease is missing, empty or run out.
func leasesWhole(o observe.Observation) error {
	held := map[string]bool{}
	for _, l := range o.Leases {
		held[l.Component] = l.Holder != "" && o.Time.Sub(l.Renewed) <= l.Duration
	}
	for _, name := range kubeadm.Leases() {
		seen, there := held[name]
		if err := notRead(o, observe.PartLeases); !there && err != nil {
			return err
		}
		if !seen {
			return fmt.Errorf("%s has no leader", name)
		}
	}
	return nil
}

func nodeWhole(o observe.Observation, machine string, w Wanted) error {
	i := slices.IndexFunc(o.Nodes, func(n observe.Node) bool { return n.Name == machine })
	if err := notRead(o, observe.PartNodes); i < 0 && err != nil {
		return err
	}
	if i < 0 {
		return fmt.Errorf("node %s was not seen: no API server answered, or it is not registered", machine)
	}
	n := o.Nodes[i]
	version := w.Versions[machine]
	switch {
	case !n.Ready:
		return fmt.Errorf("node %s is not Ready", n.Name)
	case n.Expires.IsZero() && notRead(o, observe.PartHeartbeats) != nil:
		return notRead(o, observe.PartHeartbeats)
	case n.Expires.IsZero():
		return fmt.Errorf("node %s has no heartbeat", n.Name)
	case o.Time.After(n.Expires):
		return fmt.Errorf("the last heartbeat of %s is %s old", n.Name, o.Time.Sub(n.Renewed).Round(time.Second))
	case n.Booted == "" || n.Booted != n.BootID:
		return fmt.Errorf("node %s reports boot %q and its machine has %q: it speaks of a boot before this one", n.Name, n.BootID, n.Booted)
	case version != "" && !cluster.IsVersion(n.Version, version):
		return fmt.Errorf("node %s reports a kubelet %s instead of %s", n.Name, n.Version, version)
	}
	return nil
}

// Ailing lists the pods and workloads of an observation that are not well, by what they are called in Wanted.Ailing. The control plane's own pods are
// never among them: a cluster in which one of them is not well is not whole, now or later.
func Ailing(o observe.Observation) []string {
	var out []string
	for _, p := range o.Pods {
		static := strings.HasPrefix(p.Owner, "Node/") && strings.HasPrefix(p.Name, metav1.NamespaceSystem+"/")
		if podIll(p) != "" && !static {
			out = append(out, p.Name)
		}
	}
	for _, x := range o.Wanted {
		if x.Ready < x.Wanted {
			out = append(out, x.Name)
		}
	}
	return out
}

func podIll(p observe.Pod) string {
	switch {
	case p.Done:
		return ""
	case p.Ending:
		return "is being deleted and not gone"
	case p.Node == "":
		return "is not scheduled: " + p.Waiting
	case !p.Ready:
		return strings.TrimSuffix(fmt.Sprintf("is %s and not ready on %s: %s", p.Phase, p.Node, p.Waiting), ": ")
	default:
		return ""
	}
}

func podsWhole(o observe.Observation, w Wanted) error {
	if err := notRead(o, observe.PartPods); len(o.Pods) == 0 && err != nil {
		return err
	}
	if len(o.Pods) == 0 {
		return fmt.Errorf("no pod was seen: no API server answered in time")
	}
	for _, p := range o.Pods {
		if ill := podIll(p); ill != "" && !slices.Contains(w.Ailing, p.Name) {
			return fmt.Errorf("pod %s %s", p.Name, ill)
		}
	}
	for _, x := range o.Wanted {
		if x.Ready < x.Wanted && !slices.Contains(w.Ailing, x.Name) {
			return fmt.Errorf("%s has %d of %d replicas ready", x.Name, x.Ready, x.Wanted)
		}
	}
	return nil
}
