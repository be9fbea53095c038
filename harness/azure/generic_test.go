package azure

import (
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

func TestWhatCanBeDoneIsListed(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	names := " " + c.names("/providers/Microsoft.Compute/operations") + " "
	for _, want := range []string{"virtualMachines/read", "virtualMachines/write", "virtualMachines/delete", "virtualMachines/restart/action", "skus/read"} {
		if !strings.Contains(names, " Microsoft.Compute/"+want+" ") {
			t.Errorf("no %s in %s", want, names)
		}
	}
	for _, never := range []string{"skus/write", "virtualMachines/instanceView/delete"} {
		if strings.Contains(names, never) {
			t.Errorf("%s: nobody can", never)
		}
	}
	got := c.want(http.StatusOK, http.MethodGet, "/providers/Microsoft.Authorization/providerOperations/microsoft.storage", "")
	if arm.Text(got, "name") != "Microsoft.Storage" || !strings.Contains(string(arm.Marshal(got)), "Microsoft.Storage/storageAccounts/listkeys/action") {
		t.Errorf("%v", got)
	}
	for _, scope := range []string{"resourceGroups/g", lockedPath} {
		if got := c.want(http.StatusOK, http.MethodGet, scope+"/providers/Microsoft.Authorization/permissions", ""); arm.Text(got, "value", "0", "actions", "0") != "*" {
			t.Errorf("%s: %v", scope, got)
		}
	}
	for path, want := range map[string]string{"resourceGroups/none/providers/Microsoft.Authorization/permissions": "ResourceGroupNotFound", lockedPath + "s/providers/Microsoft.Authorization/permissions": "ResourceNotFound"} {
		if w := c.do(http.MethodGet, path, ""); code(w) != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestNamesAndZonesAreChecked(t *testing.T) {
	c := newClient(t)
	for name, want := range map[string]int{"fine": http.StatusOK, "login-here": http.StatusBadRequest, "myMicrosoftThing": http.StatusBadRequest, "azure": http.StatusBadRequest, "": http.StatusBadRequest} {
		c.want(want, http.MethodPost, "/providers/Microsoft.Resources/checkResourceName", `{"name":"`+name+`","type":"Microsoft.Compute/disks"}`)
	}
	got := c.want(http.StatusOK, http.MethodPost, "providers/Microsoft.Resources/checkZonePeers/", `{"location":"westeurope","subscriptionIds":["subscriptions/other"]}`)
	if arm.Text(got, "availabilityZonePeers", "2", "peers", "0", "subscriptionId") != "other" {
		t.Errorf("%v", got)
	}
}

func TestStrictlyOnlyVersionsPassThatATypeSaysItHas(t *testing.T) {
	c := newClientOf(t, Options{Strict: true})
	listed := map[string]bool{}
	for _, path := range []string{"providers/Microsoft.Compute", "providers/Microsoft.Network"} {
		for _, v := range arm.Objects(c.want(http.StatusOK, http.MethodGet, path+"?api-version=2025-04-01", ""), "resourceTypes") {
			for _, x := range v["apiVersions"].([]any) { //nolint:forcetypeassert // what the twin lists
				listed[x.(string)] = true //nolint:forcetypeassert // the same
			}
		}
	}
	for path, want := range map[string]string{
		"resourceGroups?api-version=2025-04-01": "", "resourceGroups?api-version=1999-01-01": "InvalidApiVersionParameter",
		"providers/Microsoft.Compute/disks?api-version=2025-01-02": "", "providers/Microsoft.Compute/disks?api-version=2025-01-03": "NoRegisteredProviderFound",
		"providers/Microsoft.Network/loadBalancers?api-version=latest": "NoRegisteredProviderFound", "providers/Microsoft.Network/nosuch?api-version=2025-05-01": "InvalidResourceType",
	} {
		w := c.do(http.MethodGet, path, "")
		if code(w) != want || want == "NoRegisteredProviderFound" && !strings.Contains(w.Body.String(), "The supported api-versions are '2025-0") {
			t.Errorf("%s: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	if !listed["2025-04-01"] || !listed["2025-05-01"] {
		t.Errorf("listed: %v", listed)
	}
}
