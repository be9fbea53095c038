// Package workers makes the virtual machines of a twin the workers of a cluster. It is beside the twin, which does not import it: who only wants the twin
// links no client of Kubernetes.
package workers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
)

// VersionTag is the tag that names a machine's version, as cluster tools write it: "Kubernetes:1.35.4". PoolTag is that of what it is for.
const (
	VersionTag = "orchestrator"
	PoolTag    = "poolName"
)

// Pool makes the virtual machines of a twin machines of a cluster: a new one boots and joins at the version of its tag, a deleted one loses its power and its
// disk, and power actions act. An extension's verdict is whether its machine's node is Ready.
type Pool struct {
	Cluster  cluster.Cluster
	Files    map[string][]byte // that every machine has, by path
	Versions map[string]string // what a version in a tag stands for; what is not in it stands for itself
	scaler   cluster.Scaler
	client   kubernetes.Interface // nil: the cluster is etcd alone

	mu    sync.Mutex
	turns map[string]*sync.Mutex // of machines: what is done to one is done one after another
	half  map[string]bool        // machines that are there and were not made whole: who asks again begins anew
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
	m.client, err = kubeadm.AdminClient(ctx, c)
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
	_, tagged, ok := strings.Cut(tags[VersionTag], ":")
	if !ok || tagged == "" {
		return m.Cluster.Topology().Version
	}
	plain := strings.TrimPrefix(tagged, "v")
	return cmp.Or(m.Versions[plain], m.Versions["v"+plain], "v"+plain)
}

// Create boots a machine and joins it. One that was not made whole the last time is made anew.
func (m *Pool) Create(ctx context.Context, vm provider.Machine) error {
	defer m.turn(vm.Name)()
	if m.client == nil {
		return fmt.Errorf("cluster %s is etcd alone: there is nothing that machine %s could join", m.Cluster.Topology().Name, vm.Name)
	}
	if _, err := m.Cluster.Machine(vm.Name); err == nil && !m.isHalf(vm.Name) {
		return fmt.Errorf("the cluster has a machine %q already", vm.Name)
	}
	if err := m.scaler.RemoveMachine(ctx, vm.Name); err != nil {
		return err
	}
	m.mark(vm.Name, true)
	machine, err := m.scaler.AddMachine(ctx, cluster.MachineSpec{Name: vm.Name, Role: cluster.Worker})
	if err != nil {
		return err
	}
	if err := m.furnish(ctx, machine); err != nil {
		return err
	}
	if err := kubeadm.Join(ctx, m.Cluster, machine, m.version(vm.Tags)); err != nil {
		return err
	}
	m.mark(vm.Name, false)
	return nil
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

// Delete removes a machine; its Node stays, as it does when a cloud's machine goes, until somebody deletes it.
func (m *Pool) Delete(ctx context.Context, vm provider.Machine) error {
	defer m.turn(vm.Name)()
	if err := m.scaler.RemoveMachine(ctx, vm.Name); err != nil {
		return err
	}
	m.mark(vm.Name, false)
	return nil
}

// Power acts on the machine's switch. Reimage is a new disk: remove, create.
func (m *Pool) Power(ctx context.Context, vm provider.Machine, action string) error {
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

// nodeWithin is how long a new machine may take to be Ready.
const nodeWithin = 3 * time.Minute

// Extension waits for the machine's node to be Ready: what a provisioning script's exit code says of a real one.
func (m *Pool) Extension(ctx context.Context, vm provider.Machine, extension string) error {
	if m.client == nil {
		return fmt.Errorf("cluster %s is etcd alone: %s has no node", m.Cluster.Topology().Name, vm.Name)
	}
	return cluster.Await(ctx, fmt.Sprintf("%s on %s", extension, vm.Name), cluster.Wait{For: nodeWithin}, func(ctx context.Context) error {
		n, err := m.client.CoreV1().Nodes().Get(ctx, vm.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return kubeadm.NodeReady(n)
	})
}
