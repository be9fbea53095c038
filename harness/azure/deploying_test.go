package azure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// deployed runs a deployment in the group g to its end and gives what it tells then.
func (c *client) deployed(tpl string) map[string]any {
	c.t.Helper()
	status, body := c.deploy("d", tpl, nil)
	if status >= http.StatusBadRequest {
		c.t.Fatalf("%d %s", status, arm.Marshal(body))
	}
	const path = "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
	for range 30 {
		if got := c.want(http.StatusOK, http.MethodGet, path, ""); arm.Text(got, "properties", "provisioningState") != "Running" {
			if arm.Text(got, "properties", "provisioningState") != arm.Succeeded {
				c.t.Fatalf("it ended %s", arm.Marshal(got))
			}
			return got
		}
		c.pass()
	}
	c.t.Fatal("it does not end")
	return nil
}

func grouped(t *testing.T) *client {
	t.Helper()
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	return c
}

const netRoot = "resourceGroups/g/providers/Microsoft.Network/"

func TestSymbolicNamesMakeWhatTheySay(t *testing.T) {
	c := grouped(t)
	c.want(http.StatusCreated, http.MethodPut, netRoot+"publicIPAddresses/old", `{"location":"westeurope"}`)
	c.pass()
	d := c.deployed(`{"languageVersion":"2.0","resources":{
		"old":{"existing":true,"type":"Microsoft.Network/publicIPAddresses","apiVersion":"2023-01-01","name":"old"},
		"net":{"type":"Microsoft.Network/virtualNetworks","apiVersion":"2023-01-01","name":"net","location":"westeurope","tags":{"ip":"[reference('old').ipAddress]"},"properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]}}},
		"ips":{"copy":{"name":"ips","count":3},"type":"Microsoft.Network/publicIPAddresses","apiVersion":"2023-01-01","name":"[format('ip-{0}', copyIndex())]","location":"westeurope","dependsOn":["net"]},
		"last":{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"2023-01-01","name":"last","location":"westeurope","tags":{"first":"[reference('ips[0]').ipAddress]"},"dependsOn":["ips"]},
		"off":{"condition":false,"type":"Microsoft.Network/publicIPAddresses","apiVersion":"2023-01-01","name":"off","location":"westeurope"}},
		"outputs":{"all":{"type":"array","value":"[map(references('ips', 'full'), lambda('x', lambdaVariables('x').resourceId))]"},"where":{"type":"string","value":"[reference('net', '2023-01-01', 'full').location]"}}}`)
	if got := string(arm.Marshal(arm.At(d, "properties", "outputs", "all", "value"))); got != `["Microsoft.Network/publicIPAddresses/ip-0","Microsoft.Network/publicIPAddresses/ip-1","Microsoft.Network/publicIPAddresses/ip-2"]` {
		t.Errorf("the loop's resources: %s", got)
	}
	if net := c.want(http.StatusOK, http.MethodGet, netRoot+"virtualNetworks/net", ""); arm.Text(net, "tags", "ip") == "" || arm.Text(d, "properties", "outputs", "where", "value") != "westeurope" {
		t.Errorf("what exists is not seen: %s", arm.Marshal(net))
	}
	if w := c.do(http.MethodGet, netRoot+"publicIPAddresses/off", ""); w.Code != http.StatusNotFound {
		t.Errorf("a resource whose condition is false: %d", w.Code)
	}
}

