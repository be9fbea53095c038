package azure

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/azure/resource"
)

const testGroup = "/subscriptions/" + testSubscription + "/resourceGroups/g"

func TestWhatMadeTheTwinPanicIsAnswered(t *testing.T) {
	const compute = "resourceGroups/g/providers/Microsoft.Compute/"
	disk := func(lun string) string {
		return `{"location":"westeurope","properties":{"storageProfile":{"dataDisks":[{"name":"d","createOption":"Empty","lun":` + lun + `}]}}}`
	}
	for name, calls := range map[string][]struct {
		method, path, body string
		want               int
	}{
		"a lun that is an object": {
			{http.MethodPut, compute + "virtualMachines/vm", disk(`{"a":1}`), http.StatusBadRequest},
			{http.MethodPut, compute + "virtualMachines/vm", disk(`{"a":1}`), http.StatusBadRequest},
			{http.MethodPut, compute + "virtualMachines/vm", disk(`[1]`), http.StatusBadRequest},
		},
		"a letter whose small one is longer": {
			{http.MethodPut, "providers/Microsoft.Authorization/roleAssignments/r", `{"properties":{"roleDefinitionId":"d","principalId":"p"}}`, http.StatusCreated},
			{http.MethodPut, "/subscriptions/" + strings.Repeat("\u023a", 100) + "/providers/Microsoft.Authorization/roleAssignments/r", `{"properties":{"roleDefinitionId":"d","principalId":"p"}}`, http.StatusCreated},
		},
		"an instance that a scale set does not have": {
			{http.MethodPut, compute + "virtualMachineScaleSets/ss", `{"location":"westeurope","sku":{"capacity":1}}`, http.StatusCreated},
			{http.MethodPut, compute + "virtualMachineScaleSets/ss/virtualMachines/77", `{"location":"westeurope","properties":{}}`, http.StatusNotFound},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t)
			c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
			for _, call := range calls {
				c.want(call.want, call.method, call.path, call.body)
				c.pass()
			}
		})
	}
}

func TestARoleAssignmentSaysWhatItIsOn(t *testing.T) {
	c := newClient(t)
	c.machine("vm")
	for _, scope := range []string{"/subscriptions/" + testSubscription, "/subscriptions/\u0130\u0130", testGroup, testGroup + "/providers/Microsoft.Compute/virtualMachines/vm"} {
		body := c.want(http.StatusCreated, http.MethodPut, scope+"/providers/Microsoft.Authorization/roleAssignments/r", `{"properties":{"roleDefinitionId":"d","principalId":"p"}}`)
		if arm.Text(body, "properties", "scope") != scope {
			t.Errorf("on %s: %v", scope, body)
		}
	}
}

// A deployment with such a resource ends Failed; before, whoever called next had its connection cut, and the deployment went on for ever.
func TestADeploymentOfAMissingInstanceFails(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	d := "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
	c.want(http.StatusCreated, http.MethodPut, d, `{"properties":{"mode":"Incremental","template":{"$schema":"x","contentVersion":"1.0.0.0","resources":[
		{"type":"Microsoft.Compute/virtualMachineScaleSets","apiVersion":"1","name":"ss","location":"westeurope","sku":{"capacity":1},"properties":{}},
		{"type":"Microsoft.Compute/virtualMachineScaleSets/virtualMachines","apiVersion":"1","name":"ss/77","dependsOn":["ss"],"properties":{}}]}}}`)
	c.pass()
	if body := c.want(http.StatusOK, http.MethodGet, d, ""); arm.Text(body, "properties", "provisioningState") != arm.Failed {
		t.Errorf("it is %v", arm.At(body, "properties"))
	}
}

// bad has a type whose hooks have a mistake.
func bad(t *testing.T, m provider.Machines, hook func(t *resource.Type)) *client {
	t.Helper()
	typ := &resource.Type{Name: "Microsoft.Compute/mistakes", Located: true}
	hook(typ)
	c := newClientOf(t, Options{Types: []*resource.Type{typ}, Machines: m})
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	return c
}

