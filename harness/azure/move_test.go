package azure

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

// moveTo asks for resources of the group g to be moved to the group other, by their paths below its providers, and gives the answer.
func (c *client) moveTo(action string, resources ...string) *httptest.ResponseRecorder {
	c.t.Helper()
	const base = "/subscriptions/" + testSubscription + "/resourceGroups/"
	for i, r := range resources {
		resources[i] = base + "g/providers/" + r
	}
	return c.do(http.MethodPost, "resourceGroups/g/"+action, string(arm.Marshal(map[string]any{"resources": resources, "targetResourceGroup": base + "other"})))
}

// ended is what is found where an operation was told to be asked after, once it is over.
func (c *client) ended(w *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	c.t.Helper()
	at := strings.TrimPrefix(header(w, "Location"), "https://management.example")
	if w.Code != http.StatusAccepted || at == "" {
		c.t.Fatalf("it did not begin: %d %s", w.Code, w.Body)
	}
	if running := c.do(http.MethodGet, at, ""); running.Code != http.StatusAccepted {
		c.t.Errorf("it is over at once: %d %s", running.Code, running.Body)
	}
	c.pass()
	return c.do(http.MethodGet, at, "")
}

const (
	movedVM  = "Microsoft.Compute/virtualMachines/vm"
	movedNIC = "Microsoft.Network/networkInterfaces/vm-nic"
	inG      = "resourceGroups/g/providers/"
	inOther  = "resourceGroups/Other/providers/"
)

