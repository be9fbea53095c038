package azure

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
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

const (
	newPath        = "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/new"
	deploymentPath = "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
)

// machineOf is a virtual machine of a size, in zones.
func machineOf(size string, zones ...string) map[string]any {
	body := map[string]any{"location": "westeurope", "properties": map[string]any{"hardwareProfile": map[string]any{"vmSize": size}}}
	if len(zones) > 0 {
		body["zones"] = zones
	}
	return body
}

// deploymentOf makes an availability set and a machine.
func deploymentOf() map[string]any {
	vm := machineOf("Standard_D2s_v3")
	vm["type"], vm["name"], vm["apiVersion"] = machineType, "new", "2024-03-01"
	return map[string]any{"properties": map[string]any{"mode": "Incremental", "template": map[string]any{
		"$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0",
		"resources": []any{map[string]any{"type": "Microsoft.Compute/availabilitySets", "name": "a", "apiVersion": "2024-03-01", "location": "westeurope", "properties": map[string]any{}}, vm},
	}}}
}

func codeOf(err error) string {
	if e, ok := err.(*arm.Error); ok { //nolint:errorlint // the client's own, unwrapped
		return e.Code
	}
	return ""
}

// endOf does a call that begins an operation and gives the code that the operation ends with; empty: it succeeds. What cannot be begun is "refused".
func endOf(ctx context.Context, c *Client, twin *Twin, method, path string, body any) string {
	if err := c.Do(ctx, method, path, body, nil); err != nil {
		return "refused"
	}
	clock, _ := twin.clock.(*arm.VirtualClock)
	for range 4 {
		clock.Advance(30 * time.Minute)
		twin.store.Settle()
	}
	id, _ := arm.ParseID("/subscriptions/" + testSubscription + "/" + strings.TrimSuffix(path, "/start"))
	for _, op := range twin.store.View().Operations() {
		if op.Target.Key() == id.Key() && op.Failure != nil {
			return op.Failure.Code
		}
	}
	return ""
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
		"one machine of many": {Fault{Kind: FaultThrottle, Resource: "virtualmachines/*-00000"}, func(ctx context.Context, c *Client, _ *Twin) bool {
			return get(ctx, c, vmPath) == http.StatusTooManyRequests && get(ctx, c, strings.TrimSuffix(vmPath, "0")+"1") == http.StatusOK
		}},
		"polls of one machine's deletion": {Fault{Kind: FaultThrottle, Polls: true, Operations: []string{"DELETE Microsoft.Compute/virtualMachines"}, Resource: "vm-00001"}, func(ctx context.Context, c *Client, twin *Twin) bool {
			poll := func(method, path string) int {
				if c.Do(ctx, method, path, nil, nil) != nil {
					return 0
				}
				begun := slices.MaxFunc(twin.State().Operations, func(a, b state.Operation) int { return a.Begun.Compare(b.Begun) })
				twin.clock.(*arm.VirtualClock).Advance(time.Second) //nolint:forcetypeassert // tests' own
				return get(ctx, c, "providers/Microsoft.Compute/locations/westeurope/operations/"+begun.ID)
			}
			second := strings.TrimSuffix(vmPath, "0") + "1"
			other, another := poll(http.MethodPost, vmPath+"/restart"), poll(http.MethodPost, second+"/restart")
			return other == http.StatusOK && another == http.StatusOK && poll(http.MethodDelete, second) == http.StatusTooManyRequests
		}},
		"a resource of a deployment, by its name": {Fault{Kind: FaultFail, Resource: "virtualMachines/n?w"}, func(ctx context.Context, c *Client, twin *Twin) bool {
			return endOf(ctx, c, twin, http.MethodPut, deploymentPath, deploymentOf()) == "DeploymentFailed" && get(ctx, c, "resourceGroups/g/providers/Microsoft.Compute/availabilitySets/a") == http.StatusOK
		}},
		"an error": {Fault{Kind: FaultError, Status: http.StatusBadGateway}, func(ctx context.Context, c *Client, _ *Twin) bool {
			return get(ctx, c, vmPath) == http.StatusBadGateway
		}},
		"cut": {Fault{Kind: FaultReset}, func(ctx context.Context, c *Client, _ *Twin) bool { return get(ctx, c, vmPath) == 0 }},
		"slow": {Fault{Kind: FaultSlow, Delay: time.Minute}, func(ctx context.Context, c *Client, _ *Twin) bool {
			ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond) // on a busy machine a call takes its time to get there
			defer cancel()
			return c.Do(ctx, http.MethodGet, vmPath, nil, nil) != nil
		}},
		"stale": {Fault{Kind: FaultStale}, func(ctx context.Context, c *Client, _ *Twin) bool {
			put := c.Do(ctx, http.MethodPut, "resourceGroups/new", map[string]any{"location": "westeurope"}, nil)
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
		"a fault of an operation, told by another code": {Fault{Kind: FaultFail, Code: "OSProvisioningTimedOut", Message: "OS Provisioning for VM did not finish in the allotted time."}, func(ctx context.Context, c *Client, twin *Twin) bool {
			return endOf(ctx, c, twin, http.MethodPut, newPath, machineOf("Standard_D2s_v3")) == "OSProvisioningTimedOut"
		}},
		"an error of another code": {Fault{Kind: FaultError, Status: http.StatusConflict, Code: "OperationPreempted", Message: "m"}, func(ctx context.Context, c *Client, _ *Twin) bool {
			err := c.Do(ctx, http.MethodGet, vmPath, nil, nil)
			return statusOf(err) == http.StatusConflict && codeOf(err) == "OperationPreempted"
		}},
		"a list of some time ago": {Fault{Kind: FaultStale, Operations: []string{"LIST *"}}, func(ctx context.Context, c *Client, _ *Twin) bool {
			if c.Do(ctx, http.MethodPut, "resourceGroups/new", map[string]any{"location": "westeurope"}, nil) != nil {
				return false
			}
			var groups struct{ Value []any }
			err := c.Do(ctx, http.MethodGet, "resourceGroups", nil, &groups)
			return err == nil && len(groups.Value) == 1 && get(ctx, c, "resourceGroups/new") == http.StatusOK
		}},
		"subnets of some time ago": {Fault{Kind: FaultStale}, func(ctx context.Context, c *Client, twin *Twin) bool {
			const vnet = "resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v"
			space := map[string]any{"location": "westeurope", "properties": map[string]any{"addressSpace": map[string]any{"addressPrefixes": []string{"10.0.0.0/16"}}}}
			return endOf(ctx, c, twin, http.MethodPut, vnet, space) == "" && get(ctx, c, vnet+"/subnets") == http.StatusNotFound
		}},
		"a deployment that fails though all of it was made": {Fault{Kind: FaultFail, Operations: []string{"CREATE Microsoft.Resources/deployments"}}, func(ctx context.Context, c *Client, twin *Twin) bool {
			return endOf(ctx, c, twin, http.MethodPut, deploymentPath, deploymentOf()) == "InternalExecutionError" && get(ctx, c, "resourceGroups/g/providers/Microsoft.Compute/availabilitySets/a") == http.StatusOK
		}},
		"a resource of a deployment that fails": {Fault{Kind: FaultFail, Operations: []string{"CREATE Microsoft.Compute/virtualMachines"}}, func(ctx context.Context, c *Client, twin *Twin) bool {
			return endOf(ctx, c, twin, http.MethodPut, deploymentPath, deploymentOf()) == "DeploymentFailed"
		}},
		"a resource of a deployment that is refused": {Fault{Kind: FaultQuota}, func(ctx context.Context, c *Client, _ *Twin) bool {
			return codeOf(c.Do(ctx, http.MethodPut, deploymentPath, deploymentOf(), nil)) == "InvalidTemplateDeployment"
		}},
		"no room for a machine": {Fault{Kind: FaultAllocation}, func(ctx context.Context, c *Client, twin *Twin) bool {
			return endOf(ctx, c, twin, http.MethodPut, newPath, machineOf("Standard_D2s_v3")) == "AllocationFailed"
		}},
		"no room for one that starts": {Fault{Kind: FaultAllocation}, func(ctx context.Context, c *Client, twin *Twin) bool {
			return endOf(ctx, c, twin, http.MethodPost, vmPath+"/start", nil) == "AllocationFailed"
		}},
		"no room in a zone": {Fault{Kind: FaultAllocation, Zone: "2"}, func(ctx context.Context, c *Client, twin *Twin) bool {
			other := endOf(ctx, c, twin, http.MethodPut, newPath+"1", machineOf("Standard_D2s_v3", "1"))
			return other == "" && endOf(ctx, c, twin, http.MethodPut, newPath, machineOf("Standard_D2s_v3", "2")) == "ZonalAllocationFailed"
		}},
		"no room, and that at once": {Fault{Kind: FaultAllocation, Answer: AnswerSync}, func(ctx context.Context, c *Client, _ *Twin) bool {
			err := c.Do(ctx, http.MethodPut, newPath, machineOf("Standard_D2s_v3"), nil)
			return statusOf(err) == http.StatusConflict && codeOf(err) == "AllocationFailed" && get(ctx, c, newPath) == http.StatusNotFound
		}},
		"a size that is not to be had": {Fault{Kind: FaultSKU, Size: "standard_d4s_v3", Location: "West Europe"}, func(ctx context.Context, c *Client, _ *Twin) bool {
			other := c.Do(ctx, http.MethodPut, newPath+"1", machineOf("Standard_D2s_v3"), nil)
			return other == nil && codeOf(c.Do(ctx, http.MethodPut, newPath, machineOf("Standard_D4s_v3"), nil)) == "SkuNotAvailable"
		}},
		"no more cores for a scale set that grows": {Fault{Kind: FaultQuota}, func(ctx context.Context, c *Client, _ *Twin) bool {
			const set = "resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/s"
			of := func(n int) map[string]any {
				return map[string]any{"location": "westeurope", "sku": map[string]any{"name": "Standard_D4s_v3", "capacity": n}, "properties": map[string]any{}}
			}
			none := c.Do(ctx, http.MethodPut, set, of(0), nil)
			err := c.Do(ctx, http.MethodPut, set, of(3), nil)
			return none == nil && codeOf(err) == "OperationNotAllowed" && strings.Contains(err.Error(), "Additional Required: 12,")
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
				for _, over := range c.twin.Disarm(f.ID) {
					if over.Struck == 0 || over.Ended.IsZero() {
						t.Errorf("its effect was seen, and it is told of it: %+v", over)
					}
				}
				c.clock.Advance(10 * time.Minute)
				if status := get(t.Context(), client, vmPath); status != http.StatusOK {
					t.Errorf("armed %v, afterwards: %d", armed, status)
				}
			}
		})
	}
}

