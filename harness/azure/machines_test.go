package azure

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

const compute = "resourceGroups/g/providers/Microsoft.Compute/"

func (c *client) text(path string, field ...string) string {
	c.t.Helper()
	return arm.Text(c.want(http.StatusOK, http.MethodGet, path, ""), field...)
}

func TestAMachineAndItsDisksTellHowItIs(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	power := func() string {
		t.Helper()
		return strings.TrimPrefix(c.text(compute+"virtualMachines/vm/instanceView", "statuses", "1", "code"), "PowerState/")
	}
	disk := func() string { t.Helper(); return c.text(compute+"disks/vm-os", "properties", "diskState") }
	for _, r := range []struct{ action, during, power, disk string }{
		{"powerOff", "stopping", "stopped", "Attached"}, {"start", "starting", "running", "Attached"}, {"deallocate", "deallocating", "deallocated", "Reserved"}, {"start", "starting", "running", "Attached"},
		{"restart", "running", "running", "Attached"},
	} {
		c.want(http.StatusAccepted, http.MethodPost, compute+"virtualMachines/vm/"+r.action, "")
		if got := power(); got != r.during {
			t.Errorf("during %s: %s, want %s", r.action, got, r.during)
		}
		c.pass()
		if got := power() + " " + disk(); got != r.power+" "+r.disk {
			t.Errorf("after %s: %s, want %s %s", r.action, got, r.power, r.disk)
		}
	}
	if os := c.text(compute+"virtualMachines/vm", "properties", "storageProfile", "osDisk", "osType"); os != "Linux" || c.text(compute+"disks/vm-os", "properties", "osType") != "Linux" {
		t.Errorf("its system is %q", os)
	}
	if c.text(compute+"virtualMachines/vm", "properties", "timeCreated") == "" || c.text(compute+"disks/vm-os", "properties", "timeCreated") == "" {
		t.Error("nobody says when they were made")
	}
	c.do(http.MethodPost, compute+"virtualMachines/vm/deallocate", "")
	c.pass()
	c.do(http.MethodPut, compute+"disks/vm-os", `{"location":"westeurope","properties":{"diskState":"Unattached","creationData":{"createOption":"Empty"},"diskSizeGB":64}}`)
	c.pass()
	if got := disk(); got != "Reserved" {
		t.Errorf("a client wrote its disk's state: %s", got)
	}
}

