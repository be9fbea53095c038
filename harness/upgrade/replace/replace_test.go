package replace

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

func TestEveryMachineIsReplaced(t *testing.T) {
	within(t, azure.Options{}, func(t *testing.T, f *fleet) {
		t.Helper()
		dir := scratch(t)
		a := f.upgrade(dir, upgrade.Spec{}, 0, false)
		if a.err != nil || a.spent.Refused != 0 {
			t.Fatalf("%v; %s", a.err, a.spent)
		}
		f.judge(t, nil)
		made := f.made
		// What is done is not done again, and that is seen and not taken from a tag.
		again := f.upgrade(dir, upgrade.Spec{}, 0, false)
		if again.err != nil || f.made != made || !strings.Contains(again.said("control-plane/2/delete"), "was observed at v1.36.3 and well") || again.sent > 30 {
			t.Errorf("a second time: %v, %d machines more, %d calls: %s", again.err, f.made-made, again.sent, again.said("control-plane/2/delete"))
		}
		f.judge(t, nil)
	})
}

func TestTheControlPlaneAlone(t *testing.T) {
	within(t, azure.Options{}, func(t *testing.T, f *fleet) {
		t.Helper()
		if a := f.upgrade(scratch(t), upgrade.Spec{ControlPlaneOnly: true}, 0, false); a.err != nil {
			t.Fatal(a.err)
		}
		f.judge(t, map[string]string{"worker-1": from, "worker-2": from})
	})
}

// TestForceReplacesWhatIsAtTheVersionOnce: one that was interrupted goes on, and does not begin anew with what it has made.
func TestForceReplacesWhatIsAtTheVersionOnce(t *testing.T) {
	within(t, azure.Options{}, func(t *testing.T, f *fleet) {
		t.Helper()
		if a := f.upgrade(scratch(t), upgrade.Spec{}, 0, false); a.err != nil {
			t.Fatal(a.err)
		}
		made, dir := f.made, scratch(t)
		if a := f.upgrade(dir, upgrade.Spec{Force: true}, 60, false); a.err == nil {
			t.Fatal("it was to die")
		}
		if a := f.upgrade(dir, upgrade.Spec{Force: true}, 0, false); a.err != nil {
			t.Fatal(a.err)
		}
		if n := f.made - made; n != 6 {
			t.Errorf("%d machines were made for 5 and one for the time of the upgrade", n)
		}
		f.judge(t, nil)
	})
}

// TestKilledAtEveryCall is replace-upgrade-interrupted: a process that dies at any of its calls, answered or unsent, is followed by one that ends well. The
// quick tier takes some of them.
func TestKilledAtEveryCall(t *testing.T) {
	calls := 0
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, azure.Options{}, 1)
		a := f.upgrade(scratch(t), upgrade.Spec{}, 0, false)
		if calls = a.sent; a.err != nil {
			t.Fatal(a.err)
		}
		f.judge(t, nil)
	})
	every := 1
	if testing.Short() {
		every = 13
	}
	for k := 1; k <= calls; k += every {
		for _, unsent := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d of %d, unsent %t", k, calls, unsent), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f, dir := newFleet(t, azure.Options{}, 1), scratch(t)
					first := f.upgrade(dir, upgrade.Spec{}, k, unsent)
					if !errors.Is(first.err, errKilled) {
						t.Fatalf("it was to die: %v", first.err)
					}
					second := f.upgrade(dir, upgrade.Spec{}, 0, false)
					if second.err != nil {
						t.Fatalf("%v\nafter %v", second.err, first.err)
					}
					f.judge(t, nil)
					if total := first.sent + second.sent; total > calls+40 {
						t.Errorf("%d calls for %d", total, calls)
					}
				})
			})
		}
	}
}

