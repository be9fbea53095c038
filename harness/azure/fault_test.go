package azure

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
)

// faultBite is a fault and what a call sees of it.
type faultBite struct {
	fault Fault
	sees  func(ctx context.Context, c *Client, twin *Twin) bool
}

const vmPath = "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-00000"

func statusOf(err error) int {
	e, ok := err.(*arm.Error) //nolint:errorlint // the client's own, unwrapped
	switch {
	case err == nil:
		return http.StatusOK
	case ok:
		return e.Status
	}
	return 0
}

func get(ctx context.Context, c *Client, path string) int {
	return statusOf(c.Do(ctx, http.MethodGet, path, nil, nil))
}

func bites() map[string]faultBite {
	return map[string]faultBite{
		"throttled": {Fault{Kind: FaultThrottle}, func(ctx context.Context, c *Client, _ *Twin) bool {
			return get(ctx, c, vmPath) == http.StatusTooManyRequests
		}},
		"one client": {Fault{Kind: FaultThrottle, Principal: "me"}, func(ctx context.Context, c *Client, _ *Twin) bool {
			return get(ctx, c, vmPath) == http.StatusTooManyRequests
		}},
		"reads only, writes pass": {Fault{Kind: FaultThrottle, Operations: []string{"GET Microsoft.Compute/*", "LIST Microsoft.Compute/*"}}, func(ctx context.Context, c *Client, _ *Twin) bool {
			write := statusOf(c.Do(ctx, http.MethodPost, vmPath+"/restart", nil, nil))
			return get(ctx, c, vmPath) == http.StatusTooManyRequests && write == http.StatusOK
		}},
		"one policy's calls": {Fault{Kind: FaultThrottle, OperationGroup: "HighCostGet"}, func(ctx context.Context, c *Client, _ *Twin) bool {
			return get(ctx, c, "providers/Microsoft.Compute/virtualMachines") == http.StatusTooManyRequests && get(ctx, c, vmPath) == http.StatusOK
		}},
		"an error": {Fault{Kind: FaultError, Status: http.StatusBadGateway}, func(ctx context.Context, c *Client, _ *Twin) bool {
			return get(ctx, c, vmPath) == http.StatusBadGateway
		}},
		"cut": {Fault{Kind: FaultReset}, func(ctx context.Context, c *Client, _ *Twin) bool { return get(ctx, c, vmPath) == 0 }},
		"slow": {Fault{Kind: FaultSlow, Delay: time.Minute}, func(ctx context.Context, c *Client, _ *Twin) bool {
			ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			return c.Do(ctx, http.MethodGet, vmPath, nil, nil) != nil
		}},
		"stale": {Fault{Kind: FaultStale}, func(ctx context.Context, c *Client, _ *Twin) bool {
			put := c.Do(ctx, http.MethodPut, "resourceGroups/new", map[string]any{"location": "x"}, nil)
			return put == nil && get(ctx, c, "resourceGroups/new") == http.StatusNotFound
		}},
		"failing operations": {Fault{Kind: FaultFail, Operations: []string{"DELETE Microsoft.Compute/virtualMachines"}}, func(ctx context.Context, c *Client, twin *Twin) bool {
			if c.Do(ctx, http.MethodDelete, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-00001", nil, nil) != nil {
				return false
			}
			clock, _ := twin.clock.(*arm.VirtualClock)
			clock.Advance(5 * time.Minute)
			var body struct {
				Properties struct{ ProvisioningState string }
			}
			err := c.Do(ctx, http.MethodGet, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-00001", nil, &body)
			return err == nil && body.Properties.ProvisioningState == "Failed"
		}},
		"load of others": {Fault{Kind: FaultLoad, Operations: []string{"LIST Microsoft.Compute/virtualMachines"}, PerMinute: 2000}, func(ctx context.Context, c *Client, twin *Twin) bool {
			clock, _ := twin.clock.(*arm.VirtualClock)
			for range 40 { // a co-tenant of its own is held by the gateway to 250 and 25 a second: it takes a while to empty the provider's bucket
				clock.Advance(5 * time.Second)
				if get(ctx, c, "providers/Microsoft.Compute/virtualMachines") == http.StatusTooManyRequests {
					return true
				}
			}
			return false
		}},
	}
}

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

// TestEveryFaultBitesAndOnlyWhenArmed: with the fault its effect is seen and the call log has it; without, and after its end, nothing is.
func TestEveryFaultBitesAndOnlyWhenArmed(t *testing.T) {
	for name, b := range bites() {
		t.Run(name, func(t *testing.T) {
			for _, armed := range []bool{false, true} {
				c := newClient(t)
				if err := c.twin.Load(machines(2)); err != nil {
					t.Fatal(err)
				}
				s := serving(t, func(ctx context.Context) (*Server, error) { return c.twin.Serve(ctx, Listen{Address: "127.0.0.1:0"}) })
				s.Ready.Subscription = testSubscription
				client, err := NewClient(t.Context(), s.Ready, s.CA, "me")
				if err != nil {
					t.Fatal(err)
				}
				f := Fault{}
				if armed {
					if f, err = c.twin.Arm(b.fault); err != nil {
						t.Fatal(err)
					}
				}
				if saw := b.sees(t.Context(), client, c.twin); saw != armed {
					t.Errorf("armed %v, and the effect was seen: %v", armed, saw)
				}
				c.twin.Disarm(f.ID)
				c.clock.Advance(10 * time.Minute)
				if status := get(t.Context(), client, vmPath); status != http.StatusOK {
					t.Errorf("armed %v, afterwards: %d", armed, status)
				}
			}
		})
	}
}

func TestAFaultEndsByItself(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	if _, err := c.twin.Arm(Fault{Kind: FaultThrottle, Count: 2}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{429, 429, 200} {
		if w := c.do(http.MethodGet, "resourceGroups/g", ""); w.Code != want {
			t.Errorf("call %d: %d instead of %d", i+1, w.Code, want)
		}
	}
	if _, err := c.twin.Arm(Fault{Kind: FaultThrottle, For: time.Minute, RetryAfter: NoRetryAfter}); err != nil {
		t.Fatal(err)
	}
	if w := c.do(http.MethodGet, "resourceGroups/g", ""); w.Code != 429 || w.Header().Get("Retry-After") != "" {
		t.Errorf("without the header: %d %v", w.Code, w.Header())
	}
	c.clock.Advance(time.Minute)
	if w := c.do(http.MethodGet, "resourceGroups/g", ""); w.Code != 200 || slices.ContainsFunc(c.twin.Faults(), func(f Fault) bool { return f.Ended.IsZero() }) {
		t.Errorf("after its time: %d, armed %v", w.Code, c.twin.Faults())
	}
	for _, bad := range []Fault{{Kind: "none"}, {Kind: FaultSlow}, {Kind: FaultError, Status: 200}, {Kind: FaultThrottle, Operations: []string{"x"}}, {Kind: FaultLoad}, {Kind: FaultThrottle, OperationGroup: "None"}} {
		if _, err := c.twin.Arm(bad); err == nil {
			t.Errorf("%+v was armed", bad)
		}
	}
}
