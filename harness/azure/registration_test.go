package azure

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

func TestANamespaceIsUsedByWhoIsRegistered(t *testing.T) {
	c := newClient(t)
	c.group()
	state := func() string {
		return arm.Text(c.want(http.StatusOK, http.MethodGet, "providers/microsoft.storage", ""), "registrationState")
	}
	const account = "resourceGroups/g/providers/Microsoft.Storage/storageAccounts/account1"
	const body = `{"location":"westeurope","kind":"StorageV2","sku":{"name":"Standard_LRS"},"properties":{}}`
	if got := state(); got != "Registered" {
		t.Errorf("at first it is %s", got)
	}
	if got := c.want(http.StatusOK, http.MethodPost, "providers/Microsoft.Storage/unregister", ""); arm.Text(got, "registrationState") != "Unregistering" {
		t.Errorf("%v", got)
	}
	for _, wait := range []time.Duration{0, time.Minute} {
		c.clock.Advance(wait)
		w := c.do(http.MethodPut, account, body)
		e := arm.At(decoded(t, w), "error")
		if w.Code != http.StatusConflict || code(w) != "MissingSubscriptionRegistration" || arm.Text(e, "details", "0", "target") != "Microsoft.Storage" || !strings.Contains(arm.Text(e, "message"), state()) {
			t.Errorf("after %v: %d %s", wait, w.Code, w.Body)
		}
	}
	if got := state(); got != "Unregistered" {
		t.Errorf("after a minute it is %s", got)
	}
	if got := c.want(http.StatusOK, http.MethodPost, "providers/microsoft.storage/register", ""); arm.Text(got, "registrationState") != "Registering" {
		t.Errorf("%v", got)
	}
	if w := c.do(http.MethodPut, account, body); w.Code != http.StatusAccepted {
		t.Errorf("while it registers, nobody waits: %d %s", w.Code, w.Body)
	}
	if again := c.again(); arm.Text(again.want(http.StatusOK, http.MethodGet, "providers/Microsoft.Storage", ""), "registrationState") != "Registering" {
		t.Error("a registration is not saved")
	}
	c.clock.Advance(time.Minute)
	if got := state(); got != "Registered" {
		t.Errorf("in the end it is %s", got)
	}
	c.pass()
	if w := c.do(http.MethodPost, "providers/Microsoft.Storage/unregister", ""); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "account1") {
		t.Errorf("with an account there: %d %s", w.Code, w.Body)
	}
	if w := c.do(http.MethodPost, "providers/Microsoft.Resources/unregister", ""); w.Code != http.StatusConflict {
		t.Errorf("of the Resource Manager itself: %d %s", w.Code, w.Body)
	}
	for _, x := range []struct{ method, path string }{{http.MethodGet, "providers/Microsoft.NoSuch"}, {http.MethodPost, "providers/Microsoft.NoSuch/register"}, {http.MethodGet, "/providers/Microsoft.NoSuch"}} {
		if w := c.do(x.method, x.path, ""); code(w) != "InvalidResourceNamespace" {
			t.Errorf("%s %s: %d %s", x.method, x.path, w.Code, w.Body)
		}
	}
	if got := arm.Text(c.want(http.StatusOK, http.MethodGet, "/subscriptions/other/providers/Microsoft.Storage", ""), "registrationState"); got != "Registered" {
		t.Errorf("another subscription is %s", got)
	}
}

func TestANamespaceWithoutTypesIsKnownAndToRegister(t *testing.T) {
	c := newClient(t)
	c.group()
	const cluster = "resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c"
	if got := arm.Text(c.want(http.StatusOK, http.MethodGet, "providers/microsoft.containerservice", ""), "registrationState"); got != "NotRegistered" {
		t.Errorf("it is %s", got)
	}
	if w := c.do(http.MethodPut, cluster, `{"location":"westeurope"}`); code(w) != "MissingSubscriptionRegistration" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	c.want(http.StatusOK, http.MethodPost, "providers/Microsoft.ContainerService/register", "")
	c.clock.Advance(time.Minute)
	if w := c.do(http.MethodPut, cluster, `{"location":"westeurope"}`); code(w) != "InvalidResourceType" {
		t.Errorf("registered: %d %s", w.Code, w.Body)
	}
	if got := c.twin.calls.Unanswered(); len(got) != 1 || got[0].Count != 2 {
		t.Errorf("counted: %+v", got)
	}
	all := arm.Objects(c.want(http.StatusOK, http.MethodGet, "providers", ""), "value")
	if len(all) < 100 {
		t.Errorf("%d namespaces", len(all))
	}
	if tenant := arm.Objects(c.want(http.StatusOK, http.MethodGet, "/providers", ""), "value"); len(tenant) != len(all) || arm.Text(tenant[0], "registrationState") != "" || !strings.HasPrefix(arm.Text(tenant[0], "id"), "/providers/") {
		t.Errorf("of the tenant: %v", tenant[0])
	}
	if types := arm.Objects(c.want(http.StatusOK, http.MethodGet, "providers/Microsoft.Resources/resourceTypes", ""), "value"); len(types) < 4 {
		t.Errorf("types: %v", types)
	}
}
