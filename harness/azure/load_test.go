package azure

import (
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
)

// TestLoadOfOtherClusters: idle clusters read what their generation reads in an hour, and enough of them leave nothing of a policy's budget.
func TestLoadOfOtherClusters(t *testing.T) {
	p, err := throttle.LoadPolicy("legacy")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		model     string
		clusters  int
		calls     int // in an hour, of 50 scale sets and 10 nodes with disks
		throttled bool
	}{{"L0", 1, 600 + 600 + 24, false}, {"L1", 1, 300 + 16, false}, {"L3", 1, 300 + 6, false}, {"L1", 10, 10 * (300 + 16), true}} {
		clock := arm.NewVirtualClock(time.Now())
		twin, err := New(Options{Clock: clock, Policy: p})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := twin.Arm(Fault{Kind: FaultLoad, Model: x.model, Clusters: x.clusters, ScaleSets: 50, Disks: 10}); err != nil {
			t.Fatal(err)
		}
		throttled := false
		s := throttle.Subject{Region: "r", Subscription: "s", Principal: "me"}
		for range 60 {
			clock.Advance(time.Minute)
			twin.faults.mu.Lock()
			twin.faults.load(twin.throttle, s)
			twin.faults.mu.Unlock()
			_, rejected := twin.throttle.Provider(s, "LIST Microsoft.Compute/virtualMachineScaleSets", "x")
			throttled = throttled || rejected != nil
		}
		if f := twin.Faults()[0]; throttled != x.throttled || f.Struck != x.calls {
			t.Errorf("%s: throttled %v, %d calls instead of %d", f.Describe(), throttled, f.Struck, x.calls)
		}
	}
	for _, bad := range []Fault{{Kind: FaultLoad, Model: "L9", Clusters: 1, ScaleSets: 1}, {Kind: FaultLoad, Model: "L1"}} {
		if bad.Check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
