package subject

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/plan"
)

// Evidence is all that the verdict on such a run is made of: what was asked of the subjects, what they answered and what their twins saw. It is kept, so
// that the run can be judged again.
type Evidence struct {
	Spec     *ARM   `json:"spec"`
	Subjects []Told `json:"subjects"`
}

// Told is what is known of one subject. Times are of its twin's clock.
type Told struct {
	Subject ARMSubject    `json:"subject"`
	Asked   int           `json:"asked"` // lookups
	Answers []Answer      `json:"answers"`
	Faults  []azure.Fault `json:"faults"` // as they were armed
	Calls   []arm.Call    `json:"calls"`  // the twin's log

	Begun  time.Time     `json:"begun"` // of the events
	Last   time.Time     `json:"last"`  // the last event
	Warm   int           `json:"warm"`  // calls in the log when the events began
	First  int           `json:"first"` // and after the first event was answered
	Again  time.Duration `json:"again"` // after the last event a new node was found
	Served bool          `json:"served"`
	Factor float64       `json:"factor"` // how many times as fast as the wall's the clock went
}

// Answer is a line of the subject's.
type Answer struct {
	Command string  `json:"command"`
	Error   string  `json:"error"`
	Seconds float64 `json:"seconds"` // of the wall's clock
}

// judged is a subject with what was asked of all of them.
type judged struct {
	*Told
	spec *ARM
}

// Report judges every subject and lays what was measured side by side.
func (e *Evidence) Report(res *plan.Result) {
	table := plan.Table{
		Title:   fmt.Sprintf("%d scale sets, %d nodes replaced, %s policy", e.Spec.ScaleSets, e.Spec.Nodes, e.Spec.Policy),
		Columns: columns(),
	}
	lines := plan.Plot{Title: "Collections read, and where the policy stopped it", X: "minutes of the twin's clock", Y: "calls"}
	for i := range e.Subjects {
		s := judged{&e.Subjects[i], e.Spec}
		table.Rows = append(table.Rows, s.row())
		lines.Lines = append(lines.Lines, s.line())
		res.Receipts = append(append(res.Receipts, s.receipt()), s.faultReceipts()...)
		res.Checks = append(res.Checks, s.checks()...)
	}
	res.Tables, res.Plots = append(res.Tables, table), append(res.Plots, lines)
}

// mine are the subject's calls on resources from a number on.
func (s *Told) mine(from, to int) []arm.Call {
	var out []arm.Call
	for i, c := range s.Calls {
		if i >= from && (to == 0 || i < to) && c.Principal == subjectPrincipal && !c.Beside() {
			out = append(out, c)
		}
	}
	return out
}

// all are the subject's calls since the events began, those for tokens and metadata among them.
func (s *Told) all() []arm.Call {
	return slices.DeleteFunc(slices.Clone(s.Calls[min(s.Warm, len(s.Calls)):]), func(c arm.Call) bool { return c.Principal != subjectPrincipal })
}

func lists(calls []arm.Call) (n int) {
	for _, c := range calls {
		if strings.HasPrefix(c.Operation, "LIST ") {
			n++
		}
	}
	return n
}

func throttledCalls(calls []arm.Call) (out []arm.Call) {
	for _, c := range calls {
		if c.Throttled != "" {
			out = append(out, c)
		}
	}
	return out
}

// refused are the subject's calls whose token was not taken, but for those a fault refused; one without a readable token is the subject's as well, for the
// twin is its alone. They cost no budget and bring nothing, so that with such calls the other figures say little of the subject.
func (s *Told) refused() (out []arm.Call) {
	for _, c := range s.Calls {
		if c.Status == http.StatusUnauthorized && c.Fault == "" && (c.Principal == subjectPrincipal || c.Principal == "") {
			out = append(out, c)
		}
	}
	return out
}

// columns are the titles of what row gives.
func columns() []string {
	return []string{"subject", "collections read at start", "for one new node", "calls", "throttled", "first throttled after", "answered 401", "lookups failed", "slowest lookup", "served again after"}
}

// servesAgain is how long after the last event a new node was found.
func (s judged) servesAgain() string {
	if s.Served {
		return s.Again.Round(time.Second).String()
	}
	return "not within " + s.spec.Patience.String()
}

func (s judged) row() []string {
	events := s.mine(s.Warm, 0)
	stopped := throttledCalls(events)
	first := "–"
	if len(stopped) > 0 {
		first = stopped[0].Time.Sub(s.Begun).Round(time.Second).String()
	}
	bad, slowest := s.Asked, 0.0 // a lookup that was never answered has failed
	for _, a := range s.Answers {
		if a.Error == "" && strings.HasPrefix(a.Command, "node ") {
			bad--
		}
		slowest = max(slowest, a.Seconds)
	}
	return []string{
		s.Subject.Name, fmt.Sprint(lists(s.mine(0, s.Warm))), fmt.Sprint(lists(s.mine(s.Warm, s.First))), fmt.Sprint(len(events)), fmt.Sprint(len(stopped)), first,
		fmt.Sprint(len(s.refused())), fmt.Sprint(bad), (time.Duration(slowest * s.Factor * float64(time.Second))).Round(time.Second).String(), s.servesAgain(),
	}
}

// line counts the collections it read, with marks where it was throttled.
func (s judged) line() plan.Line {
	l := plan.Line{Name: s.Subject.Name, Points: [][2]float64{{0, 0}}}
	n := 0.0
	for _, c := range s.mine(s.Warm, 0) {
		if !strings.HasPrefix(c.Operation, "LIST ") {
			continue
		}
		n++
		at := [2]float64{c.Time.Sub(s.Begun).Minutes(), n}
		l.Points = append(l.Points, at)
		if c.Throttled != "" {
			l.Marks = append(l.Marks, at)
		}
	}
	return l
}