const mistakePath = "resourceGroups/g/providers/Microsoft.Compute/mistakes/m"

func TestAMistakeOfTheTwinFailsTheCallOrTheOperationItIsMadeIn(t *testing.T) {
	var none []int
	wrong := func() { none[len(none)]++ }
	t.Run("in a call", func(t *testing.T) {
		c := bad(t, nil, func(typ *resource.Type) {
			typ.Fill = func(*resource.Tx, arm.ID, map[string]any, map[string]any) { wrong() }
		})
		if w := c.do(http.MethodPut, mistakePath, `{"location":"westeurope"}`); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "guard_test") && !strings.Contains(w.Body.String(), "azure.Test") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if calls, _ := c.twin.Calls().Since(0); calls[1].Status != http.StatusInternalServerError {
			t.Errorf("the call log says %+v", calls[1])
		}
	})
	for _, m := range []provider.Machines{nil, failing{}} {
		t.Run(fmt.Sprint("in an operation, beside: ", m != nil), func(t *testing.T) {
			c := bad(t, m, func(typ *resource.Type) { typ.Made = func(*resource.Tx, arm.ID) *arm.Error { wrong(); return nil } })
			c.do(http.MethodPut, mistakePath, `{"location":"westeurope"}`)
			c.pass()
			id, _ := arm.ParseID("/subscriptions/" + testSubscription + "/" + mistakePath)
			for until := time.Now().Add(5 * time.Second); time.Now().Before(until); {
				if _, running := c.twin.store.View().Running(id); !running {
					break
				}
			}
			if body := c.want(http.StatusOK, http.MethodGet, mistakePath, ""); arm.Text(body, "properties", "provisioningState") != arm.Failed {
				t.Errorf("the resource is %v", body)
			}
		})
	}
	t.Run("in a deployment", func(t *testing.T) {
		c := bad(t, nil, func(typ *resource.Type) { typ.Made = func(*resource.Tx, arm.ID) *arm.Error { wrong(); return nil } })
		d := "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
		c.want(http.StatusCreated, http.MethodPut, d, `{"properties":{"mode":"Incremental","template":{"$schema":"x","contentVersion":"1.0.0.0","resources":[{"type":"Microsoft.Compute/mistakes","apiVersion":"1","name":"m","location":"westeurope"}]}}}`)
		c.pass()
		if body := c.want(http.StatusOK, http.MethodGet, d, ""); arm.Text(body, "properties", "provisioningState") != arm.Failed {
			t.Errorf("the deployment is %v", body)
		}
	})
}

func TestAStateIsLoadedByTwoAtOnceAndBesideReads(t *testing.T) {
	c := newClient(t)
	token, err := c.twin.identity.Tokens.Issue("me", "https://management.azure.com/", DefaultTenant)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 200 {
				if i%2 == 0 {
					_ = c.twin.Load(State{Subscriptions: []string{fmt.Sprint("s", i, j)}})
					continue
				}
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://h/subscriptions/s?api-version=1", nil)
				r.Header.Set("Authorization", "Bearer "+token)
				c.twin.ServeHTTP(httptest.NewRecorder(), r)
				_ = c.twin.State()
			}
		})
	}
	all.Wait()
}

func TestMetricsAreToldWhateverClientsHaveCalled(t *testing.T) {
	c := newClient(t)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} { // of one principal, on different budgets, and no operation in particular
		c.do(method, "/subscriptions/"+testSubscription+"/providers/No.Such/things?api-version=1", "")
		c.do(method, "/nowhere?api-version=1", "")
		c.do(method, "/nowhere?api-version=", "")
	}
	c.do(http.MethodPost, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm/%ff", "")
	c.do(http.MethodPost, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm/%fe", "")
	w := httptest.NewRecorder()
	c.twin.control().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://c/metrics", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `budget="writes"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
