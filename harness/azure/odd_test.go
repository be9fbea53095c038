package azure

import (
	"fmt"
	"net/http"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

// TestNoAddressIsGivenTwiceInOneInterface nor to one that another has.
func TestNoAddressIsGivenTwiceInOneInterface(t *testing.T) {
	c := grouped(t)
	c.putNetwork("virtualNetworks/net", `"addressSpace":{"addressPrefixes":["10.1.0.0/16"]},"subnets":[{"name":"a","properties":{"addressPrefix":"10.1.0.0/24"}}]`)
	config := func(name, more string) string {
		return fmt.Sprintf(`{"name":%q,"properties":{"subnet":{"id":%q}%s}}`, name, networkID("virtualNetworks/net/subnets/a"), more)
	}
	seen := map[string]string{}
	for _, card := range []struct{ name, first, then string }{
		{"dynamic-beside-static", config("x", "") + "," + config("y", `,"privateIPAddress":"10.1.0.4","privateIPAllocationMethod":"Static"`), ""},
		{"new-before-old", config("b", ""), config("a", "") + "," + config("b", "")},
		{"anothers", config("x", `,"privateIPAddress":"10.1.0.4","privateIPAllocationMethod":"Dynamic"`), ""},
	} {
		for _, configs := range []string{card.first, card.then} {
			if status, code, message := c.putNetwork("networkInterfaces/"+card.name, `"ipConfigurations":[`+configs+`]`); configs != "" && status >= http.StatusBadRequest {
				t.Fatalf("%s: %d %s %s", card.name, status, code, message)
			}
		}
		for _, x := range arm.Objects(c.want(http.StatusOK, http.MethodGet, networks+"networkInterfaces/"+card.name, ""), "properties", "ipConfigurations") {
			address := arm.Text(x, "properties", "privateIPAddress")
			if seen[address] != "" {
				t.Errorf("%s has %s, which %s has", card.name, address, seen[address])
			}
			seen[address] = card.name
		}
	}
	static := `,"privateIPAddress":"10.1.0.40","privateIPAllocationMethod":"Static"`
	if _, code, _ := c.putNetwork("networkInterfaces/twice", `"ipConfigurations":[`+config("x", static)+","+config("y", static)+`]`); code != "PrivateIPAddressIsAllocated" {
		t.Errorf("one static address twice: %q", code)
	}
}

// TestANetworkKeepsWhatIsUsedOfIt: a PUT of the whole took a subnet from under the interfaces in it.
func TestANetworkKeepsWhatIsUsedOfIt(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	for want, subnets := range map[string]string{
		"InUseSubnetCannotBeDeleted": `{"name":"other","properties":{"addressPrefix":"10.9.0.0/16"}}`,
		"InUsePrefixCannotBeDeleted": `{"name":"default","properties":{"addressPrefix":"10.9.0.0/16"}}`,
		"InvalidRequestFormat":       `{"name":"default","properties":{"addressPrefix":"10.0.0.0/16"}},{"name":"Default","properties":{"addressPrefix":"10.9.0.0/16"}}`,
		"":                           `{"name":"default","properties":{"addressPrefix":"10.0.0.0/15"}}`,
	} {
		if _, code, message := c.putNetwork("virtualNetworks/net", `"subnets":[`+subnets+`]`); code != want {
			t.Errorf("%s: %q %q, want %q", subnets, code, message, want)
		}
	}
}

// TestAMachineHasInterfacesAndDisksAndNothingElse: what a reference led to was written to, and deleted with the machine, whatever it was.
func TestAMachineHasInterfacesAndDisksAndNothingElse(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	const compute, own = "resourceGroups/g/providers/Microsoft.Compute/", "/subscriptions/" + testSubscription + "/"
	machine := func(name, properties string) (int, string) {
		w := c.do(http.MethodPut, compute+"virtualMachines/"+name, `{"location":"westeurope","properties":{`+properties+`}}`)
		return w.Code, code(w)
	}
	for _, ref := range []string{own + "resourceGroups/g", own + compute + "virtualMachines/vm", own + networks + "virtualNetworks/net"} {
		if status, code := machine("bad", `"networkProfile":{"networkInterfaces":[{"id":"`+ref+`","properties":{"deleteOption":"Delete"}}]}`); status != http.StatusBadRequest {
			t.Errorf("the interface %s: %d %s", ref, status, code)
		}
	}
	for _, ref := range []string{own + "resourceGroups/ghost", own + "resourceGroups/g", own + "resourceGroups/ghost/" + "providers/Microsoft.Compute/disks/x", "/subscriptions/other/" + compute + "disks/x"} {
		if status, code := machine("bad", `"storageProfile":{"osDisk":{"name":"x","createOption":"FromImage","managedDisk":{"id":"`+ref+`"}}}`); status != http.StatusBadRequest && status != http.StatusNotFound {
			t.Errorf("the disk %s: %d %s", ref, status, code)
		}
	}
	const shared = `"storageProfile":{"dataDisks":[{"lun":0,"name":"shared","createOption":"Empty","diskSizeGB":4}]}`
	if status, code := machine("a", shared); status != http.StatusCreated {
		t.Fatal(status, code)
	}
	if status, code := machine("b", shared); status != http.StatusConflict || code != "ConflictingUserInput" {
		t.Errorf("a disk on two machines: %d %s", status, code)
	}
}

// TestATagIsAClientsOwn whatever its name, and an etag is the service's.
func TestATagIsAClientsOwn(t *testing.T) {
	c := grouped(t)
	for path, properties := range map[string]string{networks + "virtualNetworks/net": `{}`, "resourceGroups/g/providers/Microsoft.Compute/disks/d": `{"creationData":{"createOption":"Empty"}}`} {
		c.do(http.MethodPut, path, `{"location":"westeurope","etag":"mine","DRYDOCKPowerState":"on","tags":{"etag":"mine"},"properties":`+properties+`}`)
		c.pass()
		got := c.want(http.StatusOK, http.MethodGet, path, "")
		if arm.Text(got, "tags", "etag") != "mine" || arm.Text(got, "etag") == "mine" || arm.At(got, "drydockPowerState") != nil {
			t.Errorf("%s", arm.Marshal(got))
		}
	}
}
