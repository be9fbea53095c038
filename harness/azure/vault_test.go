package azure

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

const (
	keyvault = "resourceGroups/g/providers/Microsoft.KeyVault/"
	kept     = "providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/"
)

func (c *client) vault(name, more string) (int, string) {
	c.t.Helper()
	w := c.do(http.MethodPut, keyvault+"vaults/"+name, fmt.Sprintf(`{"location":"westeurope","tags":{"a":"b"},"properties":{"tenantId":%q,"sku":{"family":"A","name":"standard"}%s}}`, DefaultTenant, more))
	return w.Code, code(w)
}

func TestASecretIsWrittenAndNeverTold(t *testing.T) {
	c := newClient(t)
	c.group()
	if status, bad := c.vault("vault-1", ""); status != http.StatusCreated {
		t.Fatal(status, bad)
	}
	secret := keyvault + "vaults/vault-1/secrets/s"
	put := c.do(http.MethodPut, secret, `{"properties":{"value":"S3cr3t","contentType":"text"}}`)
	first := arm.Text(decoded(t, put), "properties", "secretUriWithVersion")
	if put.Code != http.StatusCreated || !strings.HasPrefix(first, "https://vault-1.vault.azure.net/secrets/s/") {
		t.Errorf("a secret: %d %s", put.Code, put.Body)
	}
	c.pass()
	again := c.do(http.MethodPut, secret, `{"properties":{"value":"S3cr3t-2"}}`)
	patched := c.do(http.MethodPatch, secret, `{"properties":{"attributes":{"enabled":false}}}`)
	for _, w := range []string{put.Body.String(), again.Body.String(), patched.Body.String(), c.do(http.MethodGet, secret, "").Body.String(), c.do(http.MethodGet, keyvault+"vaults/vault-1/secrets", "").Body.String()} {
		if strings.Contains(w, "S3cr3t") {
			t.Errorf("told: %s", w)
		}
	}
	second := arm.Text(decoded(t, again), "properties", "secretUriWithVersion")
	if second == first || arm.Text(decoded(t, patched), "properties", "secretUriWithVersion") != second {
		t.Errorf("versions %s, %s, then %s", first, second, patched.Body)
	}
	if w := c.do(http.MethodDelete, secret, ""); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("deleted by management: %d", w.Code)
	}
	key := keyvault + "vaults/vault-1/keys/k"
	c.want(http.StatusOK, http.MethodPut, key, `{"properties":{"kty":"RSA"}}`)
	uri := c.text(key, "properties", "keyUriWithVersion")
	c.pass()
	c.want(http.StatusOK, http.MethodPut, key, `{"properties":{"kty":"EC"}}`)
	if c.text(key, "properties", "kty") != "RSA" || c.text(key, "properties", "keyUriWithVersion") != uri || !strings.HasSuffix(uri, c.names(key+"/versions")) {
		t.Errorf("a key that is there was made anew: %s", c.do(http.MethodGet, key, "").Body)
	}
}

