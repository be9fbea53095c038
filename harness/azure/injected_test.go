package azure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
)

const listPath = "providers/Microsoft.Compute/virtualMachines"

// policyOf is the current policy, generous but for one more of a provider's.
func policyOf(t *testing.T, more throttle.ProviderPolicy) *throttle.Policy {
	t.Helper()
	p := generous(t)
	p.Providers = []throttle.ProviderPolicy{more}
	return p
}

// detailOf is the JSON within the JSON of compute's 429.
func detailOf(t *testing.T, w *httptest.ResponseRecorder) (d struct {
	OperationGroup                            string
	StartTime, EndTime                        time.Time
	AllowedRequestCount, MeasuredRequestCount int
}) {
	t.Helper()
	var e struct {
		Error struct{ Details []struct{ Message string } }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || len(e.Error.Details) != 1 {
		t.Fatalf("no detail in %s: %v", w.Body, err)
	}
	if err := json.Unmarshal([]byte(e.Error.Details[0].Message), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// A 429 of a fault is as one of a budget that is used up: of the gateway, or of a provider whose gateway let the call pass.
func TestAnInjectedThrottleIsAnsweredByTheLayerItPlays(t *testing.T) {
	for name, x := range map[string]struct {
		policy, group, path, code string
		headers                   map[string]string
	}{
		"compute": {"current", "", listPath, "OperationNotAllowed", map[string]string{
			"x-ms-ratelimit-remaining-subscription-reads": "249", "x-ms-ratelimit-remaining-subscription-global-reads": "3749",
			"x-ms-ratelimit-remaining-resource": "Microsoft.Compute/HighCostGet;0", "x-ms-failure-cause": ""}},
		"one window of two": {"legacy", "HighCostGet30Min", listPath, "OperationNotAllowed", map[string]string{
			"x-ms-ratelimit-remaining-subscription-reads": "11999", "x-ms-ratelimit-remaining-resource": "Microsoft.Compute/HighCostGet3Min;160,Microsoft.Compute/HighCostGet30Min;0"}},
		"network": {"current", "", "providers/Microsoft.Network/virtualNetworks", "TooManyRequests", map[string]string{
			"x-ms-ratelimit-remaining-subscription-reads": "249", "x-ms-ratelimit-remaining-resource": "Microsoft.Network/Read;0", "x-ms-failure-cause": ""}},
		"what no provider counts": {"current", "", "resourceGroups", "SubscriptionRequestsThrottled", map[string]string{
			"x-ms-ratelimit-remaining-subscription-reads": "0", "x-ms-ratelimit-remaining-subscription-global-reads": "3750", "x-ms-failure-cause": "gateway"}},
		"the gateway, of what a provider counts": {"current", "gateway/reads", listPath, "SubscriptionRequestsThrottled", map[string]string{
			"x-ms-ratelimit-remaining-subscription-reads": "0", "x-ms-ratelimit-remaining-resource": "", "x-ms-failure-cause": "gateway"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := throttle.LoadPolicy(x.policy)
			if err != nil {
				t.Fatal(err)
			}
			c := newClientOf(t, Options{Policy: p})
			f, err := c.twin.Arm(Fault{Kind: FaultThrottle, OperationGroup: x.group, RetryAfter: 17, Count: 1})
			if err != nil {
				t.Fatal(err)
			}
			w := c.do(http.MethodGet, x.path, "")
			if w.Code != http.StatusTooManyRequests || code(w) != x.code || w.Header().Get("Retry-After") != "17" {
				t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
			}
			for h, want := range x.headers {
				if got := header(w, h); got != want {
					t.Errorf("%s is %q instead of %q", h, got, want)
				}
			}
			if x.code == "OperationNotAllowed" {
				if d := detailOf(t, w); d.EndTime.Sub(c.clock.Now()) != 17*time.Second || d.MeasuredRequestCount <= d.AllowedRequestCount || !d.StartTime.Before(c.clock.Now()) {
					t.Errorf("the detail is %+v at %s", d, c.clock.Now())
				}
			} else if strings.Contains(x.code, "Subscription") && !strings.Contains(w.Body.String(), "'17' seconds") {
				t.Errorf("the text tells another time: %s", w.Body)
			}
			if calls, _ := c.twin.Calls().Since(0); calls[0].Fault != f.ID {
				t.Errorf("the log has %+v", calls[0])
			}
			if w := c.do(http.MethodGet, x.path, ""); w.Code == http.StatusTooManyRequests {
				t.Errorf("after it: %d %s", w.Code, w.Body)
			}
		})
	}
}

// The seconds are a client's own: text, body and header say the same whatever the twin's clock does.
func TestAnInjectedThrottleTellsOneTime(t *testing.T) {
	clock, err := arm.ParseClock("60")
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t)
	if c.twin, err = New(signed(t, Options{Clock: clock, Policy: c.twin.options.Policy})); err != nil {
		t.Fatal(err)
	}
	if _, err := c.twin.Arm(Fault{Kind: FaultThrottle, RetryAfter: 5}); err != nil {
		t.Fatal(err)
	}
	if w := c.do(http.MethodGet, "resourceGroups", ""); !strings.Contains(w.Body.String(), "'5' seconds") || w.Header().Get("Retry-After") != "5" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}

// A provider's fault strikes what comes to the provider.
func TestAnInjectedThrottleOfAProviderIsBehindTheGateway(t *testing.T) {
	c := newClient(t)
	for range 250 {
		c.do(http.MethodGet, "resourceGroups", "")
	}
	if _, err := c.twin.Arm(Fault{Kind: FaultThrottle, OperationGroup: "HighCostGet"}); err != nil {
		t.Fatal(err)
	}
	if w := c.do(http.MethodGet, listPath, ""); code(w) != "SubscriptionRequestsThrottled" || c.twin.Faults()[0].Struck != 0 {
		t.Errorf("%d %s, %+v", w.Code, w.Body, c.twin.Faults())
	}
}

// What is measured is of about the time that the limit is for, and not of all time.
func TestTheMeasuredCountIsOfTheWindow(t *testing.T) {
	c := newClient(t)
	for i := range 5 * 60 { // an hour of what the bucket gets
		c.clock.Advance(12 * time.Second)
		for range 60 {
			c.as(fmt.Sprint("client-", i%5)).do(http.MethodGet, listPath, "")
		}
	}
	var w *httptest.ResponseRecorder
	for i := range 1000 {
		if w = c.as(fmt.Sprint("client-", i%5)).do(http.MethodGet, listPath, ""); w.Code == http.StatusTooManyRequests {
			break
		}
	}
	if d := detailOf(t, w); d.MeasuredRequestCount <= 900 || d.MeasuredRequestCount > 2000 || d.EndTime.Sub(d.StartTime) > 5*time.Minute {
		t.Errorf("%+v", d)
	}
}

// A list of resources that are in no other counts for the subscription, and what is seen of a resource for that.
func TestAListIsOfNoResource(t *testing.T) {
	c := newClientOf(t, Options{Policy: policyOf(t, throttle.ProviderPolicy{
		Policy: "Microsoft.Compute/X", Operations: []string{"* Microsoft.Compute/*"},
		Resource: &throttle.Limit{Capacity: 2, Refill: 1, Per: time.Hour}, Subscription: &throttle.Limit{Capacity: 100, Refill: 1, Per: time.Hour},
	})})
	if err := c.twin.Load(machines(2)); err != nil {
		t.Fatal(err)
	}
	for i, x := range []struct {
		path string
		want int
	}{
		{listPath, 200}, {listPath, 200}, {listPath, 200}, {"resourceGroups/g/" + listPath, 200}, {"resourceGroups/g/" + listPath, 200}, {"resourceGroups/g/" + listPath, 200},
		{vmPath, 200}, {vmPath + "/instanceView", 200}, {vmPath + "/extensions", 429}, {vmPath + "/extensions/e", 429}, {vmPath, 429},
		{"resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-00001", 200},
	} {
		if w := c.do(http.MethodGet, x.path, ""); w.Code != x.want {
			t.Errorf("call %d of %s: %d instead of %d: %s", i+1, x.path, w.Code, x.want, w.Body)
		}
	}
}

// Compute and network count for each region of their own: that of the resource, wherever the gateway is that the call came through.
func TestAProviderCountsByTheRegionOfTheResource(t *testing.T) {
	c := newClientOf(t, Options{Policy: policyOf(t, throttle.ProviderPolicy{
		Policy: "Microsoft.Compute/X", Operations: []string{"* Microsoft.Compute/*"}, Subscription: &throttle.Limit{Capacity: 2, Refill: 1, Per: 100 * time.Hour},
	})})
	c.group()
	set := func(name string) string {
		return "resourceGroups/g/providers/Microsoft.Compute/availabilitySets/" + name
	}
	status := func(what string, want int, w *httptest.ResponseRecorder) {
		t.Helper()
		if w.Code != want {
			t.Errorf("%s: %d instead of %d: %s", what, w.Code, want, w.Body)
		}
	}
	status("made in the north", 200, c.do(http.MethodPut, set("a"), `{"location":"North Europe"}`))
	status("read in the north", 200, c.do(http.MethodGet, set("a"), ""))
	status("a third of the north", 429, c.do(http.MethodGet, set("a"), ""))
	status("made in the north, where there is none", 429, c.do(http.MethodPut, set("b"), `{"location":"northeurope"}`))
	status("made in the west", 200, c.do(http.MethodPut, set("w"), `{"location":"westeurope"}`))
	status("listed by who knows which region", 200, c.do(http.MethodGet, "providers/Microsoft.Compute/availabilitySets", ""))
	status("a third of the west", 429, c.do(http.MethodGet, set("w"), ""))
	// A deployment writes where its resources are.
	template := `{"properties":{"mode":"Incremental","template":{"$schema":"https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#","contentVersion":"1.0.0.0","resources":[
		{"type":"Microsoft.Compute/availabilitySets","apiVersion":"2024-03-01","name":"%s","location":"%s"}]}}}`
	for name, location := range map[string]string{"south": "southindia", "north": "northeurope"} {
		c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g/providers/Microsoft.Resources/deployments/"+name, fmt.Sprintf(template, name, location))
	}
	c.pass()
	for name, want := range map[string]string{"south": "Succeeded", "north": "Running"} {
		body := c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/Microsoft.Resources/deployments/"+name, "")
		if got := arm.Text(body, "properties", "provisioningState"); got != want {
			t.Errorf("the deployment in the %s is %s", name, got)
		}
	}
	if calls, _ := c.twin.Calls().Since(0); calls[1].Location != "northeurope" || calls[1].Region != "westeurope" || calls[6].Location != "" {
		t.Errorf("the log has %+v, %+v", calls[1], calls[6])
	}
}

// Co-tenants are principals of their own: one alone is held by its own budget at the gateway, and many together use up what the subscription has at a provider.
func TestCoTenantsAreEachAPrincipal(t *testing.T) {
	for clusters, want := range map[int]int{1: http.StatusOK, 20: http.StatusTooManyRequests} {
		c := newClient(t)
		if _, err := c.twin.Arm(Fault{Kind: FaultLoad, Operations: []string{"LIST Microsoft.Compute/virtualMachines"}, PerMinute: 12_000, Clusters: clusters}); err != nil {
			t.Fatal(err)
		}
		c.clock.Advance(10 * time.Second)
		if w := c.do(http.MethodGet, listPath, ""); w.Code != want || want == http.StatusTooManyRequests && header(w, "x-ms-ratelimit-remaining-subscription-reads") != "249" {
			t.Errorf("beside %d clusters: %d %v", clusters, w.Code, w.Header())
		}
		if f := c.twin.Faults()[0]; f.Struck != 2000 {
			t.Errorf("they made %d calls", f.Struck)
		}
	}
}

// What others have drawn while nobody looked they drew bit by bit.
func TestCoTenantsDrawWhenTheyCall(t *testing.T) {
	c := newClient(t)
	if _, err := c.twin.Arm(Fault{Kind: FaultLoad, Operations: []string{"LIST Microsoft.Compute/virtualMachines"}, PerMinute: 200}); err != nil {
		t.Fatal(err)
	}
	c.clock.Advance(24 * time.Hour)
	if w := c.do(http.MethodGet, listPath, ""); w.Code != http.StatusOK || header(w, "x-ms-ratelimit-remaining-resource") < "Microsoft.Compute/HighCostGet;890" {
		t.Errorf("%d, left %s of a bucket that gets more than they draw", w.Code, header(w, "x-ms-ratelimit-remaining-resource"))
	}
	if f := c.twin.Faults()[0]; f.Struck != 200*24*60 {
		t.Errorf("they made %d calls", f.Struck)
	}
}

func TestA429IsOfTheKindThatThrottles(t *testing.T) {
	if (Fault{Kind: FaultError, Status: http.StatusTooManyRequests}).Check() == nil {
		t.Error("an error of status 429, which would have nothing of a 429 but the status, is taken")
	}
	if (Fault{Kind: FaultLoad, Operations: []string{"LIST x"}, PerMinute: 1, Clusters: -1}).Check() == nil {
		t.Error("a load of fewer clusters than none is taken")
	}
}
