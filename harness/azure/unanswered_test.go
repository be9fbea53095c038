package azure

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

func TestWhatIsNotAnsweredIsRefusedAsARMDoesAndCounted(t *testing.T) {
	c := newClient(t)
	c.group()
	const in = "resourceGroups/g/providers/"
	for _, x := range []struct{ method, path, code, counted string }{
		{http.MethodGet, in + "Microsoft.Compute/nosuch/a", "InvalidResourceType", "GET /subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/nosuch/{}"},
		{http.MethodGet, in + "Microsoft.Compute/nosuch/b", "InvalidResourceType", "GET /subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/nosuch/{}"},
		{http.MethodPut, in + "Microsoft.NoSuch/things/a", "InvalidResourceNamespace", "PUT /subscriptions/{}/resourceGroups/{}/providers/Microsoft.NoSuch/things/{}"},
		{http.MethodGet, "nosuch", "InvalidResourceType", "GET /subscriptions/{}/nosuch"},
		{http.MethodGet, "/nosuch/at/all", "InvalidResource", "GET /nosuch/at/all"},
		{http.MethodPost, in + "Microsoft.Compute/disks/a/nosuch", "InvalidAction", "POST /subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/disks/{}/nosuch"},
		{http.MethodPatch, in + "Microsoft.Authorization/roleAssignments/a", "MethodNotAllowed", "PATCH /subscriptions/{}/resourceGroups/{}/providers/Microsoft.Authorization/roleAssignments/{}"},
		{http.MethodGet, "resourceGroups/g/exportTemplate", "MethodNotAllowed", "GET /subscriptions/{}/resourceGroups/{}/exportTemplate"},
		{http.MethodGet, in + "Microsoft.Compute/disks?$filter=nonsense", "InvalidFilterInQueryString", "GET /subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/disks?$filter"},
		{http.MethodGet, "/providers/Microsoft.Resources/deployments/d", "AuthorizationFailed", "GET /providers/Microsoft.Resources/deployments/{}"},
		{http.MethodGet, in + "Microsoft.Compute/disks?$orderby=name", "", "GET /subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/disks?$orderby"},
		{http.MethodGet, in + "Microsoft.Network/networkInterfaces?$expand=a/b", "", "GET /subscriptions/{}/resourceGroups/{}/providers/Microsoft.Network/networkInterfaces?$expand=a/b"},
		{http.MethodGet, "/providers/Microsoft.Compute/disks/d", "InvalidResourceType", "GET /providers/Microsoft.Compute/disks/{}"},
	} {
		if w := c.do(x.method, x.path, "{}"); code(w) != x.code {
			t.Errorf("%s %s: %d %s, want %s", x.method, x.path, w.Code, w.Body, x.code)
		}
		if !slices.ContainsFunc(c.twin.calls.Unanswered(), func(u Unanswered) bool { return u.Call == x.counted && u.Principal == "client-a" }) {
			t.Errorf("%s %s: not counted as %s: %+v", x.method, x.path, x.counted, c.twin.calls.Unanswered())
		}
	}
	if first := c.twin.calls.Unanswered()[0]; first.Count != 2 || !strings.Contains(first.Call, "nosuch/{}") {
		t.Errorf("most first: %+v", first)
	}
	before := len(c.twin.calls.Unanswered())
	c.do(http.MethodGet, in+"Microsoft.Compute/disks/absent", "")
	c.do(http.MethodDelete, in+"Microsoft.Compute/disks/absent", "")
	c.do(http.MethodGet, "resourceGroups/absent", "")
	if now := c.twin.calls.Unanswered(); len(now) != before {
		t.Errorf("what is only absent is counted: %+v", now)
	}
	c.twin.calls.Reset()
	if left := c.twin.calls.Unanswered(); len(left) != 0 {
		t.Errorf("after a reset: %+v", left)
	}
}

func TestWhatIsAbsentIsCalledByItsOwnCode(t *testing.T) {
	c := newClient(t)
	c.group()
	for path, want := range map[string]string{
		"resourceGroups/g/providers/Microsoft.Resources/deployments/d":              "DeploymentNotFound",
		"providers/Microsoft.Resources/deployments/d":                               "DeploymentNotFound",
		"resourceGroups/g/providers/Microsoft.Authorization/roleAssignments/a":      "RoleAssignmentNotFound",
		"resourceGroups/g/providers/Microsoft.Compute/disks/d":                      "ResourceNotFound",
		"resourceGroups/absent/providers/Microsoft.Compute/disks/d":                 "ResourceGroupNotFound",
		"resourceGroups/absent":                                                     "ResourceGroupNotFound",
		"resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/s1": "ResourceNotFound",
	} {
		if w := c.do(http.MethodGet, path, ""); w.Code != http.StatusNotFound || code(w) != want {
			t.Errorf("%s: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
}

func TestTwoSlashesAreOne(t *testing.T) {
	c := newClient(t)
	c.group()
	const path = "resourceGroups/g/providers/Microsoft.Network//publicIPAddresses/ip" // as the SDK's generic calls have it, without a parent
	c.want(http.StatusCreated, http.MethodPut, path, `{"location":"westeurope","properties":{}}`)
	if got := arm.Text(c.want(http.StatusOK, http.MethodGet, path, ""), "id"); strings.Contains(got, "//") {
		t.Errorf("its id is %s", got)
	}
	if w := c.do(http.MethodHead, path, ""); w.Code != http.StatusNoContent {
		t.Errorf("HEAD: %d", w.Code)
	}
}

func TestExistenceIsCheckedOfWhatIsInADocumentAndOfWhatIsShown(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	const net = "resourceGroups/g/providers/Microsoft.Network/virtualNetworks/net/subnets/"
	for path, want := range map[string]int{
		net + "default": http.StatusNoContent, net + "absent": http.StatusNotFound, "resourceGroups/g": http.StatusNoContent, "resourceGroups/absent": http.StatusNotFound,
		"resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm/instanceView": http.StatusNoContent, "providers/Microsoft.Compute": http.StatusNoContent,
	} {
		if w := c.do(http.MethodHead, path, ""); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}
