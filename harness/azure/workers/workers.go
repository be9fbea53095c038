// Package workers makes the virtual machines of a twin the workers of a cluster. It is beside the twin, which does not import it: who only wants the twin
// links no client of Kubernetes.
package workers

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
)

// Pool makes the virtual machines of a twin machines of a cluster: a new one boots and joins at the version of its tag, a deleted one loses its power and its
// disk, and power actions act. A control plane's disk of etcd outlives it: the next machine of that name and disk has its data. An extension that provisions
// has the verdict of what a real one asks.
type Pool struct {
	Cluster  cluster.Cluster
	Files    map[string][]byte // that every machine has, by path
	Versions map[string]string // what a version in a tag stands for; what is not in it stands for itself
	// Provisioning is how long a machine may take until it is provisioned; 0: 10 minutes, as long as AKS Engine's script asks etcd.
	Provisioning time.Duration

	scaler cluster.Scaler
	pki    kubeadm.PKI          // what control planes have in common, as who deployed them knows it
	client kubernetes.Interface // nil: the cluster is etcd alone

	mu    sync.Mutex
	turns map[string]*sync.Mutex // of machines: what is done to one is done one after another
	half  map[string]bool        // machines that are there and were not made whole: who asks again begins anew
	spoil string                 // pattern of machines whose kubelet is to die when they are provisioned
	dead  []string               // those it has died on
}

var _ provider.Machines = (*Pool)(nil)

// New needs a cluster that machines can be added to. To one that is etcd alone none can be: there its machines can be looked at and switched.
func New(ctx context.Context, c cluster.Cluster) (*Pool, error) {
	s, ok := c.(cluster.Scaler)
	if !ok {
		return nil, cluster.Usagef("machines cannot be added to cluster %s", c.Topology().Name)
	}
	m := &Pool{Cluster: c, scaler: s, turns: map[string]*sync.Mutex{}, half: map[string]bool{}}
	if !c.Topology().Kubernetes() {
		return m, nil
	}
	var err error
	if m.client, err = kubeadm.AdminClient(ctx, c); err != nil {
		return nil, err
	}
	m.pki, err = kubeadm.ReadPKI(ctx, c)
	return m, err
}

// turn waits until nobody else does something to a machine.
func (m *Pool) turn(name string) (done func()) {
	m.mu.Lock()
	t := m.turns[name]
	if t == nil {
		t = &sync.Mutex{}
		m.turns[name] = t
	}
	m.mu.Unlock()
	t.Lock()
	return t.Unlock
}

func (m *Pool) mark(name string, half bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.half[name] = half
}

func (m *Pool) isHalf(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.half[name]
}

// version is what a machine is to run: what its tag stands for, or the cluster's.
func (m *Pool) version(tags map[string]string) string {
	tagged := provider.TaggedVersion(tags)
	if tagged == "" {
		return m.Cluster.Topology().Version
	}
	plain := strings.TrimPrefix(tagged, "v")
	return cmp.Or(m.Versions[plain], m.Versions["v"+plain], "v"+plain)
}

// furnish gives a machine the files that all have.
func (m *Pool) furnish(ctx context.Context, machine cluster.Machine) error {
	for _, path := range slices.Sorted(maps.Keys(m.Files)) {
		if err := machine.WriteFile(ctx, path, m.Files[path], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Power acts on the machine's switch. Reimage is a new disk: remove, create.
func (m *Pool) Power(ctx context.Context, vm provider.Machine, action string) error {
	vm.Name = hostName(vm)
	if action == "reimage" {
		if err := m.Delete(ctx, vm); err != nil {
			return err
		}
		return m.Create(ctx, vm)
	}
	defer m.turn(vm.Name)()
	machine, err := m.Cluster.Machine(vm.Name)
	if err != nil {
		return err
	}
	power, err := cluster.As[cluster.Power](machine)
	if err != nil {
		return err
	}
	switch action {
	case "powerOff", "deallocate", "simulateEviction":
		return power.Off(ctx)
	case "start":
		return power.On(ctx)
	case "restart", "redeploy":
		return power.Reboot(ctx)
	default:
		return nil
	}
}
