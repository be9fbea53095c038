package arm

import (
	"strings"
	"testing"
)

// TestWhatIsAstray reads documents as a Resource Manager has them.
func TestWhatIsAstray(t *testing.T) {
	const group = "/subscriptions/s/resourceGroups/g/providers/"
	vm := group + "Microsoft.Compute/virtualMachines/vm"
	type m = map[string]any
	of := func(typ, name string, more m) m {
		doc := m{"type": typ, "name": name, "id": group + typ + "/" + name}
		for k, v := range more {
			doc[k] = v
		}
		return doc
	}
	whole := []m{
		of("Microsoft.Compute/virtualMachines", "vm", m{"identity": m{"principalId": "p"}, "properties": m{
			"osProfile": m{"computerName": "VM"}, "storageProfile": m{"osDisk": m{"managedDisk": m{"id": group + "Microsoft.Compute/disks/kept"}}},
			"networkProfile": m{"networkInterfaces": []any{m{"id": group + "Microsoft.Network/networkInterfaces/nic"}}},
		}}),
		of("Microsoft.Compute/disks", "kept", m{"managedBy": strings.ToUpper(vm)}),
		of("Microsoft.Network/networkInterfaces", "nic", m{"properties": m{"virtualMachine": m{"id": vm}}}),
		of("Microsoft.Authorization/roleAssignments", "good", m{"properties": m{"principalId": "p"}}),
	}
	for name, x := range map[string]struct {
		more []m
		says string
	}{
		"nothing":                       {nil, ""},
		"a disk of nobody":              {[]m{of("Microsoft.Compute/disks", "free", nil)}, "disks/free belongs to nobody"},
		"a disk of one that is no more": {[]m{of("Microsoft.Compute/disks", "left", m{"managedBy": vm + "2"})}, "disks/left belongs to virtualMachines/vm2, which is not its owner any more"},
		"an interface of nobody":        {[]m{of("Microsoft.Network/networkInterfaces", "loose", nil)}, "networkInterfaces/loose belongs to nobody"},
		"a role of nobody":              {[]m{of("Microsoft.Authorization/roleAssignments", "stale", m{"properties": m{"principalId": "q"}})}, "roleAssignments/stale is of principal q, which is gone"},
		"a script that failed":          {[]m{{"id": vm + "/extensions/cse", "type": "Microsoft.Compute/virtualMachines/extensions", "properties": m{"provisioningState": Failed}}}, "virtualMachines/vm/extensions/cse is Failed"},
		"a deployment that failed":      {[]m{of("Microsoft.Resources/deployments", "d", m{"properties": m{"provisioningState": Failed}})}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var resources []Resource
			for _, d := range append(whole, x.more...) {
				resources = append(resources, ReadResource(d))
			}
			if got := strings.Join(Astray(resources, nil), "; "); got != x.says {
				t.Errorf("%q, want %q", got, x.says)
			}
		})
	}
}