// cells are the ways in which a Resource Manager refuses what an upgrade needs of it.
func cells() map[string]azure.Fault {
	throttle := func(f azure.Fault) azure.Fault { f.Kind = azure.FaultThrottle; return f }
	vm := func(verb string) []string { return []string{verb + " " + manager.VirtualMachines} }
	return map[string]azure.Fault{
		"the start of a delete":           throttle(azure.Fault{Operations: vm("DELETE"), Resource: "virtualMachines/control-plane-2", RetryAfter: 600, Count: 1}),
		"the poll of a delete":            throttle(azure.Fault{Operations: vm("DELETE"), Polls: true, Resource: "virtualMachines/control-plane-1", RetryAfter: 20, For: 4 * time.Minute}),
		"the poll of a delete, for long":  throttle(azure.Fault{Operations: vm("DELETE"), Polls: true, Resource: "virtualMachines/control-plane-1", RetryAfter: 900, Count: 1}),
		"the start of a deployment":       throttle(azure.Fault{Operations: []string{"CREATE Microsoft.Resources/deployments"}, RetryAfter: 120, Count: 2}),
		"the poll of a deployment":        throttle(azure.Fault{Operations: []string{"CREATE Microsoft.Resources/deployments"}, Polls: true, RetryAfter: 30, For: 4 * time.Minute}),
		"the delete of an interface":      throttle(azure.Fault{Operations: []string{"DELETE " + manager.NetworkInterfaces}, RetryAfter: azure.NoRetryAfter, Count: 2}),
		"the delete of a disk":            throttle(azure.Fault{Operations: []string{"DELETE " + manager.Disks}, RetryAfter: 45, Count: 2}),
		"reads, and writes are not":       throttle(azure.Fault{OperationGroup: "gateway/reads", RetryAfter: 25, For: 5 * time.Minute}),
		"writes, and reads are not":       throttle(azure.Fault{OperationGroup: "gateway/writes", RetryAfter: 25, For: 5 * time.Minute}),
		"everything, and nobody says why": throttle(azure.Fault{RetryAfter: azure.NoRetryAfter, For: 4 * time.Minute}),
		"an outage":                       {Kind: azure.FaultError, For: 2 * time.Minute},
		"connections that are cut":        {Kind: azure.FaultReset, Count: 5},
	}
}

func TestThrottledUpgradesEndWell(t *testing.T) {
	for name, fault := range cells() {
		for _, hostile := range []bool{true, false} {
			if testing.Short() && !hostile {
				continue
			}
			t.Run(fmt.Sprintf("%s, hostile %t", name, hostile), func(t *testing.T) {
				within(t, azure.Options{Hostile: hostile}, func(t *testing.T, f *fleet) {
					t.Helper()
					if _, err := f.twin.Arm(fault); err != nil {
						t.Fatal(err)
					}
					a := f.upgrade(scratch(t), upgrade.Spec{}, 0, false)
					if a.err != nil {
						t.Fatal(a.err)
					}
					f.judge(t, nil)
					if a.spent.Refused == 0 || a.spent.Amplification() > 1.1 {
						t.Errorf("%s", a.spent)
					}
					if sent, refused := f.logged("drydock"); sent != a.spent.Sent || refused != a.spent.Refused {
						t.Errorf("the twin's log has %d calls and %d refused of them, the client counted %s", sent, refused, a.spent)
					}
				})
			})
		}
	}
}

// TestItStopsSafely: where the budget is gone, or a wait is longer than a step may take, it says so, and what to do; and doing that ends it.
func TestItStopsSafely(t *testing.T) {
	for name, fault := range map[string]azure.Fault{
		"told to wait longer than a step may take": {Kind: azure.FaultThrottle, Operations: []string{"DELETE " + manager.VirtualMachines}, RetryAfter: 7200},
		"throttled for good":                       {Kind: azure.FaultThrottle, RetryAfter: 1},
		"throttled for good, on polls":             {Kind: azure.FaultThrottle, Polls: true, RetryAfter: 1},
		"told to wait for hours before anything":   {Kind: azure.FaultThrottle, RetryAfter: 7200},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, azure.Options{Hostile: true}, func(t *testing.T, f *fleet) {
				t.Helper()
				if _, err := f.twin.Arm(fault); err != nil {
					t.Fatal(err)
				}
				dir := scratch(t)
				begun := time.Now()
				a := f.upgrade(dir, upgrade.Spec{}, 0, false)
				if took := time.Since(begun); took > time.Hour {
					t.Errorf("it stopped after %s", took)
				}
				var stopped *manager.StoppedError
				if !errors.As(a.err, &stopped) || !strings.Contains(a.err.Error(), "What to do: ") {
					t.Fatalf("%v", a.err)
				}
				f.twin.Disarm("")
				<-time.After(time.Hour)
				if a = f.upgrade(dir, upgrade.Spec{}, 0, false); a.err != nil {
					t.Fatal(a.err)
				}
				f.judge(t, nil)
			})
		})
	}
}