// TestAFaultThatStruckNothingHasCountedNothing: what it would do was not wanted, or was never come to.
func TestAFaultThatStruckNothingHasCountedNothing(t *testing.T) {
	put := func(path string, body any) func(ctx context.Context, c *Client) {
		return func(ctx context.Context, c *Client) { _ = c.Do(ctx, http.MethodPut, path, body, nil) }
	}
	read := func(path string) func(ctx context.Context, c *Client) {
		return func(ctx context.Context, c *Client) { _ = c.Do(ctx, http.MethodGet, path, nil, nil) }
	}
	for name, x := range map[string]struct {
		fault Fault
		do    func(ctx context.Context, c *Client)
	}{
		"a read begins no operation":              {Fault{Kind: FaultFail}, read(vmPath)},
		"nor does what is made at once":           {Fault{Kind: FaultFail}, put("resourceGroups/other", map[string]any{"location": "westeurope"})},
		"nor does what is refused":                {Fault{Kind: FaultFail}, put("resourceGroups/none/providers/Microsoft.Compute/virtualMachines/v", machineOf("Standard_D2s_v3"))},
		"a write finds what is there":             {Fault{Kind: FaultStale}, put("resourceGroups/other", map[string]any{"location": "westeurope"})},
		"a view is of now":                        {Fault{Kind: FaultStale}, read(vmPath + "/instanceView")},
		"a disk needs no room for a machine":      {Fault{Kind: FaultAllocation}, put("resourceGroups/g/providers/Microsoft.Compute/disks/d", map[string]any{"location": "westeurope"})},
		"nor does a machine that stays as it is":  {Fault{Kind: FaultQuota}, put(vmPath, machineOf("Standard_D2s_v3"))},
		"nor one elsewhere":                       {Fault{Kind: FaultSKU, Location: "northeurope"}, put(newPath, machineOf("Standard_D2s_v3"))},
		"a machine in no zone is in none of them": {Fault{Kind: FaultSKU, Zone: "1"}, put(newPath, machineOf("Standard_D2s_v3"))},
		"another's": {Fault{Kind: FaultSKU, Principal: "somebody"}, put(newPath, machineOf("Standard_D2s_v3"))},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t)
			state := machines(2)
			if err := c.twin.Load(state); err != nil {
				t.Fatal(err)
			}
			s := serving(t, func(ctx context.Context) (*Server, error) { return c.twin.Serve(ctx, Listen{Address: "127.0.0.1:0"}) })
			s.Ready.Subscription = testSubscription
			client, err := NewClient(t.Context(), s.Ready, s.CA, "me")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.twin.Arm(x.fault); err != nil {
				t.Fatal(err)
			}
			x.do(t.Context(), client)
			calls, _ := c.twin.Calls().Since(0)
			if over := c.twin.Disarm(""); over[0].Struck != 0 || calls[0].Fault != "" {
				t.Errorf("%+v, %+v", over, calls)
			}
		})
	}
}

