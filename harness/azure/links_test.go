package azure

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

const linkHead = `{"$schema":"x","contentVersion":"1.0.0.0",`

// linked serves templates on this machine, to who has the key.
func linked(t *testing.T) *httptest.Server {
	t.Helper()
	files := map[string]string{
		"/t/main.json": linkHead + `"parameters":{"name":{"type":"string"}},"resources":[ // a comment
			{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"[parameters('name')]","location":"westeurope"},
			{"type":"Microsoft.Resources/deployments","apiVersion":"1","name":"child","dependsOn":["[parameters('name')]"],"properties":{"mode":"Incremental","templateLink":{"relativePath":"sub/child.json","queryString":"key=k"},"parameters":{"p":{"value":"[parameters('name')]"}}}}],
			"outputs":{"uri":{"type":"string","value":"[deployment().properties.templateLink.uri]"},"child":{"type":"string","value":"[reference('child').outputs.o.value]"}}}`,
		"/t/sub/child.json": linkHead + `"parameters":{"p":{"type":"string"}},"variables":{"v":"x"},"resources":[{"type":"Microsoft.Compute/disks","apiVersion":"1","name":"disk","location":"westeurope"}],"outputs":{"o":{"type":"string","value":"[concat(parameters('p'), variables('v'))]"}}}`,
		"/t/values.json":    linkHead + `"parameters":{"name":{"value":"ip"}}}`,
		"/t/broken.json":    `<html>`,
		"/t/wrong.json":     linkHead + "\n\"resources\":[\n  {\"type\":\"a/b\",\"name\":\"x\"}]}",
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch body, known := files[r.URL.Path]; {
		case r.URL.Path == "/t/away":
			http.Redirect(w, r, "http://192.0.2.1/main.json", http.StatusFound)
		case !known || r.URL.Query().Get("key") != "k":
			http.NotFound(w, r)
		default:
			_, _ = fmt.Fprint(w, body)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestTemplatesAndParametersAreLinkedTo(t *testing.T) {
	s := linked(t)
	c := grouped(t)
	c.twin.SetTiming("Microsoft.Compute/disks", state.Timing{Create: state.Span{Min: 10 * time.Minute, Max: 10 * time.Minute}})
	const d = "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
	body := `{"properties":{"mode":"Incremental","templateLink":{"uri":"` + s.URL + `/t/main.json","queryString":"?key=k","contentVersion":"1.0.0.0"},"parametersLink":{"uri":"` + s.URL + `/t/values.json?key=k"}}}`
	c.want(http.StatusOK, http.MethodPost, d+"/validate", body)
	c.want(http.StatusCreated, http.MethodPut, d, body)
	for range 2 {
		c.clock.Advance(4 * time.Minute)
		c.twin.store.Settle()
	}
	other := c.again() // what was downloaded is not downloaded again
	s.Close()
	for _, x := range []*client{c, other} {
		for range 6 {
			x.clock.Advance(4 * time.Minute)
			x.twin.store.Settle()
		}
		got := x.want(http.StatusOK, http.MethodGet, d, "")
		p, _ := got["properties"].(map[string]any)
		if arm.Text(p, "provisioningState") != arm.Succeeded || arm.Text(p, "outputs", "uri", "value") != s.URL+"/t/main.json" || arm.Text(p, "outputs", "child", "value") != "ipx" ||
			arm.Text(p, "templateLink", "uri") != s.URL+"/t/main.json" || arm.Text(p, "parametersLink", "uri") != s.URL+"/t/values.json" {
			t.Errorf("%s", arm.Marshal(got))
		}
		child := x.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Resources/deployments/child", "")
		if arm.Text(child, "properties", "templateLink", "relativePath") != "sub/child.json" || arm.Text(child, "properties", "provisioningState") != arm.Succeeded {
			t.Errorf("%s", arm.Marshal(child))
		}
		if all := string(arm.Marshal(got)) + string(arm.Marshal(child)); strings.Contains(all, "key=k") {
			t.Errorf("the key is told: %s", all)
		}
	}
}

func TestLinksThatLeadNowhereAreRefused(t *testing.T) {
	s := linked(t)
	c := grouped(t)
	link := func(l string) string { return `"templateLink":{` + l + `}` }
	uri := func(path string) string { return link(`"uri":"` + s.URL + path + `"`) }
	for about, x := range map[string]struct{ properties, code, says string }{
		"elsewhere":        {link(`"uri":"https://example.com/main.json?sig=hunter2"`), "InvalidContentLink", "Unable to download deployment content from 'https://example.com/main.json'. The tracking Id is '"},
		"metadata service": {link(`"uri":"http://169.254.169.254/metadata"`), "InvalidContentLink", "169.254.169.254"},
		"a file":           {link(`"uri":"file:///etc/passwd"`), "InvalidContentLink", "file:///etc/passwd"},
		"by a redirect":    {uri("/t/away"), "InvalidContentLink", "/t/away'"},
		"not there":        {uri("/t/none.json?key=k"), "InvalidContentLink", "/t/none.json'"},
		"without the key":  {uri("/t/main.json"), "InvalidContentLink", "/t/main.json'"},
		"no JSON":          {uri("/t/broken.json?key=k"), "InvalidTemplate", "Deployment template parse failed: 'Unexpected character encountered while parsing value: <. Path '', line 0, position 0.'"},
		"of its places":    {uri("/t/wrong.json?key=k"), "InvalidTemplate", "at line '3' and column '3'"},
		"version":          {link(`"uri":"` + s.URL + `/t/main.json?key=k","contentVersion":"2.0.0.0"`), "InvalidTemplate", "'2.0.0.0'"},
		"relative":         {link(`"relativePath":"a.json"`), "InvalidTemplate", "'relativePath'"},
		"both":             {uri("/t/main.json?key=k") + `,"template":{}`, "InvalidRequestContent", "cannot both be given"},
		"spec":             {link(`"id":"/subscriptions/` + testSubscription + `/resourceGroups/g/providers/Microsoft.Resources/templateSpecs/s/versions/1"`), "NotFound", ""},
		"a vault": {`"parameters":{"name":{"reference":{"keyVault":{"id":"/subscriptions/` + testSubscription + `/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v"},"secretName":"s"}}},` + uri("/t/main.json?key=k"),
			"KeyVaultParameterReferenceNotFound", "The specified KeyVault '/subscriptions/" + testSubscription + "/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v' could not be found."},
	} {
		w := c.do(http.MethodPut, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", `{"properties":{"mode":"Incremental",`+x.properties+`}}`)
		if body := decoded(t, w); w.Code < 400 || arm.Text(body, "error", "code") != x.code || !strings.Contains(arm.Text(body, "error", "message"), x.says) || strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s: %d %s", about, w.Code, w.Body)
		}
	}
}

// A vault's secrets are known by their names only.
func TestSecretsOfAVaultAreNotHad(t *testing.T) {
	c := grouped(t)
	const vault = "resourceGroups/g/providers/Microsoft.KeyVault/vaults/vault-1"
	c.do(http.MethodPut, vault, `{"location":"westeurope","properties":{"tenantId":"`+DefaultTenant+`","sku":{"family":"A","name":"standard"},"accessPolicies":[],"enabledForTemplateDeployment":true}}`)
	c.pass()
	c.do(http.MethodPut, vault+"/secrets/there", `{"properties":{"value":"hunter2"}}`)
	reference := func(p, name string) string {
		return `"` + p + `":{"reference":{"keyVault":{"id":"/subscriptions/` + testSubscription + `/` + vault + `"},"secretName":"` + name + `"}}`
	}
	const tpl = `"template":` + linkHead + `"parameters":{"p":{"type":"securestring"},"q":{"type":"securestring","defaultValue":"x"}},"resources":[]}`
	for parameters, want := range map[string][]string{
		reference("p", "gone"):                                 {"KeyVaultParameterReferenceSecretRetrieveFailed", "parameter 'p' cannot be retrieved. Http status code: 'NotFound'. Error message: 'A secret with (name/id) gone was not found"},
		reference("p", "there"):                                {"KeyVaultParameterReferenceSecretRetrieveFailed", "The twin keeps no values of secrets"},
		reference("p", "gone") + "," + reference("q", "there"): {"MultipleErrorsOccurred", "Multiple error occurred: NotFound,NotFound. Please see details."},
	} {
		w := c.do(http.MethodPut, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", `{"properties":{"mode":"Incremental","parameters":{`+parameters+`},`+tpl+`}}`)
		if body := decoded(t, w); w.Code != http.StatusNotFound || arm.Text(body, "error", "code") != want[0] || !strings.Contains(arm.Text(body, "error", "message"), want[1]) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// The twin has no tenant's deployments and none of management groups: nobody has a right to any.
func TestDeploymentsAboveSubscriptionsAreForbidden(t *testing.T) {
	c := grouped(t)
	const body = `{"location":"westeurope","properties":{"mode":"Incremental","template":` + linkHead + `"resources":[]}}}`
	for _, path := range []string{"/providers/Microsoft.Resources/deployments/d", "/providers/Microsoft.Management/managementGroups/m/providers/Microsoft.Resources/deployments/d"} {
		w := c.do(http.MethodPut, path, body)
		if got := decoded(t, w); w.Code != http.StatusForbidden || arm.Text(got, "error", "code") != "AuthorizationFailed" || !strings.Contains(arm.Text(got, "error", "message"), "does not have authorization to perform action 'Microsoft.Resources/deployments/write' over scope '"+path+"'") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	status, got := c.deploy("d", linkHead+`"resources":[{"type":"Microsoft.Resources/deployments","apiVersion":"1","name":"up","scope":"/","location":"westeurope","properties":{"mode":"Incremental","template":{}}}]}`, nil)
	if status != http.StatusForbidden || arm.Text(got, "error", "code") != "AuthorizationFailed" {
		t.Errorf("%d %v", status, got)
	}
}

// The example of the REST API's specification (github.com/Azure/azure-rest-api-specs, CalculateTemplateHash.json).
func TestTheHashOfATemplateIsCalculated(t *testing.T) {
	c := newClient(t)
	got := c.want(http.StatusOK, http.MethodPost, "/providers/Microsoft.Resources/calculateTemplateHash", `{"$schema":"http://schemas.management.azure.com/deploymentTemplate?api-version=2014-04-01-preview","contentVersion":"1.0.0.0","parameters":{"string":{"type":"string"}},
		"variables":{"string":"string","int":42,"bool":true,"array":[1,2,3,4],"object":{"object":{"vmSize":"Large","location":"West US"}}},"resources":[],"outputs":{"string":{"type":"string","value":"myvalue"}}}`)
	if arm.Text(got, "templateHash") != "695440707931307747" || !strings.HasPrefix(arm.Text(got, "minifiedTemplate"), `{"$SCHEMA":"HTTP://SCHEMAS.MANAGEMENT.AZURE.COM/DEPLOYMENTTEMPLATE?API-VERSION=2014-04-01-PREVIEW","CONTENTVERSION":"1.0.0.0","PARAMETERS":{"STRING":{"TYPE":"STRING"}}`) {
		t.Errorf("%s", arm.Marshal(got))
	}
}
