package health

import (
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/plan"
)

func TestARunbookThatHasNotMendedIsNoPass(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 0, 0, s, 0, time.UTC) }
	step := func(name, status string, begun, seconds int) plan.StepDone {
		return plan.StepDone{Name: "x/" + name, Status: status, Started: at(begun), DurationSeconds: float64(seconds)}
	}
	good := Remedy{Runbook: "x", Fault: "f", Broken: at(0), Seen: at(2), Mended: at(20), Steps: []plan.StepDone{
		step("diagnose", "done", 3, 1), step("act", "killed", 5, 1), step("act", "done", 7, 3), step("prove", "done", 10, 1), step("gate", "done", 11, 8),
	}}
	for name, c := range map[string]struct {
		change func(m *Remedy)
		want   plan.Verdict
		says   string
	}{
		"it mended":           {func(*Remedy) {}, plan.Pass, "20s after that was injected"},
		"it failed":           {func(m *Remedy) { m.Error = "boom" }, plan.Fail, "boom"},
		"the fault goes on":   {func(m *Remedy) { m.Mended = time.Time{} }, plan.Fail, "was not seen to be over"},
		"no effect was seen":  {func(m *Remedy) { m.Seen = time.Time{} }, plan.Unknown, "nothing to mend"},
		"its turn never came": {func(m *Remedy) { m.Steps = nil }, plan.Unknown, "turn"},
		"it did nothing": {func(m *Remedy) {
			m.Steps = []plan.StepDone{step("diagnose", "done", 3, 1), step("act", "skipped", 5, 0), step("gate", "skipped", 5, 0)}
		}, plan.Unknown, "nothing to do"},
		"it did nothing, by itself": {func(m *Remedy) {
			m.Fault, m.Steps = "", []plan.StepDone{step("diagnose", "done", 3, 1), step("act", "skipped", 5, 0), step("gate", "skipped", 5, 0)}
		}, plan.Unknown, "nothing to do"},
		"it only looked":   {func(m *Remedy) { m.Idle = true }, plan.Unknown, "was over all the same"},
		"interrupted":      {func(m *Remedy) { m.Cut, m.Error = true, "interrupted" }, plan.Unknown, "interrupted"},
		"a refusal wanted": {func(m *Remedy) { m.Wanted, m.Error = "refused", "boom" }, plan.Skipped, "its step judges"},
	} {
		m := good
		c.change(&m)
		v, says := remedied(&Record{Remedies: []Remedy{m}}, nil, Params{})
		if v != c.want || !strings.Contains(says, c.says) {
			t.Errorf("%s: %s, %q; want %s, %q", name, v, says, c.want, c.says)
		}
	}
	failed := good
	failed.Error = "boom"
	if v, says := remedied(&Record{Remedies: []Remedy{failed, good}}, nil, Params{}); v != plan.Fail || !strings.Contains(says, "boom") {
		t.Errorf("one that failed is lost beside one that did not: %s, %s", v, says)
	}
	unheeded := good
	unheeded.Unheeded = time.Second
	if rows := Recoveries(&Record{Remedies: []Remedy{unheeded}}); len(rows) != 1 || strings.Join(rows[0].Rows[0], " ") != "x f 3s 1s 6s 9s 19s" {
		t.Errorf("nobody came for a second: %+v", rows)
	}
	rows := Recoveries(&Record{Remedies: []Remedy{good, {Runbook: "y"}}})
	if len(rows) != 1 || strings.Join(rows[0].Rows[0], " ") != "x f 2s 2s 6s 9s 19s" {
		t.Errorf("%+v", rows)
	}
}
