package azure

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

// scaleSet puts one of a mode with so many instances, in a network of its own.
func (c *client) scaleSet(name, more string, capacity int) {
	c.t.Helper()
	w := c.do(http.MethodPut, compute+"virtualMachineScaleSets/"+name, fmt.Sprintf(`{"location":"westeurope","sku":{"name":"Standard_D2s_v3","capacity":%d},"properties":{%s"upgradePolicy":{"mode":"Manual"},"virtualMachineProfile":{
		"osProfile":{"computerNamePrefix":"ss"},"storageProfile":{"osDisk":{"createOption":"FromImage"}},"networkProfile":{"networkInterfaceConfigurations":[{"name":"nic","properties":{"primary":true,"ipConfigurations":[
		{"name":"ip","properties":{"subnet":{"id":%q},"publicIPAddressConfiguration":{"name":"public","properties":{"idleTimeoutInMinutes":10}}}}]}}]}}}}`, capacity, more, networkID("virtualNetworks/net/subnets/default")))
	if w.Code >= http.StatusBadRequest {
		c.t.Fatal(w.Code, w.Body)
	}
	c.pass()
}

func TestInstancesHaveAddressesOfTheirSubnet(t *testing.T) {
	c := newClient(t)
	c.machine("vm") // has 10.0.0.4
	c.scaleSet("ss", "", 3)
	const ss = compute + "virtualMachineScaleSets/ss"
	var got []string
	for _, nic := range arm.Objects(c.want(http.StatusOK, http.MethodGet, ss+"/networkInterfaces", ""), "value") {
		got = append(got, arm.Text(nic, "properties", "ipConfigurations", "0", "properties", "privateIPAddress"))
	}
	if strings.Join(got, " ") != "10.0.0.5 10.0.0.6 10.0.0.7" {
		t.Errorf("instances have %v", got)
	}
	at := ss + "/virtualMachines/1/networkInterfaces/nic/ipConfigurations"
	if got := c.text(at+"/ip", "properties", "privateIPAddress") + " " + c.names(at) + " " + c.names(at+"/ip/publicipaddresses") + " " + c.names(ss+"/publicipaddresses"); got != "10.0.0.6 ip public public public public" {
		t.Errorf("by themselves: %s", got)
	}
	if got := c.want(http.StatusOK, http.MethodGet, at+"/ip/publicipaddresses/public", ""); arm.Text(got, "properties", "ipAddress") == "" || fmt.Sprint(arm.At(got, "properties", "idleTimeoutInMinutes")) != "10" {
		t.Errorf("a public address: %v", got)
	}
	for _, path := range []string{at + "/other", at + "/ip/publicipaddresses/other", ss + "/virtualMachines/9/networkInterfaces", ss + "/rollingUpgrades/latest"} {
		if w := c.do(http.MethodGet, path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	c.putNetwork("networkInterfaces/more", fmt.Sprintf(`"ipConfigurations":[{"name":"ip","properties":{"subnet":{"id":%q}}}]`, networkID("virtualNetworks/net/subnets/default")))
	if got := c.text(networks+"networkInterfaces/more", "properties", "ipConfigurations", "0", "properties", "privateIPAddress"); got != "10.0.0.8" {
		t.Errorf("an interface beside them has %s", got)
	}
	if w := c.do(http.MethodPut, ss+"/virtualMachines/1", `{"location":"westeurope","tags":{"a":"b"}}`); w.Code >= http.StatusBadRequest {
		t.Fatal(w.Code, w.Body)
	}
	c.pass()
	if got := c.text(at+"/ip", "properties", "privateIPAddress"); got != "10.0.0.6" {
		t.Errorf("an instance that was written has %q", got)
	}
	if w := c.do(http.MethodGet, ss+"/virtualMachines/1", ""); strings.Contains(w.Body.String(), "drydock") {
		t.Errorf("it tells what is hidden: %s", w.Body)
	}
}

func TestWhatAScaleSetIsAskedFor(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	c.scaleSet("ss", `"singlePlacementGroup":true,`, 2)
	const ss = compute + "virtualMachineScaleSets/ss"
	first := arm.Objects(c.want(http.StatusOK, http.MethodGet, ss+"/skus", ""), "value")[0]
	if fmt.Sprint(arm.At(first, "capacity", "maximum")) != "100" || arm.Text(first, "sku", "name") == "" {
		t.Errorf("sizes: %v", first)
	}
	c.want(http.StatusAccepted, http.MethodPost, ss+"/osRollingUpgrade", "")
	if got := c.text(ss+"/rollingUpgrades/latest", "properties", "runningStatus", "code"); got != "RollingForward" {
		t.Errorf("while it rolls: %s", got)
	}
	c.pass()
	upgrade := c.want(http.StatusOK, http.MethodGet, ss+"/rollingUpgrades/latest", "")
	if got := fmt.Sprint(arm.At(upgrade, "properties", "runningStatus", "code"), arm.At(upgrade, "properties", "progress", "successfulInstanceCount")); got != "Completed2" {
		t.Errorf("after that: %v", upgrade)
	}
	c.want(http.StatusCreated, http.MethodPut, ss+"/virtualMachines/0/extensions/e", `{"properties":{"publisher":"Microsoft.Azure.Extensions","type":"CustomScript","protectedSettings":{"a":"b"}}}`)
	c.want(http.StatusCreated, http.MethodPut, ss+"/virtualMachines/0/runCommands/r", `{"location":"westeurope","properties":{"source":{"script":"true"}}}`)
	c.pass()
	if got := c.names(ss+"/virtualMachines/0/extensions") + c.names(ss+"/virtualMachines/0/runCommands"); got != "er" {
		t.Errorf("of an instance: %s", got)
	}
	if got := arm.Text(c.result(ss+"/virtualMachines/0/runCommand", `{"commandId":"RunShellScript"}`), "value", "0", "code"); got != "ProvisioningState/succeeded" {
		t.Errorf("a command of an instance: %s", got)
	}
}

func TestAFlexibleScaleSetHasMachines(t *testing.T) {
	c := newClient(t)
	c.machine("own")
	c.scaleSet("flex", `"orchestrationMode":"Flexible",`, 2)
	const flex = compute + "virtualMachineScaleSets/flex"
	id := "/subscriptions/" + testSubscription + "/" + flex
	machines := func() []string {
		t.Helper()
		return strings.Fields(c.names(compute + "virtualMachines?$filter='virtualMachineScaleSet/id'%20eq%20'" + id + "'"))
	}
	vms := machines()
	if len(vms) != 2 || !strings.HasPrefix(vms[0], "flex_") {
		t.Fatalf("its machines: %v", vms)
	}
	vm := c.want(http.StatusOK, http.MethodGet, compute+"virtualMachines/"+vms[0], "")
	if arm.Text(vm, "properties", "virtualMachineScaleSet", "id") != id || arm.Text(vm, "properties", "hardwareProfile", "vmSize") != "Standard_D2s_v3" || arm.Text(vm, "properties", "provisioningState") != "Succeeded" {
		t.Errorf("a machine: %v", vm)
	}
	if got := strings.Fields(c.names(flex + "/virtualMachines")); len(got) != 2 || c.text(flex+"/virtualMachines/"+vms[0], "instanceId") != vms[0] {
		t.Errorf("as instances: %v", got)
	}
	if got := c.text(flex+"/virtualMachines/"+vms[0]+"/instanceView", "statuses", "1", "code"); got != "PowerState/running" {
		t.Errorf("it is %s", got)
	}
	var addresses []string
	for _, nic := range arm.Objects(c.want(http.StatusOK, http.MethodGet, flex+"/networkInterfaces", ""), "value") {
		addresses = append(addresses, arm.Text(nic, "properties", "ipConfigurations", "0", "properties", "privateIPAddress"))
	}
	if strings.Join(addresses, " ") != "10.0.0.5 10.0.0.6" {
		t.Errorf("its interfaces have %v", addresses)
	}
	if w := c.do(http.MethodDelete, flex+"/virtualMachines/"+vms[0], ""); w.Code != http.StatusConflict {
		t.Errorf("a machine deleted as an instance: %d", w.Code)
	}
	capacity := func() string {
		t.Helper()
		return fmt.Sprint(arm.At(c.want(http.StatusOK, http.MethodGet, flex, ""), "sku", "capacity"))
	}
	c.scaleSet("flex", "", 3) // nothing is said of its mode
	if got := machines(); len(got) != 3 || capacity() != "3" || c.text(flex, "properties", "orchestrationMode") != "Flexible" {
		t.Errorf("with one more: %v, %s", got, capacity())
	}
	c.want(http.StatusAccepted, http.MethodPost, flex+"/delete", fmt.Sprintf(`{"instanceIds":[%q]}`, vms[1]))
	c.pass()
	if got := strings.Join(machines(), " "); strings.Contains(got, vms[1]) || capacity() != "2" {
		t.Errorf("after one was deleted: %s, %s", got, capacity())
	}
	c.want(http.StatusAccepted, http.MethodDelete, compute+"virtualMachines/"+vms[0], "")
	c.pass()
	if capacity() != "1" {
		t.Errorf("after one was deleted by itself: %s", capacity())
	}
	c.want(http.StatusCreated, http.MethodPut, networks+"networkInterfaces/more", fmt.Sprintf(`{"location":"westeurope","properties":{"ipConfigurations":[{"name":"a","properties":{"subnet":{"id":%q}}}]}}`, networkID("virtualNetworks/net/subnets/default")))
	c.want(http.StatusCreated, http.MethodPut, compute+"virtualMachines/attached", fmt.Sprintf(`{"location":"westeurope","properties":{"virtualMachineScaleSet":{"id":%q},"storageProfile":{"osDisk":{"createOption":"FromImage"}},"networkProfile":{"networkInterfaces":[{"id":%q}]}}}`, id, networkID("networkInterfaces/more")))
	c.pass()
	if capacity() != "2" {
		t.Errorf("after one was attached: %s", capacity())
	}
	c.scaleSet("uniform", "", 1)
	for about, r := range map[string][2]string{
		"a machine of a uniform one": {"virtualMachines/bad", fmt.Sprintf(`{"location":"westeurope","properties":{"virtualMachineScaleSet":{"id":%q}}}`, strings.Replace(id, "flex", "uniform", 1))},
		"a machine of none":          {"virtualMachines/bad", fmt.Sprintf(`{"location":"westeurope","properties":{"virtualMachineScaleSet":{"id":%q}}}`, strings.Replace(id, "flex", "none", 1))},
		"another mode":               {"virtualMachineScaleSets/uniform", `{"location":"westeurope","sku":{"name":"Standard_D2s_v3","capacity":1},"properties":{"orchestrationMode":"Flexible"}}`},
		"one placement group":        {"virtualMachineScaleSets/other", `{"location":"westeurope","properties":{"orchestrationMode":"Flexible","singlePlacementGroup":true}}`},
	} {
		if w := c.do(http.MethodPut, compute+r[0], r[1]); w.Code < http.StatusBadRequest {
			t.Errorf("%s: %d %s", about, w.Code, w.Body)
		}
	}
	c.want(http.StatusAccepted, http.MethodDelete, flex, "")
	c.pass()
	if got := machines(); len(got) != 0 {
		t.Errorf("the set is gone, and these are left: %v", got)
	}
	if got := strings.Fields(c.names(compute + "disks")); len(got) != 2 || !strings.HasPrefix(got[0], "attached_OsDisk") { // which nobody said was to go with it
		t.Errorf("disks that are left: %s", got)
	}
	c.want(http.StatusCreated, http.MethodPut, compute+"virtualMachineScaleSets/bare", `{"location":"westeurope","properties":{"orchestrationMode":"Flexible","platformFaultDomainCount":2}}`)
	c.pass()
	if w := c.do(http.MethodGet, compute+"virtualMachineScaleSets/bare", ""); strings.Contains(w.Body.String(), `"sku"`) || c.text(compute+"virtualMachineScaleSets/bare", "properties", "provisioningState") != "Succeeded" {
		t.Errorf("one without a model: %s", w.Body)
	}
}

func TestALockedMachineHoldsItsFlexibleScaleSet(t *testing.T) {
	c := newClient(t)
	c.machine("own") // and its network
	c.scaleSet("flex", `"orchestrationMode":"Flexible",`, 1)
	all := strings.Fields(c.names(compute + "virtualMachines"))
	i := slices.IndexFunc(all, func(name string) bool { return strings.HasPrefix(name, "flex_") })
	if i < 0 {
		t.Fatalf("%v", all)
	}
	machine := compute + "virtualMachines/" + all[i]
	remove := c.lock("/"+machine, "CanNotDelete")
	if w := c.do(http.MethodDelete, inG+"Microsoft.Compute/virtualMachineScaleSets/flex", ""); code(w) != "ScopeLocked" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	c.pass()
	c.want(http.StatusOK, http.MethodGet, machine, "")
	remove()
	c.want(http.StatusAccepted, http.MethodDelete, inG+"Microsoft.Compute/virtualMachineScaleSets/flex", "")
	c.pass()
	if w := c.do(http.MethodGet, machine, ""); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
