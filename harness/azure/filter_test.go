package azure

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

func TestListsAreFilteredAsAsked(t *testing.T) {
	c := newClient(t)
	c.group()
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/other", `{"location":"northeurope","tags":{"team":"it's and so on"}}`)
	for name, body := range map[string]string{
		"g/providers/Microsoft.Compute/availabilitySets/a1":     `{"location":"westeurope","tags":{"team":"it's and so on","stage":"test"}}`,
		"g/providers/Microsoft.Compute/availabilitySets/a2":     `{"location":"North Europe","tags":{"Team":"b"}}`,
		"other/providers/Microsoft.Compute/sshPublicKeys/k1":    `{"location":"westeurope","tags":{"stage":"it's and so on"}}`,
		"other/providers/Microsoft.Network/publicIPAddresses/i": `{"location":"westeurope","properties":{"publicIPAllocationMethod":"Static"},"sku":{"name":"Standard"}}`,
	} {
		if w := c.do(http.MethodPut, "resourceGroups/"+name, body); w.Code > http.StatusCreated {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	c.pass()
	for query, want := range map[string]string{
		"tagName eq 'team' and tagValue eq 'it''s and so on'":  "a1",
		"tagValue eq 'it''s and so on' and tagName eq 'stage'": "k1",
		"tagName eq 'team'":         "a1 a2",
		"startswith(tagName,'sta')": "a1 k1",
		"resourceType eq 'Microsoft.Compute/sshPublicKeys' or resourceType eq 'microsoft.network/publicipaddresses'": "k1 i",
		"(resourceType eq 'Microsoft.Compute/sshPublicKeys' or name eq 'a1') and location eq 'westeurope'":           "a1 k1",
		"resourceType eq 'Microsoft.Compute/sshPublicKeys' or name eq 'a1' and location eq 'northeurope'":            "k1",
		"location eq 'northeurope'":                "a2",
		"resourceGroup eq 'OTHER' and name ne 'i'": "k1",
		"substringof('1', name)":                   "a1 k1",
		"not (resourceGroup eq 'g')":               "k1 i",
		"sku/name eq 'Standard'":                   "i",
	} {
		if got := c.names("resources?$filter=" + url.QueryEscape(query)); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if got := c.names("providers/Microsoft.Compute/skus?$filter=" + url.QueryEscape("location eq 'westeurope'")); got == "" {
		t.Error("no size is in a region: its filter is by one of many locations")
	}
	if got := c.names("providers/Microsoft.Compute/skus?$filter=" + url.QueryEscape("location eq 'nowhere'")); got != "" {
		t.Errorf("sizes of a region that is none: %s", got)
	}
	for _, x := range arm.Objects(c.want(http.StatusOK, http.MethodGet, "resources?$expand=createdTime,provisioningState", ""), "value") {
		if _, whole := x["properties"]; whole || arm.Text(x, "provisioningState") == "" && arm.Text(x, "name") == "i" {
			t.Errorf("with how far it is: %v", x)
		}
	}
	for _, bad := range []string{"name eq", "name eq 'a", "name like 'a'", "name eq 'a' and", "(name eq 'a'", "name eq 'a')", "nosuch('a','b')", "and", "name", "startswith(name)", "not", "'", "or or or", "eq eq eq eq", ","} {
		if w := c.do(http.MethodGet, "resources?$filter="+url.QueryEscape(bad), ""); w.Code != http.StatusBadRequest || code(w) != "InvalidFilterInQueryString" {
			t.Errorf("%q: %d %s", bad, w.Code, w.Body)
		}
	}
}

func TestRolesAreListedAboveAndBelow(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	const role = "/providers/Microsoft.Authorization/roleAssignments"
	for i, scope := range []string{"", "/resourceGroups/g", "/" + lockedPath, "/resourceGroups/other"} {
		if i == 3 {
			c.want(http.StatusCreated, http.MethodPut, "resourceGroups/other", `{"location":"westeurope"}`)
		}
		principal := []string{"a", "b"}[i%2]
		c.want(http.StatusCreated, http.MethodPut, "/subscriptions/"+testSubscription+scope+role+"/role"+string(rune('0'+i)), `{"properties":{"roleDefinitionId":"/subscriptions/`+testSubscription+`/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7","principalId":"`+principal+`"}}`)
	}
	for path, want := range map[string]string{
		role: "role0 role1 role2 role3", "/resourceGroups/g" + role: "role0 role1 role2", "/resourceGroups/g" + role + "?$filter=atScope()": "role0 role1", "/" + lockedPath + role: "role0 role1 role2",
		"/resourceGroups/g" + role + "?$filter=" + url.QueryEscape("principalId eq 'a'"): "role0 role2", "/resourceGroups/g" + role + "?$filter=" + url.QueryEscape("atScope() and assignedTo('b')"): "role1",
	} {
		got := strings.Fields(c.names("/subscriptions/" + testSubscription + path))
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
