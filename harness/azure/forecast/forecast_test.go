package forecast

import (
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
)

func TestBudgetsAgreeWithTheSimulation(t *testing.T) {
	begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, policy := range []string{"current", "legacy"} {
		p, err := throttle.LoadPolicy(policy)
		if err != nil {
			t.Fatal(err)
		}
		var calls []arm.Call
		for node := range 4 { // each reads 51 collections in a burst, deletes one machine and writes one, a minute apart
			at := begun.Add(time.Duration(node) * time.Minute)
			for i := range 51 {
				calls = append(calls, arm.Call{Time: at.Add(time.Duration(i) * 10 * time.Millisecond), Method: "GET", Subscription: "s", Operation: "LIST Microsoft.Compute/virtualMachineScaleSets/virtualMachines"})
			}
			calls = append(calls, arm.Call{Time: at.Add(time.Second), Method: "DELETE", Subscription: "s", Operation: "DELETE Microsoft.Compute/virtualMachines"},
				arm.Call{Time: at.Add(2 * time.Second), Method: "PUT", Subscription: "s", Operation: "CREATE Microsoft.Compute/virtualMachines"})
		}
		costs := Budgets(calls, p, 4)
		found := map[string]Cost{}
		for _, c := range costs {
			found[c.Budget+" "+c.Scope] = c
			if !c.Simulated {
				t.Errorf("%s: arithmetic and simulation disagree: %+v", policy, c)
			}
		}
		want := map[string]int{"current": 10, "legacy": 1}[policy] // 1080 and three minutes' 360 for four bursts of 51; 190 for the three of three minutes
		name := map[string]string{"current": "Microsoft.Compute/HighCostGetVMScaleSet subscription", "legacy": "Microsoft.Compute/HighCostGetVMScaleSet3Min subscription"}[policy]
		if c := found[name]; c.Clusters != want || c.Each != 51 {
			t.Errorf("%s: %+v; wanted %d clusters", policy, c, want)
		}
	}
}

func TestBudgetsOfOthersAreOthers(t *testing.T) {
	p, err := throttle.LoadPolicy("current")
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var calls []arm.Call
	add := func(n int, every time.Duration, c arm.Call) {
		for i := range n {
			c.Time = begun.Add(time.Duration(i) * every)
			calls = append(calls, c)
		}
	}
	vm := "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/"
	// 240 reads of one client in a second, twice: in two regions, and of two subscriptions. Together each would be over its 250.
	add(240, time.Millisecond, arm.Call{Method: "GET", Subscription: "s", Region: "westeurope", Principal: "a", Operation: "GET resourceGroups", Path: "/subscriptions/s/resourceGroups/g"})
	add(240, time.Millisecond, arm.Call{Method: "GET", Subscription: "s", Region: "eastus", Principal: "a", Operation: "GET resourceGroups", Path: "/subscriptions/s/resourceGroups/g"})
	add(240, time.Millisecond, arm.Call{Method: "GET", Subscription: "z", Region: "westeurope", Principal: "a", Operation: "GET resourceGroups", Path: "/subscriptions/z/resourceGroups/g"})
	// One machine is restarted 13 times in a minute: 12 and 4 a minute is what a machine has. The other only twice.
	add(13, time.Second, arm.Call{Method: "POST", Subscription: "s", Region: "westeurope", Principal: "b", Operation: "POST Microsoft.Compute/virtualMachines/restart", Path: vm + "busy/restart"})
	add(2, time.Minute, arm.Call{Method: "POST", Subscription: "s", Region: "westeurope", Principal: "b", Operation: "POST Microsoft.Compute/virtualMachines/restart", Path: vm + "quiet/restart"})
	// And what has no subscription is one principal's own: 260 at once are more than 250.
	add(260, 0, arm.Call{Method: "GET", Region: "westeurope", Principal: "c", Operation: "LIST subscriptions", Path: "/subscriptions"})
	tenant := 0
	owners := map[Owner]float64{}
	for _, c := range Budgets(calls, p, 1) {
		if c.Budget == "gateway/reads" && c.Scope == "principal" {
			owners[c.Of] = c.First
			if c.Calls != 240 {
				t.Errorf("%+v: %d calls", c.Of, c.Calls)
			}
		}
		if c.Scope == "tenant" {
			tenant++
			if c.Calls != 260 || c.First <= 0 || c.Of != (Owner{Region: "westeurope", Principal: "c"}) || !c.Simulated {
				t.Errorf("without a subscription: %+v", c)
			}
		}
		if c.Scope == "resource" {
			if c.Of.Resource != "/subscriptions/s/resourcegroups/g/providers/microsoft.compute/virtualmachines/busy" || c.First != 12 {
				t.Errorf("of %s: %+v; wanted the busy one, with its thirteenth call after 12 s", c.Budget, c)
			}
		}
	}
	if tenant != 1 {
		t.Errorf("%d budgets of a tenant", tenant)
	}
	if len(owners) != 3 {
		t.Fatalf("budgets of reads: %v", owners)
	}
	for of, first := range owners {
		if first != 0 {
			t.Errorf("%+v: a 429 after %g s; 240 of 250 in each minute are no more than refills", of, first)
		}
	}
}

func TestWorkThatGoesOnMeetsItsEnd(t *testing.T) {
	// A bucket of 10 that refills one a minute, and three calls a minute: two are lost each minute, and the eleventh that is not refilled does not pass.
	d := &drawn{limit: throttle.Limit{Capacity: 10, Refill: 1, Per: time.Minute}, at: []float64{0, 20, 40}}
	if got := d.first(60); got < 240 || got > 300 {
		t.Errorf("after %g s", got)
	}
	d.limit.Refill = 3
	if got := d.first(60); got != 0 {
		t.Errorf("as many come as go, and yet a 429 after %g s", got)
	}
}

// Tokens, metadata and what services hold are no budget of Resource Manager's.
func TestWhatIsForNoResourceCostsNothing(t *testing.T) {
	p, err := throttle.LoadPolicy("current")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(0, 0)
	calls := []arm.Call{
		{Time: at, Method: "POST", Path: "/t/oauth2/v2.0/token", Operation: "POST identity/token", Principal: "me"}, {Time: at, Method: "GET", Path: "/metadata/instance", Operation: "GET imds/instance"},
		{Time: at, Method: "GET", Path: "/secrets/s", Operation: "GET vault.azure.net"}, {Time: at, Method: "GET", Path: "/subscriptions", Operation: "LIST subscriptions", Principal: "me"},
	}
	if costs := Budgets(calls, p, 1); len(costs) != 1 || costs[0].Budget != "gateway/reads" || costs[0].Calls != 1 {
		t.Errorf("%+v", costs)
	}
}
