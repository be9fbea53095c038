package experiment

import (
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/plan"
)

func TestAReceiptIsBelievedByWhatItHolds(t *testing.T) {
	armed := time.Now()
	effective, cleared := armed.Add(time.Second), armed.Add(5*time.Second)
	saw := func(at ...time.Time) (out []plan.Evidence) {
		for _, t := range at {
			out = append(out, plan.Evidence{Time: t, Observer: "test", Saw: "it"})
		}
		return out
	}
	for name, c := range map[string]struct {
		receipt plan.Receipt
		says    string
	}{
		"seen":        {plan.Receipt{Armed: armed, EffectiveAt: effective, ClearedAt: cleared, Evidence: saw(effective, cleared)}, ""},
		"no evidence": {plan.Receipt{Armed: armed, EffectiveAt: effective, ClearedAt: cleared}, "no evidence of its effect"},
		"no end":      {plan.Receipt{Armed: armed, EffectiveAt: effective, ClearedAt: cleared, Evidence: saw(effective)}, "no evidence of its end"},
		"no effect":   {plan.Receipt{Armed: armed, EffectiveAt: effective, ClearedAt: cleared, Evidence: saw(cleared)}, "no evidence of its effect"},
		"too old":     {plan.Receipt{Armed: armed, EffectiveAt: effective, ClearedAt: cleared, Evidence: saw(armed.Add(-time.Second), cleared)}, "older than the injection"},
		"never armed": {plan.Receipt{EffectiveAt: effective, ClearedAt: cleared, Evidence: saw(effective, cleared)}, "its times"},
		"no order":    {plan.Receipt{Armed: armed, EffectiveAt: cleared, ClearedAt: effective, Evidence: saw(effective, cleared)}, "its times"},
	} {
		if got := doubt(c.receipt); c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, want %q", name, got, c.says)
		}
	}
}

func TestNothingIsExcusedButWhatAReceiptTellsOf(t *testing.T) {
	at := time.Now()
	r := plan.Receipt{ID: "x/3", Machines: []string{"etcd-1"}, Armed: at, EffectiveAt: at.Add(time.Second), ClearedAt: at.Add(2 * time.Second)}
	own := health.Window{ID: "3", Machines: r.Machines, Began: r.Armed, Effective: r.EffectiveAt, Recover: r.ClearedAt}
	wider, earlier, another := own, own, own
	wider.Machines, earlier.Began, another.ID = []string{"etcd-1", "etcd-2"}, at.Add(-time.Minute), "4"
	for name, c := range map[string]struct {
		window health.Window
		want   int
	}{
		"its own": {own, 0}, "never began": {health.Window{ID: "4"}, 0}, "an upgrade's": {health.Window{ID: "5", Upgrade: true, Began: at}, 0},
		"more machines": {wider, 1}, "from before": {earlier, 1}, "of no fault": {another, 1},
	} {
		e := Evidence{Planned: []PlannedFault{{ID: r.ID, Step: "3"}}, Receipts: []plan.Receipt{r}, Record: health.Record{Windows: []health.Window{c.window}}}
		if got := e.strange(); len(got) != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