func TestWhatIsToGoWithAMachineGoes(t *testing.T) {
	c := newClient(t)
	c.machine("other") // the network
	c.want(http.StatusCreated, http.MethodPut, networks+"networkInterfaces/nic", fmt.Sprintf(`{"location":"westeurope","properties":{"ipConfigurations":[{"name":"a","properties":{"subnet":{"id":%q}}}]}}`, networkID("virtualNetworks/net/subnets/default")))
	c.want(http.StatusCreated, http.MethodPut, compute+"virtualMachines/vm", fmt.Sprintf(`{"location":"westeurope","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage","name":"os","deleteOption":"Delete"},
		"dataDisks":[{"lun":0,"name":"goes","createOption":"Empty","diskSizeGB":4,"deleteOption":"Delete"},{"lun":1,"name":"stays","createOption":"Empty","diskSizeGB":4}]},
		"networkProfile":{"networkInterfaces":[{"id":%q,"properties":{"deleteOption":"Delete"}}]}}}`, networkID("networkInterfaces/nic")))
	c.pass()
	if got := c.want(http.StatusOK, http.MethodGet, compute+"disks/goes", "")["properties"]; fmt.Sprint(arm.At(got, "diskSizeGB")) != "4" {
		t.Errorf("the disk is as large as its machine said: %v", got)
	}
	c.do(http.MethodDelete, compute+"virtualMachines/vm", "")
	c.pass()
	for path, want := range map[string]int{compute + "disks/os": 404, compute + "disks/goes": 404, networks + "networkInterfaces/nic": 404, compute + "disks/stays": 200, networks + "networkInterfaces/other-nic": 200} {
		if w := c.do(http.MethodGet, path, ""); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

func TestInstancesKnowThatTheModelHasChanged(t *testing.T) {
	c := newClient(t)
	c.group()
	put := func(mode, size string, capacity int) {
		t.Helper()
		w := c.do(http.MethodPut, compute+"virtualMachineScaleSets/ss", fmt.Sprintf(`{"location":"westeurope","sku":{"name":"Standard_D2s_v3","capacity":%d},"properties":{"upgradePolicy":{"mode":%q},"virtualMachineProfile":{"osProfile":{"computerNamePrefix":"ss","adminUsername":%q}}}}`, capacity, mode, size))
		if w.Code >= http.StatusBadRequest {
			t.Fatal(w.Code, w.Body)
		}
		c.pass()
	}
	applied := func() string {
		t.Helper()
		var out []string
		for _, vm := range arm.Objects(c.want(http.StatusOK, http.MethodGet, compute+"virtualMachineScaleSets/ss/virtualMachines", ""), "value") {
			out = append(out, fmt.Sprint(arm.At(vm, "properties", "latestModelApplied")))
		}
		return strings.Join(out, " ")
	}
	want := func(about, expected string) {
		t.Helper()
		if got := applied(); got != expected {
			t.Errorf("%s: %s, want %s", about, got, expected)
		}
	}
	put("Manual", "a", 2)
	want("new", "true true")
	put("Manual", "a", 3)
	want("scaled out", "true true true")
	put("Manual", "b", 4)
	want("another model, and one more instance", "false false false true")
	c.do(http.MethodPost, compute+"virtualMachineScaleSets/ss/manualupgrade", `{"instanceIds":["1"]}`)
	c.pass()
	want("one is upgraded", "false true false true")
	put("Automatic", "c", 4)
	want("by itself", "true true true true")
}

// A machine that is made again is another one: its id says so, and the identity of its own is a new principal's, which may nothing that the old one might.
func TestAMachineThatIsMadeAgainIsAnotherOne(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	const path = "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
	var body map[string]any
	who := func() [2]string {
		t.Helper()
		body = c.want(http.StatusOK, http.MethodGet, path, "")
		return [2]string{arm.Text(body, "properties", "vmId"), arm.Text(body, "identity", "principalId")}
	}
	c.do(http.MethodPatch, path, `{"identity":{"type":"SystemAssigned"}}`)
	c.pass()
	first := who()
	if first[0] == "" || first[1] == "" {
		t.Fatalf("it is %v", first)
	}
	c.do(http.MethodPatch, path, `{"tags":{"a":"b"}}`)
	c.pass()
	if got := who(); got != first {
		t.Errorf("after a change it is %v instead of %v", got, first)
	}
	delete(body, "identity")
	again := string(arm.Marshal(body))
	c.do(http.MethodDelete, path, "")
	c.pass()
	c.want(http.StatusCreated, http.MethodPut, path, again)
	c.pass()
	c.do(http.MethodPatch, path, `{"identity":{"type":"SystemAssigned"}}`)
	c.pass()
	if got := who(); got[0] == first[0] || got[1] == first[1] || got[1] == "" {
		t.Errorf("made again it is %v, before it was %v", got, first)
	}
}

// Identities stay where a PUT says nothing of them, as tools scale that send a size alone, and go where it says None.
func TestAnIdentityIsRemovedByNameAlone(t *testing.T) {
	c := newClient(t)
	c.machine("vm") // and its network
	c.scaleSet("ss", "", 1)
	const path = "resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/ss"
	principal := func(method, body string) string {
		t.Helper()
		if w := c.do(method, path, body); w.Code >= http.StatusBadRequest {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		c.pass()
		return c.text(path, "identity", "principalId")
	}
	first := principal(http.MethodPatch, `{"identity":{"type":"SystemAssigned"},"tags":{"a":"b"}}`)
	if first == "" {
		t.Fatal("it has none")
	}
	if got := principal(http.MethodPut, `{"location":"westeurope","sku":{"name":"Standard_D2s_v3","capacity":2}}`); got != first {
		t.Errorf("scaled it has %q instead of %q", got, first)
	}
	if got := c.text(path, "tags", "a"); got != "b" {
		t.Errorf("scaled it has the tag %q", got)
	}
	if got := principal(http.MethodPatch, `{"identity":{"type":"None"}}`); got != "" {
		t.Errorf("without an identity it has %q", got)
	}
}
