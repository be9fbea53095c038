package azure

import (
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

const (
	lockPath   = "/providers/Microsoft.Authorization/locks/"
	lockedPath = "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
)

// lock puts one at a scope below the test's subscription.
func (c *client) lock(scope, level string) (remove func()) {
	c.t.Helper()
	path := "/subscriptions/" + testSubscription + scope + lockPath + "hold"
	c.want(http.StatusCreated, http.MethodPut, path, `{"properties":{"level":"`+level+`","notes":"stays"}}`)
	return func() { c.t.Helper(); c.want(http.StatusOK, http.MethodDelete, path, "") }
}

func TestALockHoldsWhatIsThereAndBelow(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	const disk, sub = "resourceGroups/g/providers/Microsoft.Compute/disks/d", ""
	c.want(http.StatusOK, http.MethodPut, "resourceGroups/g/providers/Microsoft.Compute/availabilitySets/set", `{"location":"westeurope"}`)
	for _, x := range []struct{ scope, level, method, path, body string }{
		{"/" + lockedPath, "CanNotDelete", http.MethodDelete, lockedPath, ""},
		{"/" + lockedPath, "CanNotDelete", http.MethodDelete, lockedPath + "/extensions/e", ""},
		{"/" + lockedPath, "CanNotDelete", http.MethodDelete, "resourceGroups/g", ""},
		{"/resourceGroups/g", "CanNotDelete", http.MethodDelete, "resourceGroups/g", ""},
		{"/resourceGroups/g", "CanNotDelete", http.MethodDelete, "resourceGroups/g/providers/Microsoft.Network/virtualNetworks/net/subnets/default", ""},
		{sub, "cannotdelete", http.MethodDelete, lockedPath, ""},
		{"/" + lockedPath, "ReadOnly", http.MethodPatch, lockedPath, `{"tags":{"a":"b"}}`},
		{"/" + lockedPath, "ReadOnly", http.MethodPost, lockedPath + "/restart", ""},
		{"/" + lockedPath, "ReadOnly", http.MethodDelete, lockedPath, ""},
		{"/resourceGroups/g", "ReadOnly", http.MethodPut, disk, `{"location":"westeurope","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":1}}`},
		{"/resourceGroups/g", "ReadOnly", http.MethodPut, "resourceGroups/g/providers/Microsoft.Network/virtualNetworks/net/subnets/s", `{"properties":{"addressPrefix":"10.0.0.0/24"}}`},
		{sub, "ReadOnly", http.MethodPut, "resourceGroups/other", `{"location":"westeurope"}`},
	} {
		remove := c.lock(x.scope, x.level)
		w := c.do(x.method, x.path, x.body)
		if w.Code != http.StatusConflict || code(w) != "ScopeLocked" || !strings.Contains(w.Body.String(), "are locked: '/subscriptions/"+testSubscription+x.scope+"'") {
			t.Errorf("%s of %q: %s %s: %d %s", x.level, x.scope, x.method, x.path, w.Code, w.Body)
		}
		remove()
	}
	remove := c.lock("/"+lockedPath, "CanNotDelete")
	c.want(http.StatusOK, http.MethodPatch, lockedPath, `{"tags":{"a":"b"}}`)
	c.pass()
	c.want(http.StatusAccepted, http.MethodPost, lockedPath+"/restart", "")
	c.want(http.StatusOK, http.MethodDelete, "resourceGroups/g/providers/Microsoft.Compute/availabilitySets/set", "")
	c.pass()
	remove()
	c.want(http.StatusAccepted, http.MethodDelete, "resourceGroups/g", "")
	c.pass()
	if w := c.do(http.MethodGet, "resourceGroups/g", ""); w.Code != http.StatusNotFound {
		t.Errorf("the group is still there: %d", w.Code)
	}
}

func TestALockIsAResourceWithListsAboveAndBelow(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	c.lock("", "ReadOnly")()
	c.lock("/"+lockedPath, "CanNotDelete")
	c.lock("/resourceGroups/g", "CanNotDelete")
	count := func(path string) int {
		return len(arm.Objects(c.want(http.StatusOK, http.MethodGet, path, ""), "value"))
	}
	for path, want := range map[string]int{
		"providers/Microsoft.Authorization/locks": 2, "resourceGroups/g/providers/Microsoft.Authorization/locks": 2, lockedPath + "/providers/Microsoft.Authorization/locks": 2,
		"resourceGroups/g/providers/Microsoft.Authorization/locks?$filter=atScope()": 1, "providers/Microsoft.Authorization/locks?$filter=atScope()": 0,
	} {
		if got := count(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	got := c.want(http.StatusOK, http.MethodGet, lockedPath+lockPath+"hold", "")
	if arm.Text(got, "properties", "level") != "CanNotDelete" || arm.Text(got, "properties", "notes") != "stays" || arm.Text(got, "type") != "Microsoft.Authorization/locks" || !strings.HasSuffix(arm.Text(got, "id"), lockedPath+lockPath+"hold") {
		t.Errorf("%v", got)
	}
	for path, want := range map[string]string{lockedPath + lockPath + "x": "InvalidRequestContent", "resourceGroups/none" + lockPath + "x": "ResourceGroupNotFound", "resourceGroups/g/providers/Microsoft.Compute/disks/none" + lockPath + "x": "ResourceNotFound"} {
		body := `{"properties":{"level":"ReadOnly"}}`
		if want == "InvalidRequestContent" {
			body = `{"properties":{"level":"Firmly"}}`
		}
		if w := c.do(http.MethodPut, path, body); code(w) != want {
			t.Errorf("%s: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	if w := c.do(http.MethodGet, "resourceGroups/g"+lockPath+"x", ""); code(w) != "LockNotFound" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := c.do(http.MethodDelete, "resourceGroups/g"+lockPath+"x", ""); w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestALockHoldsADeploymentsResources(t *testing.T) {
	c := newClient(t)
	c.group()
	const sets = "resourceGroups/g/providers/Microsoft.Compute/availabilitySets/"
	c.want(http.StatusOK, http.MethodPut, sets+"old", `{"location":"westeurope"}`)
	defer c.lock("/"+sets+"old", "CanNotDelete")()
	d := c.endedDeployment("Complete", `[{"type":"Microsoft.Compute/availabilitySets","apiVersion":"2024-07-01","name":"new","location":"westeurope"}]`)
	if arm.Text(d, "properties", "provisioningState") != "Failed" || !strings.Contains(string(arm.Marshal(d)), "ScopeLocked") {
		t.Errorf("complete mode took what is locked: %v", d)
	}
	c.want(http.StatusOK, http.MethodGet, sets+"old", "")
	c.lock("/"+sets+"new", "ReadOnly")
	d = c.endedDeployment("Incremental", `[{"type":"Microsoft.Compute/availabilitySets","apiVersion":"2024-07-01","name":"new","location":"westeurope","tags":{"a":"b"}}]`)
	if arm.Text(d, "properties", "provisioningState") != "Failed" {
		t.Errorf("a deployment wrote what is locked: %v", d)
	}
}

// endedDeployment is a deployment that has ended.
func (c *client) endedDeployment(mode, resources string) map[string]any {
	c.t.Helper()
	const path = "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
	w := c.do(http.MethodPut, path, `{"properties":{"mode":"`+mode+`","template":{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0","resources":`+resources+`}}}`)
	if w.Code >= http.StatusBadRequest {
		c.t.Fatalf("%d %s", w.Code, w.Body)
	}
	for range 10 {
		c.pass()
	}
	return c.want(http.StatusOK, http.MethodGet, path, "")
}
