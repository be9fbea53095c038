package plan

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func sec(s float64) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(s * float64(time.Second)))
}

func spansIn(spans []Span) string {
	var out []string
	for _, s := range spans {
		out = append(out, fmt.Sprintf("%g-%g %s", s.From.Sub(sec(0)).Seconds(), s.To.Sub(sec(0)).Seconds(), s.Label))
	}
	return strings.Join(out, ", ")
}

// TestRunsAreApartAndInOrder whatever the looks' clock did.
func TestRunsAreApartAndInOrder(t *testing.T) {
	r := Runs{Blank: 5 * time.Second}
	for _, x := range []struct {
		at    float64
		label string
	}{{0, "a"}, {1, "a"}, {2, "b"}, {1.5, "c"}, {3, "b"}, {20, "b"}, {21, "a"}} {
		r.See(sec(x.at), Span{Tone: ToneOK, Label: x.label})
	}
	if got := spansIn(r.End(sec(60))); got != "0-2 a, 2-8 b, 8-20 not looked at, 20-21 b, 21-26 a" {
		t.Errorf("%s", got)
	}
}

// TestCallsAreLanesOfTheirPrincipals: polls apart, what was throttled told from what a fault struck, and how many a minute.
func TestCallsAreLanesOfTheirPrincipals(t *testing.T) {
	calls := []ARMCall{{Time: sec(0), Principal: "a", Operation: "LIST x", Status: http.StatusOK}}
	for i := range 3 {
		calls = append(calls, ARMCall{Time: sec(float64(10 + i)), Principal: "a", Operation: "LIST x", Status: http.StatusTooManyRequests, Throttled: "policy"})
	}
	calls = append(calls,
		ARMCall{Time: sec(20), Principal: "a", Operation: "GET y", Status: http.StatusInternalServerError, Fault: "f1"},
		ARMCall{Time: sec(90), Principal: "a", Operation: "GET op", Polled: "DELETE z", Status: http.StatusTooManyRequests, Fault: "f2"})
	g := CallLanes(calls)
	if len(g.Lanes) != 4 || g.Lanes[0].Name != "a" || g.Lanes[1].Name != "a, polls" || spansIn(g.Lanes[0].Spans) != "10-12 3 throttled" {
		t.Fatalf("%+v", g.Lanes)
	}
	if s := g.Lanes[0].Samples[4]; s.Tone != ToneWarn || s.Err != "500 by fault f1: GET y" {
		t.Errorf("%+v", s)
	}
	if s := g.Lanes[1].Samples[0]; s.Tone != ToneBad || s.Err != "429 by fault f2: GET op, asking after DELETE z" {
		t.Errorf("%+v", s)
	}
	if p := g.Lanes[2].Points; p[len(p)-1].V != 5 {
		t.Errorf("%+v", p)
	}
}

// TestBudgetsAreLinesBesideTheCalls: the emptiest first, with a mark where one had nothing left; one that was never half empty has no lane beside them.
func TestBudgetsAreLinesBesideTheCalls(t *testing.T) {
	var calls []ARMCall
	for i, left := range []int{3, 0, 0, 4, 0} {
		calls = append(calls, ARMCall{Time: sec(float64(i)), Principal: "a", Operation: "LIST x", Status: http.StatusOK, Left: []Left{{"plenty", 900 + left, 1000}, {"half", 5 + left, 10}, {"scarce", left, 5}}})
	}
	lanes := CallLanes(calls).Lanes[2:]
	if len(lanes) != 2 || lanes[0].Name != "left of scarce" || lanes[1].Name != "left of half" || lanes[0].Unit != "calls of 5" {
		t.Fatalf("%+v", lanes)
	}
	var got []float64
	for _, p := range lanes[0].Points {
		got = append(got, p.V)
	}
	if fmt.Sprint(got) != "[5 3 0 0 4 0]" || len(lanes[0].Marks) != 2 || !lanes[0].Marks[1].At.Equal(sec(4)) {
		t.Errorf("%v, marks %v", got, lanes[0].Marks)
	}
	if only := CallLanes([]ARMCall{{Time: sec(0), Left: []Left{{"plenty", 999, 1000}}}}).Lanes[2:]; len(only) != 1 || only[0].Name != "left of plenty" {
		t.Errorf("%+v", only)
	}
}
