package azure

import (
	"fmt"
	"net/http"
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
