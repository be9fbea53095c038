package azure

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/cluster"
)

// TestALaterOperationDoesWhatTheOneBeforeWasFor: it takes its place, and not its work away.
func TestALaterOperationDoesWhatTheOneBeforeWasFor(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	const vm = "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
	c.want(http.StatusCreated, http.MethodPut, vm, `{"location":"westeurope","properties":{}}`)
	c.want(http.StatusAccepted, http.MethodPost, vm+"/restart", "")
	c.pass()
	if got := c.want(http.StatusOK, http.MethodGet, vm, ""); arm.Text(got, "properties", "provisioningState") != arm.Succeeded {
		t.Errorf("a machine that was restarted while it was made is %v", got)
	}
	const set = "resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/ss"
	c.want(http.StatusCreated, http.MethodPut, set, `{"location":"westeurope","sku":{"name":"x","capacity":2}}`)
	c.pass()
	c.want(http.StatusOK, http.MethodPut, set, `{"location":"westeurope","sku":{"name":"x","capacity":4}}`)
	c.want(http.StatusAccepted, http.MethodPost, set+"/delete", `{"instanceIds":["0"]}`)
	c.pass()
	got := c.want(http.StatusOK, http.MethodGet, set, "")
	list, _ := arm.At(c.want(http.StatusOK, http.MethodGet, set+"/virtualMachines", ""), "value").([]any)
	if arm.Text(got, "properties", "provisioningState") != arm.Succeeded || len(list) != 3 {
		t.Errorf("%d instances, and the set is %v", len(list), got)
	}
}

// TestADeploymentIsToldOfWhatAnotherTookOver: one whose resource a client changes meanwhile ends all the same, and one whose resource is deleted fails.
func TestADeploymentIsToldOfWhatAnotherTookOver(t *testing.T) {
	for method, want := range map[string]string{http.MethodPatch: arm.Succeeded, http.MethodDelete: arm.Failed} {
		c := newClient(t)
		c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
		const d = "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
		c.want(http.StatusCreated, http.MethodPut, d, `{"properties":{"mode":"Incremental","template":`+whole(`{"resources":[{"type":"Microsoft.Compute/virtualMachines","apiVersion":"1","name":"vm","location":"westeurope","properties":{}}]}`)+`}}`)
		if w := c.do(method, "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm", `{"tags":{"a":"b"}}`); w.Code >= http.StatusBadRequest {
			t.Fatalf("%s: %d %s", method, w.Code, w.Body)
		}
		c.pass()
		if got := c.want(http.StatusOK, http.MethodGet, d, ""); arm.Text(got, "properties", "provisioningState") != want {
			t.Errorf("after %s the deployment is %v", method, got)
		}
	}
}

// TestASuccessorBeginsWhenItsPredecessorEnded, and not when somebody looked.
func TestASuccessorBeginsWhenItsPredecessorEnded(t *testing.T) {
	c := newClient(t)
	c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
	began := c.clock.Now()
	const disks = "resourceGroups/g/providers/Microsoft.Resources/deployments/d"
	c.want(http.StatusCreated, http.MethodPut, disks, `{"properties":{"mode":"Incremental","template":`+whole(`{"resources":[
		{"type":"Microsoft.Compute/disks","apiVersion":"1","name":"a","location":"westeurope"},
		{"type":"Microsoft.Compute/disks","apiVersion":"1","name":"b","location":"westeurope","dependsOn":["a"]},
		{"type":"Microsoft.Compute/disks","apiVersion":"1","name":"c","location":"westeurope","dependsOn":["b"]}]}`)+`}}`)
	c.clock.Advance(time.Hour)
	if got := c.want(http.StatusOK, http.MethodGet, disks, ""); arm.Text(got, "properties", "provisioningState") != arm.Succeeded {
		t.Errorf("an hour later it is %v", got)
	}
	ends := map[string]time.Time{}
	for _, op := range c.twin.store.View().Operations() {
		if op.Ends.Sub(began) > time.Minute {
			t.Errorf("%s of %s ended after %s", op.Verb, op.Target.Name(), op.Ends.Sub(began))
		}
		ends[op.Target.Name()] = op.Ends
	}
	for _, op := range c.twin.store.View().Operations() {
		if before := map[string]string{"b": "a", "c": "b"}[op.Target.Name()]; before != "" && !op.Begun.Equal(ends[before]) {
			t.Errorf("%s began %s after %s had ended", op.Target.Name(), op.Begun.Sub(ends[before]), before)
		}
	}
}

// slowMachines take their time to boot.
type slowMachines struct {
	failing
	begun  chan string
	boot   chan struct{}
	mu     sync.Mutex
	on     []string
	booted int
}

func (m *slowMachines) Create(_ context.Context, vm provider.Machine) error {
	m.begun <- vm.Name
	<-m.boot
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on, m.booted = append(m.on, vm.Name), m.booted+1
	return nil
}

func (m *slowMachines) Delete(_ context.Context, vm provider.Machine) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on = slices.DeleteFunc(m.on, func(on string) bool { return on == vm.Name })
	return nil
}

// TestAMachineThatIsDeletedWhileItBootsIsNotLeft, nor is one whose group is; nobody else waits for the boot.
func TestAMachineThatIsDeletedWhileItBootsIsNotLeft(t *testing.T) {
	const vm = "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
	for _, gone := range []string{vm, "resourceGroups/g"} {
		t.Run(gone, func(t *testing.T) {
			m := &slowMachines{begun: make(chan string, 1), boot: make(chan struct{})}
			c := newClientOf(t, Options{Machines: m})
			c.want(http.StatusCreated, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`)
			c.want(http.StatusCreated, http.MethodPut, vm, `{"location":"westeurope","properties":{}}`)
			c.pass()
			<-m.begun
			c.want(http.StatusOK, http.MethodPut, "resourceGroups/g", `{"location":"westeurope"}`) // by no means held up
			c.want(http.StatusAccepted, http.MethodDelete, gone, "")
			c.pass()
			close(m.boot)
			err := cluster.Await(t.Context(), "the end of everything", cluster.Wait{For: 10 * time.Second, Every: 5 * time.Millisecond}, func(context.Context) error {
				c.pass()
				for _, op := range c.twin.store.View().Operations() {
					if op.Status == arm.InProgress {
						return errRuns
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			c.want(http.StatusNotFound, http.MethodGet, vm, "")
			if err := cluster.Await(t.Context(), "no machine", cluster.Wait{For: 10 * time.Second, Every: 5 * time.Millisecond}, func(context.Context) error {
				m.mu.Lock()
				defer m.mu.Unlock()
				if m.booted == 0 || len(m.on) > 0 {
					return errRuns
				}
				return nil
			}); err != nil {
				t.Errorf("left on: %v", m.on)
			}
		})
	}
}

var errRuns = arm.Errorf(0, "Runs", "something goes on")
