package azure

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/azure/state"
	"drydock.dev/drydock/harness/cluster"
)

// deploy puts a template; the parameters are values.
func (c *client) deploy(name, tpl string, parameters map[string]any) (int, map[string]any) {
	c.t.Helper()
	values := map[string]any{}
	for k, v := range parameters {
		values[k] = map[string]any{"value": v}
	}
	raw, err := json.Marshal(map[string]any{"properties": map[string]any{"mode": "Incremental", "template": json.RawMessage(whole(tpl)), "parameters": values}})
	if err != nil {
		c.t.Fatal(err)
	}
	w := c.do(http.MethodPut, "resourceGroups/g/providers/Microsoft.Resources/deployments/"+name, string(raw))
	var out map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &out)
	return w.Code, out
}

// whole gives a template the two lines that each has.
func whole(tpl string) string {
	if strings.Contains(tpl, "$schema") {
		return tpl
	}
	return `{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#","contentVersion":"1.0.0.0",` + strings.TrimPrefix(tpl, "{")
}

func masters(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/masters.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestADeploymentMakesWhatItsTemplateSays(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	status, body := c.deploy("one", masters(t), map[string]any{"vmSize": "Standard_D2s_v3"})
	if status != http.StatusCreated || arm.Text(body, "properties", "provisioningState") != "Running" {
		t.Fatalf("%d %v", status, body)
	}
	if s, again := c.deploy("one", masters(t), map[string]any{"vmSize": "x"}); s != http.StatusConflict || arm.Text(again, "error", "code") != "DeploymentActive" {
		t.Errorf("a second deployment of that name: %d %v", s, again)
	}
	for range 8 {
		c.pass()
	}
	d := c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Resources/deployments/one", "")
	if arm.Text(d, "properties", "provisioningState") != "Succeeded" || !strings.HasPrefix(arm.Text(d, "properties", "outputs", "masterFQDN", "value"), "20.50.") {
		t.Fatalf("the deployment: %v", arm.At(d, "properties"))
	}
	vm := c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/k8s-master-12345678-2", "")
	if arm.Text(vm, "properties", "storageProfile", "dataDisks", "0", "name") != "k8s-master-12345678-2-etcddisk" || arm.Text(vm, "properties", "osProfile", "computerName") != "k8s-master-12345678-2" {
		t.Errorf("the machine: %v", arm.At(vm, "properties"))
	}
	ops := c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Resources/deployments/one/operations", "")
	if list, _ := arm.At(ops, "value").([]any); len(list) != 3+3*3+1 {
		t.Errorf("%d operations", len(list))
	}
}

// failing lets a machine's extension fail.
type failing struct{}

func (failing) Create(context.Context, provider.Machine) error        { return nil }
func (failing) Delete(context.Context, provider.Machine) error        { return nil }
func (failing) Power(context.Context, provider.Machine, string) error { return nil }
func (failing) Extension(_ context.Context, machine provider.Machine, _ string) error {
	if strings.HasSuffix(machine.Name, "-1") {
		return errors.New("etcd has no quorum")
	}
	return nil
}

func TestAFailedChildFailsTheDeployment(t *testing.T) {
	c := newClientOf(t, Options{Machines: failing{}})
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	c.deploy("one", masters(t), map[string]any{"vmSize": "Standard_D2s_v3"})
	var d map[string]any
	err := cluster.Await(t.Context(), "the end of the deployment", cluster.Wait{For: 20 * time.Second, Every: 5 * time.Millisecond}, func(context.Context) error {
		c.pass() // what machines do takes time of its own besides
		d = c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Resources/deployments/one", "")
		if state := arm.Text(d, "properties", "provisioningState"); state == "Running" {
			return errors.New(state)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if arm.Text(d, "properties", "provisioningState") != "Failed" || arm.Text(d, "properties", "error", "code") != "DeploymentFailed" ||
		arm.Text(d, "properties", "error", "details", "0", "code") != "VMExtensionProvisioningError" {
		t.Errorf("the deployment: %v", arm.At(d, "properties"))
	}
}

func TestWrongTemplatesAreRefusedBeforeAnythingIsMade(t *testing.T) {
	for name, x := range map[string]struct{ tpl, want string }{
		"function":  {`{"resources":[{"apiVersion":"1","type":"Microsoft.Network/publicIPAddresses","name":"a","location":"westeurope","properties":{"a":"[nope()]"}}]}`, "The template function 'nope' is not valid"},
		"parameter": {`{"parameters":{"p":{"type":"string"}},"resources":[]}`, "The value for the template parameter 'p'"},
		"cycle":     {`{"resources":[{"apiVersion":"1","type":"Microsoft.Network/publicIPAddresses","name":"a","location":"westeurope","dependsOn":["b"]},{"apiVersion":"1","type":"Microsoft.Network/publicIPAddresses","name":"b","location":"westeurope","dependsOn":["a"]}]}`, "Circular dependency"},
		"missing":   {`{"resources":[{"apiVersion":"1","type":"Microsoft.Network/publicIPAddresses","name":"a","location":"westeurope","dependsOn":["zz"]}]}`, "'zz' is not defined in the template"},
		"segments":  {`{"resources":[{"apiVersion":"1","type":"Microsoft.Compute/virtualMachines/extensions","name":"a","location":"westeurope"}]}`, "incorrect segment lengths"},
		"twice":     {`{"resources":[{"apiVersion":"1","type":"Microsoft.Network/publicIPAddresses","name":"a","location":"westeurope"},{"apiVersion":"1","type":"Microsoft.Network/publicIPAddresses","name":"A","location":"westeurope"}]}`, "defined multiple times"},
		"type":      {`{"resources":[{"apiVersion":"1","type":"Microsoft.Nope/things","name":"a"}]}`, "could not be found in the namespace 'Microsoft.Nope'"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t)
			c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
			status, body := c.deploy("bad", x.tpl, nil)
			if status != http.StatusBadRequest || arm.Text(body, "error", "code") != "InvalidTemplate" || !strings.Contains(arm.Text(body, "error", "message"), x.want) {
				t.Errorf("%d %v", status, body)
			}
			if n := len(c.twin.store.View().All()); n != 1 {
				t.Errorf("%d resources are there", n)
			}
		})
	}
}

func TestAGroupKeeps800Deployments(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	for i := range 800 {
		c.twin.store.Write(testSubscription, func(tx *state.Tx) {
			tx.Put(arm.ID{Subscription: testSubscription, ResourceGroup: "g", Provider: "Microsoft.Resources", Types: []string{"deployments"}, Names: []string{"d" + strconv.Itoa(i)}}, map[string]any{})
		})
	}
	status, body := c.deploy("one-more", `{"resources":[]}`, nil)
	if status != http.StatusConflict || arm.Text(body, "error", "code") != "DeploymentQuotaExceeded" || !strings.Contains(arm.Text(body, "error", "message"), "would exceed the quota of '800'. The current deployment count is '800'") {
		t.Errorf("%d %v", status, body)
	}
}

func TestWhatIsDeclaredSecureIsNotTold(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	const d = "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
	deploy := func(allowed string) string {
		return `{"properties":{"mode":"Incremental","parameters":{"p":{"value":"hunter2"},"o":{"value":{"a":"hunter2"}},"plain":{"value":"keep"}},"template":{"$schema":"x","contentVersion":"1.0.0.0",
		"parameters":{"unused":{"type":"secureString","defaultValue":"hunter2"},"p":{"type":"securestring"` + allowed + `},"o":{"type":"secureObject"},"plain":{"type":"string"}},
		"resources":[
			{"type":"Microsoft.Compute/virtualMachines","apiVersion":"1","name":"vm","location":"westeurope","properties":{"osProfile":{"adminPassword":"[parameters('p')]","customData":"[parameters('p')]","computerName":"[parameters('plain')]"}}},
			{"type":"Microsoft.Compute/virtualMachines/extensions","apiVersion":"1","name":"vm/cse","location":"westeurope","dependsOn":["vm"],"properties":{"protectedSettings":{"commandToExecute":"[parameters('p')]"}}},
			{"type":"Microsoft.Resources/deployments","apiVersion":"1","name":"outer","properties":{"mode":"Incremental","template":{"$schema":"x","contentVersion":"1.0.0.0",
				"resources":[{"type":"Microsoft.Compute/virtualMachines","apiVersion":"1","name":"vm2","location":"westeurope","properties":{"osProfile":{"adminPassword":"[parameters('p')]"}}}]}}},
			{"type":"Microsoft.Resources/deployments","apiVersion":"1","name":"inner","properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},"parameters":{"q":{"value":"[parameters('p')]"}},
				"template":{"$schema":"x","contentVersion":"1.0.0.0","parameters":{"q":{"type":"SecureString"}},"resources":[],"outputs":{"secret":{"type":"securestring","value":"[parameters('q')]"}}}}}],
		"outputs":{"secret":{"type":"secureString","value":"[parameters('p')]"},"plain":{"type":"string","value":"[parameters('plain')]"}}}}}`
	}
	first := c.do(http.MethodPut, d, deploy(""))
	for range 5 {
		c.pass()
	}
	refused := c.do(http.MethodPut, d, deploy(`,"allowedValues":["x"]`))
	if got := c.want(http.StatusOK, http.MethodGet, d, ""); arm.Text(got, "properties", "provisioningState") != arm.Succeeded || arm.Text(got, "properties", "parameters", "plain", "value") != "keep" ||
		arm.Text(got, "properties", "outputs", "plain", "value") != "keep" || arm.Text(got, "properties", "outputs", "secret", "type") != "SecureString" {
		t.Errorf("the deployment: %v", got)
	}
	answers := first.Body.String() + refused.Body.String()
	for _, path := range []string{d, d + "/operations", "resourceGroups/g/providers/Microsoft.Resources/deployments/inner", "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm",
		"resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm/extensions/cse"} {
		w := c.do(http.MethodGet, path, "")
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		answers += w.Body.String()
	}
	for _, path := range []string{d, "resourceGroups/g/providers/Microsoft.Resources/deployments/inner", "resourceGroups/g/providers/Microsoft.Resources/deployments/outer"} {
		answers += c.do(http.MethodPost, path+"/exportTemplate", "").Body.String()
	}
	for _, doc := range c.twin.State().Resources {
		answers += string(doc)
	}
	if i := strings.Index(answers, "hunter2"); i >= 0 {
		t.Errorf("it is told: …%s", answers[max(0, i-300):i+10])
	}
}
