package workers

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
)

// etcdDir is where a member's disk of data is.
const etcdDir = "/var/lib/etcd"

// hostName is what a machine is called as a host, and its node after it: a computer's name may have capitals.
func hostName(vm provider.Machine) string { return strings.ToLower(vm.Name) }

// roleOf is what a machine is for: what the pool of its tag is called after, or what a machine of its name was, or is called after itself.
func (m *Pool) roleOf(vm provider.Machine) cluster.Role {
	for _, s := range m.Cluster.Topology().Machines() {
		if s.Name == vm.Name {
			return s.Role
		}
	}
	if vm.ForControlPlane() {
		return cluster.ControlPlane
	}
	return cluster.Worker
}

// etcdDisk is the disk of a control plane's etcd: the one that is called after it, or the first.
func etcdDisk(vm provider.Machine) (provider.Disk, bool) {
	if i := slices.IndexFunc(vm.Disks, func(d provider.Disk) bool { return strings.HasSuffix(d.Name, EtcdSuffix) }); i >= 0 {
		return vm.Disks[i], true
	}
	if len(vm.Disks) > 0 {
		return vm.Disks[0], true
	}
	return provider.Disk{}, false
}

// Create boots a machine and has it become what it is for. One that was not made whole the last time is made anew; the disk of etcd is not lost by that.
func (m *Pool) Create(ctx context.Context, vm provider.Machine) error {
	vm.Name = hostName(vm)
	defer m.turn(vm.Name)()
	if m.client == nil {
		return fmt.Errorf("cluster %s is etcd alone: there is nothing that machine %s could join", m.Cluster.Topology().Name, vm.Name)
	}
	if _, err := m.Cluster.Machine(vm.Name); err == nil {
		if !m.isHalf(vm.Name) {
			return fmt.Errorf("the cluster has a machine %q already", vm.Name)
		}
		if err := m.remove(ctx, vm); err != nil {
			return err
		}
	}
	m.mark(vm.Name, true)
	create := m.createWorker
	if m.roleOf(vm) == cluster.ControlPlane {
		create = m.createControlPlane
	}
	if err := create(ctx, vm); err != nil {
		return err
	}
	m.mark(vm.Name, false)
	return nil
}

func (m *Pool) createWorker(ctx context.Context, vm provider.Machine) error {
	machine, err := m.scaler.AddMachine(ctx, cluster.MachineSpec{Name: vm.Name, Role: cluster.Worker})
	if err != nil {
		return err
	}
	if err := m.furnish(ctx, machine); err != nil {
		return err
	}
	return kubeadm.Join(ctx, m.Cluster, machine, m.version(vm.Tags))
}