func TestChildrenAreResourcesOfTheirOwn(t *testing.T) {
	c := grouped(t)
	c.deployed(`{"resources":[
		{"type":"Microsoft.Network/virtualNetworks","apiVersion":"1","name":"net","location":"westeurope","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]}},
			"resources":[{"type":"subnets","apiVersion":"1","name":"a","properties":{"addressPrefix":"10.0.1.0/24"},"dependsOn":["net"]}]},
		{"type":"Microsoft.Network/virtualNetworks/subnets","apiVersion":"1","name":"net/b","properties":{"addressPrefix":"10.0.2.0/24"},"dependsOn":["[resourceId('Microsoft.Network/virtualNetworks', 'net')]"]},
		{"type":"Microsoft.Network/networkSecurityGroups","apiVersion":"1","name":"nsg","location":"westeurope"},
		{"type":"Microsoft.Network/networkSecurityGroups/securityRules","apiVersion":"1","name":"nsg/ssh","properties":{"priority":100},"dependsOn":["nsg"]}],
		"outputs":{"b":{"type":"string","value":"[reference(resourceId('Microsoft.Network/virtualNetworks/subnets', 'net', 'b')).addressPrefix]"}}}`)
	net := c.want(http.StatusOK, http.MethodGet, netRoot+"virtualNetworks/net", "")
	if list, _ := arm.At(net, "properties", "subnets").([]any); len(list) != 2 {
		t.Errorf("the network's subnets: %s", arm.Marshal(arm.At(net, "properties")))
	}
	if nsg := c.want(http.StatusOK, http.MethodGet, netRoot+"networkSecurityGroups/nsg", ""); arm.Text(nsg, "properties", "securityRules", "0", "name") != "ssh" {
		t.Errorf("the group's rules: %s", arm.Marshal(nsg))
	}
	for _, doc := range c.twin.store.View().All() {
		if len(doc.ID.Types) > 1 && doc.ID.Provider == "Microsoft.Network" {
			t.Errorf("a shadow of a child: %s", doc.ID)
		}
	}
}

func TestADeploymentInASubscriptionMakesGroupsAndDeploysIntoThem(t *testing.T) {
	c := newClient(t)
	const inner = `{"$schema":"x","contentVersion":"1.0.0.0","parameters":{"ip":{"type":"string"}},"resources":[{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"[parameters('ip')]","location":"[resourceGroup().location]"}],
		"outputs":{"group":{"type":"string","value":"[resourceGroup().name]"}}}`
	const outer = `{"$schema":"x","contentVersion":"1.0.0.0","variables":{"name":"from-outside"},"resources":[{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"[variables('name')]","location":"westeurope"}]}`
	tpl := `{"$schema":"https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#","contentVersion":"1.0.0.0","variables":{"name":"outer"},"resources":[
		{"type":"Microsoft.Resources/resourceGroups","apiVersion":"2021-04-01","name":"made","location":"westeurope"},
		{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"in","resourceGroup":"made","dependsOn":["[subscriptionResourceId('Microsoft.Resources/resourceGroups', 'made')]"],"properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},"parameters":{"ip":{"value":"ip"}},"template":` + inner + `}},
		{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"out","resourceGroup":"made","dependsOn":["made"],"properties":{"mode":"Incremental","template":` + outer + `}},
		{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"away","subscriptionId":"22222222-0000-4000-8000-000000000002","resourceGroup":"there","properties":{"mode":"Incremental","template":` + strings.Replace(outer, "variables('name')", "concat('x')", 1) + `}}],
		"outputs":{"group":{"type":"string","value":"[reference('in').outputs.group.value]"}}}`
	c.want(http.StatusCreated, http.MethodPut, "/subscriptions/22222222-0000-4000-8000-000000000002/resourceGroups/there", `{"location":"westeurope"}`)
	const path = "providers/Microsoft.Resources/deployments/sub"
	if w := c.do(http.MethodPut, path, `{"properties":{"mode":"Incremental","template":`+tpl+`}}`); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "LocationRequired") {
		t.Errorf("without a location: %d %s", w.Code, w.Body)
	}
	c.want(http.StatusCreated, http.MethodPut, path, `{"location":"westeurope","properties":{"mode":"Incremental","template":`+tpl+`}}`)
	for range 20 {
		c.pass()
	}
	d := c.want(http.StatusOK, http.MethodGet, path, "")
	if arm.Text(d, "properties", "provisioningState") != "Succeeded" || arm.Text(d, "properties", "outputs", "group", "value") != "made" || arm.Text(d, "location") != "westeurope" {
		t.Fatalf("%s", arm.Marshal(d))
	}
	if list := arm.Objects(c.want(http.StatusOK, http.MethodGet, "providers/Microsoft.Resources/deployments", ""), "value"); len(list) != 1 {
		t.Errorf("the subscription has %d deployments of its own", len(list))
	}
	for _, at := range []string{"resourceGroups/made/providers/Microsoft.Network/publicIPAddresses/ip", "resourceGroups/made/providers/Microsoft.Network/publicIPAddresses/outer",
		"/subscriptions/22222222-0000-4000-8000-000000000002/resourceGroups/there/providers/Microsoft.Network/publicIPAddresses/x"} {
		c.want(http.StatusOK, http.MethodGet, at, "")
	}
}

