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