// TestADeploymentThatFails stops the upgrade, says what has failed, and is made anew by the next.
func TestADeploymentThatFails(t *testing.T) {
	for _, machine := range []string{"control-plane-2", "worker-1", upgrade.SurgeMachine} {
		t.Run(machine, func(t *testing.T) {
			within(t, azure.Options{}, func(t *testing.T, f *fleet) {
				t.Helper()
				dir := scratch(t)
				f.breaks[machine] = 2
				for range 2 {
					a := f.upgrade(dir, upgrade.Spec{}, 0, false)
					if !manager.DeploymentFailed(a.err) || !strings.Contains(a.err.Error(), "the script ended with 50") || !strings.Contains(a.err.Error(), "What to do: ") {
						t.Fatalf("%v", a.err)
					}
				}
				if a := f.upgrade(dir, upgrade.Spec{}, 0, false); a.err != nil {
					t.Fatal(a.err)
				}
				f.judge(t, nil)
			})
		})
	}
}

// TestALostMachineIsMadeAnewFirst: one that is lost between two attempts comes back before another is taken away.
func TestALostMachineIsMadeAnewFirst(t *testing.T) {
	for _, lost := range []string{"control-plane-1", "control-plane-3", "worker-2"} {
		t.Run(lost, func(t *testing.T) {
			within(t, azure.Options{}, func(t *testing.T, f *fleet) {
				t.Helper()
				dir := scratch(t)
				// control-plane-1 is done, and of the others nothing is deleted.
				if a := f.process(dir, upgrade.Spec{}, &mortal{Direct: f.twin, before: "DELETE virtualMachines/control-plane-2"}); !errors.Is(a.err, errKilled) {
					t.Fatalf("it was to die: %v", a.err)
				}
				f.lose(lost)
				if a := f.upgrade(dir, upgrade.Spec{}, 0, false); a.err != nil {
					t.Fatal(a.err)
				}
				f.judge(t, nil)
			})
		})
	}
}

// TestNobodyIsTakenAwayThatAQuorumNeeds: with the sum.
func TestNobodyIsTakenAwayThatAQuorumNeeds(t *testing.T) {
	within(t, azure.Options{}, func(t *testing.T, f *fleet) {
		t.Helper()
		f.hosts["control-plane-3"].data = false // its member does not run
		dir := scratch(t)
		a := f.upgrade(dir, upgrade.Spec{}, 0, false)
		if !errors.Is(a.err, plan.ErrRefused) || !strings.Contains(a.err.Error(), "of 3 members 1 would be well without control-plane-1, and a quorum of 3 is 2; not well besides: control-plane-3 (connection refused)") {
			t.Fatalf("%v", a.err)
		}
		var usage *cluster.UsageError
		if !errors.As(a.err, &usage) {
			t.Errorf("%T is no refusal", a.err)
		}
		calls, _ := f.twin.Calls().Since(0)
		for _, c := range calls {
			if c.Method != "GET" && !c.Beside() {
				t.Errorf("it called %s %s", c.Method, c.Path)
			}
		}
		if n, err := f.client.CoreV1().Nodes().Get(t.Context(), "control-plane-1", metav1.GetOptions{}); err != nil || n.Spec.Unschedulable {
			t.Errorf("it is left cordoned: %v", err)
		}
		f.hosts["control-plane-3"].data = true
		if a = f.upgrade(dir, upgrade.Spec{}, 0, false); a.err != nil {
			t.Fatal(a.err)
		}
		f.judge(t, nil)
	})
}

