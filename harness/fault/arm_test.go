package fault

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/azuretest"
	"drydock.dev/drydock/harness/cluster"
)

func twinFault(t *testing.T, p Params) (*onTwin, *Env, *azuretest.Twin) {
	t.Helper()
	k, err := Find(OnTwin)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Check(p); err != nil {
		t.Fatal(err)
	}
	clock, err := arm.ParseClock("wall")
	if err != nil {
		t.Fatal(err)
	}
	twin := azuretest.With(t, azure.Options{Clock: clock})
	f, ok := k.New(Spec{Kind: OnTwin, Target: Cluster, Params: p}).(*onTwin)
	if !ok {
		t.Fatal("it is no fault of the twin")
	}
	return f, &Env{Twin: twin.Twin, TwinWall: func(at time.Time) time.Time { return at }}, twin
}

func TestAFaultOfTheTwinIsSeenByItsCallersAlone(t *testing.T) {
	f, e, twin := twinFault(t, Params{ARM: ARM{Kind: azure.FaultThrottle, Operations: []string{"GET Microsoft.Resources/resourceGroups", "GET resourceGroups", "GET Microsoft.Compute/*"}, Resource: "a"}})
	client := twin.Client("tool")
	get := func(name string) int {
		err := client.Do(t.Context(), http.MethodGet, "resourceGroups/g/providers/Microsoft.Compute/disks/"+name, nil, nil)
		if bad, ok := err.(*arm.Error); ok { //nolint:errorlint // the client's own, unwrapped
			return bad.Status
		}
		return http.StatusOK
	}
	red := func(when string) {
		t.Helper()
		if seen, err := f.Effective(t.Context(), e, nil); err == nil {
			t.Errorf("%s its effect is seen: %v", when, seen)
		}
	}
	get("a")
	red("before it was injected")
	if err := f.Inject(t.Context(), e, nil); err != nil {
		t.Fatal(err)
	}
	red("before anybody calls")
	get("b")
	red("when the call is of another resource")
	if got := get("a"); got != http.StatusTooManyRequests {
		t.Fatalf("%d", got)
	}
	if seen, err := f.Effective(t.Context(), e, nil); err != nil || !strings.Contains(seen[0].Saw, "disks/a") {
		t.Errorf("%v, %v", seen, err)
	}
	if seen, err := f.Recovered(t.Context(), e, nil); err == nil {
		t.Errorf("while it is armed and has struck it is over: %v", seen)
	}
	for range 2 { // idempotent
		if err := f.Recover(t.Context(), e, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Recovered(t.Context(), e, nil); err == nil || !strings.Contains(err.Error(), "nobody has asked again yet") {
		t.Errorf("nobody has asked, and: %v", err)
	}
	get("a")
	if seen, err := f.Recovered(t.Context(), e, nil); err != nil || !strings.Contains(seen[0].Saw, "gets through again") {
		t.Errorf("%v, %v", seen, err)
	}
}

func TestAFaultOfTheTwinThatGoesOnIsNotOver(t *testing.T) {
	f, e, twin := twinFault(t, Params{ARM: ARM{Kind: azure.FaultThrottle}})
	client := twin.Client("tool")
	read := func() { _ = client.Do(t.Context(), http.MethodGet, "resourceGroups/g", nil, nil) }
	if err := f.Inject(t.Context(), e, nil); err != nil {
		t.Fatal(err)
	}
	read()
	if err := f.Recover(t.Context(), e, nil); err != nil {
		t.Fatal(err)
	}
	again, err := e.Twin.Arm(azure.Fault{Kind: azure.FaultThrottle}) // somebody else's
	if err != nil {
		t.Fatal(err)
	}
	read()
	if _, err := f.Recovered(t.Context(), e, nil); err == nil || !strings.Contains(err.Error(), "does not get through again") {
		t.Errorf("%v", err)
	}
	e.Twin.Disarm(again.ID)
	read()
	if _, err := f.Recovered(t.Context(), e, nil); err != nil {
		t.Error(err)
	}
}

func TestAFaultOfATwinThatIsGoneIsOver(t *testing.T) {
	f := &onTwin{asked: azure.Fault{Kind: azure.FaultThrottle}}
	if err := f.Inject(t.Context(), &Env{}, nil); err == nil || !strings.Contains(err.Error(), "drydock arm fault inject") {
		t.Errorf("%v", err)
	}
	if _, err := f.Effective(t.Context(), &Env{}, nil); err == nil {
		t.Error("of no twin an effect is seen")
	}
	if err := f.Recover(t.Context(), &Env{}, nil); err != nil {
		t.Error(err)
	}
	if seen, err := f.Recovered(t.Context(), &Env{}, nil); err != nil || !strings.Contains(seen[0].Saw, "ended with the run") {
		t.Errorf("%v, %v", seen, err)
	}
}

func TestAFaultOfTheTwinIsDescribedAndCheckedAsTheTwinDoes(t *testing.T) {
	topology := cluster.Topology{Name: "t", Etcd: cluster.EtcdOnly, EtcdMembers: 3}
	s, err := NewSpec(OnTwin, Cluster, time.Minute, Params{ARM: ARM{Kind: azure.FaultThrottle, Operations: []string{"DELETE Microsoft.Compute/virtualMachines"}, Polls: true, Resource: "*-1", RetryAfter: 5}}, topology, rand.New(rand.NewPCG(1, 1)))
	if err != nil || len(s.Machines)+len(s.Among) > 0 || Impact(topology, nil, s) != 0 {
		t.Errorf("%+v: %v; it is on no machine", s, err)
	}
	const want = "arm throttle, Retry-After 5 of DELETE Microsoft.Compute/virtualMachines on *-1, on polls for 1m0s"
	if got := s.Describe(); got != want {
		t.Errorf("%q; want %q", got, want)
	}
	raw, err := json.Marshal(s) // as the journal has it
	var back Spec
	if err = errors.Join(err, json.Unmarshal(raw, &back)); err != nil || back.Kind != OnTwin || back.Describe() != want {
		t.Errorf("%s: %+v, %v", raw, back, err)
	}
	for what, p := range map[string]Params{
		"fault kind is":       {ARM: ARM{Kind: "thorttle"}},
		"status is 200":       {ARM: ARM{Kind: azure.FaultError, Status: 200}},
		"needs a delay":       {ARM: ARM{Kind: azure.FaultSlow}},
		"takes no by; it":     {By: time.Minute, ARM: ARM{Kind: azure.FaultThrottle}},
		"is not VERB TYPE":    {ARM: ARM{Kind: azure.FaultThrottle, Operations: []string{"DELETE"}}},
		"resource is \"[\":":  {ARM: ARM{Kind: azure.FaultThrottle, Resource: "["}},
		"perMinute; or a mod": {ARM: ARM{Kind: azure.FaultLoad}},
	} {
		k, err := Find(OnTwin)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Check(p); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%+v: %v; want %q", p, err, what)
		}
	}
}

func TestALoadIsNotBegunWhereClientsAreThrottledAlready(t *testing.T) {
	f, e, twin := twinFault(t, Params{ARM: ARM{Kind: azure.FaultLoad, PerMinute: 1, Operations: []string{"LIST Microsoft.Compute/virtualMachines"}}})
	client := twin.Client("tool")
	for range 2000 { // until a budget is empty
		err := client.Do(t.Context(), http.MethodGet, "providers/Microsoft.Compute/virtualMachines", nil, nil)
		if bad, ok := err.(*arm.Error); ok && bad.Status == http.StatusTooManyRequests { //nolint:errorlint // the client's own, unwrapped
			break
		}
	}
	if err := f.Inject(t.Context(), e, nil); err == nil || !strings.Contains(err.Error(), "was throttled by") {
		t.Errorf("%v", err)
	}
	e.TwinWall = func(at time.Time) time.Time { return at.Add(-time.Hour) } // that was long ago
	if err := f.Inject(t.Context(), e, nil); err != nil {
		t.Error(err)
	}
}

// Others' calls say nothing of a client that has been told to wait.
func TestAFaultThatIsArmedIsNotOverForWhoHasNotAskedAgain(t *testing.T) {
	f, e, twin := twinFault(t, Params{ARM: ARM{Kind: azure.FaultThrottle, Principal: "tool"}})
	ago := time.Hour
	e.TwinWall = func(at time.Time) time.Time { return at.Add(-ago) }
	if err := f.Inject(t.Context(), e, nil); err != nil {
		t.Fatal(err)
	}
	read := func(who string) {
		_ = twin.Client(who).Do(t.Context(), http.MethodGet, "resourceGroups/g", nil, nil)
	}
	read("tool") // which is refused
	struck := time.Now()
	read("other")
	e.TwinWall = func(at time.Time) time.Time {
		if at.Before(struck) {
			return at.Add(-time.Hour)
		}
		return at
	}
	if seen, err := f.Recovered(t.Context(), e, nil); err == nil || !strings.Contains(err.Error(), "nobody whom it has met has called") {
		t.Errorf("%v, %v", seen, err)
	}
	f.armed.ID = "" // it strikes no more
	f.armed.Kind = azure.FaultLoad
	if _, err := f.Recovered(t.Context(), e, nil); err != nil {
		t.Error(err)
	}
}
