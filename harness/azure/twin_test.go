package azure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
	"drydock.dev/drydock/harness/azure/throttle"
)

func TestTheGatewayCountsExactly(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	for i := range 250 {
		w := c.do(http.MethodGet, "resourceGroups/g", "")
		if w.Code != http.StatusOK {
			t.Fatalf("read %d: %d", i+1, w.Code)
		}
		if own, all := header(w, "x-ms-ratelimit-remaining-subscription-reads"), header(w, "x-ms-ratelimit-remaining-subscription-global-reads"); own != strconv.Itoa(249-i) || all != strconv.Itoa(3749-i) {
			t.Fatalf("read %d leaves %s and %s", i+1, own, all)
		}
	}
	w := c.do(http.MethodGet, "resourceGroups/g", "")
	if w.Code != http.StatusTooManyRequests || code(w) != "SubscriptionRequestsThrottled" || w.Header().Get("Retry-After") != "1" || header(w, "x-ms-failure-cause") != "gateway" {
		t.Fatalf("read 251: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if other := c.as("client-b").do(http.MethodGet, "resourceGroups/g", ""); other.Code != http.StatusOK || header(other, "x-ms-ratelimit-remaining-subscription-global-reads") != "3499" {
		t.Errorf("another principal: %d, %v of all left", other.Code, header(other, "x-ms-ratelimit-remaining-subscription-global-reads"))
	}
	c.clock.Advance(time.Second)
	for i := range 25 {
		if w := c.do(http.MethodGet, "resourceGroups/g", ""); w.Code != http.StatusOK {
			t.Fatalf("read %d after a second: %d", i+1, w.Code)
		}
	}
	if w := c.do(http.MethodGet, "resourceGroups/g", ""); w.Code != http.StatusTooManyRequests {
		t.Errorf("read 26 after a second: %d", w.Code)
	}
}

func TestAllPrincipalsTogetherHaveTheGlobalBudget(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	passed := 0
	for p := range 16 {
		for range 250 {
			if c.as(fmt.Sprint("client-", p)).do(http.MethodGet, "resourceGroups/g", "").Code == http.StatusOK {
				passed++
			}
		}
	}
	if passed != 3750 {
		t.Errorf("%d reads passed instead of 3750", passed)
	}
}

func TestAListBurstMeetsTheProvider(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	list := "providers/Microsoft.Compute/virtualMachines"
	for i := range 900 { // four principals: the gateway's 250 for each are enough
		w := c.as(fmt.Sprint("client-", i/225)).do(http.MethodGet, list, "")
		if w.Code != http.StatusOK || header(w, "x-ms-ratelimit-remaining-resource") != "Microsoft.Compute/HighCostGet;"+strconv.Itoa(899-i) {
			t.Fatalf("list %d: %d %v", i+1, w.Code, header(w, "x-ms-ratelimit-remaining-resource"))
		}
	}
	w := c.as("client-4").do(http.MethodGet, list, "")
	var e struct {
		Error struct {
			Code    string
			Details []struct{ Code, Target, Message string }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != http.StatusTooManyRequests || e.Error.Code != "OperationNotAllowed" || len(e.Error.Details) != 1 {
		t.Fatalf("list 901: %d %s", w.Code, w.Body)
	}
	var inside struct {
		OperationGroup       string
		AllowedRequestCount  int
		MeasuredRequestCount int
	}
	d := e.Error.Details[0]
	if err := json.Unmarshal([]byte(d.Message), &inside); err != nil || d.Code != "TooManyRequests" || inside.OperationGroup != "HighCostGet" || inside.AllowedRequestCount != 900 || inside.MeasuredRequestCount <= 900 {
		t.Errorf("the detail is %+v: %v", d, err)
	}
	if header(w, "x-ms-failure-cause") != "" || header(w, "x-ms-ratelimit-remaining-subscription-reads") != "249" || header(w, "x-ms-ratelimit-remaining-resource") != "Microsoft.Compute/HighCostGet;0" {
		t.Errorf("the headers are %v", w.Header())
	}
}

func TestOneMachineIsLimitedWhileTheSubscriptionIsIdle(t *testing.T) {
	c := newClient(t)
	c.machine("vm-1")
	c.machine("vm-2")
	restart := func(name string) *httptest.ResponseRecorder {
		return c.do(http.MethodPost, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/"+name+"/restart", "")
	}
	for i := range 12 {
		if w := restart("vm-1"); w.Code != http.StatusAccepted {
			t.Fatalf("restart %d: %d %s", i+1, w.Code, w.Body)
		}
	}
	if w := restart("vm-1"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "15" {
		t.Errorf("restart 13: %d, Retry-After %s", w.Code, w.Header().Get("Retry-After"))
	}
	if w := restart("vm-2"); w.Code != http.StatusAccepted {
		t.Errorf("another machine's restart: %d", w.Code)
	}
}

func TestTheHourlyGatewayHasInstances(t *testing.T) {
	p, err := throttle.LoadPolicy("legacy")
	if err != nil {
		t.Fatal(err)
	}
	clock := arm.NewVirtualClock(time.Now())
	th := throttle.New(clock, p, false)
	s := throttle.Subject{Region: "r", Subscription: "s", Principal: "p"}
	for range 1200 {
		if _, r := th.Gateway(s, "writes"); r != nil {
			t.Fatal("throttled within the hour's budget")
		}
	}
	_, r := th.Gateway(s, "writes")
	if r == nil || r.Wait != time.Hour {
		t.Fatalf("write 1201: %+v", r)
	}
	s.Instance = 1
	if left, r := th.Gateway(s, "writes"); r != nil || left[0].Left != 1199 {
		t.Errorf("another instance: %+v %+v", left, r)
	}
}

func TestWhoIgnoresRetryAfterNeverComesBackFromAHostileTwin(t *testing.T) {
	for _, policy := range []string{"current", "legacy"} {
		for _, patient := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, patient %v", policy, patient), func(t *testing.T) {
				p, err := throttle.LoadPolicy(policy)
				if err != nil {
					t.Fatal(err)
				}
				clock := arm.NewVirtualClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
				th := throttle.New(clock, p, true)
				s := throttle.Subject{Region: "r", Subscription: "s", Principal: "p"}
				list := func() *throttle.Rejection {
					_, r := th.Provider(s, "LIST Microsoft.Compute/virtualMachines", "x")
					return r
				}
				for list() == nil { // use it up
				}
				passed := 0
				for begun := clock.Now(); clock.Now().Sub(begun) < 2*time.Hour; {
					r := list()
					if r == nil {
						passed++
						clock.Advance(10 * time.Second) // the work it does with an answer
						continue
					}
					if patient {
						clock.Advance(r.Wait)
					} else {
						clock.Advance(100 * time.Millisecond)
					}
				}
				if patient && passed < 100 || !patient && passed > 0 {
					t.Errorf("%d calls passed in two hours", passed)
				}
			})
		}
	}
}

func TestAMachinesLife(t *testing.T) {
	c := newClient(t)
	c.machine("vm-1")
	vm := "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-1"
	body := c.want(http.StatusOK, http.MethodGet, vm+"?$expand=instanceView", "")
	if arm.Text(body, "properties", "provisioningState") != "Succeeded" || arm.Text(body, "properties", "instanceView", "statuses", "1", "code") != "PowerState/running" {
		t.Fatalf("the machine is %v", body)
	}
	if raw, _ := json.Marshal(body); strings.Contains(string(raw), state.HiddenPrefix) {
		t.Errorf("a client sees the twin's own: %s", raw)
	}
	nic := "resourceGroups/g/providers/Microsoft.Network/networkInterfaces/vm-1-nic"
	if w := c.do(http.MethodDelete, nic, ""); w.Code != http.StatusBadRequest || code(w) != "NicInUse" {
		t.Errorf("the interface of a machine was deleted: %d %s", w.Code, w.Body)
	}
	if w := c.do(http.MethodDelete, "resourceGroups/g/providers/Microsoft.Compute/disks/vm-1-os", ""); w.Code != http.StatusConflict || code(w) != "OperationNotAllowed" {
		t.Errorf("the disk of a machine was deleted: %d %s", w.Code, w.Body)
	}
	w := c.do(http.MethodDelete, strings.ToUpper(vm), "")
	async, location := header(w, "Azure-AsyncOperation"), header(w, "Location")
	if w.Code != http.StatusAccepted || async == "" || location == "" {
		t.Fatalf("delete: %d %v", w.Code, w.Header())
	}
	poll := func(url string) *httptest.ResponseRecorder {
		return c.do(http.MethodGet, strings.TrimPrefix(url, "https://management.example"), "")
	}
	if s := poll(async); s.Code != http.StatusOK || !strings.Contains(s.Body.String(), `"status":"InProgress"`) {
		t.Errorf("the operation: %d %s", s.Code, s.Body)
	}
	if s := poll(location); s.Code != http.StatusAccepted {
		t.Errorf("the location: %d %s", s.Code, s.Body)
	}
	if got := c.want(http.StatusOK, http.MethodGet, vm, ""); arm.Text(got, "properties", "provisioningState") != "Deleting" {
		t.Errorf("meanwhile it is %v", arm.At(got, "properties", "provisioningState"))
	}
	c.pass()
	if s := poll(async); !strings.Contains(s.Body.String(), `"status":"Succeeded"`) {
		t.Errorf("the operation: %s", s.Body)
	}
	if s := poll(location); s.Code != http.StatusNoContent {
		t.Errorf("the location: %d %s", s.Code, s.Body)
	}
	if w := c.do(http.MethodGet, vm, ""); w.Code != http.StatusNotFound || code(w) != "ResourceNotFound" {
		t.Errorf("the machine: %d %s", w.Code, w.Body)
	}
	c.want(http.StatusAccepted, http.MethodDelete, nic, "")
	c.want(http.StatusNoContent, http.MethodDelete, vm, "")
}

func TestALaterWritePreemptsTheOperation(t *testing.T) {
	c := newClient(t)
	c.machine("vm-1")
	vm := "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-1"
	first := header(c.do(http.MethodPatch, vm, `{"tags":{"a":"1"}}`), "Azure-AsyncOperation")
	c.do(http.MethodPatch, vm, `{"tags":{"a":"2"}}`)
	w := c.do(http.MethodGet, strings.TrimPrefix(first, "https://management.example"), "")
	if !strings.Contains(w.Body.String(), `"status":"Canceled"`) || !strings.Contains(w.Body.String(), "OperationPreempted") {
		t.Errorf("the first operation: %s", w.Body)
	}
}

func TestTheNetworkProviderLocks(t *testing.T) {
	c := newClient(t)
	c.machine("vm-1")
	net := "resourceGroups/g/providers/Microsoft.Network/virtualNetworks/net"
	c.want(http.StatusCreated, http.MethodPut, net+"/subnets/more", `{"properties":{"addressPrefix":"10.1.0.0/16"}}`)
	if w := c.do(http.MethodPut, net+"/subnets/another", `{"properties":{}}`); w.Code != http.StatusTooManyRequests || code(w) != "RetryableError" || w.Header().Get("Retry-After") == "" {
		t.Errorf("a second subnet meanwhile: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := c.do(http.MethodPatch, net, `{"tags":{"a":"b"}}`); w.Code != http.StatusConflict || code(w) != "AnotherOperationInProgress" {
		t.Errorf("the network meanwhile: %d %s", w.Code, w.Body)
	}
	c.pass()
	c.want(http.StatusCreated, http.MethodPut, net+"/subnets/another", `{"properties":{}}`)
	if w := c.do(http.MethodDelete, net+"/subnets/default", ""); w.Code != http.StatusTooManyRequests {
		t.Errorf("meanwhile: %d", w.Code)
	}
	c.pass()
	if w := c.do(http.MethodDelete, net+"/subnets/default", ""); w.Code != http.StatusBadRequest || code(w) != "InUseSubnetCannotBeDeleted" {
		t.Errorf("a subnet in use: %d %s", w.Code, w.Body)
	}
}

func TestAStateMayNameTheSubscriptionsThereAre(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusOK, http.MethodGet, "/subscriptions/any-at-all?api-version=2016-06-01", "")
	if err := c.twin.Load(State{Subscriptions: []string{testSubscription}}); err != nil {
		t.Fatal(err)
	}
	c.want(http.StatusOK, http.MethodGet, "/subscriptions/"+testSubscription+"?api-version=2016-06-01", "")
	if w := c.do(http.MethodGet, "/subscriptions/any-at-all?api-version=2016-06-01", ""); w.Code != http.StatusNotFound || code(w) != "SubscriptionNotFound" {
		t.Errorf("another: %d %s", w.Code, w.Body)
	}
}

func TestADocumentIsWrittenBackWithItsEtag(t *testing.T) {
	c := newClient(t)
	c.machine("vm-1")
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g/providers/Microsoft.Network/networkSecurityGroups/nsg", `{"location":"westeurope"}`)
	c.pass()
	c.machine("vm-2") // other documents change meanwhile
	put := func(etag string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "https://management.example/subscriptions/"+testSubscription+"/resourceGroups/g/providers/Microsoft.Network/networkSecurityGroups/nsg?api-version=2024-03-01", strings.NewReader(`{"location":"westeurope"}`))
		token, err := c.twin.identity.Tokens.Issue("me", "https://management.azure.com/", DefaultTenant)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("If-Match", etag)
		w := httptest.NewRecorder()
		c.twin.ServeHTTP(w, r)
		return w.Code
	}
	body := c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Network/networkSecurityGroups/nsg", "")
	if list, ok := arm.At(body, "properties", "securityRules").([]any); !ok || len(list) != 0 {
		t.Errorf("a group without rules does not say so: %v", arm.At(body, "properties"))
	}
	if status := put(arm.Text(body, "etag")); status != http.StatusOK {
		t.Errorf("with its etag %s: %d", arm.Text(body, "etag"), status)
	}
	c.pass()
	if status := put(arm.Text(body, "etag")); status != http.StatusPreconditionFailed {
		t.Errorf("with the etag of before: %d", status)
	}
}
