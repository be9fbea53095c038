package replace

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// deleted reports whether a virtual machine's deletion was let in.
func (f *fleet) deleted(machine string) bool {
	calls, _ := f.twin.Calls().Since(0)
	for _, c := range calls {
		if c.Method == "DELETE" && strings.HasSuffix(c.Path, "virtualMachines/"+machine) && c.Status < 400 {
			return true
		}
	}
	return false
}

// TestADeletionThatHadToWaitIsLookedAtAgain: a refused DELETE may be made again after minutes, and what was there to spare is gone by then.
func TestADeletionThatHadToWaitIsLookedAtAgain(t *testing.T) {
	throttled := azure.Fault{Kind: azure.FaultThrottle, Operations: []string{"DELETE " + manager.VirtualMachines}, RetryAfter: 600, Count: 1}
	for name, x := range map[string]struct {
		meanwhile func(t *testing.T, f *fleet)
		says      string
	}{
		"another member is lost": {func(_ *testing.T, f *fleet) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.hosts["control-plane-3"].data = false
		}, "of 3 members 1 would be well without control-plane-1"},
		"somebody else has taken the cluster": {func(t *testing.T, f *fleet) {
			t.Helper()
			leases := f.client.CoordinationV1().Leases(metav1.NamespaceSystem)
			l, err := leases.Get(t.Context(), Claim, metav1.GetOptions{})
			if err == nil {
				l.Spec.HolderIdentity = new(string)
				*l.Spec.HolderIdentity = "another"
				_, err = leases.Update(t.Context(), l, metav1.UpdateOptions{})
			}
			if err != nil {
				t.Error(err)
			}
		}, "another upgrade replaces machines of this cluster (another"},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, azure.Options{}, func(t *testing.T, f *fleet) {
				t.Helper()
				if _, err := f.twin.Arm(throttled); err != nil {
					t.Fatal(err)
				}
				ended := make(chan attempt)
				go func() { ended <- f.upgrade(scratch(t), upgrade.Spec{}, 0, false) }()
				<-time.After(5 * time.Minute)
				x.meanwhile(t, f)
				a := <-ended
				if !errors.Is(a.err, plan.ErrRefused) || !strings.Contains(a.err.Error(), x.says) {
					t.Errorf("%v", a.err)
				}
				if f.deleted("control-plane-1") {
					t.Error("it was deleted")
				}
			})
		})
	}
}

// TestADiskThatGoesWithItsMachineIsNotLost: what the Resource Manager deletes with a virtual machine nobody attaches to the next.
func TestADiskThatGoesWithItsMachineIsNotLost(t *testing.T) {
	within(t, azure.Options{}, func(t *testing.T, f *fleet) {
		t.Helper()
		s := f.twin.State()
		for i, raw := range s.Resources {
			var d map[string]any
			if err := json.Unmarshal(raw, &d); err != nil {
				t.Fatal(err)
			}
			if d["name"] != "control-plane-1" {
				continue
			}
			storage := d["properties"].(map[string]any)["storageProfile"].(map[string]any)
			storage["dataDisks"].([]any)[0].(map[string]any)["deleteOption"] = "Delete"
			var err error
			if s.Resources[i], err = json.Marshal(d); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.twin.Load(s); err != nil {
			t.Fatal(err)
		}
		a := f.upgrade(scratch(t), upgrade.Spec{}, 0, false)
		if !errors.Is(a.err, plan.ErrRefused) || !strings.Contains(a.err.Error(), "control-plane-1-etcddisk") || !strings.Contains(a.err.Error(), "Detach") {
			t.Errorf("%v", a.err)
		}
		if f.deleted("control-plane-1") {
			t.Error("it was deleted")
		}
		if !slices.ContainsFunc(f.twin.State().Resources, func(raw json.RawMessage) bool {
			return strings.Contains(string(raw), `/disks/control-plane-1-etcddisk"`) && strings.Contains(string(raw), `"managedBy"`)
		}) {
			t.Error("the disk of etcd is gone")
		}
	})
}

// TestAMemberIsCountedByItsID: what answers on a machine and is not on the list has no vote.
func TestAMemberIsCountedByItsID(t *testing.T) {
	o := observe.Observation{
		Quorum:  etcd.Membership{Members: []etcd.Listed{{ID: 1, Machine: "a"}, {ID: 2, Machine: "b"}, {ID: 3, Machine: "c"}}},
		Members: []etcd.Member{{Machine: "a", ID: 1, Leader: 1}, {Machine: "b", ID: 2, Leader: 1}, {Machine: "c", ID: 9, Leader: 9}},
	}
	if f := without(o, "a"); f == nil || !strings.Contains(f.What, "c (calls itself 9") {
		t.Errorf("%+v", f)
	}
	o.Members[2] = etcd.Member{Machine: "c", ID: 3, Leader: 1}
	if f := without(o, "a"); f != nil {
		t.Errorf("%+v", f)
	}
}
