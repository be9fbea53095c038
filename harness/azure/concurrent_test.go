package azure

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
)

// generous is a policy that throttles nobody, and counts all the same.
func generous(tb testing.TB) *throttle.Policy {
	tb.Helper()
	p, err := throttle.LoadPolicy("current")
	if err != nil {
		tb.Fatal(err)
	}
	for _, k := range []*throttle.Kinds{&p.Gateway.Subscription, &p.Gateway.Tenant} {
		for _, l := range []*throttle.Limit{&k.Reads, &k.Writes, &k.Deletes} {
			l.Capacity = 1 << 40
		}
	}
	p.Providers = nil
	return p
}

// rounds is how often chance gets its chance.
func rounds(all int) int {
	if testing.Short() {
		return max(1, all/10)
	}
	return all
}

// atOnce has n callers do something at the same time, and gives what each was told.
func atOnce(n int, do func(i int) int) []int {
	told := make([]int, n)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { <-begin; told[i] = do(i) })
	}
	close(begin)
	all.Wait()
	return told
}

const writers = 64

func count(told []int, status int) int {
	n := 0
	for _, s := range told {
		if s == status {
			n++
		}
	}
	return n
}

func (c *client) put(status int, path, body string) {
	c.t.Helper()
	c.want(status, http.MethodPut, "resourceGroups/g/providers/"+path, body)
}

func TestOneWriterWinsWithAnEtag(t *testing.T) {
	c := newClientOf(t, Options{Policy: generous(t)})
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	const path = "Microsoft.Compute/disks/d"
	c.put(http.StatusAccepted, path, `{"location":"westeurope","properties":{}}`)
	for round := range rounds(300) {
		c.pass()
		etag := header(c.do(http.MethodGet, "resourceGroups/g/providers/"+path, ""), "ETag")
		told := atOnce(writers, func(i int) int {
			return c.doWith(http.Header{"If-Match": {etag}}, http.MethodPut, "resourceGroups/g/providers/"+path, fmt.Sprintf(`{"location":"westeurope","tags":{"by":"%d"}}`, i)).Code
		})
		if won, lost := count(told, http.StatusAccepted), count(told, http.StatusPreconditionFailed); won != 1 || lost != writers-1 {
			t.Fatalf("round %d: %d won and %d lost: %v", round, won, lost, told)
		}
	}
}

func TestNoSubnetIsLost(t *testing.T) {
	for round := range rounds(30) {
		c := newClientOf(t, Options{Policy: generous(t)})
		c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
		const net = "Microsoft.Network/virtualNetworks/net"
		c.put(http.StatusCreated, net, `{"location":"westeurope","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/8"]}}}`)
		c.pass()
		told := atOnce(writers, func(i int) int {
			for {
				s := c.do(http.MethodPut, fmt.Sprintf("resourceGroups/g/providers/%s/subnets/s%d", net, i), fmt.Sprintf(`{"properties":{"addressPrefix":"10.%d.0.0/16"}}`, i)).Code
				if s != http.StatusTooManyRequests { // another's operation is not over
					return s
				}
				c.clock.Advance(time.Second)
			}
		})
		c.pass()
		list, _ := arm.At(c.want(http.StatusOK, http.MethodGet, "resourceGroups/g/providers/"+net+"/subnets", ""), "value").([]any)
		if made := count(told, http.StatusCreated); made != writers || len(list) != writers {
			t.Fatalf("round %d: %d were answered 201 and %d are there: %v", round, made, len(list), told)
		}
	}
}

func TestNothingIsOnTwoMachines(t *testing.T) {
	vm := func(extra string) string { return `{"location":"westeurope","properties":{` + extra + `}}` }
	nic := fmt.Sprintf("/subscriptions/%s/resourceGroups/g/providers/Microsoft.Network/networkInterfaces/nic", testSubscription)
	disk := fmt.Sprintf("/subscriptions/%s/resourceGroups/g/providers/Microsoft.Compute/disks/d", testSubscription)
	for what, body := range map[string]string{
		"an interface": vm(fmt.Sprintf(`"networkProfile":{"networkInterfaces":[{"id":%q}]}`, nic)),
		"a data disk":  vm(fmt.Sprintf(`"storageProfile":{"dataDisks":[{"lun":0,"createOption":"Attach","managedDisk":{"id":%q}}]}`, disk)),
		"an OS disk":   vm(fmt.Sprintf(`"storageProfile":{"osDisk":{"createOption":"Attach","osType":"Linux","name":"d","managedDisk":{"id":%q}}}`, disk)),
	} {
		t.Run(what, func(t *testing.T) {
			for round := range rounds(60) {
				c := newClientOf(t, Options{Policy: generous(t)})
				c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
				c.put(http.StatusCreated, "Microsoft.Network/virtualNetworks/net", `{"location":"westeurope","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/8"]},"subnets":[{"name":"default","properties":{"addressPrefix":"10.0.0.0/16"}}]}}`)
				c.put(http.StatusCreated, "Microsoft.Network/networkInterfaces/nic", fmt.Sprintf(
					`{"location":"westeurope","properties":{"ipConfigurations":[{"name":"i","properties":{"subnet":{"id":"/subscriptions/%s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/net/subnets/default"}}}]}}`, testSubscription))
				c.put(http.StatusAccepted, "Microsoft.Compute/disks/d", `{"location":"westeurope","properties":{}}`)
				c.pass()
				told := atOnce(writers, func(i int) int {
					return c.do(http.MethodPut, fmt.Sprintf("resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm%d", i), body).Code
				})
				if count(told, http.StatusCreated) != 1 {
					t.Fatalf("round %d: %v", round, told)
				}
			}
		})
	}
}

// TestOthersCallBesideControl is for the race detector: state, faults, timing, call log and metrics beside traffic.
func TestOthersCallBesideControl(t *testing.T) {
	c := newClientOf(t, Options{Policy: generous(t)})
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	saved := c.twin.State()
	told := atOnce(16, func(i int) int {
		for range rounds(50) {
			switch i {
			case 0:
				if err := c.twin.Load(saved); err != nil {
					return 1
				}
			case 1:
				_ = c.twin.State()
			case 2:
				f, err := c.twin.Arm(Fault{Kind: FaultStale})
				if err != nil {
					return 1
				}
				c.twin.Disarm(f.ID)
			case 3:
				c.control(http.MethodPost, "operations", `{"type":"Microsoft.Compute/disks","lasts":"3s"}`)
				c.control(http.MethodPost, "clock", `{"advance":"1s"}`)
			case 4:
				for _, path := range []string{"state", "calls", "summary", "faults", "clock"} {
					c.control(http.MethodGet, path, "")
				}
			default:
				path := fmt.Sprintf("resourceGroups/g/providers/Microsoft.Compute/disks/d%d", i%3)
				c.do(http.MethodPut, path, `{"location":"westeurope","properties":{}}`)
				c.do(http.MethodGet, path, "")
				c.do(http.MethodGet, "resourceGroups/g/providers/Microsoft.Compute/disks", "")
				c.do(http.MethodDelete, path, "")
			}
		}
		return 0
	})
	if slices.Max(told) != 0 {
		t.Errorf("%v", told)
	}
	for _, call := range c.allCalls() {
		if call.Status >= http.StatusInternalServerError {
			t.Fatalf("%+v", call)
		}
	}
}

func (c *client) allCalls() []arm.Call {
	calls, _ := c.twin.Calls().Since(0)
	return calls
}