func TestSerialLoopsGoInBatches(t *testing.T) {
	c := grouped(t)
	c.twin.SetTiming("Microsoft.Network/publicIPAddresses", state.Timing{Create: state.Span{Min: time.Minute, Max: time.Minute}})
	c.deploy("d", `{"resources":[{"copy":{"name":"l","count":5,"mode":"serial","batchSize":2},"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"[concat('ip', copyIndex())]","location":"westeurope"}]}`, nil)
	var seen []int
	for range 4 {
		seen = append(seen, len(arm.Objects(c.want(http.StatusOK, http.MethodGet, netRoot+"publicIPAddresses", ""), "value")))
		c.clock.Advance(time.Minute + time.Second)
	}
	if fmt.Sprint(seen) != "[2 4 5 5]" {
		t.Errorf("so many were there after each minute: %v", seen)
	}
}

func TestOperationsAreToldWhileADeploymentRuns(t *testing.T) {
	c := grouped(t)
	c.deploy("d", `{"resources":[{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"ip","location":"westeurope"},{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"ip2","location":"westeurope","dependsOn":["ip"]}]}`, nil)
	for _, path := range []string{"resourceGroups/g/providers/Microsoft.Resources/deployments/d/operations", "resourcegroups/g/deployments/d/operations"} {
		ops := arm.Objects(c.want(http.StatusOK, http.MethodGet, path, ""), "value")
		if len(ops) != 1 || arm.Text(ops[0], "properties", "provisioningState") != "Running" || arm.Text(ops[0], "properties", "targetResource", "resourceName") != "ip" {
			t.Fatalf("%s: %v", path, ops)
		}
		c.want(http.StatusOK, http.MethodGet, path+"/"+arm.Text(ops[0], "operationId"), "")
	}
	if w := c.do(http.MethodDelete, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", ""); w.Code != http.StatusConflict {
		t.Errorf("one that runs is deleted: %d", w.Code)
	}
	if w := c.do(http.MethodPost, "resourceGroups/g/providers/Microsoft.Resources/deployments/d/cancel", ""); w.Code != http.StatusNoContent {
		t.Errorf("cancel: %d %s", w.Code, w.Body)
	}
	for range 5 {
		c.pass()
	}
	d := c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", "")
	if arm.Text(d, "properties", "provisioningState") != "Canceled" || c.do(http.MethodGet, netRoot+"publicIPAddresses/ip2", "").Code != http.StatusNotFound {
		t.Errorf("after it was canceled: %s", arm.Marshal(d))
	}
}

func TestADeploymentStopsWhenItsGroupGoes(t *testing.T) {
	c := grouped(t)
	c.twin.SetTiming("Microsoft.Network/publicIPAddresses", state.Timing{Create: state.Span{Min: 5 * time.Minute, Max: 5 * time.Minute}})
	c.deploy("d", `{"resources":[{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"ip","location":"westeurope"},{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"ip2","location":"westeurope","dependsOn":["ip"]}]}`, nil)
	c.do(http.MethodDelete, "resourceGroups/g", "")
	for range 10 {
		c.pass()
	}
	if left := c.twin.store.View().All(); len(left) != 0 {
		t.Errorf("%s is there", left[0].ID)
	}
}

func TestCompleteModeDeletesWhatTheTemplateDoesNotName(t *testing.T) {
	c := grouped(t)
	c.machine("vm")
	c.want(http.StatusCreated, http.MethodPut, netRoot+"publicIPAddresses/kept", `{"location":"westeurope"}`)
	c.pass()
	body := `{"properties":{"mode":"Complete","template":` + whole(`{"resources":[{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"kept","location":"westeurope"}]}`) + `}}`
	what := c.want(http.StatusOK, http.MethodPost, "resourceGroups/g/providers/Microsoft.Resources/deployments/d/whatIf", body)
	kinds := map[string]int{}
	for _, x := range arm.Objects(what, "properties", "changes") {
		kinds[arm.Text(x, "changeType")]++
	}
	if kinds["NoChange"] != 1 || kinds["Delete"] < 3 || len(kinds) != 2 {
		t.Errorf("what it would change: %v", kinds)
	}
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", body)
	for range 20 {
		c.pass()
	}
	d := c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", "")
	if arm.Text(d, "properties", "provisioningState") != "Succeeded" || arm.Text(d, "properties", "mode") != "Complete" {
		t.Fatalf("%s", arm.Marshal(d))
	}
	var left []string
	for _, doc := range c.twin.store.View().All() {
		left = append(left, doc.ID.Name())
	}
	if fmt.Sprint(left) != "[g kept d]" && fmt.Sprint(left) != "[g d kept]" && len(left) != 3 {
		t.Errorf("these are left: %v", left)
	}
}