func TestADeletedVaultIsKept(t *testing.T) {
	c := newClient(t)
	c.group()
	c.vault("vault-1", `,"softDeleteRetentionInDays":7`)
	c.do(http.MethodPut, keyvault+"vaults/vault-1/secrets/s", `{"properties":{"value":"S3cr3t"}}`)
	uri := c.text(keyvault+"vaults/vault-1/secrets/s", "properties", "secretUriWithVersion")
	c.want(http.StatusOK, http.MethodDelete, keyvault+"vaults/vault-1", "")
	if got := c.text(kept+"vault-1", "properties", "vaultId") + " " + c.names("providers/Microsoft.KeyVault/deletedVaults"); !strings.HasSuffix(got, "/vaults/vault-1 vault-1") {
		t.Errorf("kept: %s", got)
	}
	if w := c.do(http.MethodGet, kept+"vault-1", ""); strings.Contains(w.Body.String(), "drydock") {
		t.Errorf("it tells what is hidden: %s", w.Body)
	}
	if status, bad := c.vault("vault-1", ""); status != http.StatusConflict || bad != "ConflictError" {
		t.Errorf("made again: %d %s", status, bad)
	}
	if got := c.want(http.StatusOK, http.MethodPost, "providers/Microsoft.KeyVault/checkNameAvailability", `{"name":"vault-1","type":"Microsoft.KeyVault/vaults"}`); got["nameAvailable"] != false {
		t.Errorf("its name: %v", got)
	}
	if status, bad := c.vault("vault-1", `,"createMode":"recover"`); status != http.StatusCreated {
		t.Errorf("recovered: %d %s", status, bad)
	}
	if got := c.text(keyvault+"vaults/vault-1/secrets/s", "properties", "secretUriWithVersion"); got != uri || c.text(keyvault+"vaults/vault-1", "properties", "createMode") != "" {
		t.Errorf("its secret: %q, before %q", got, uri)
	}
	if got := fmt.Sprint(arm.At(c.want(http.StatusOK, http.MethodGet, keyvault+"vaults/vault-1", ""), "properties", "softDeleteRetentionInDays")); got != "7" {
		t.Errorf("it was recovered with other properties: %s", got)
	}
	c.want(http.StatusOK, http.MethodDelete, keyvault+"vaults/vault-1", "")
	c.want(http.StatusAccepted, http.MethodPost, kept+"vault-1/purge", "")
	c.pass()
	if w := c.do(http.MethodGet, kept+"vault-1", ""); w.Code != http.StatusNotFound {
		t.Errorf("purged: %d", w.Code)
	}
	c.vault("vault-1", "")
	if w := c.do(http.MethodGet, keyvault+"vaults/vault-1/secrets/s", ""); w.Code != http.StatusNotFound {
		t.Errorf("a secret of a vault that was purged: %d %s", w.Code, w.Body)
	}
	c.vault("vault-2", `,"softDeleteRetentionInDays":7,"enablePurgeProtection":true`)
	if status, bad := c.vault("vault-2", `,"enablePurgeProtection":false`); status != http.StatusBadRequest {
		t.Errorf("its protection taken away: %d %s", status, bad)
	}
	c.do(http.MethodDelete, "resourceGroups/g", "")
	c.pass()
	if w := c.do(http.MethodPost, kept+"vault-2/purge", ""); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("one with protection purged: %d %s", w.Code, w.Body)
	}
	c.clock.Advance(8 * 24 * time.Hour)
	c.twin.store.Settle()
	if got := c.names("providers/Microsoft.KeyVault/deletedVaults"); got != "vault-1" { // of 90 days
		t.Errorf("kept after a week: %q", got)
	}
}

func TestVaultsAreHeldToTheirNamesAndPolicies(t *testing.T) {
	c := newClient(t)
	c.group()
	for name, want := range map[string]string{"va": "VaultNameNotValid", "1vault": "VaultNameNotValid", "vault--1": "VaultNameNotValid", "vault-": "VaultNameNotValid", strings.Repeat("v", 25): "VaultNameNotValid", "vault-1": ""} {
		if status, bad := c.vault(name, ""); bad != want {
			t.Errorf("%s: %d %s, want %q", name, status, bad, want)
		}
	}
	policy := func(object string) string {
		return fmt.Sprintf(`{"properties":{"accessPolicies":[{"tenantId":%q,"objectId":%q,"permissions":{"secrets":["get"]}}]}}`, DefaultTenant, object)
	}
	has := func() string {
		t.Helper()
		var out []string
		for _, p := range arm.Objects(c.want(http.StatusOK, http.MethodGet, keyvault+"vaults/vault-1", ""), "properties", "accessPolicies") {
			out = append(out, arm.Text(p, "objectId"))
		}
		return strings.Join(out, " ")
	}
	for _, r := range []struct{ how, object, want string }{{"add", "a", "a"}, {"add", "b", "a b"}, {"add", "a", "b a"}, {"remove", "b", "a"}, {"replace", "c", "c"}} {
		c.want(http.StatusOK, http.MethodPut, keyvault+"vaults/vault-1/accessPolicies/"+r.how, policy(r.object))
		if got := has(); got != r.want {
			t.Errorf("%s %s: %s, want %s", r.how, r.object, got, r.want)
		}
	}
}
