// Package workers makes the virtual machines of a twin the workers of a cluster. It is beside the twin, which does not import it: who only wants the twin
// links no client of Kubernetes.
package workers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
)

// VersionTag is the tag that names a machine's version, as cluster tools write it: "Kubernetes:1.35.4".
const VersionTag = "orchestrator"

// Pool makes the virtual machines of a twin the workers of a cluster: a new one boots and joins at the version of its tag, a deleted
// one loses its power and its disk, and power actions act. An extension's verdict is whether its machine's node is Ready.
type Pool struct {
	Cluster cluster.Cluster
	Files   map[string][]byte // that every machine has, by path
	scaler  cluster.Scaler
	client  kubernetes.Interface
}

var _ provider.Machines = (*Pool)(nil)

// New needs a cluster that machines can be added to. To one that is etcd alone none can be: there its machines can be looked at and switched.
func New(ctx context.Context, c cluster.Cluster) (*Pool, error) {
	s, ok := c.(cluster.Scaler)
	if !ok {
		return nil, cluster.Usagef("machines cannot be added to cluster %s", c.Topology().Name)
	}
	m := &Pool{Cluster: c, scaler: s}
	if !c.Topology().Kubernetes() {
		return m, nil
	}
	var err error
	m.client, err = kubeadm.AdminClient(ctx, c)
	return m, err
}

// Create boots a machine and joins it.
func (m *Pool) Create(ctx context.Context, name string, tags map[string]string) error {
	if m.client == nil {
		return fmt.Errorf("cluster %s is etcd alone: there is nothing that machine %s could join", m.Cluster.Topology().Name, name)
	}
	version := m.Cluster.Topology().Version
	if _, v, ok := strings.Cut(tags[VersionTag], ":"); ok && v != "" {
		version = "v" + strings.TrimPrefix(v, "v")
	}
	if _, err := m.Cluster.Machine(name); err == nil {
		return fmt.Errorf("the cluster has a machine %q already", name)
	}
	machine, err := m.scaler.AddMachine(ctx, cluster.MachineSpec{Name: name, Role: cluster.Worker})
	if err != nil {
		return err
	}
	if err := m.furnish(ctx, machine); err != nil {
		return err
	}
	return kubeadm.Join(ctx, m.Cluster, machine, version)
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
func (m *Pool) Delete(ctx context.Context, name string) error {
	return m.scaler.RemoveMachine(ctx, name)
}

// Power acts on the machine's switch. Reimage is a new disk: remove, create.
func (m *Pool) Power(ctx context.Context, name, action string) error {
	machine, err := m.Cluster.Machine(name)
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
	case "reimage":
		if err := m.Delete(ctx, name); err != nil {
			return err
		}
		return m.Create(ctx, name, nil)
	default:
		return nil
	}
}

// nodeWithin is how long a new machine may take to be Ready.
const nodeWithin = 3 * time.Minute

// Extension waits for the machine's node to be Ready: what a provisioning script's exit code says of a real one.
func (m *Pool) Extension(ctx context.Context, machine, extension string) error {
	if m.client == nil {
		return fmt.Errorf("cluster %s is etcd alone: %s has no node", m.Cluster.Topology().Name, machine)
	}
	return cluster.Await(ctx, fmt.Sprintf("%s on %s", extension, machine), cluster.Wait{For: nodeWithin}, func(ctx context.Context) error {
		n, err := m.client.CoreV1().Nodes().Get(ctx, machine, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return kubeadm.NodeReady(n)
	})
}
