// Package workers makes the virtual machines of a twin the workers of a cluster. It is beside the twin, which does not import it: who only wants the twin
// links no client of Kubernetes.
package workers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
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
	scaler  cluster.Scaler
	client  kubernetes.Interface
}

var _ provider.Machines = (*Pool)(nil)

// New needs a cluster that machines can be added to.
func New(ctx context.Context, c cluster.Cluster) (*Pool, error) {
	s, ok := c.(cluster.Scaler)
	if !ok || !c.Topology().Kubernetes() {
		return nil, cluster.Usagef("machines cannot be added to cluster %s", c.Topology().Name)
	}
	client, err := kubeadm.AdminClient(ctx, c)
	return &Pool{Cluster: c, scaler: s, client: client}, err
}

// What State calls the network of the machines, as a cloud provider has to be told in its configuration. An interface is called as its machine, with
// InterfaceSuffix behind.
const (
	Network         = "net"
	Subnet          = "machines"
	SecurityGroup   = "nsg"
	InterfaceSuffix = "-nic"
)

// State is the cluster's machines as documents in a resource group of the cluster's name, for a twin to begin with: virtual machines, each with an interface
// that has the machine's address, and the network these are in.
func (m *Pool) State(subscription string) (azure.State, error) {
	t := m.Cluster.Topology()
	group := "/subscriptions/" + subscription + "/resourceGroups/" + t.Name
	docs := []map[string]any{{"id": group, "name": t.Name, "type": "Microsoft.Resources/resourceGroups", "location": azure.DefaultRegion, "properties": map[string]any{"provisioningState": arm.Succeeded}}}
	docs = append(docs, network(group, m.Cluster.Machines())...)
	for _, machine := range m.Cluster.Machines() {
		nic, vm := group+"/providers/Microsoft.Network/networkInterfaces/"+machine.Name()+InterfaceSuffix, group+"/providers/Microsoft.Compute/virtualMachines/"+machine.Name()
		docs = append(docs, map[string]any{
			"id": nic, "name": machine.Name() + InterfaceSuffix, "type": "Microsoft.Network/networkInterfaces", "location": azure.DefaultRegion, "etag": "",
			"properties": map[string]any{
				"provisioningState": arm.Succeeded, "virtualMachine": map[string]any{"id": vm},
				"ipConfigurations": []any{map[string]any{
					"id": nic + "/ipConfigurations/ipconfig", "name": "ipconfig", "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
					"properties": map[string]any{
						"provisioningState": arm.Succeeded, "primary": true, "privateIPAddressVersion": "IPv4", "privateIPAllocationMethod": "Static", "privateIPAddress": machine.Addr().String(),
						"subnet": map[string]any{"id": group + "/providers/Microsoft.Network/virtualNetworks/" + Network + "/subnets/" + Subnet},
					},
				}},
			},
		}, map[string]any{
			"id": vm, "name": machine.Name(), "type": "Microsoft.Compute/virtualMachines", "location": azure.DefaultRegion,
			"tags": map[string]any{VersionTag: "Kubernetes:" + strings.TrimPrefix(t.Version, "v"), "poolName": string(machine.Role())},
			"properties": map[string]any{
				"provisioningState": arm.Succeeded, "vmId": arm.Derived("vm", machine.Name()), "osProfile": map[string]any{"computerName": machine.Name()},
				"hardwareProfile": map[string]any{"vmSize": "Standard_D2s_v3"}, "networkProfile": map[string]any{"networkInterfaces": []any{map[string]any{"id": nic}}},
				"storageProfile": map[string]any{"osDisk": map[string]any{"osType": "Linux", "name": machine.Name() + "-os", "createOption": "FromImage"}},
			},
		})
	}
	var s azure.State
	for _, d := range docs {
		raw, err := json.Marshal(d)
		if err != nil {
			return s, fmt.Errorf("state: %w", err)
		}
		s.Resources = append(s.Resources, raw)
	}
	return s, nil
}

// network is the one that machines are in, and the security group that a cloud provider writes its rules to.
func network(group string, machines []cluster.Machine) []map[string]any {
	if len(machines) == 0 {
		return nil
	}
	prefix := netip.PrefixFrom(machines[0].Addr(), 16).Masked().String()
	id := group + "/providers/Microsoft.Network/virtualNetworks/" + Network
	subnet := map[string]any{
		"id": id + "/subnets/" + Subnet, "name": Subnet, "type": "Microsoft.Network/virtualNetworks/subnets", "properties": map[string]any{"provisioningState": arm.Succeeded, "addressPrefix": prefix},
	}
	return []map[string]any{
		{
			"id": id, "name": Network, "type": "Microsoft.Network/virtualNetworks", "location": azure.DefaultRegion, "etag": "",
			"properties": map[string]any{"provisioningState": arm.Succeeded, "addressSpace": map[string]any{"addressPrefixes": []any{prefix}}, "subnets": []any{subnet}},
		},
		{
			"id": group + "/providers/Microsoft.Network/networkSecurityGroups/" + SecurityGroup, "name": SecurityGroup, "type": "Microsoft.Network/networkSecurityGroups", "location": azure.DefaultRegion, "etag": "",
			"properties": map[string]any{"provisioningState": arm.Succeeded, "securityRules": []any{}},
		},
	}
}

// Create boots a machine and joins it.
func (m *Pool) Create(ctx context.Context, name string, tags map[string]string) error {
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
	return kubeadm.Join(ctx, m.Cluster, machine, version)
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
	return cluster.Await(ctx, fmt.Sprintf("%s on %s", extension, machine), cluster.Wait{For: nodeWithin}, func(ctx context.Context) error {
		n, err := m.client.CoreV1().Nodes().Get(ctx, machine, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return kubeadm.NodeReady(n)
	})
}