func TestOfParallelCallsAFaultStrikesAsManyAsItCounts(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	if _, err := c.twin.Arm(Fault{Kind: FaultQuota, Count: 3}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var refused atomic.Int64
	body := `{"location":"westeurope","properties":{"hardwareProfile":{"vmSize":"Standard_D2s_v3"}}}`
	for i := range 20 {
		all.Go(func() {
			if w := c.do(http.MethodPut, fmt.Sprintf("%s%d", newPath, i), body); w.Code == http.StatusConflict {
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if got := refused.Load(); got != 3 || c.twin.Faults()[0].Struck != 3 {
		t.Errorf("%d refused, %+v", got, c.twin.Faults())
	}
}

func TestWhatAFaultAnswersIsOfItsKind(t *testing.T) {
	for _, bad := range []Fault{
		{Kind: FaultReset, Code: "x"}, {Kind: FaultStale, Message: "x"}, {Kind: FaultThrottle, Zone: "1"}, {Kind: FaultError, Size: "x"}, {Kind: FaultSlow, Delay: 1, Location: "x"},
		{Kind: FaultFail, Answer: AnswerSync}, {Kind: FaultQuota, Answer: "later"}, {Kind: FaultSKU, Polls: true}, {Kind: FaultFail, Polls: true},
	} {
		if err := bad.Check(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
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
