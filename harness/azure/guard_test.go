package azure

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
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
		if text(body, "properties", "scope") != scope {
			t.Errorf("on %s: %v", scope, body)
		}
	}
}

// A deployment with such a resource ends Failed; before, whoever called next had its connection cut, and the deployment went on for ever.
func TestADeploymentOfAMissingInstanceFails(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	d := "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
	c.want(http.StatusCreated, http.MethodPut, d, `{"properties":{"mode":"Incremental","template":{"resources":[
		{"type":"Microsoft.Compute/virtualMachineScaleSets","apiVersion":"1","name":"ss","location":"westeurope","sku":{"capacity":1},"properties":{}},
		{"type":"Microsoft.Compute/virtualMachineScaleSets/virtualMachines","apiVersion":"1","name":"ss/77","dependsOn":["ss"],"properties":{}}]}}}`)
	c.pass()
	if body := c.want(http.StatusOK, http.MethodGet, d, ""); text(body, "properties", "provisioningState") != failed {
		t.Errorf("it is %v", at(body, "properties"))
	}
}

// bad has a type whose hooks have a mistake.
func bad(t *testing.T, m Machines, hook func(t *Type)) *client {
	t.Helper()
	typ := &Type{name: "Microsoft.Compute/mistakes", located: true}
	hook(typ)
	c := newClientOf(t, Options{Types: []*Type{typ}, Machines: m})
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	return c
}

const mistakePath = "resourceGroups/g/providers/Microsoft.Compute/mistakes/m"

func TestAMistakeOfTheTwinFailsTheCallOrTheOperationItIsMadeIn(t *testing.T) {
	var none []int
	wrong := func() { none[len(none)]++ }
	t.Run("in a call", func(t *testing.T) {
		c := bad(t, nil, func(typ *Type) { typ.fill = func(*Tx, ID, map[string]any, map[string]any) { wrong() } })
		if w := c.do(http.MethodPut, mistakePath, `{"location":"x"}`); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "guard_test") && !strings.Contains(w.Body.String(), "azure.Test") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if calls, _ := c.twin.Calls().Since(0); calls[1].Status != http.StatusInternalServerError {
			t.Errorf("the call log says %+v", calls[1])
		}
	})
	for _, m := range []Machines{nil, failing{}} {
		t.Run(fmt.Sprint("in an operation, beside: ", m != nil), func(t *testing.T) {
			c := bad(t, m, func(typ *Type) { typ.made = func(*Tx, ID) *Error { wrong(); return nil } })
			c.do(http.MethodPut, mistakePath, `{"location":"x"}`)
			c.pass()
			id, _ := ParseID("/subscriptions/" + testSubscription + "/" + mistakePath)
			for until := time.Now().Add(5 * time.Second); time.Now().Before(until); {
				if _, running := c.twin.store.view().running(id); !running {
					break
				}
			}
			if body := c.want(http.StatusOK, http.MethodGet, mistakePath, ""); text(body, "properties", "provisioningState") != failed {
				t.Errorf("the resource is %v", body)
			}
		})
	}
	t.Run("in a deployment", func(t *testing.T) {
		c := bad(t, nil, func(typ *Type) { typ.made = func(*Tx, ID) *Error { wrong(); return nil } })
		d := "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
		c.want(http.StatusCreated, http.MethodPut, d, `{"properties":{"mode":"Incremental","template":{"resources":[{"type":"Microsoft.Compute/mistakes","apiVersion":"1","name":"m","location":"x"}]}}}`)
		c.pass()
		if body := c.want(http.StatusOK, http.MethodGet, d, ""); text(body, "properties", "provisioningState") != failed {
			t.Errorf("the deployment is %v", body)
		}
	})
}

func TestAStateIsLoadedByTwoAtOnceAndBesideReads(t *testing.T) {
	c := newClient(t)
	token, err := c.twin.identity.tokens.issue("me", "aud", "iss")
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