func TestWhatIsMovedKeepsWhatItIsAndWhatNamesItFollows(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/Other", `{"location":"northeurope"}`)
	c.want(http.StatusCreated, http.MethodPut, inG+movedVM+"/extensions/e", `{"location":"westeurope","properties":{"publisher":"p","type":"t","typeHandlerVersion":"1.0"}}`)
	c.want(http.StatusCreated, http.MethodPut, inG+movedVM+lockPath+"l", `{"properties":{"level":"CanNotDelete"}}`)
	c.pass()
	was := c.want(http.StatusOK, http.MethodGet, inG+movedVM, "")

	if w := c.ended(c.moveTo("validateMoveResources", movedVM, movedNIC)); w.Code >= http.StatusBadRequest {
		t.Fatalf("to be validated: %d %s", w.Code, w.Body)
	}
	c.want(http.StatusOK, http.MethodGet, inG+movedVM, "")

	begun := c.moveTo("moveResources", movedVM, movedNIC)
	for _, x := range []struct{ method, path string }{
		{http.MethodPut, inG + "Microsoft.Compute/availabilitySets/a"}, {http.MethodPut, inOther + "Microsoft.Compute/availabilitySets/a"}, {http.MethodDelete, inG + movedVM}, {http.MethodDelete, "resourceGroups/g"},
		{http.MethodDelete, "resourceGroups/other"}, {http.MethodPost, inG + movedVM + "/restart"},
	} {
		if w := c.do(x.method, x.path, `{"location":"westeurope"}`); w.Code != http.StatusConflict {
			t.Errorf("during the move %s %s: %d %s", x.method, x.path, w.Code, w.Body)
		}
	}
	c.want(http.StatusOK, http.MethodGet, inG+movedVM, "")
	c = c.again() // it goes on in another process
	if w := c.ended(begun); w.Code >= http.StatusBadRequest {
		t.Fatalf("%d %s", w.Code, w.Body)
	}

	for _, gone := range []string{movedVM, movedNIC, movedVM + "/extensions/e", movedVM + lockPath + "l"} {
		if w := c.do(http.MethodGet, inG+gone, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s is still there: %d", gone, w.Code)
		}
		c.want(http.StatusOK, http.MethodGet, inOther+gone, "")
	}
	vm, nic := c.want(http.StatusOK, http.MethodGet, inOther+movedVM, ""), c.want(http.StatusOK, http.MethodGet, inOther+movedNIC, "")
	if arm.Text(vm, "location") != "westeurope" || arm.Text(vm, "properties", "vmId") != arm.Text(was, "properties", "vmId") || !strings.Contains(arm.Text(vm, "id"), "/resourceGroups/Other/") {
		t.Errorf("it is %v", vm)
	}
	disk := c.want(http.StatusOK, http.MethodGet, inG+"Microsoft.Compute/disks/vm-os", "")
	for what, named := range map[string][2]string{
		"the interface of the machine": {arm.Text(vm, "properties", "networkProfile", "networkInterfaces", "0", "id"), arm.Text(nic, "id")},
		"the machine of the interface": {arm.Text(nic, "properties", "virtualMachine", "id"), arm.Text(vm, "id")},
		"the machine of the disk":      {arm.Text(disk, "managedBy"), arm.Text(vm, "id")},
		"the disk of the machine":      {arm.Text(vm, "properties", "storageProfile", "osDisk", "managedDisk", "id"), arm.Text(disk, "id")},
	} {
		if !strings.EqualFold(named[0], named[1]) {
			t.Errorf("%s is %s, want %s", what, named[0], named[1])
		}
	}
	if got := c.names("resourceGroups/other/resources"); got != "vm e vm-nic" {
		t.Errorf("in the other group are %q", got)
	}
	c.want(http.StatusOK, http.MethodPatch, inOther+movedVM, `{"tags":{"a":"b"}}`)
	c.pass()
	if w := c.ended(c.moveTo("moveResources", "Microsoft.Network/virtualNetworks/net")); w.Code >= http.StatusBadRequest {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	nic = c.want(http.StatusOK, http.MethodGet, inOther+movedNIC, "")
	if got := arm.Text(nic, "properties", "ipConfigurations", "0", "properties", "subnet", "id"); !strings.HasSuffix(got, inOther+"Microsoft.Network/virtualNetworks/net/subnets/default") || c.do(http.MethodGet, got, "").Code != http.StatusOK {
		t.Errorf("the interface's subnet is %s", got)
	}
	c.want(http.StatusOK, http.MethodDelete, inOther+movedVM+lockPath+"l", "")
	c.want(http.StatusAccepted, http.MethodDelete, inOther+movedVM, "")
	c.pass()
	c.want(http.StatusAccepted, http.MethodDelete, "resourceGroups/g", "")
}

func TestWhatCannotBeMovedIsRefusedAndNothingMoves(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/other", `{"location":"northeurope"}`)
	const set, identity, busy = "Microsoft.Compute/availabilitySets/set", "Microsoft.ManagedIdentity/userAssignedIdentities/i", "Microsoft.Network/publicIPAddresses/busy"
	for path, body := range map[string]string{
		inG + set: `{"location":"westeurope"}`, inOther + set: `{"location":"westeurope"}`, inG + identity: `{"location":"westeurope"}`,
	} {
		if w := c.do(http.MethodPut, path, body); w.Code > http.StatusCreated {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	c.pass()
	for resource, want := range map[string]string{
		"Microsoft.Compute/disks/none": "MoveResourcesNotFound",
		identity:                       "ResourceMoveNotSupported",
		set:                            "CannotMoveResource",
		busy:                           "MoveResourcesHavePendingOperations",
		"Microsoft.Network/virtualNetworks/net/subnets/default": "MoveResourcesNotFound",
		movedVM + "/extensions/none":                            "MoveResourcesNotFound",
		"Microsoft.Resources/deployments/none":                  "MoveResourcesNotFound",
	} {
		c.do(http.MethodPut, inG+busy, `{"location":"westeurope","properties":{}}`)
		for _, action := range []string{"validateMoveResources", "moveResources"} {
			c.do(http.MethodPatch, inG+busy, `{"tags":{"a":"b"}}`)
			c.do(http.MethodPut, inG+busy, `{"location":"westeurope","properties":{}}`)
			w := c.ended(c.moveTo(action, movedNIC, resource))
			if e := arm.At(decoded(t, w), "error"); w.Code != http.StatusConflict || arm.Text(e, "code") != "ResourceMoveValidationFailed" || arm.Text(e, "details", "0", "code") != want || arm.Text(e, "details", "0", "target") == "" {
				t.Errorf("%s of %s: %d %s, want %s", action, resource, w.Code, w.Body, want)
			}
		}
	}
	c.want(http.StatusOK, http.MethodGet, inG+movedNIC, "")
	c.want(http.StatusOK, http.MethodPatch, inG+movedVM, `{"tags":{"a":"b"}}`)
	c.pass()
	for body, want := range map[string]string{
		`{}`: "InvalidRequestContent",
		`{"resources":["x"],"targetResourceGroup":"/subscriptions/` + testSubscription + `/resourceGroups/other"}`:                                                                                 "InvalidRequestContent",
		`{"resources":["/subscriptions/` + testSubscription + `/resourceGroups/g/providers/` + movedVM + `"],"targetResourceGroup":"/subscriptions/` + testSubscription + `/resourceGroups/G"}`:    "InvalidRequestContent",
		`{"resources":["/subscriptions/` + testSubscription + `/resourceGroups/g/providers/` + movedVM + `"],"targetResourceGroup":"/subscriptions/` + testSubscription + `/resourceGroups/none"}`: "ResourceGroupNotFound",
	} {
		if w := c.do(http.MethodPost, "resourceGroups/g/moveResources", body); code(w) != want {
			t.Errorf("%s: %d %s, want %s", body, w.Code, w.Body, want)
		}
	}
	defer c.lock("/resourceGroups/other", "ReadOnly")()
	if w := c.moveTo("moveResources", movedVM); code(w) != "ScopeLocked" {
		t.Errorf("into a group that is locked: %d %s", w.Code, w.Body)
	}
}

func TestAnAccountThatIsMovedKeepsItsKeys(t *testing.T) {
	c := newClient(t)
	c.group()
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/Other", `{"location":"northeurope"}`)
	const account = "Microsoft.Storage/storageAccounts/account1"
	c.want(http.StatusAccepted, http.MethodPut, inG+account, `{"location":"westeurope","kind":"StorageV2","sku":{"name":"Standard_LRS"},"properties":{}}`)
	c.pass()
	key := func(in string) string {
		return arm.Text(c.want(http.StatusOK, http.MethodPost, in+account+"/listKeys", ""), "keys", "0", "value")
	}
	was := key(inG)
	if w := c.ended(c.moveTo("moveResources", account)); w.Code >= http.StatusBadRequest {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if is := key(inOther); is != was || was == "" {
		t.Errorf("the key was %s and is %s", was, is)
	}
}

func TestAScaleSetBehindAStandardBalancerStays(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/other", `{"location":"northeurope"}`)
	const balancer, set = "Microsoft.Network/loadBalancers/lb", "Microsoft.Compute/virtualMachineScaleSets/ss"
	c.want(http.StatusCreated, http.MethodPut, inG+balancer, `{"location":"westeurope","sku":{"name":"Standard"},"properties":{"backendAddressPools":[{"name":"pool"}]}}`)
	c.pass()
	const pools = `"loadBalancerBackendAddressPools":[{"id":"/subscriptions/` + testSubscription + `/` + inG + balancer + `/backendAddressPools/pool"}]`
	c.want(http.StatusCreated, http.MethodPut, inG+set, `{"location":"westeurope","sku":{"name":"Standard_D2s_v3","capacity":1},"properties":{"upgradePolicy":{"mode":"Manual"},"virtualMachineProfile":{"networkProfile":{"networkInterfaceConfigurations":[{"name":"nic","properties":{"primary":true,"ipConfigurations":[{"name":"a","properties":{"subnet":{"id":"/subscriptions/`+testSubscription+`/`+inG+`Microsoft.Network/virtualNetworks/net/subnets/default"},`+pools+`}}]}}]}}}}`)
	c.pass()
	c.pass()
	if w := c.ended(c.moveTo("moveResources", set)); !strings.Contains(w.Body.String(), "CannotMoveResource") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	c.want(http.StatusOK, http.MethodGet, inG+set, "")
}

// TestWhatIsMovedKeepsWhatItWasGiven moves what somebody who writes ids in another case asks for: names, tags that look like ids, keys of accounts and
// identities stay, and stay when it is put again where it is then.
func TestWhatIsMovedKeepsWhatItWasGiven(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/Other", `{"location":"northeurope"}`)
	const account, disk = "Microsoft.Storage/storageAccounts/account1", "Microsoft.Compute/disks/vm-os"
	again := map[string]string{account: `{"location":"westeurope","kind":"StorageV2","sku":{"name":"Standard_LRS"},"identity":{"type":"SystemAssigned"}}`}
	c.want(http.StatusAccepted, http.MethodPut, inG+account, again[account])
	const self = "/subscriptions/" + testSubscription + "/" + inG + movedVM
	c.want(http.StatusOK, http.MethodPatch, inG+movedVM, `{"identity":{"type":"SystemAssigned"},"tags":{"was":"`+self+`"}}`)
	c.pass()
	was := map[string]map[string]any{}
	for _, path := range []string{account, movedVM, movedNIC, disk} {
		was[path] = c.want(http.StatusOK, http.MethodGet, inG+path, "")
	}
	keys := string(arm.Marshal(c.want(http.StatusOK, http.MethodPost, inG+account+"/listKeys", "")))
	if w := c.ended(c.moveTo("moveResources", strings.ToUpper(account), strings.ToUpper(movedVM), strings.ToUpper(movedNIC), strings.ToUpper(disk))); w.Code >= http.StatusBadRequest {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for path, then := range was {
		now := c.want(http.StatusOK, http.MethodGet, inOther+path, "")
		if arm.Text(now, "id") != "/subscriptions/"+testSubscription+"/"+inOther+path {
			t.Errorf("%s is called %s", path, arm.Text(now, "id"))
		}
		if w := c.do(http.MethodPut, inOther+path, string(arm.Marshal(now))); w.Code >= http.StatusBadRequest {
			t.Errorf("%s is put again as it is: %d %s", path, w.Code, w.Body)
		}
		c.pass()
		now = c.want(http.StatusOK, http.MethodGet, inOther+path, "")
		for _, own := range [][]string{{"identity", "principalId"}, {"properties", "vmId"}, {"properties", "uniqueId"}, {"properties", "macAddress"}, {"properties", "resourceGuid"}, {"properties", "primaryEndpoints", "blob"}, {"tags", "was"}} {
			if arm.Text(now, own...) != arm.Text(then, own...) {
				t.Errorf("%s: %v was %q and is %q", path, own, arm.Text(then, own...), arm.Text(now, own...))
			}
		}
	}
	if is := string(arm.Marshal(c.want(http.StatusOK, http.MethodPost, inOther+account+"/listKeys", ""))); is != keys {
		t.Errorf("the keys were %s and are %s", keys, is)
	}
}

// TestAnIdentityOfItsOwnIsKept asks that a resource keeps its identity when it is put again, and that none is made of identities that users assign.
func TestAnIdentityOfItsOwnIsKept(t *testing.T) {
	c := newClient(t)
	c.group()
	for path, body := range map[string]string{
		"Microsoft.Storage/storageAccounts/account1":   `{"location":"westeurope","kind":"StorageV2","sku":{"name":"Standard_LRS"},"identity":{"type":"%s"}}`,
		"Microsoft.Compute/virtualMachineScaleSets/ss": `{"location":"westeurope","sku":{"name":"Standard_D2s_v3","capacity":0},"identity":{"type":"%s"},"properties":{"upgradePolicy":{"mode":"Manual"},"virtualMachineProfile":{}}}`,
	} {
		principal := func(typ string) string {
			if w := c.do(http.MethodPut, inG+path, strings.Replace(body, "%s", typ, 1)); w.Code >= http.StatusBadRequest {
				t.Fatalf("%s: %d %s", path, w.Code, w.Body)
			}
			c.pass()
			return arm.Text(c.want(http.StatusOK, http.MethodGet, inG+path, ""), "identity", "principalId")
		}
		if p := principal("None"); p != "" {
			t.Errorf("%s has the identity %s and asked for none", path, p)
		}
		first := principal("SystemAssigned")
		if again := principal("SystemAssigned"); first == "" || again != first {
			t.Errorf("%s: its identity was %q and is %q", path, first, again)
		}
	}
}
