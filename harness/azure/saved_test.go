package azure

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

// again is another twin, on the same clock, with what a twin has saved to a file.
func (c *client) again() *client {
	c.t.Helper()
	raw, err := json.Marshal(c.twin.State())
	if err != nil {
		c.t.Fatal(err)
	}
	var s State
	if err := json.Unmarshal(raw, &s); err != nil {
		c.t.Fatal(err)
	}
	other := newClientOf(c.t, Options{})
	other.clock.Advance(c.clock.Now().Sub(other.clock.Now()))
	if err := other.twin.Load(s); err != nil {
		c.t.Fatal(err)
	}
	return other
}

func TestAStateThatWasSavedGoesOn(t *testing.T) {
	c := newClient(t)
	c.machine("on")
	c.machine("off")
	const vms, set = "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/", "resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/ss"
	c.want(http.StatusAccepted, http.MethodPost, vms+"off/deallocate", "")
	c.want(http.StatusCreated, http.MethodPut, set, `{"location":"westeurope","sku":{"name":"x","capacity":3}}`)
	c.pass()
	c.want(http.StatusAccepted, http.MethodPost, set+"/delete", `{"instanceIds":["1"]}`)
	c.pass()
	// Under way: a machine is deleted, another made, and a deployment has more to do.
	deletion := c.do(http.MethodDelete, vms+"on", "")
	made := c.do(http.MethodPut, vms+"new", `{"location":"westeurope","properties":{}}`)
	const d = "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
	c.want(http.StatusCreated, http.MethodPut, d, `{"properties":{"mode":"Incremental","parameters":{"name":{"value":"b"},"secret":{"value":"hidden"}},"template":`+whole(`{"parameters":{"name":{"type":"string"},"secret":{"type":"securestring"}},"resources":[
		{"type":"Microsoft.Compute/disks","apiVersion":"1","name":"a","location":"westeurope"},
		{"type":"Microsoft.Compute/disks","apiVersion":"1","name":"[parameters('name')]","location":"westeurope","dependsOn":["a"]}]}`)+`}}`)
	c.clock.Advance(time.Second)
	c.twin.store.Settle()

	other := c.again()
	was, _ := json.Marshal(c.twin.State().Resources)
	if is, _ := json.Marshal(other.twin.State().Resources); string(is) != string(was) {
		t.Errorf("the documents were\n%s\nand are\n%s", was, is)
	}
	if body := c.want(http.StatusOK, http.MethodGet, d, ""); strings.Contains(string(arm.Marshal(body)), "hidden") {
		t.Errorf("a client is told of a secure parameter: %v", body)
	}
	nic := "resourceGroups/g/providers/Microsoft.Network/networkInterfaces/off-nic"
	if a, b := header(c.do(http.MethodGet, nic, ""), "ETag"), header(other.do(http.MethodGet, nic, ""), "ETag"); a != b {
		t.Errorf("an etag was %s and is %s", a, b)
	}
	for name, w := range map[string]string{"the deletion": header(deletion, "Azure-AsyncOperation"), "the machine": header(made, "Azure-AsyncOperation")} {
		path := strings.TrimPrefix(w, "https://management.example")
		if got := other.want(http.StatusOK, http.MethodGet, path, ""); arm.Text(got, "status") != arm.InProgress {
			t.Errorf("%s is %v", name, got)
		}
	}
	for _, x := range []*client{c, other} {
		x.pass()
		x.pass()
		x.want(http.StatusNotFound, http.MethodGet, vms+"on", "")
		if got := x.want(http.StatusOK, http.MethodGet, vms+"new", ""); arm.Text(got, "properties", "provisioningState") != arm.Succeeded {
			t.Errorf("the new machine is %v", got)
		}
		if view := string(arm.Marshal(x.want(http.StatusOK, http.MethodGet, vms+"off/instanceView", ""))); !strings.Contains(view, "PowerState/deallocated") {
			t.Errorf("the machine that was off is %s", view)
		}
		if got := x.want(http.StatusOK, http.MethodGet, d, ""); arm.Text(got, "properties", "provisioningState") != arm.Succeeded {
			t.Errorf("the deployment is %v", got)
		}
		x.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Compute/disks/b", "")
		x.want(http.StatusOK, http.MethodPut, set, `{"location":"westeurope","sku":{"name":"x","capacity":3}}`)
		x.pass()
		x.want(http.StatusNotFound, http.MethodGet, set+"/virtualMachines/1", "") // ids are not used again
		x.want(http.StatusOK, http.MethodGet, set+"/virtualMachines/3", "")
	}
	for _, op := range other.twin.store.View().Operations() {
		if op.Status == arm.InProgress {
			t.Errorf("%s of %s goes on", op.Verb, op.Target)
		}
	}
}

func TestAStateIsTheSameWhenItIsLoadedAndSavedAgain(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/ss", `{"location":"westeurope","sku":{"name":"x","capacity":2}}`)
	c.pass()
	c.want(http.StatusAccepted, http.MethodDelete, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm", "")
	was, _ := json.Marshal(c.twin.State())
	if is, _ := json.Marshal(c.again().twin.State()); string(is) != string(was) {
		t.Errorf("it was\n%s\nand is\n%s", was, is)
	}
}
