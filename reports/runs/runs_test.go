package runs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports"
)

// begun is when the first run of the tests began; each began an hour after the one before.
func begun(n int) time.Time {
	return time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Hour)
}

// ended is a run of a scenario with one check, and no more seconds to spare than its number.
func ended(n int, seed int64, verdict plan.Verdict) *plan.Result {
	r := &plan.Result{
		Schema: plan.Schema, Scenario: "etcd-leader-crash", Provider: "lab", Seed: seed, Started: begun(n), DurationSeconds: 60, Reasons: []string{},
		Checks:    []plan.Check{{Name: "steady", When: "always", Verdict: plan.Pass}, {Name: "etcdHealthy", When: "finally", Verdict: verdict, Message: "<b>etcd-1</b>"}},
		Probes:    []plan.Probe{{Name: "etcd write", Samples: 10, LongestGapSeconds: 1.5}, {Name: "silent"}},
		Tolerance: plan.Tolerance{Observations: 9, Minimum: n % 2, SecondsAtZero: float64(n)},
	}
	r.Probes = r.Probes[:1]
	r.Judge()
	return r
}

// put writes a run's reports below a directory.
func put(t *testing.T, root, name string, r *plan.Result) {
	t.Helper()
	dir := filepath.Join(root, name)
	if err := errors.Join(os.MkdirAll(dir, 0o755), reports.Write(dir, r, nil)); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// shelf is a directory with runs of every kind: flaky ones, one that goes on, one that was cut off, and several that cannot be read.
func shelf(t *testing.T) (root string, s *Shelf) {
	t.Helper()
	root = t.TempDir()
	put(t, root, "a", ended(0, 1, plan.Pass))
	put(t, root, "b", ended(1, 4, plan.Fail))
	put(t, root, "c", ended(2, 4, plan.Pass))
	put(t, root, "d/20260102-060000.000", ended(3, 5, plan.Fail)) // an earlier run that was set aside
	put(t, root, "e", ended(4, 6, plan.Unknown))
	other := ended(5, 1, plan.Pass)
	other.Provider = "kind"
	put(t, root, "kind", other)
	write(t, filepath.Join(root, "torn", reports.ResultFile), `{"schema": "dry`)
	write(t, filepath.Join(root, "old", reports.ResultFile), `{"schema": "of long ago"}`)
	write(t, filepath.Join(root, "forged", reports.ResultFile), `{"schema": "`+plan.Schema+`", "verdict": "splendid"}`)
	write(t, filepath.Join(root, "nothing", plan.JournalFile), "")
	write(t, filepath.Join(root, "cut", plan.JournalFile), "cut")
	write(t, filepath.Join(root, "a", "evidence", plan.JournalFile), "no run: it is in one")
	write(t, filepath.Join(root, "a", "cells", "05", "upgrade", plan.JournalFile), "no run: somebody's upgrade of its cluster")
	journal, err := plan.CreateJournal(filepath.Join(root, "live"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = journal.Close() })
	if s, err = Open(root, judged); err != nil {
		t.Fatal(err)
	}
	return root, s
}

// judged stands for the engine: it can say something of the run that goes on and of the one that was cut off.
func judged(dir string) (*plan.Result, error) {
	r := &plan.Result{Schema: plan.Schema, Scenario: "etcd-leader-crash", Provider: "lab", Seed: 9, Reasons: []string{}, Gaps: []string{"last seen at 12:00"}}
	switch filepath.Base(dir) {
	case "live":
		r.Started = begun(8)
		r.Steps = []plan.StepDone{{ID: "4.2", Name: "hold <i>", Status: "unfinished", Started: begun(8)}}
		r.Receipts = []plan.Receipt{{ID: "4", Fault: "etcdMemberCrash", Machines: []string{"etcd-1"}, Armed: begun(8), State: plan.NotInjected}}
	case "cut":
		r.Started = begun(7)
	default:
		return nil, errors.New("its journal tells of no run")
	}
	r.Judge()
	return r, nil
}

func list(t *testing.T, s *Shelf) []*Run {
	t.Helper()
	all, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAllRunsAreListed, newest first; what goes on is running, what cannot be read says why, and none is left out.
func TestAllRunsAreListed(t *testing.T) {
	_, s := shelf(t)
	var got []string
	for _, r := range list(t, s) {
		got = append(got, r.Name+" "+r.State())
		if r.State() == "unreadable" && r.Why == "" {
			t.Errorf("%s does not say why", r.Name)
		}
	}
	want := "live running, cut inconclusive, kind go, e inconclusive, d/20260102-060000.000 no-go, c go, b no-go, a go, forged unreadable, nothing unreadable, old unreadable, torn unreadable"
	if strings.Join(got, ", ") != want {
		t.Errorf("%s\nwant\n%s", strings.Join(got, ", "), want)
	}
}

// aged has all files below a directory be of one time, long ago.
func aged(t *testing.T, root string) {
	t.Helper()
	if err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, time.Time{}, begun(0)))
	}); err != nil {
		t.Fatal(err)
	}
}

