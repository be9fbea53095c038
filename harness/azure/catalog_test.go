package azure

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

func (c *client) names(path string) string {
	c.t.Helper()
	var names []string
	for _, x := range arm.Objects(c.want(http.StatusOK, http.MethodGet, path, ""), "value") {
		names = append(names, arm.Text(x, "name"))
	}
	return strings.Join(names, " ")
}

func TestListsOfAllTypesAreBriefAndByPages(t *testing.T) {
	c := newClient(t)
	c.machine("vm-1")
	c.do(http.MethodPut, "resourceGroups/other", `{"location":"westeurope","tags":{"team":"a"}}`)
	c.do(http.MethodPut, "resourceGroups/other/providers/Microsoft.Compute/availabilitySets/set", `{"location":"westeurope","tags":{"team":"a"}}`)
	c.pass()
	if got := c.names("resourceGroups/g/resources"); got != "vm-1-os vm-1 vm-1-nic net" {
		t.Errorf("in the group are %q", got)
	}
	if got := c.names("resources"); got != "vm-1-os vm-1 vm-1-nic net set" {
		t.Errorf("in the subscription are %q", got)
	}
	for query, want := range map[string]string{
		"resourceType eq 'microsoft.compute/virtualmachines'": "vm-1", "tagName eq 'team' and tagValue eq 'a'": "set", "tagName eq 'team'": "set", "tagValue eq 'b' and tagName eq 'team'": "", "name eq 'net'": "net",
	} {
		if got := c.names("resources?$filter=" + strings.ReplaceAll(query, " ", "%20")); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if got := c.names("resourceGroups?$filter=tagName%20eq%20'team'%20and%20tagValue%20eq%20'a'"); got != "other" {
		t.Errorf("groups by their tag: %q", got)
	}
	first := arm.Objects(c.want(http.StatusOK, http.MethodGet, "resources", ""), "value")[0]
	if _, there := first["properties"]; there || arm.Text(first, "type") == "" {
		t.Errorf("in brief: %v", first)
	}
	var all []string
	next := "resources?$top=2"
	for pages := 0; next != ""; pages++ {
		body := c.want(http.StatusOK, http.MethodGet, next, "")
		for _, x := range arm.Objects(body, "value") {
			all = append(all, arm.Text(x, "name"))
		}
		_, next, _ = strings.Cut(arm.Text(body, "nextLink"), testSubscription+"/")
		if pages > 5 {
			t.Fatal("there is always one page more")
		}
	}
	if got := strings.Join(all, " "); got != "vm-1-os vm-1 vm-1-nic net set" {
		t.Errorf("by pages of two: %q", got)
	}
	if w := c.do(http.MethodGet, "resourceGroups/none/resources", ""); code(w) != "ResourceGroupNotFound" {
		t.Errorf("of a group that is not there: %d %s", w.Code, code(w))
	}
	if w := c.do(http.MethodDelete, "resourceGroups/g/resources", ""); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("deleted: %d", w.Code)
	}
}

func TestWhatClientsLookUpFirst(t *testing.T) {
	c := newClient(t)
	c.machine("vm-1")
	for path, want := range map[string]string{
		"locations": "westeurope", "providers/Microsoft.Compute/locations/westeurope/vmSizes": "Standard_D2s_v3", "providers/Microsoft.Compute/skus": "Standard_D2s_v3",
		"providers/Microsoft.Authorization/roleDefinitions?$filter=roleName%20eq%20'Contributor'": "b24988ac-6180-42a0-ab88-20f7382dd24c",
	} {
		if got := c.names(path); !strings.Contains(" "+got+" ", " "+want+" ") {
			t.Errorf("%s: %q has no %s", path, got, want)
		}
	}
	if got := c.names("providers/Microsoft.Authorization/roleDefinitions?$filter=roleName%20eq%20'Contributor'"); strings.Contains(got, " ") {
		t.Errorf("the role by its name: %q", got)
	}
	if got := arm.Text(c.want(http.StatusOK, http.MethodGet, "/tenants", ""), "value", "0", "tenantId"); got != DefaultTenant {
		t.Errorf("tenant %q", got)
	}
	images := c.do(http.MethodGet, "providers/Microsoft.Compute/locations/westeurope/publishers/canonical/artifacttypes/vmimage/offers/0001-com-ubuntu-server-jammy/skus/22_04-lts/versions", "")
	if images.Code != http.StatusOK || !strings.HasPrefix(images.Body.String(), "[") {
		t.Errorf("images are an array: %d %s", images.Code, images.Body)
	}
	for _, u := range arm.Objects(c.want(http.StatusOK, http.MethodGet, "providers/Microsoft.Compute/locations/westeurope/usages", ""), "value") {
		if arm.Text(u, "name", "value") == "virtualMachines" && fmt.Sprint(u["currentValue"]) != "1" {
			t.Errorf("one machine is there, and it says %v", u)
		}
	}
	types := arm.Objects(c.want(http.StatusOK, http.MethodGet, "providers/Microsoft.Compute", ""), "resourceTypes")
	if len(types) < 5 || arm.Text(types[0], "apiVersions", "0") == "" {
		t.Errorf("types of Microsoft.Compute: %v", types)
	}
	for name, want := range map[string]string{"fresh": "", "Not-A-Name": "AccountNameInvalid"} {
		got := c.want(http.StatusOK, http.MethodPost, "providers/Microsoft.Storage/checkNameAvailability", `{"name":"`+name+`","type":"Microsoft.Storage/storageAccounts"}`)
		if arm.Text(got, "reason") != want || (want == "") != (got["nameAvailable"] == true) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatABalancerHasIsWrittenWithIt(t *testing.T) {
	c := newClient(t)
	c.group()
	if status, code, _ := c.putNetwork("loadBalancers/lb", `"probes":[{"name":"p","properties":{"port":80,"protocol":"Tcp"}}]`); status >= http.StatusBadRequest {
		t.Fatal(status, code)
	}
	if got := c.names(networks + "loadBalancers/lb/probes"); got != "p" {
		t.Errorf("probes: %q", got)
	}
	if w := c.do(http.MethodPut, networks+"loadBalancers/lb/probes/q", `{"properties":{"port":81}}`); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("a probe by itself: %d", w.Code)
	}
	if got := c.names(networks + "loadBalancers/lb/probes"); got != "p" {
		t.Errorf("probes after it was refused: %q", got)
	}
}
