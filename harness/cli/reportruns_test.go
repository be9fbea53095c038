package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports"
	"drydock.dev/drydock/reports/runs"
)

// TestTrendIsPrintedForPeopleAndMachines, and the page's links lead to the runs from where it is.
func TestTrendIsPrintedForPeopleAndMachines(t *testing.T) {
	dir := t.TempDir()
	for i, v := range []plan.Verdict{plan.Pass, plan.Fail} {
		r := &plan.Result{Schema: plan.Schema, Scenario: "x", Provider: "lab", Seed: 4, Started: time.Unix(int64(i), 0), Reasons: []string{}, Checks: []plan.Check{{Name: "steady", When: "always", Verdict: v, Message: "why"}}}
		r.Judge()
		run := filepath.Join(dir, "runs", []string{"first", "second"}[i])
		if err := os.MkdirAll(run, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := reports.Write(run, r, nil); err != nil {
			t.Fatal(err)
		}
	}
	page := filepath.Join(dir, "pages", "trend.html")
	if err := os.Mkdir(filepath.Dir(page), 0o755); err != nil {
		t.Fatal(err)
	}
	told := func(args ...string) string {
		t.Helper()
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs(append([]string{"report", "trend"}, args...))
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if said := told("--state-dir", dir, "--html", page); !strings.Contains(said, "✓✗") || !strings.Contains(said, "failed in 1 of 2 (50 %), with seed 4; passed as well as failed with seed 4") {
		t.Errorf("%s", said)
	}
	if raw, err := os.ReadFile(page); err != nil || !strings.Contains(string(raw), `href="../runs/second/report.html"`) {
		t.Errorf("%v: %s", err, raw)
	}
	var trend runs.Trend
	if err := json.Unmarshal([]byte(told(filepath.Join(dir, "runs"), "--json")), &trend); err != nil || len(trend.Scenarios) != 1 || !trend.Scenarios[0].Checks[0].Flaky {
		t.Errorf("%v: %+v", err, trend)
	}
}