// TestAChangedRunIsReadAgain, and no other.
func TestAChangedRunIsReadAgain(t *testing.T) {
	root, s := shelf(t)
	aged(t, root)
	before := map[string]*Run{}
	for _, r := range list(t, s) {
		before[r.Name] = r
	}
	put(t, root, "a", ended(0, 1, plan.Fail))
	for _, r := range list(t, s) {
		if changed := before[r.Name] != r; changed != (r.Name == "a") || r.Name == "a" && r.State() != "no-go" {
			t.Errorf("%s: read again: %v, %s", r.Name, changed, r.State())
		}
	}
}

// TestWhatIsWrittenTwiceInATickIsSeen: size and time are the same then.
func TestWhatIsWrittenTwiceInATickIsSeen(t *testing.T) {
	root, s := shelf(t)
	file, seed := filepath.Join(root, "a", reports.ResultFile), `"seed": %d`
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{7, 8} {
		write(t, file, strings.Replace(string(raw), fmt.Sprintf(seed, 1), fmt.Sprintf(seed, n), 1))
		if err := os.Chtimes(file, time.Time{}, time.Now().Add(time.Hour).Truncate(24*time.Hour).Add(24*time.Hour)); err != nil { // the same tick, whatever the clock says
			t.Fatal(err)
		}
		all := list(t, s)
		if at := slices.IndexFunc(all, func(r *Run) bool { return r.Name == "a" }); all[at].Result.Seed != int64(n) {
			t.Errorf("seed %d, and %d was written", all[at].Result.Seed, n)
		}
	}
}

// TestAPageThatComesLaterIsSeen: the report is written before it.
func TestAPageThatComesLaterIsSeen(t *testing.T) {
	root, s := shelf(t)
	page := filepath.Join(root, "a", reports.PageFile)
	if err := os.Remove(page); err != nil {
		t.Fatal(err)
	}
	for _, there := range []bool{false, true} {
		if there {
			write(t, page, "x")
		}
		aged(t, root)
		all := list(t, s)
		if at := slices.IndexFunc(all, func(r *Run) bool { return r.Name == "a" }); all[at].Page != there {
			t.Errorf("there is a page: %v, and it says %v", there, all[at].Page)
		}
	}
}

// TestRunsInADirectoryOfAnyName: only within a run are some of no interest.
func TestRunsInADirectoryOfAnyName(t *testing.T) {
	root := filepath.Join(t.TempDir(), "logs")
	put(t, root, "evidence/a", ended(0, 1, plan.Pass))
	s, err := Open(root, judged)
	if err != nil {
		t.Fatal(err)
	}
	if all := list(t, s); len(all) != 1 || all[0].Name != "evidence/a" {
		t.Errorf("%d runs", len(all))
	}
}

