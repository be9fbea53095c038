package experiment

import (
	"strings"
	"testing"
	"time"

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
