package azure

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/harness/azure/arm"
)

func TestADiskIsReadByASignatureForATime(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	c.do(http.MethodPut, compute+"disks/data", `{"location":"westeurope","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":8}}`)
	c.do(http.MethodPut, compute+"snapshots/snap", fmt.Sprintf(`{"location":"westeurope","properties":{"creationData":{"createOption":"Copy","sourceResourceId":"/subscriptions/%s/%sdisks/data"}}}`, testSubscription, compute))
	c.pass()
	if got := c.want(http.StatusOK, http.MethodGet, compute+"snapshots/snap", "")["properties"]; fmt.Sprint(arm.At(got, "diskSizeGB")) != "8" || arm.Text(got, "timeCreated") == "" {
		t.Errorf("a snapshot is as large as its disk: %v", got)
	}
	for _, what := range []string{"disks/data", "snapshots/snap"} {
		state := func() string { t.Helper(); return c.text(compute+what, "properties", "diskState") }
		sas := arm.Text(c.result(compute+what+"/beginGetAccess", `{"access":"Read","durationInSeconds":3600}`), "accessSAS")
		u, err := url.Parse(sas)
		if err != nil || u.Query().Get("sig") == "" || u.Query().Get("sr") != "b" {
			t.Errorf("%s: its signature is %q", what, sas)
		}
		if got := state(); got != "ActiveSAS" {
			t.Errorf("%s is %s while somebody reads it", what, got)
		}
		if w := c.do(http.MethodGet, compute+what, ""); strings.Contains(w.Body.String(), "sig=") {
			t.Errorf("%s tells its signature: %s", what, w.Body)
		}
		if w := c.do(http.MethodDelete, compute+what, ""); w.Code != http.StatusConflict {
			t.Errorf("%s deleted while somebody reads it: %d", what, w.Code)
		}
		c.do(http.MethodPost, compute+what+"/endGetAccess", "")
		c.pass()
		if got := state(); got != "Unattached" {
			t.Errorf("%s is %s after that", what, got)
		}
		if again := arm.Text(c.result(compute+what+"/beginGetAccess", `{"access":"Read","durationInSeconds":3600}`), "accessSAS"); again == sas {
			t.Errorf("%s: the same signature again", what)
		}
		c.clock.Advance(time.Hour)
		c.twin.store.Settle()
		if got := state(); got != "Unattached" {
			t.Errorf("%s is %s after an hour", what, got)
		}
	}
	for _, r := range []struct{ about, disk, args, code string }{
		{"of a running machine", "vm-os", `{"access":"Read","durationInSeconds":60}`, "Conflict"}, {"to write what is none for it", "data", `{"access":"Write","durationInSeconds":60}`, "OperationNotAllowed"},
		{"no time", "data", `{"access":"Read"}`, "InvalidParameter"}, {"for too long", "data", `{"access":"Read","durationInSeconds":5184001}`, "InvalidParameter"}, {"to do what", "data", `{"access":"Eat","durationInSeconds":60}`, "InvalidParameter"},
	} {
		if w := c.do(http.MethodPost, compute+"disks/"+r.disk+"/beginGetAccess", r.args); code(w) != r.code {
			t.Errorf("%s: %d %s, want %s", r.about, w.Code, w.Body, r.code)
		}
	}
	c.do(http.MethodPost, compute+"virtualMachines/vm/deallocate", "")
	c.pass()
	if sas := arm.Text(c.result(compute+"disks/vm-os/beginGetAccess", `{"access":"Read","durationInSeconds":3600}`), "accessSAS"); sas == "" {
		t.Error("the disk of a machine that is off cannot be read")
	}
	w := c.do(http.MethodPost, compute+"virtualMachines/vm/start", "")
	c.pass()
	status := c.do(http.MethodGet, "/subscriptions/"+strings.SplitN(header(w, "Azure-AsyncOperation"), "/subscriptions/", 2)[1], "")
	if !strings.Contains(status.Body.String(), "active shared access signature") {
		t.Errorf("a machine started whose disk somebody reads: %s", status.Body)
	}
}

func TestWhatIsKeptForATimeIsKeptInAnotherProcess(t *testing.T) {
	c := newClient(t)
	c.group()
	c.do(http.MethodPut, compute+"disks/data", `{"location":"westeurope","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":8}}`)
	c.pass()
	c.vault("vault-1", `,"softDeleteRetentionInDays":7`)
	c.do(http.MethodDelete, keyvault+"vaults/vault-1", "")
	c.result(compute+"disks/data/beginGetAccess", `{"access":"Read","durationInSeconds":3600}`)
	other := c.again()
	state := func() string {
		t.Helper()
		return other.text(compute+"disks/data", "properties", "diskState") + " " + other.names("providers/Microsoft.KeyVault/deletedVaults")
	}
	if got := state(); got != "ActiveSAS vault-1" {
		t.Errorf("at first %s", got)
	}
	other.clock.Advance(time.Hour)
	other.twin.store.Settle()
	if got := state(); got != "Unattached vault-1" {
		t.Errorf("after an hour %s", got)
	}
	other.clock.Advance(7 * 24 * time.Hour)
	other.twin.store.Settle()
	if got := state(); got != "Unattached " {
		t.Errorf("after a week %s", got)
	}
}