// receipt is the throttling as the twin's call log has it.
func (s judged) receipt() plan.Receipt {
	stopped := throttledCalls(s.mine(s.Warm, 0))
	r := plan.Receipt{ID: "arm-" + s.Subject.Name, Fault: "armPolicy", Target: s.Subject.Name, Machines: []string{}, State: plan.Confirmed, Armed: s.Begun}
	saw := fmt.Sprintf("%d calls counted, none throttled", len(s.mine(s.Warm, 0)))
	if len(stopped) > 0 {
		r.EffectiveAt = stopped[0].Time
		saw = fmt.Sprintf("%d calls throttled by %s", len(stopped), stopped[0].Throttled)
	}
	r.Evidence = []plan.Evidence{{Time: s.Last, Observer: "call log of the twin", Saw: saw}}
	if len(s.mine(s.Warm, 0)) == 0 {
		r.State, r.Error = plan.NotInjected, "the subject made no call"
	}
	return r
}

func (s judged) checks() []plan.Check {
	refused := s.refused()
	verdict := func(ok bool) plan.Verdict {
		switch {
		case s.First == 0 || len(refused) > 0:
			return plan.Unknown
		case ok:
			return plan.Pass
		}
		return plan.Fail
	}
	got, stopped := lists(s.mine(s.Warm, s.First)), throttledCalls(s.mine(s.Warm, 0))
	said := fmt.Sprintf("%d calls throttled", len(stopped))
	if len(stopped) > 0 {
		said += fmt.Sprintf(", the first %s after the first event by the twin's clock, by %s", stopped[0].Time.Sub(s.Begun).Round(time.Second), stopped[0].Throttled)
	}
	wanted := "none was to be"
	if s.Subject.Throttled {
		wanted = "some were to be, as it was to be shown"
	}
	out := []plan.Check{
		{Name: "listsPerMiss", When: s.Subject.Name, Verdict: verdict(got == s.Subject.ListsPerMiss), Message: fmt.Sprintf("%d collections read to find one new node; expected %d", got, s.Subject.ListsPerMiss)},
		{Name: "throttled", When: s.Subject.Name, Verdict: verdict((len(stopped) > 0) == s.Subject.Throttled), Message: said + "; " + wanted},
	}
	message := "no call answered 401"
	if n := len(refused); n > 0 {
		message = fmt.Sprintf("%d of %d calls answered 401, the first %s: what was measured is not what the subject does with a good token", n, len(s.mine(0, 0)), refused[0].Operation)
	}
	return append(out,
		plan.Check{Name: "servesAgain", When: s.Subject.Name, Verdict: verdict(s.Served), Message: fmt.Sprintf("a new node was found %s after the last event, of at most %s", s.servesAgain(), s.spec.Patience)},
		plan.Check{Name: "tokensTaken", When: s.Subject.Name, Verdict: verdict(true), Message: message})
}

// faultReceipts are the faults as the twin's call log has them.
func (s judged) faultReceipts() []plan.Receipt {
	var out []plan.Receipt
	for i, want := range s.spec.Faults {
		r := plan.Receipt{ID: fmt.Sprintf("arm-%s-%d", s.Subject.Name, i+1), Fault: "arm " + want.Describe(), Target: s.Subject.Name, Machines: []string{}, Evidence: []plan.Evidence{}, State: plan.NotInjected}
		if i >= len(s.Faults) {
			r.Error = "never injected: it was not armed"
		} else {
			proven(&r, s.Faults[i], s.all())
		}
		out = append(out, r)
	}
	return out
}

// proven fills a fault's receipt in from the calls of its subject: which it struck, and that after its end the operations it struck get through again,
// as far as they were asked for. That other calls get through says nothing of it.
func proven(r *plan.Receipt, f azure.Fault, calls []arm.Call) {
	r.Armed = f.Began
	end := f.Began.Add(f.For)
	struck, again, n := map[string]bool{}, map[string]bool{}, 0
	passed := map[string]time.Time{} // operation -> its first success after the end
	for _, c := range calls {
		ours := f.Kind == azure.FaultLoad && c.Throttled != "" && c.Time.After(f.Began) && c.Time.Before(end)
		again[c.Operation] = again[c.Operation] || c.Time.After(end)
		switch {
		case c.Fault == f.ID && f.ID != "" || ours:
			if n++; n == 1 {
				r.EffectiveAt = c.Time
			}
			struck[c.Operation] = true
		case c.Time.After(end) && passed[c.Operation].IsZero() && c.Status > 0 && c.Status < http.StatusBadRequest:
			passed[c.Operation] = c.Time
		}
	}
	r.Evidence = append(r.Evidence, plan.Evidence{Time: r.EffectiveAt, Observer: "call log of the twin", Saw: fmt.Sprintf("%d calls of the subject struck: %s", n, strings.Join(slices.Sorted(maps.Keys(struck)), ", "))})
	if n == 0 {
		r.State, r.Error = plan.Mismatch, "no call of the subject was struck"
		return
	}
	for _, op := range slices.Sorted(maps.Keys(struck)) {
		if again[op] && passed[op].IsZero() {
			r.ClearedAt, r.Error = time.Time{}, "after its end no "+op+" got through"
			return
		}
		if passed[op].After(r.ClearedAt) {
			r.ClearedAt = passed[op]
		}
	}
	if r.ClearedAt.IsZero() {
		r.Error = "after its end nobody asked for what it struck: its end was not seen"
		return
	}
	r.State = plan.Confirmed
	r.Evidence = append(r.Evidence, plan.Evidence{Time: r.ClearedAt, Observer: "call log of the twin", Saw: "what it struck gets through again"})
}