// TestTrend: what failed and passed is flaky, with its seeds; what said nothing is no part of the rate; a provider is another population; a run that goes on and
// one that cannot be read count for nothing and are named.
func TestTrend(t *testing.T) {
	_, s := shelf(t)
	trend := TrendOf(list(t, s))
	if len(trend.Scenarios) != 2 || len(trend.Running) != 1 || len(trend.Unreadable) != 4 {
		t.Fatalf("%d scenarios, running %v, unreadable %v", len(trend.Scenarios), trend.Running, trend.Unreadable)
	}
	lab := trend.Scenarios[1]
	if lab.Provider != "lab" || lab.Go != 2 || lab.NoGo != 2 || lab.Inconclusive != 2 || len(lab.Runs) != 6 || lab.Runs[0].Run != "a" || lab.Runs[5].Run != "cut" {
		t.Errorf("%+v", lab)
	}
	if p := lab.Runs[1]; *p.LeastToSpare != 1 || *p.SecondsAtZero != 1 || *p.LongestGapSeconds != 1.5 || lab.Runs[5].LeastToSpare != nil || lab.Runs[5].LongestGapSeconds != nil {
		t.Errorf("margins: %+v, and of the one that was cut off %+v", p, lab.Runs[5])
	}
	if len(lab.Checks) != 1 || lab.Green != 1 {
		t.Fatalf("%+v", lab.Checks)
	}
	c := lab.Checks[0]
	want := "failed in 2 of 4 (50 %), with seed 4, 5; passed as well as failed with seed 4; said nothing in 1 more"
	if !c.Flaky || c.Says() != want || len(c.Red) != 3 {
		t.Errorf("%q, flaky %v, %d red", c.Says(), c.Flaky, len(c.Red))
	}
}

// TestTrendForPeopleAndMachines: the table, the page and the JSON say the same.
func TestTrendForPeopleAndMachines(t *testing.T) {
	_, s := shelf(t)
	trend := TrendOf(list(t, s))
	var table, page bytes.Buffer
	if err := errors.Join(trend.Print(&table), trend.HTML(&page, "runs/")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"✓✗✓✗??", "▁█▁█▁· not measured", "etcdHealthy (finally) failed in 2 of 4 (50 %)", "torn: it cannot be read", "live: it runs still"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, table.String())
		}
	}
	for _, want := range []string{`href="runs/b/report.html"`, "etcdHealthy (finally)", "50 %", "With seed 4 it passed as well as failed", `aria-label="Least members to spare over 6 runs: 0, 1, 0, 1, 0, not measured"`, "<strong>torn</strong>", "<li>live</li>", "&lt;b&gt;etcd-1"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, never := range []string{"<script", "<b>", `href="runs/cut`, "ZgotmplZ"} {
		if strings.Contains(page.String(), never) {
			t.Errorf("the page has %q", never)
		}
	}
	raw, err := json.Marshal(trend)
	if err != nil || !strings.Contains(string(raw), `"bothWays":[4]`) || strings.Contains(string(raw), "null") {
		t.Errorf("%v: %s", err, raw)
	}
}

// TestNothingIsNoTrend: an empty directory has none, and one that is not there is an error.
func TestNothingIsNoTrend(t *testing.T) {
	s, err := Open(t.TempDir(), judged)
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := TrendOf([]*Run{{Name: "a", Result: &plan.Result{Scenario: "s", Verdict: plan.Inconclusive}}}).HTML(&page, ""); err != nil || !strings.Contains(page.String(), "No check has said anything") {
		t.Errorf("%v: of a run without a check it says: %s", err, page.String())
	}
	if trend := TrendOf(list(t, s)); len(trend.Scenarios)+len(trend.Unreadable) > 0 {
		t.Errorf("%+v", trend)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), judged); err == nil {
		t.Error("a directory that is not there is opened")
	}
}