func TestAGroupIsExportedAsATemplateThatDeploys(t *testing.T) {
	c := grouped(t)
	c.machine("vm")
	got := c.want(http.StatusOK, http.MethodPost, "resourceGroups/g/exportTemplate", `{"resources":["*"],"options":"IncludeParameterDefaultValue"}`)
	tpl := string(arm.Marshal(arm.At(got, "template")))
	if !strings.Contains(tpl, `"[resourceId('Microsoft.Network/networkInterfaces', parameters('networkInterfaces_vm_nic_name'))]"`) || strings.Contains(tpl, "provisioningState") {
		t.Errorf("the template: %s", tpl)
	}
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/h", `{"location":"westeurope"}`)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/h/providers/Microsoft.Resources/deployments/d", `{"properties":{"mode":"Incremental","template":`+tpl+`}}`)
	for range 20 {
		c.pass()
	}
	if d := c.want(http.StatusOK, http.MethodGet, "resourceGroups/h/providers/Microsoft.Resources/deployments/d", ""); arm.Text(d, "properties", "provisioningState") != "Succeeded" {
		t.Errorf("deployed elsewhere: %s of %s", arm.Marshal(arm.At(d, "properties", "error")), tpl)
	}
	c.want(http.StatusOK, http.MethodGet, "resourceGroups/h/providers/Microsoft.Compute/virtualMachines/vm", "")
}

// The Azure CLI's requests are no JSON: the template's file is in them as it is, behind a name without quotes.
// `az vmss create` has its template look up the API version of what it has made.
func TestATemplateSeesTheResourceProviders(t *testing.T) {
	d := grouped(t).deployed(`{"contentVersion":"1.0.0.0","resources":[],"outputs":{"versions":{"type":"array","value":"[providers('Microsoft.Compute','virtualMachineScaleSets').apiVersions]"}}}`)
	if versions, _ := arm.At(d, "properties", "outputs", "versions", "value").([]any); len(versions) == 0 {
		t.Errorf("it deploys %s", arm.Marshal(d))
	}
}

func TestADeploymentAsTheAzureCLISendsIt(t *testing.T) {
	c := grouped(t)
	body := `{"properties": {"mode": "Incremental", template:` + whole(`{"resources":[], // none yet
		"outputs":{"o":{"type":"string","value":"[concat('a',
			'b')]"}},}`) + `}}`
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", body)
	d := c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Resources/deployments/d", "")
	if arm.Text(d, "properties", "outputs", "o", "value") != "ab" {
		t.Errorf("%s", arm.Marshal(d))
	}
}