// createControlPlane makes one with the data of etcd that its disk has, or, with a new disk, one with a new member. A member whose data is lost does not come back by
// an empty disk: it would answer for what it has forgotten.
func (m *Pool) createControlPlane(ctx context.Context, vm provider.Machine) error {
	disk, has := etcdDisk(vm)
	stacked := m.Cluster.Topology().Etcd == cluster.EtcdStacked
	spec := cluster.MachineSpec{Name: vm.Name, Role: cluster.ControlPlane}
	switch {
	case !stacked:
		machine, err := m.scaler.AddMachine(ctx, spec)
		if err != nil {
			return err
		}
		return errors.Join(m.furnish(ctx, machine), kubeadm.Provision(ctx, m.Cluster, machine, m.version(vm.Tags), m.pki))
	case !has || disk.Fresh:
		if err := m.forgotten(ctx, vm.Name); err != nil {
			return err
		}
		machine, err := m.scaler.AddMachine(ctx, spec)
		if err != nil {
			return err
		}
		return errors.Join(m.furnish(ctx, machine), kubeadm.Join(ctx, m.Cluster, machine, m.version(vm.Tags)))
	}
	disks, ok := m.Cluster.(cluster.DataDisks)
	if !ok {
		return fmt.Errorf("machine %s: cluster %s has no disks that outlive their machines", vm.Name, m.Cluster.Topology().Name)
	}
	kept, err := disks.Disks(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(kept, disk.Name) {
		return fmt.Errorf("machine %s: disk %s holds no data of etcd; there are: %s", vm.Name, disk.Name, strings.Join(kept, ", "))
	}
	machine, err := disks.AddMachineWith(ctx, spec, map[string]string{etcdDir: disk.Name})
	if err != nil {
		return err
	}
	if err := m.furnish(ctx, machine); err != nil {
		return err
	}
	return kubeadm.Provision(ctx, m.Cluster, machine, m.version(vm.Tags), m.pki)
}

// forgotten refuses a new member where the list has one of that name, whose data is gone.
func (m *Pool) forgotten(ctx context.Context, name string) error {
	var errs []error
	for _, other := range m.Cluster.Machines() {
		if other.Role() != cluster.ControlPlane || other.Name() == name {
			continue
		}
		members, err := kubeadm.Members(ctx, other)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if id := members[name]; id != "" {
			return fmt.Errorf("machine %s: etcd has a member %s of its name, and its disk is a new one: remove the member first", name, id)
		}
		return nil
	}
	if len(errs) == 0 {
		return fmt.Errorf("machine %s: its disk of etcd is a new one, and there is no other control plane whose member could take it in", name)
	}
	return fmt.Errorf("machine %s: no member of etcd says whether it has one of its name: %w", name, errors.Join(errs...))
}

// Delete removes a machine; its Node stays, as it does when a cloud's machine goes, until somebody deletes it, and so does its disk of etcd.
func (m *Pool) Delete(ctx context.Context, vm provider.Machine) error {
	vm.Name = hostName(vm)
	defer m.turn(vm.Name)()
	if err := m.remove(ctx, vm); err != nil {
		return err
	}
	m.mark(vm.Name, false)
	return nil
}

func (m *Pool) remove(ctx context.Context, vm provider.Machine) error {
	disk, has := etcdDisk(vm)
	disks, able := m.Cluster.(cluster.DataDisks)
	if machine, err := m.Cluster.Machine(vm.Name); err == nil && machine.Role() == cluster.ControlPlane && has && able && m.Cluster.Topology().Etcd == cluster.EtcdStacked {
		return disks.RemoveMachineKeeping(ctx, vm.Name, map[string]string{etcdDir: disk.Name})
	}
	return m.scaler.RemoveMachine(ctx, vm.Name)
}

// How long a control plane may take to be provisioned, and a worker's node to be Ready.
const (
	provisionedWithin = 10 * time.Minute
	nodeWithin        = 3 * time.Minute
)

// provisions reports whether an extension provisions, by how its name begins (AKS Engine's cse-master-0, cse-agent-1); another has nothing to do here.
func provisions(extension string) bool {
	return strings.HasPrefix(extension, "cse") || strings.HasPrefix(extension, "provision")
}

// Extension is the verdict of a machine's provisioning script. Of a control plane it is what AKS Engine's asks: etcd, kubelet and API server of the machine, and not
// whether its node is Ready. A worker's asks for no more than its kubelet; here its node is waited for as well, for who deploys one counts on it next.
func (m *Pool) Extension(ctx context.Context, vm provider.Machine, extension string) error {
	vm.Name = hostName(vm)
	if !provisions(extension) {
		return nil
	}
	if m.client == nil {
		return fmt.Errorf("cluster %s is etcd alone: %s has no node", m.Cluster.Topology().Name, vm.Name)
	}
	machine, err := m.Cluster.Machine(vm.Name)
	if err == nil {
		err = m.provisioned(ctx, machine, extension)
	}
	if err != nil {
		return err
	}
	return m.spoiled(ctx, machine)
}

// provisioned waits until the machine is.
func (m *Pool) provisioned(ctx context.Context, machine cluster.Machine, extension string) error {
	name := machine.Name()
	if machine.Role() == cluster.ControlPlane {
		if err := m.await(ctx, name, extension, provisionedWithin, func(ctx context.Context) error { return kubeadm.Provisioned(ctx, m.Cluster, machine) }); err != nil {
			return err
		}
		return m.await(ctx, name, extension, nodeWithin, func(ctx context.Context) error { return kubeadm.Mark(ctx, m.Cluster, machine) })
	}
	return m.await(ctx, name, extension, nodeWithin, func(ctx context.Context) error {
		if err := kubeadm.Provisioned(ctx, m.Cluster, machine); err != nil {
			return err
		}
		n, err := m.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return kubeadm.NodeReady(n)
	})
}

func (m *Pool) await(ctx context.Context, machine, extension string, within time.Duration, look func(ctx context.Context) error) error {
	if m.Provisioning > 0 {
		within = m.Provisioning
	}
	return cluster.Await(ctx, extension+" on "+machine, cluster.Wait{For: within, Every: time.Second}, look)
}

// Spoil has the kubelets of machines that fit a pattern die as soon as they are provisioned, from now on; an empty one has none.
func (m *Pool) Spoil(pattern string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spoil = pattern
}

// Spoilt are the machines it was done to.
func (m *Pool) Spoilt() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.dead)
}

// spoiled lets the kubelet of a machine die that is to.
func (m *Pool) spoiled(ctx context.Context, machine cluster.Machine) error {
	m.mu.Lock()
	pattern := m.spoil
	m.mu.Unlock()
	if fits, err := path.Match(pattern, machine.Name()); err != nil || !fits {
		return err
	}
	if _, err := cluster.Shell(ctx, machine, "systemctl stop kubelet"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = append(m.dead, machine.Name())
	return nil
}
