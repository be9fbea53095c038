package throttle

import (
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

// model is how a generation of cloud providers loads the subscription: collections it reads for one event, over so many scale sets.
type model struct {
	name     string
	perEvent int
	gated    bool // after a 429 it calls nobody until it was told it may, and gives the event up; else it tries until it gets through
	recovers bool
}

// TestLoadModels: nodes come and go for half an hour, one every 30 s over 50 scale sets, under the limits of the time. Providers that read everything
// for each are throttled all the while; one that reads what it needs is not.
func TestLoadModels(t *testing.T) {
	for _, m := range []model{
		{"L1, reads every scale set and retries for ever", 51, false, false},
		{"L2, reads every scale set and has a gate", 51, true, false},
		{"L3, reads the owning scale set", 1, true, true},
	} {
		t.Run(m.name, func(t *testing.T) {
			p, err := LoadPolicy("legacy")
			if err != nil {
				t.Fatal(err)
			}
			clock := arm.NewVirtualClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			th := New(clock, p, false)
			s := Subject{Region: "r", Subscription: "s", Principal: "p"}
			begun := clock.Now()
			var pending int
			var gate, lastThrottled time.Time
			throttled := 0
			for tick := range 30 * 60 {
				clock.Advance(time.Second)
				if tick%30 == 0 {
					pending += m.perEvent
				}
				for pending > 0 && !clock.Now().Before(gate) {
					_, r := th.Provider(s, "LIST Microsoft.Compute/virtualMachineScaleSets/virtualMachines", "x")
					if r == nil {
						pending--
						continue
					}
					throttled++
					lastThrottled, gate = clock.Now(), clock.Now().Add(r.Wait)
					if m.gated {
						pending = 0
					}
				}
			}
			still := throttled > 0 && lastThrottled.Sub(begun) > 5*time.Minute && gate.Sub(begun) > 30*time.Minute
			if m.recovers == still {
				t.Errorf("throttled %d times, the last after %s, blocked until %s; to recover: %v", throttled, lastThrottled.Sub(begun), gate.Sub(begun), m.recovers)
			}
		})
	}
}