func TestExtensionsHaveTheScopeTheyName(t *testing.T) {
	c := grouped(t)
	c.deployed(`{"resources":[
		{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"ip","location":"westeurope"},
		{"type":"Microsoft.Authorization/roleAssignments","apiVersion":"1","name":"[guid('a')]","scope":"[concat('Microsoft.Network/publicIPAddresses/', 'ip')]","dependsOn":["ip"],"properties":{"roleDefinitionId":"r","principalId":"p"}},
		{"type":"Microsoft.Network/publicIPAddresses/providers/roleAssignments","apiVersion":"1","name":"[concat('ip/Microsoft.Authorization/', guid('b'))]","dependsOn":["ip"],"properties":{"roleDefinitionId":"r","principalId":"p"}}]}`)
	n := 0
	for _, doc := range c.twin.store.View().All() {
		if strings.HasSuffix(doc.ID.Scope, "/publicIPAddresses/ip") {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d role assignments are on the address", n)
	}
}

func TestWhatADeploymentTellsOfItself(t *testing.T) {
	c := grouped(t)
	tpl := `{"resources":[{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"a","location":"West Europe"},{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"b","location":"westeurope","dependsOn":["a"]}]}`
	v := c.want(http.StatusOK, http.MethodPost, "resourceGroups/g/providers/Microsoft.Resources/deployments/d/validate", `{"properties":{"mode":"Incremental","template":`+whole(tpl)+`}}`)
	if len(arm.At(v, "properties", "validatedResources").([]any)) != 2 || len(c.twin.store.View().All()) != 1 {
		t.Errorf("validate: %s", arm.Marshal(v))
	}
	d := c.deployed(tpl)
	p, _ := arm.At(d, "properties").(map[string]any)
	if arm.Text(p, "dependencies", "0", "dependsOn", "0", "resourceName") != "a" || arm.Text(p, "providers", "0", "namespace") != "Microsoft.Network" ||
		arm.Text(p, "providers", "0", "resourceTypes", "0", "locations", "0") != "westeurope" || len(arm.Text(p, "templateHash")) < 15 {
		t.Errorf("%s", arm.Marshal(p))
	}
	exported := c.want(http.StatusOK, http.MethodPost, "resourceGroups/g/providers/Microsoft.Resources/deployments/d/exportTemplate", "")
	if list, _ := arm.At(exported, "template", "resources").([]any); len(list) != 2 {
		t.Errorf("its template: %s", arm.Marshal(exported))
	}
	what := c.want(http.StatusOK, http.MethodPost, "resourceGroups/g/providers/Microsoft.Resources/deployments/e/whatIf", `{"properties":{"mode":"Incremental","template":`+whole(strings.Replace(tpl, `"name":"b",`, `"name":"b","tags":{"x":"y"},`, 1))+`}}`)
	if got := arm.Objects(what, "properties", "changes"); len(got) != 2 || arm.Text(got[0], "changeType") != "NoChange" || arm.Text(got[1], "changeType") != "Modify" || arm.Text(got[1], "delta", "0", "path") != "tags" {
		t.Errorf("what another would change: %s", arm.Marshal(got))
	}
}

func TestDeploymentsThatAreRefused(t *testing.T) {
	c := grouped(t)
	const ip = `{"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"a","location":"westeurope"`
	for name, x := range map[string]struct{ body, code, want string }{
		"no properties": {`{}`, "InvalidRequestContent", "Required property 'properties' not found in JSON"},
		"no mode":       {`{"properties":{"template":` + whole(`{"resources":[]}`) + `}}`, "InvalidRequestContent", "Required property 'mode' not found in JSON"},
		"mode":          {`{"properties":{"mode":"Partial","template":` + whole(`{"resources":[]}`) + `}}`, "InvalidRequestContent", "Azure.Deployments.Core.Definitions.DeploymentMode"},
		"no template":   {`{"properties":{"mode":"Incremental"}}`, "InvalidTemplateDeployment", "neither a template"},
		"text":          {`{"properties":{"mode":"Incremental","template":"{}"}}`, "InvalidRequestContent", "Path 'properties.template'"},
		"no schema":     {`{"properties":{"mode":"Incremental","template":{"contentVersion":"1.0.0.0","resources":[]}}}`, "InvalidTemplate", "Deployment template parse failed: 'Required property '$schema' not found in JSON"},
		"no version":    {`{"properties":{"mode":"Incremental","template":{"$schema":"x","resources":[]}}}`, "InvalidTemplate", "Deployment template parse failed: 'Required property 'contentVersion' not found in JSON"},
		"itself":        {`{"properties":{"mode":"Incremental","template":` + whole(`{"resources":[`+ip+`,"dependsOn":["a"]}]}`) + `}}`, "InvalidTemplate", "Circular dependency detected on resource: '/subscriptions/"},
		"reference":     {`{"properties":{"mode":"Incremental","template":` + whole(`{"resources":[`+ip+`,"tags":{"x":"[reference('b').x]"}},`+strings.Replace(ip, `"a"`, `"b"`, 1)+`,"dependsOn":["a"]}]}`) + `}}`, "InvalidTemplate", "Circular dependency detected"},
		"expression":    {`{"properties":{"mode":"Incremental","template":` + whole(`{"resources":[`+ip+`,"tags":{"x":"[substring('a', 5)]"}}]}`) + `}}`, "InvalidTemplate", "Unable to process template language expressions for resource"},
		"too many":      {`{"properties":{"mode":"Incremental","template":` + whole(`{"resources":[{"copy":{"name":"l","count":800},"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"[concat('x', copyIndex())]","location":"westeurope"},`+ip+`}]}`) + `}}`, "InvalidTemplate", "The number of template resources limit exceeded. Limit: '800' and actual: '801'"},
		"count":         {`{"properties":{"mode":"Incremental","template":` + whole(`{"resources":[{"copy":{"name":"l","count":801},"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"[concat('x', copyIndex())]","location":"westeurope"}]}`) + `}}`, "InvalidTemplate", "The copy count must be a positive integer value and cannot exceed '800'"},
		"group":         {`{"properties":{"mode":"Incremental","template":` + whole(`{"resources":[{"type":"Microsoft.Resources/resourceGroups","apiVersion":"1","name":"h","location":"westeurope"}]}`) + `}}`, "InvalidTemplate", "deployed to a subscription"},
	} {
		w := c.do(http.MethodPut, "resourceGroups/g/providers/Microsoft.Resources/deployments/bad", x.body)
		var got map[string]any
		_ = json.Unmarshal(w.Body.Bytes(), &got)
		if w.Code != http.StatusBadRequest || arm.Text(got, "error", "code") != x.code || !strings.Contains(arm.Text(got, "error", "message"), x.want) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if n := len(c.twin.store.View().All()); n != 1 {
		t.Errorf("%d resources are there", n)
	}
}

// What a deployment writes and polls costs its caller's budget at the provider, as the calls of any client do: AKS Engine creates everything by template.
func TestDeploymentsDrawOnTheProvidersBudgets(t *testing.T) {
	c := grouped(t)
	vms := func(n int) string {
		return fmt.Sprintf(`{"resources":[{"copy":{"name":"l","count":%d},"type":"Microsoft.Compute/virtualMachines","apiVersion":"1","name":"[concat('vm', copyIndex())]","location":"westeurope","properties":{"hardwareProfile":{"vmSize":"Standard_D2s_v3"}}}]}`, n)
	}
	c.deploy("d", vms(100), nil)
	w := c.do(http.MethodPut, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/own", `{"location":"westeurope","properties":{}}`)
	if told := fmt.Sprint(w.Header()); !strings.Contains(told, "Microsoft.Compute/PutVM;1399") {
		t.Errorf("after a deployment of 100 machines there is left: %q", told)
	}
	c.pass()
	const vm = "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm0"
	for c.do(http.MethodPatch, vm, `{"tags":{"a":"b"}}`).Code != http.StatusTooManyRequests {
	}
	c.deploy("again", vms(1), nil)
	const again = "resourceGroups/g/providers/Microsoft.Resources/deployments/again"
	if ops := arm.Objects(c.want(http.StatusOK, http.MethodGet, again+"/operations", ""), "value"); len(ops) != 1 || arm.Text(ops[0], "properties", "provisioningState") != "Running" {
		t.Errorf("a write that is throttled: %v", ops)
	}
	for range 8 {
		c.pass()
	}
	if d := c.want(http.StatusOK, http.MethodGet, again, ""); arm.Text(d, "properties", "provisioningState") != "Succeeded" || arm.Text(d, "properties", "duration") == "PT0S" {
		t.Errorf("it ended %s", arm.Marshal(d))
	}
}

// 400 resources that each wait for all of 400 others, once cubic, are deployed in seconds.
func TestBigDeploymentsAreQuick(t *testing.T) {
	c := grouped(t)
	begun := time.Now()
	c.deployed(`{"resources":[
		{"copy":{"name":"first","count":400},"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"[concat('a', copyIndex())]","location":"westeurope"},
		{"copy":{"name":"second","count":400},"type":"Microsoft.Network/publicIPAddresses","apiVersion":"1","name":"[concat('b', copyIndex())]","location":"westeurope","dependsOn":["first"],"tags":{"a":"[reference(concat('a', copyIndex())).ipAddress]"}}]}`)
	if took := time.Since(begun); took > time.Minute { // a busy machine under the race detector took 22 s
		t.Errorf("it took %s", took)
	}
}
