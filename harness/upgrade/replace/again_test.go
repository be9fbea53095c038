package replace

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// seeds are how many runs of a random walk are taken.
func seeds() int {
	if testing.Short() {
		return 3
	}
	return 40
}

// TestKilledAgainAndAgain: a process that dies is followed by one that dies, of a Resource Manager that throttles and of machines that do not come up.
func TestKilledAgainAndAgain(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, dir, rng := newFleet(t, azure.Options{}, 1), scratch(t), rand.New(rand.NewPCG(uint64(seed), 7))
				names := append(f.topology.KubernetesMachines(), upgrade.SurgeMachine)
				for try := range 8 {
					if rng.IntN(4) == 0 {
						f.breaks[names[rng.IntN(len(names))]] = 1
					}
					if rng.IntN(3) == 0 {
						if _, err := f.twin.Arm(azure.Fault{Kind: azure.FaultThrottle, RetryAfter: 1 + rng.IntN(40), Count: 1 + rng.IntN(4)}); err != nil {
							t.Fatal(err)
						}
					}
					if a := f.upgrade(dir, upgrade.Spec{}, 1+rng.IntN(60), rng.IntN(2) == 0); a.err == nil {
						break
					} else if !errors.Is(a.err, errKilled) && !manager.DeploymentFailed(a.err) {
						t.Fatalf("try %d: %v", try, a.err)
					}
					<-time.After(time.Duration(rng.IntN(200)) * time.Second)
				}
				clear(f.breaks)
				f.twin.Disarm("")
				if a := f.upgrade(dir, upgrade.Spec{}, 0, false); a.err != nil {
					t.Fatal(a.err)
				}
				f.judge(t, nil)
			})
		})
	}
}

// TestKilledBetweenTwoSteps: who comes after one that died when any step had ended ends well, also when no machine has the old version any more, and makes no
// machine anew that is done.
func TestKilledBetweenTwoSteps(t *testing.T) {
	var steps []string
	made := 0
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, azure.Options{}, 1)
		a := f.upgrade(scratch(t), upgrade.Spec{}, 0, false)
		if a.err != nil {
			t.Fatal(a.err)
		}
		made = f.made
		for _, d := range a.steps {
			steps = append(steps, d.Name)
		}
	})
	if testing.Short() {
		steps = steps[slices.Index(steps, "worker/1/deploy"):]
	}
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, dir := newFleet(t, azure.Options{}, 1), scratch(t)
				first := f.process(dir, upgrade.Spec{}, &mortal{Direct: f.twin, after: step})
				if step != steps[len(steps)-1] && !errors.Is(first.err, errKilled) {
					t.Fatalf("it was to die: %v", first.err)
				}
				second := f.upgrade(dir, upgrade.Spec{}, 0, false)
				if second.err != nil {
					t.Fatal(second.err)
				}
				f.judge(t, nil)
				if f.made != made {
					t.Errorf("%d machines were made instead of %d", f.made, made)
				}
			})
		})
	}
}

// TestAWorkerIsLostWheneverTheProcessDies: it is made anew in its turn, and nothing of it is left behind.
func TestAWorkerIsLostWheneverTheProcessDies(t *testing.T) {
	every := 3
	if testing.Short() {
		every = 31
	}
	for k := 15; k <= 156; k += every {
		t.Run(fmt.Sprint("at call ", k), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, dir := newFleet(t, azure.Options{}, 1), scratch(t)
				if a := f.upgrade(dir, upgrade.Spec{}, k, false); !errors.Is(a.err, errKilled) {
					t.Fatalf("it was to die: %v", a.err)
				}
				f.lose("worker-1")
				if a := f.upgrade(dir, upgrade.Spec{}, 0, false); a.err != nil {
					t.Fatal(a.err)
				}
				f.judge(t, nil)
			})
		})
	}
}
