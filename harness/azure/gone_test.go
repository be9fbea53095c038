package azure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

// TestWhatIsNoResourceIsNeitherMadeNorDeleted: paths above resources took the place of what they are in.
func TestWhatIsNoResourceIsNeitherMadeNorDeleted(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	before, _ := json.Marshal(c.twin.State().Resources)
	for _, path := range []string{
		"", "/", "/providers/Microsoft.Compute", "/providers/Microsoft.Compute/register", "/resourceGroups", "/resourceGroups/g/providers", "/resourceGroups/g/providers/Microsoft.Network",
		"/resourceGroups/g/resourceGroups/other", "/resourceGroups/g/subscriptions/other", "/resourceGroups/g/operationresults/x", "/operationresults/x", "/resourceGroups/g/providers/Microsoft.Compute/virtualMachines",
		"/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm/instanceView", "/providers/Microsoft.Compute/locations/westeurope/operations/x",
		"/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/s/virtualMachines/0/networkInterfaces/n",
	} {
		for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete} {
			w := c.do(method, "/subscriptions/"+testSubscription+path, `{"location":"westeurope"}`)
			if w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s …%s: %d %s", method, path, w.Code, w.Body)
			}
		}
	}
	c.pass()
	if after, _ := json.Marshal(c.twin.State().Resources); string(after) != string(before) {
		t.Errorf("it changed\n%s\nto\n%s", before, after)
	}
}

// TestAGroupInDeletionIsClosed as Azure/azure-cli#28679 has it; a second DELETE is told of the first one's operation.
func TestAGroupInDeletionIsClosed(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	const vm = "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
	first := c.do(http.MethodDelete, "resourceGroups/g", "")
	if first.Code != http.StatusAccepted {
		t.Fatalf("%d %s", first.Code, first.Body)
	}
	for _, call := range [][3]string{
		{http.MethodPut, "resourceGroups/g/providers/Microsoft.Compute/disks/d", `{"location":"westeurope"}`}, {http.MethodPut, vm, `{"location":"westeurope"}`}, {http.MethodPatch, vm, `{}`},
		{http.MethodPost, vm + "/restart", ""}, {http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`}, {http.MethodPatch, "resourceGroups/g", `{"tags":{}}`},
		{http.MethodPut, "resourceGroups/g/providers/Microsoft.Network/virtualNetworks/net/subnets/s", `{}`},
		{http.MethodPut, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", `{"properties":{"mode":"Incremental","template":{"resources":[]}}}`},
	} {
		if w := c.do(call[0], call[1], call[2]); w.Code != http.StatusConflict || code(w) != "ResourceGroupBeingDeleted" {
			t.Errorf("%s %s: %d %s", call[0], call[1], w.Code, w.Body)
		}
	}
	second := c.do(http.MethodDelete, "resourceGroups/g", "")
	if second.Code != http.StatusAccepted || header(second, "Location") != header(first, "Location") {
		t.Errorf("the second DELETE: %d, at %q instead of %q", second.Code, header(second, "Location"), header(first, "Location"))
	}
	c.pass()
	if w := c.do(http.MethodGet, strings.TrimPrefix(header(first, "Location"), "https://management.example"), ""); w.Code >= http.StatusBadRequest || w.Code == http.StatusAccepted {
		t.Errorf("the deletion: %d %s", w.Code, w.Body)
	}
	if n := c.twin.store.View().Size(); n != 0 {
		t.Errorf("%d documents are left", n)
	}
}

// TestWhatIsBeingDeletedIsNotChanged with the words of Azure/azure-sdk-for-python#2702.
func TestWhatIsBeingDeletedIsNotChanged(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	const vm = "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
	first := c.do(http.MethodDelete, vm, "")
	for _, call := range [][3]string{{http.MethodPatch, vm, `{"tags":{"a":"b"}}`}, {http.MethodPut, vm, `{"location":"westeurope"}`}, {http.MethodPost, vm + "/restart", ""}} {
		if w := c.do(call[0], call[1], call[2]); w.Code != http.StatusConflict || code(w) != "OperationNotAllowed" || !strings.Contains(w.Body.String(), "on VM 'vm' since the VM is marked for deletion") {
			t.Errorf("%s %s: %d %s", call[0], call[1], w.Code, w.Body)
		}
	}
	if second := c.do(http.MethodDelete, vm, ""); second.Code != http.StatusAccepted || header(second, "Azure-AsyncOperation") != header(first, "Azure-AsyncOperation") {
		t.Errorf("the second DELETE: %d %v", second.Code, second.Header())
	}
	c.pass()
	c.want(http.StatusNotFound, http.MethodGet, vm, "")
}

func TestAnInstanceThatIsNotThereIsNotMade(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	const set = "resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/ss"
	c.want(http.StatusCreated, http.MethodPut, set, `{"location":"westeurope","sku":{"name":"Standard_D2s_v3","capacity":1}}`)
	c.pass()
	c.want(http.StatusNotFound, http.MethodPut, set+"/virtualMachines/77", `{"location":"westeurope","properties":{}}`)
	c.want(http.StatusMethodNotAllowed, http.MethodPatch, set+"/virtualMachines/77", `{"tags":{"a":"b"}}`) // of no instance
	c.want(http.StatusOK, http.MethodPut, set+"/virtualMachines/0", `{"location":"westeurope","properties":{}}`)
}

func TestDisksWithoutANameAreNamedAfterTheirMachine(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	const vm = "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
	body := `{"location":"westeurope","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage"},"dataDisks":[{"lun":0,"createOption":"Empty","diskSizeGB":8},{"lun":1,"createOption":"Empty","diskSizeGB":8}]}}}`
	c.want(http.StatusCreated, http.MethodPut, vm, body)
	c.pass()
	names := func() (out []string) {
		for _, d := range arm.Objects(c.want(http.StatusOK, http.MethodGet, vm, ""), "properties", "storageProfile", "dataDisks") {
			out = append(out, arm.Text(d, "name"))
		}
		return out
	}
	was := names()
	if len(was) != 2 || !strings.HasPrefix(was[0], "vm_disk2_") || !strings.HasPrefix(was[1], "vm_disk3_") || len(was[0]) != len("vm_disk2_")+32 {
		t.Fatalf("they are %q", was)
	}
	c.want(http.StatusOK, http.MethodPut, vm, body) // as tools do that keep no names
	c.pass()
	if now := names(); fmt.Sprint(now) != fmt.Sprint(was) {
		t.Errorf("they were %q and are %q", was, now)
	}
	if err := newClient(t).twin.Load(c.twin.State()); err != nil {
		t.Errorf("the state does not load again: %v", err)
	}
}

func TestNothingIsMadeInAGroupThatGoes(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	disk := func(name, after string) string {
		return fmt.Sprintf(`{"type":"Microsoft.Compute/disks","apiVersion":"1","name":%q,"location":"westeurope","properties":{},"dependsOn":[%s]}`, name, after)
	}
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", `{"properties":{"mode":"Incremental","template":`+whole(`{"resources":[`+disk("a", "")+","+disk("b", `"a"`)+","+disk("c", `"b"`)+`]}`)+`}}`)
	c.want(http.StatusAccepted, http.MethodDelete, "resourceGroups/g", "")
	c.pass()
	c.pass()
	if n := c.twin.store.View().Size(); n != 0 {
		t.Errorf("%d documents are left: %s", n, c.twin.State().Resources)
	}
	for _, op := range c.twin.store.View().Operations() {
		if op.Status == arm.InProgress {
			t.Errorf("%s of %s goes on", op.Verb, op.Target)
		}
	}
}
