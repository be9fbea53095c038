package subject

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/plan"
)

// serving is a twin with a subject's calls still to come.
func serving(t *testing.T) *azure.Server {
	t.Helper()
	return told(t).server
}

func told(t *testing.T) *story {
	t.Helper()
	policy, err := throttle.LoadPolicy("current")
	if err != nil {
		t.Fatal(err)
	}
	s := &story{run: &Run{Spec: &ARM{Patience: time.Minute}}, told: Told{Subject: ARMSubject{Name: "s", ListsPerMiss: 1}, First: 1 << 30, Served: true}, clock: arm.NewVirtualClock(time.Now())}
	if s.twin, err = azure.New(azure.Options{Clock: s.clock, Policy: policy}); err != nil {
		t.Fatal(err)
	}
	if s.server, err = s.twin.Serve(t.Context(), azure.Listen{Address: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.server.Close() })
	s.told.Begun = s.clock.Now()
	return s
}

// list makes the subject read one collection, with a token of the twin itself or of another one.
func (s *story) list(t *testing.T, tokens *azure.Server) {
	t.Helper()
	ready := s.server.Ready
	ready.Authority = tokens.Ready.Authority
	c, err := azure.NewClient(t.Context(), ready, slices.Concat(s.server.CA, tokens.CA), subjectPrincipal)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Do(t.Context(), http.MethodGet, "providers/Microsoft.Compute/virtualMachines", nil, nil)
}

// A call that was refused for its token was not counted by the twin as the subject's others: figures with such calls in them are not what they seem.
func TestRefusedTokensAreShownAndProveNothing(t *testing.T) {
	s := told(t)
	s.list(t, s.server)
	if v := verdicts(s); !slices.Equal(v, []plan.Verdict{plan.Pass, plan.Pass, plan.Pass, plan.Pass}) {
		t.Errorf("with good tokens: %v", v)
	}
	s.list(t, serving(t))
	if v := verdicts(s); slices.ContainsFunc(v, func(v plan.Verdict) bool { return v != plan.Unknown }) {
		t.Errorf("with a call that was answered 401: %v", v)
	}
	var said string
	for _, c := range s.judged().checks() {
		said += c.Message + "\n"
	}
	if !strings.Contains(said, "1 of 2 calls answered 401") {
		t.Errorf("what was seen: %s", said)
	}
	if row := s.judged().row(); row[slices.Index(columns(), "answered 401")] != "1" || len(row) != len(columns()) {
		t.Errorf("the row is %q", row)
	}
}

func (s *story) judged() judged {
	t := s.tell()
	return judged{&t, s.run.Spec}
}

func verdicts(s *story) (out []plan.Verdict) {
	for _, c := range s.judged().checks() {
		out = append(out, c.Verdict)
	}
	return out
}

// A subject's calls for tokens cost none of the budgets that are measured; a fault that names them strikes them all the same.
func TestTokensAreNoCallsOnResources(t *testing.T) {
	began := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	call := func(minute int, operation, fault string, status int) arm.Call {
		return arm.Call{Time: began.Add(time.Duration(minute) * time.Minute), Operation: operation, Principal: subjectPrincipal, Fault: fault, Status: status}
	}
	const token, list = "POST identity/token", "LIST Microsoft.Compute/virtualMachineScaleSets"
	told := Told{Calls: []arm.Call{call(0, token, "", 200), call(1, list, "", 200), call(2, token, "f", 500), call(12, token, "", 200)}, Begun: began, Faults: []azure.Fault{{ID: "f", Kind: azure.FaultError, Began: began, For: 10 * time.Minute}}}
	if mine := told.mine(0, 0); len(mine) != 1 || mine[0].Operation != list {
		t.Errorf("its calls on resources: %+v", mine)
	}
	s := judged{&told, &ARM{Faults: []ARMFault{{Fault: azure.Fault{Kind: azure.FaultError, Operations: []string{token}}}}}}
	if r := s.faultReceipts(); len(r) != 1 || r[0].State != plan.Confirmed {
		t.Errorf("the fault: %+v", r)
	}
}
