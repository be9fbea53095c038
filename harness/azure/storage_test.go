package azure

import (
	"net/http"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

const storage = "resourceGroups/g/providers/Microsoft.Storage/storageAccounts/"

func TestAnAccountHasItsServicesAndEndpoints(t *testing.T) {
	c := newClient(t)
	c.group()
	c.want(http.StatusAccepted, http.MethodPut, storage+"account1", `{"location":"West Europe","kind":"StorageV2","sku":{"name":"Standard_LRS"},"properties":{}}`)
	c.pass()
	for path, want := range map[string]string{
		"properties/primaryEndpoints/blob": "https://account1.blob.core.windows.net/", "properties/statusOfPrimary": "available", "properties/primaryLocation": "westeurope",
		"properties/accessTier": "Hot", "sku/tier": "Standard", "properties/networkAcls/defaultAction": "Allow",
	} {
		if got := c.text(storage+"account1", strings.Split(path, "/")...); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	for _, s := range []string{"blobServices", "fileServices", "queueServices", "tableServices"} {
		if got := c.names(storage + "account1/" + s); got != "default" {
			t.Errorf("%s: %q", s, got)
		}
	}
	c.want(http.StatusOK, http.MethodPut, storage+"account1/blobServices/default", `{"properties":{"isVersioningEnabled":true}}`)
	c.want(http.StatusOK, http.MethodPut, storage+"account1", `{"location":"westeurope","kind":"StorageV2","sku":{"name":"Standard_LRS"},"properties":{}}`)
	c.pass()
	if w := c.do(http.MethodGet, storage+"account1/blobServices/default", ""); !strings.Contains(w.Body.String(), "isVersioningEnabled") {
		t.Errorf("a PUT of the account made its service anew: %s", w.Body)
	}
	c.want(http.StatusCreated, http.MethodPut, storage+"account1/blobServices/default/containers/c", `{"properties":{}}`)
	c.want(http.StatusOK, http.MethodPut, storage+"account1/blobServices/default/containers/c", `{"properties":{"publicAccess":"Blob"}}`)
	if got := c.text(storage+"account1/blobServices/default/containers/c", "properties", "leaseState") + c.names(storage+"account1/blobServices/default/containers"); got != "Availablec" {
		t.Errorf("a container: %s", got)
	}
	if w := c.do(http.MethodPut, storage+"account1/blobServices/other/containers/c", `{"properties":{}}`); w.Code != http.StatusNotFound {
		t.Errorf("in a service that no account has: %d %s", w.Code, w.Body)
	}
	c.do(http.MethodPut, "resourceGroups/other", `{"location":"westeurope"}`)
	if w := c.do(http.MethodPut, strings.Replace(storage, "/g/", "/other/", 1)+"account1", `{"location":"westeurope"}`); code(w) != "StorageAccountInAnotherResourceGroup" {
		t.Errorf("one of the name elsewhere: %d %s", w.Code, w.Body)
	}
	if w := c.do(http.MethodPut, storage+"Account_1", `{"location":"westeurope"}`); code(w) != "AccountNameInvalid" {
		t.Errorf("a name: %d %s", w.Code, w.Body)
	}
	c.want(http.StatusOK, http.MethodDelete, storage+"account1", "")
	if w := c.do(http.MethodGet, storage+"account1/blobServices/default", ""); w.Code != http.StatusNotFound {
		t.Errorf("the service of an account that is gone: %d", w.Code)
	}
}

func TestKeysAndSignaturesOfAnAccount(t *testing.T) {
	c := newClient(t)
	c.group()
	c.do(http.MethodPut, storage+"account1", `{"location":"westeurope","kind":"StorageV2","sku":{"name":"Standard_LRS"}}`)
	c.pass()
	keys := func(answer map[string]any) (out []string) {
		for _, k := range arm.Objects(answer, "keys") {
			out = append(out, arm.Text(k, "value"))
		}
		return out
	}
	sign := func(key string) string {
		t.Helper()
		return arm.Text(c.want(http.StatusOK, http.MethodPost, storage+"account1/ListAccountSas", `{"signedServices":"b","signedResourceTypes":"sco","signedPermission":"r","signedExpiry":"2030-01-01T00:00:00Z","keyToSign":"`+key+`"}`), "accountSasToken")
	}
	before, one, two := keys(c.want(http.StatusOK, http.MethodPost, storage+"account1/listKeys", "")), sign("key1"), sign("key2")
	after := keys(c.want(http.StatusOK, http.MethodPost, storage+"account1/regenerateKey", `{"keyName":"key1"}`))
	if len(before) != 2 || len(after) != 2 || before[0] == after[0] || before[1] != after[1] || before[0] == before[1] {
		t.Errorf("keys %v, then %v", before, after)
	}
	if sign("key1") == one || sign("key2") != two || one == two {
		t.Error("signatures do not follow from their keys")
	}
	c.do(http.MethodPut, storage+"account1", `{"location":"westeurope","kind":"StorageV2","sku":{"name":"Standard_LRS"}}`)
	c.pass()
	if got := keys(c.want(http.StatusOK, http.MethodPost, storage+"account1/listKeys", "")); got[0] != after[0] {
		t.Error("a PUT of the account gave it other keys")
	}
	for path, want := range map[string]int{"regenerateKey": 400, "ListAccountSas": 400, "ListServiceSas": 400} {
		if w := c.do(http.MethodPost, storage+"account1/"+path, `{}`); w.Code != want {
			t.Errorf("%s of nothing: %d %s", path, w.Code, w.Body)
		}
	}
	if w := c.do(http.MethodGet, storage+"account1", ""); strings.Contains(w.Body.String(), "drydock") {
		t.Errorf("it tells what is hidden: %s", w.Body)
	}
}
