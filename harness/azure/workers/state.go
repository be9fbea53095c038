package workers

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/cluster"
)

// What State calls the network of the machines, as a cloud provider has to be told in its configuration. An interface is called as its machine, with
// InterfaceSuffix behind, and so are disks: that of the system, and of a member of etcd, as AKS Engine has it, the one of its data.
const (
	Network         = "net"
	Subnet          = "machines"
	SecurityGroup   = "nsg"
	InterfaceSuffix = "-nic"
	SystemSuffix    = "-os"
	EtcdSuffix      = "-etcddisk"
)

// State is the cluster's machines as documents in a resource group of the cluster's name, for a twin to begin with: virtual machines, each with an interface
// that has the machine's address, with a disk, and with another one if a member of etcd is on it; and the network these are in.
func (m *Pool) State(subscription string) (azure.State, error) {
	t := m.Cluster.Topology()
	group := "/subscriptions/" + subscription + "/resourceGroups/" + t.Name
	docs := []document{{"id": group, "name": t.Name, "type": "Microsoft.Resources/resourceGroups", "location": azure.DefaultRegion, "properties": document{"provisioningState": arm.Succeeded}}}
	docs = append(docs, network(group, m.Cluster.Machines())...)
	for _, machine := range m.Cluster.Machines() {
		docs = append(docs, virtual(group, t, machine)...)
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

type document = map[string]any

// virtual are a machine, its interface and its disks.
func virtual(group string, t cluster.Topology, machine cluster.Machine) []document {
	name := machine.Name()
	nic, vm := group+"/providers/Microsoft.Network/networkInterfaces/"+name+InterfaceSuffix, group+"/providers/Microsoft.Compute/virtualMachines/"+name
	disk := func(suffix string, properties document) (of, entry document) {
		id := group + "/providers/Microsoft.Compute/disks/" + name + suffix
		properties["provisioningState"], properties["diskState"] = arm.Succeeded, "Attached"
		return document{"id": id, "name": name + suffix, "type": "Microsoft.Compute/disks", "location": azure.DefaultRegion, "managedBy": vm, "properties": properties},
			document{"name": name + suffix, "managedDisk": document{"id": id}, "caching": "ReadWrite", "deleteOption": "Detach"}
	}
	const systemSize, dataSize = 30, 256 // GiB; AKS Engine's etcd disk has the latter
	system, osDisk := disk(SystemSuffix, document{"osType": "Linux", "diskSizeGB": systemSize, "creationData": document{"createOption": "FromImage"}})
	osDisk["osType"], osDisk["createOption"] = "Linux", "FromImage"
	out, dataDisks := []document{system}, []any{}
	if slices.Contains(t.EtcdMachines(), name) {
		data, entry := disk(EtcdSuffix, document{"diskSizeGB": dataSize, "creationData": document{"createOption": "Empty"}})
		entry["lun"], entry["createOption"], entry["diskSizeGB"] = 0, "Empty", dataSize
		out, dataDisks = append(out, data), append(dataDisks, entry)
	}
	return append(out, document{
		"id": nic, "name": name + InterfaceSuffix, "type": "Microsoft.Network/networkInterfaces", "location": azure.DefaultRegion, "etag": "",
		"properties": document{
			"provisioningState": arm.Succeeded, "virtualMachine": document{"id": vm},
			"ipConfigurations": []any{document{
				"id": nic + "/ipConfigurations/ipconfig", "name": "ipconfig", "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
				"properties": document{
					"provisioningState": arm.Succeeded, "primary": true, "privateIPAddressVersion": "IPv4", "privateIPAllocationMethod": "Static", "privateIPAddress": machine.Addr().String(),
					"subnet": document{"id": group + "/providers/Microsoft.Network/virtualNetworks/" + Network + "/subnets/" + Subnet},
				},
			}},
		},
	}, document{
		"id": vm, "name": name, "type": "Microsoft.Compute/virtualMachines", "location": azure.DefaultRegion,
		"tags": document{provider.VersionTag: provider.VersionTagged(t.Version), provider.PoolTag: string(machine.Role())},
		"properties": document{
			"provisioningState": arm.Succeeded, "vmId": arm.Derived("vm", name), "osProfile": document{"computerName": name},
			"hardwareProfile": document{"vmSize": "Standard_D2s_v3"}, "networkProfile": document{"networkInterfaces": []any{document{"id": nic}}},
			"storageProfile": document{"osDisk": osDisk, "dataDisks": dataDisks},
		},
	})
}

// network is the one that machines are in, and the security group that a cloud provider writes its rules to.
func network(group string, machines []cluster.Machine) []document {
	if len(machines) == 0 {
		return nil
	}
	prefix := netip.PrefixFrom(machines[0].Addr(), 16).Masked().String()
	id := group + "/providers/Microsoft.Network/virtualNetworks/" + Network
	subnet := document{
		"id": id + "/subnets/" + Subnet, "name": Subnet, "type": "Microsoft.Network/virtualNetworks/subnets", "properties": document{"provisioningState": arm.Succeeded, "addressPrefix": prefix},
	}
	return []document{
		{
			"id": id, "name": Network, "type": "Microsoft.Network/virtualNetworks", "location": azure.DefaultRegion, "etag": "",
			"properties": document{"provisioningState": arm.Succeeded, "addressSpace": document{"addressPrefixes": []any{prefix}}, "subnets": []any{subnet}},
		},
		{
			"id": group + "/providers/Microsoft.Network/networkSecurityGroups/" + SecurityGroup, "name": SecurityGroup, "type": "Microsoft.Network/networkSecurityGroups", "location": azure.DefaultRegion, "etag": "",
			"properties": document{"provisioningState": arm.Succeeded, "securityRules": []any{}},
		},
	}
}