func TestADiskIsUploadedByASignature(t *testing.T) {
	c := newClient(t)
	c.group()
	c.do(http.MethodPut, compute+"disks/up", `{"location":"westeurope","properties":{"creationData":{"createOption":"Upload","uploadSizeBytes":1073742336}}}`)
	c.pass()
	state := func() string { t.Helper(); return c.text(compute+"disks/up", "properties", "diskState") }
	got := []string{state()}
	c.result(compute+"disks/up/beginGetAccess", `{"access":"Write","durationInSeconds":3600}`)
	got = append(got, state())
	c.do(http.MethodPost, compute+"disks/up/endGetAccess", "")
	c.pass()
	if got = append(got, state()); strings.Join(got, " ") != "ReadyToUpload ActiveUpload Unattached" {
		t.Errorf("it was %v", got)
	}
}

func TestKeysAreMadeAndThePrivateOneForgotten(t *testing.T) {
	c := newClient(t)
	c.group()
	c.want(http.StatusCreated, http.MethodPut, compute+"sshPublicKeys/key", `{"location":"westeurope"}`)
	for args, kind := range map[string]string{"": "ssh-rsa ", `{"encryptionType":"Ed25519"}`: "ssh-ed25519 "} {
		pair := c.want(http.StatusOK, http.MethodPost, compute+"sshPublicKeys/key/generateKeyPair", args)
		public, private := arm.Text(pair, "publicKey"), arm.Text(pair, "privateKey")
		signer, err := ssh.ParsePrivateKey([]byte(private))
		if err != nil || !strings.HasPrefix(public, kind) || !strings.HasPrefix(public, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))) {
			t.Errorf("%s: %v, %s", args, err, public)
		}
		w := c.do(http.MethodGet, compute+"sshPublicKeys/key", "")
		if got := arm.Text(decoded(t, w), "properties", "publicKey"); got != public || strings.Contains(w.Body.String(), "PRIVATE") {
			t.Errorf("%s: kept %s", args, w.Body)
		}
	}
}

func TestWhatAMachineIsAskedFor(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	vm := compute + "virtualMachines/vm"
	c.want(http.StatusOK, http.MethodPut, compute+"availabilitySets/set", `{"location":"westeurope","sku":{"name":"Aligned"}}`)
	for _, of := range []string{vm, compute + "availabilitySets/set"} {
		if got := c.names(of + "/vmSizes"); !strings.Contains(got, "Standard_D2s_v3") {
			t.Errorf("sizes: %s", got)
		}
	}
	if got := c.names("providers/Microsoft.Compute/locations/westeurope/virtualMachines") + "," + c.names("providers/Microsoft.Compute/locations/eastus/virtualMachines"); got != "vm," {
		t.Errorf("machines by region: %s", got)
	}
	if got := arm.Text(c.result(vm+"/assessPatches", ""), "status"); got != "Succeeded" {
		t.Errorf("patches: %s", got)
	}
	if w := c.do(http.MethodPost, vm+"/retrieveBootDiagnosticsData", ""); w.Code != http.StatusConflict {
		t.Errorf("the console of a machine that writes none: %d", w.Code)
	}
	c.want(http.StatusOK, http.MethodPatch, vm, `{"properties":{"diagnosticsProfile":{"bootDiagnostics":{"enabled":true}}}}`)
	c.pass()
	if got := arm.Text(c.want(http.StatusOK, http.MethodPost, vm+"/retrieveBootDiagnosticsData", ""), "serialConsoleLogBlobUri"); !strings.Contains(got, "sig=") {
		t.Errorf("its console: %s", got)
	}
	c.want(http.StatusCreated, http.MethodPut, vm+"/runCommands/a", `{"location":"westeurope","properties":{"source":{"script":"true"},"runAsPassword":"Pa55","protectedParameters":[{"name":"a","value":"b"}]}}`)
	c.pass()
	w := c.do(http.MethodGet, vm+"/runCommands/a?$expand=instanceView", "")
	if got := arm.Text(decoded(t, w), "properties", "instanceView", "executionState"); got != "Succeeded" || strings.Contains(w.Body.String(), "Pa55") || strings.Contains(w.Body.String(), "protectedParameters") {
		t.Errorf("a command: %s", w.Body)
	}
}

func TestDisksAreAttachedAndDetachedByThemselves(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	id := func(name string) string {
		return "/subscriptions/" + testSubscription + "/" + compute + "disks/" + name
	}
	for _, name := range []string{"a", "b"} {
		c.do(http.MethodPut, compute+"disks/"+name, `{"location":"westeurope","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":8}}`)
	}
	c.pass()
	has := func(answer map[string]any) string {
		var out []string
		for _, d := range arm.Objects(answer, "dataDisks") {
			out = append(out, fmt.Sprint(d["name"], d["lun"]))
		}
		return strings.Join(out, " ")
	}
	act := compute + "virtualMachines/vm/attachDetachDataDisks"
	if got := has(c.result(act, fmt.Sprintf(`{"dataDisksToAttach":[{"diskId":%q},{"diskId":%q,"lun":4}]}`, id("a"), id("b")))); got != "a0 b4" {
		t.Errorf("attached: %s", got)
	}
	if got := c.text(compute+"disks/a", "managedBy"); !strings.HasSuffix(got, "/vm") {
		t.Errorf("a is attached to %q", got)
	}
	if got := has(c.result(act, fmt.Sprintf(`{"dataDisksToDetach":[{"diskId":%q}]}`, id("a")))); got != "b4" || c.text(compute+"disks/a", "diskState")+c.text(compute+"disks/a", "managedBy") != "" {
		t.Errorf("after one was detached: %s", got)
	}
}
