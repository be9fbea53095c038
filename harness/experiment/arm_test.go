package experiment

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/subject"
)

// TestAStoryOfSubjectsIsJudgedFromItsEvidence: what a run said of itself counts for nothing, and what its twins saw for all.
func TestAStoryOfSubjectsIsJudgedFromItsEvidence(t *testing.T) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	call := func(second int, throttled string) arm.Call {
		return arm.Call{Time: at.Add(time.Duration(second) * time.Second), Operation: "LIST Microsoft.Compute/virtualMachineScaleSets", Principal: "cloud-provider", Status: 200, Throttled: throttled}
	}
	for name, c := range map[string]struct {
		change func(*subject.Told)
		check  string
		want   plan.Verdict
	}{
		"as told":               {func(*subject.Told) {}, "listsPerMiss", plan.Pass},
		"one collection more":   {func(s *subject.Told) { s.Subject.ListsPerMiss = 3 }, "listsPerMiss", plan.Fail},
		"throttled":             {func(s *subject.Told) { s.Calls[2].Throttled = "HighCostGet" }, "throttled", plan.Fail},
		"it never served":       {func(s *subject.Told) { s.Served = false }, "servesAgain", plan.Fail},
		"it came to no event":   {func(s *subject.Told) { s.First = 0 }, "listsPerMiss", plan.Unknown},
		"its token was refused": {func(s *subject.Told) { s.Calls[0].Status = 401 }, "servesAgain", plan.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j, err := plan.CreateJournal(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			told := subject.Told{
				Subject: subject.ARMSubject{Name: "s", ListsPerMiss: 2}, Calls: []arm.Call{call(0, ""), call(1, ""), call(2, "")}, Begun: at, Last: at, Warm: 1, First: 3, Served: true, Factor: 60,
			}
			c.change(&told)
			e := subjectEvidence{storyEvidence{subjectSchema, []plan.StepDone{{ID: "1", Status: "done"}}}, subject.Evidence{Spec: &subject.ARM{Policy: "current"}, Subjects: []subject.Told{told}}}
			lie := plan.Result{Verdict: plan.Go, Checks: []plan.Check{{Name: "x", Verdict: plan.Pass}}}
			for _, err := range []error{
				j.Write("run", Opening{Scenario: "arm", Provider: armProvider, Seed: 3}), keepEvidence(dir, "", e, j), j.Write("ended", ended{Seconds: 10, Cells: 1}), j.Write("result", lie), j.Close(),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			r, err := Judge(dir)
			if err != nil {
				t.Fatal(err)
			}
			if got := verdictOf(r, c.check); got != c.want || len(r.Tables) != 1 || len(r.Kept) != 1 || len(r.Steps) != 1 || len(r.Receipts) != 1 {
				t.Errorf("%s is %s, want %s: %+v", c.check, got, c.want, r)
			}
			if err := os.Remove(filepath.Join(dir, evidenceName(""))); err != nil {
				t.Fatal(err)
			}
			if r, err = Judge(dir); err != nil || r.Verdict != plan.Inconclusive {
				t.Errorf("without evidence: %v, %v", r.Verdict, err)
			}
		})
	}
}
