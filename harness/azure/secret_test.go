package azure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/schema"
)

// planted is what stands in every field that is written and never read, and userMark in those that are read only by who asks for them.
const planted, userMark = "planted-Secret-0123", "dXNlci1kYXRhLW1hcms="

// plant writes it at a path of a document, making what is on the way.
func plant(body map[string]any, path []string) {
	name, every := strings.CutSuffix(path[0], "[]")
	switch {
	case len(path) == 1 && (name == "protectedSettings" || name == "tags"):
		body[name] = map[string]any{"a": planted}
	case len(path) == 1 && name == "protectedParameters":
		body[name] = []any{map[string]any{"name": "a", "value": planted}}
	case len(path) == 1:
		body[name] = planted
	case every:
		if len(arm.Objects(body, name)) == 0 {
			body[name] = []any{map[string]any{}}
			if name == "extensions" {
				body[name] = []any{map[string]any{"name": "x"}}
			}
		}
		for _, x := range arm.Objects(body, name) {
			plant(x, path[1:])
		}
	default:
		plant(arm.Object(body, name), path[1:])
	}
}

// secretive are documents of the types that have such fields.
func secretive() map[string]string {
	const nic = "/subscriptions/" + testSubscription + "/resourceGroups/g/providers/Microsoft.Network/networkInterfaces/m-nic"
	return map[string]string{
		"Microsoft.KeyVault/vaults/vault-1":                                           `{"location":"westeurope","properties":{"tenantId":"` + DefaultTenant + `","sku":{"family":"A","name":"standard"},"accessPolicies":[]}}`,
		"Microsoft.KeyVault/vaults/vault-1/secrets/s":                                 `{"properties":{}}`,
		"Microsoft.Compute/virtualMachines/m":                                         `{"location":"westeurope","properties":{"userData":"` + userMark + `","osProfile":{"computerName":"m"},"storageProfile":{"osDisk":{"createOption":"FromImage","name":"m-os"}},"networkProfile":{"networkInterfaces":[{"id":"` + nic + `"}]}}}`,
		"Microsoft.Compute/virtualMachines/m/extensions/e":                            `{"location":"westeurope","properties":{"publisher":"p","type":"CustomScript","typeHandlerVersion":"2.0"}}`,
		"Microsoft.Compute/virtualMachines/m/runCommands/r":                           `{"location":"westeurope","properties":{"source":{"script":"true"}}}`,
		"Microsoft.Compute/virtualMachineScaleSets/s":                                 `{"location":"westeurope","sku":{"name":"Standard_D2s_v3","capacity":1},"properties":{"upgradePolicy":{"mode":"Manual"},"virtualMachineProfile":{"userData":"` + userMark + `","osProfile":{"computerNamePrefix":"s"}}}}`,
		"Microsoft.Compute/virtualMachineScaleSets/s/extensions/e":                    `{"properties":{"publisher":"p","type":"CustomScript","typeHandlerVersion":"2.0"}}`,
		"Microsoft.Compute/virtualMachineScaleSets/s/virtualMachines/0":               `{"location":"westeurope","properties":{"userData":"` + userMark + `","osProfile":{"computerName":"s000000"}}}`,
		"Microsoft.Compute/virtualMachineScaleSets/s/virtualMachines/0/runCommands/r": `{"location":"westeurope","properties":{"source":{"script":"true"}}}`,
		"Microsoft.Compute/virtualMachineScaleSets/s/virtualMachines/0/extensions/e":  `{"properties":{"publisher":"p","type":"CustomScript","typeHandlerVersion":"2.0"}}`,
	}
}