// TestATagProvesNothing: a machine that is tagged with the version and is not at it is replaced; one that lives and is not well is nobody's to delete.
func TestATagProvesNothing(t *testing.T) {
	within(t, azure.Options{}, func(t *testing.T, f *fleet) {
		t.Helper()
		dir := scratch(t)
		if a := f.upgrade(dir, upgrade.Spec{ControlPlaneOnly: true}, 0, false); a.err != nil {
			t.Fatal(a.err)
		}
		f.hosts["control-plane-2"].version = from // whatever made it
		a := f.upgrade(scratch(t), upgrade.Spec{}, 0, false)
		if !errors.Is(a.err, plan.ErrRefused) || !strings.Contains(a.err.Error(), "kubelet on control-plane-2 is v1.35.4 instead of v1.36.3") {
			t.Fatalf("%v", a.err)
		}
	})
}

// TestOneAtATimeReplacesMachines: another directory is another upgrade, and its claim stands until it has ended.
func TestOneAtATimeReplacesMachines(t *testing.T) {
	within(t, azure.Options{}, func(t *testing.T, f *fleet) {
		t.Helper()
		first, second := scratch(t), scratch(t)
		if a := f.upgrade(first, upgrade.Spec{}, 40, false); a.err == nil {
			t.Fatal("it was to die")
		}
		a := f.upgrade(second, upgrade.Spec{}, 0, false)
		if !errors.Is(a.err, plan.ErrRefused) || !strings.Contains(a.err.Error(), "another upgrade replaces machines of this cluster") || !strings.Contains(a.err.Error(), "kubectl delete lease") {
			t.Fatalf("%v", a.err)
		}
		if a := f.upgrade(first, upgrade.Spec{}, 0, false); a.err != nil {
			t.Fatal(a.err)
		}
		f.judge(t, nil)
	})
}

func TestTemplatesOfTheUsers(t *testing.T) {
	dir := scratch(t)
	file := func(name, text string) string {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir + "/" + name
	}
	tpl := file("t.json", `{"parameters":{"name":{},"tags":{},"secret":{},"image":{"defaultValue":"a"}}}`)
	for says, files := range map[string][2]string{
		"nobody gives secret":                   {tpl, ""},
		`the template has no parameter "other"`: {tpl, file("other.json", `{"parameters":{"other":{"value":1}}}`)},
		"no such file":                          {"none.json", ""},
		`"name" is another for each machine`:    {tpl, file("name.json", `{"name":{"value":"all"},"secret":{"value":"s"}}`)},
		"invalid character":                     {file("broken.json", "{"[:1]+"x"), ""},
	} {
		var usage *cluster.UsageError
		if _, err := readTemplate(files[0], files[1]); !errors.As(err, &usage) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	got, err := readTemplate(tpl, file("p.json", `{"parameters":{"secret":{"value":"s"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	p := got.parameters(record{Name: "m", Tags: map[string]string{"a": "b"}}, to, "d")
	if len(p) != 3 || p["name"] != "m" || p["secret"] != "s" || fmt.Sprint(p["tags"]) != "map[a:b orchestrator:Kubernetes:1.36.3]" {
		t.Errorf("%v", p)
	}
}

// TestAMachineThatNobodyIsSentTo: a template that leaves a machine out of its pools makes one that is whole, and the upgrade goes no further.
func TestAMachineThatNobodyIsSentTo(t *testing.T) {
	for parameter, says := range map[string]string{"pools": "not in the backend pool backendAddressPools/masters", "natRules": "rule inboundNatRules/ssh-control-plane-1 does not lead to"} {
		within(t, azure.Options{}, func(t *testing.T, f *fleet) {
			t.Helper()
			dir := scratch(t)
			without := strings.ReplaceAll(strings.ReplaceAll(string(machineTemplate), `"[parameters('`+parameter+`')]"`, "[]"), `    "`+parameter+`": {"type": "array"},`, "")
			if err := os.WriteFile(dir+"/t.json", []byte(without), 0o600); err != nil {
				t.Fatal(err)
			}
			a := f.upgrade(dir, upgrade.Spec{Template: dir + "/t.json"}, 0, false)
			if a.err == nil || !strings.Contains(a.said("control-plane/1/gate"), says) || !strings.Contains(a.err.Error(), "must take "+parameter) {
				t.Errorf("%s: %v", parameter, a.err)
			}
			if h := f.hosts["control-plane-2"]; h == nil || h.version != from {
				t.Errorf("%s: it went on: %+v", parameter, h)
			}
		})
	}
}