// TestWhatIsWrittenAndNeverReadIsInNoAnswer plants a mark in every such field of every type, by calls and by a deployment, and looks for it in all answers,
// in the call log, and in the state that is saved.
func TestWhatIsWrittenAndNeverReadIsInNoAnswer(t *testing.T) {
	c := newClient(t)
	c.machine("m")
	c.do(http.MethodDelete, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/m", "")
	c.pass()
	const in = "resourceGroups/g/providers/"
	table, bodies := schema.New(fixtures.ARMModels), secretive()
	typeOf := func(path string) string { id, _ := arm.ParseID("/subscriptions/s/" + in + path); return id.Type() }
	var answers []string
	look := func(method, path, body string) *httptest.ResponseRecorder {
		t.Helper()
		w := c.do(method, path, body)
		answers = append(answers, fmt.Sprintf("%s %s: %d %s %v", method, path, w.Code, w.Body, w.Header()))
		return w
	}
	planting := func(verb, path, body string) string {
		var b map[string]any
		if err := json.Unmarshal([]byte(body), &b); err != nil {
			t.Fatal(err)
		}
		for _, secret := range table.For(verb, typeOf(path)).Secrets() {
			plant(b, strings.Split(secret, "."))
		}
		return string(arm.Marshal(b))
	}
	paths := make([]string, 0, len(bodies))
	for path := range bodies {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	var resources []string
	types := provider.Types(nil)
	for _, path := range paths {
		if !slices.ContainsFunc(types, func(typ *resource.Type) bool { return strings.EqualFold(typ.Name, typeOf(path)) }) {
			continue // as long as the twin has no such type
		}
		body := planting(http.MethodPut, path, bodies[path])
		if !strings.Contains(body, planted) && !strings.HasSuffix(path, "vault-1") {
			t.Errorf("%s: nothing was planted", path)
		}
		if w := look(http.MethodPut, in+path, body); w.Code >= http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		c.pass()
		if table.For(http.MethodPatch, typeOf(path)) != nil {
			look(http.MethodPatch, in+path, planting(http.MethodPatch, path, `{}`))
			c.pass()
		}
		look(http.MethodGet, in+path, "")
		look(http.MethodGet, in+path+"?$expand=instanceView", "")
		look(http.MethodGet, in+path[:strings.LastIndexByte(path, '/')], "")
		look(http.MethodPut, in+path+"-refused", strings.Replace(body, `"location":"westeurope"`, `"location":{}`, 1))
		id, _ := arm.ParseID("/subscriptions/s/" + in + path)
		resources = append(resources, fmt.Sprintf(`{"type":%q,"apiVersion":"2024-03-01","name":%q,%s`, id.Type(), strings.Join(id.Names, "/"), strings.NewReplacer(planted, "[parameters('secret')]", userMark, "[parameters('user')]").Replace(body[1:])))
	}
	template := `{"properties":{"mode":"Incremental","template":{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0","parameters":{"secret":{"type":"secureString"},"user":{"type":"secureString"}},"resources":[` + strings.Join(resources, ",") + `]},"parameters":{"secret":{"value":"` + planted + `"},"user":{"value":"` + userMark + `"}}}}`
	const deployment = "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
	look(http.MethodPut, deployment, template)
	c.pass()
	c.pass()
	for _, path := range []string{deployment, "resourceGroups/g/deployments/d/operations", "resourceGroups/g/resources", "resources", "providers/Microsoft.Compute/virtualMachines", "providers/Microsoft.Compute/virtualMachineScaleSets"} {
		look(http.MethodGet, path, "")
	}
	look(http.MethodPost, deployment+"/exportTemplate", "{}")
	look(http.MethodPost, "resourceGroups/g/exportTemplate", `{"resources":["*"]}`)
	for _, a := range answers {
		if strings.Contains(a, planted) || strings.Contains(a, userMark) {
			t.Errorf("%s", a)
		}
	}
	calls, _ := c.twin.Calls().Since(0)
	if log := string(arm.Marshal(calls)); strings.Contains(log, planted) {
		t.Error("the call log has it")
	}
	if saved := string(arm.Marshal(c.twin.State())); strings.Contains(saved, planted) {
		t.Error("the saved state has it")
	}
	for path, at := range map[string][]string{"Microsoft.Compute/virtualMachines/m": {"properties", "userData"}, "Microsoft.Compute/virtualMachineScaleSets/s": {"properties", "virtualMachineProfile", "userData"}} {
		if got := c.want(http.StatusOK, http.MethodGet, in+path+"?$expand=userData", ""); arm.Text(got, at...) != userMark {
			t.Errorf("%s: who asks is not told its user data: %s", path, arm.Marshal(got))
		}
	}
	// No type was left out.
	for _, typ := range types {
		m := table.For(http.MethodPut, typ.Name)
		if len(m.Secrets()) > 0 && !slices.ContainsFunc(paths, func(p string) bool { return strings.EqualFold(typeOf(p), typ.Name) }) {
			t.Errorf("%s has %v, and is not looked at", typ.Name, m.Secrets())
		}
	}
}
