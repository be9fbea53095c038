package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

func TestRunnerCleansUpAfterAFailure(t *testing.T) {
	j, err := CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var ran []string
	step := func(name string, cleanup bool, err error) *Step {
		return &Step{Name: name, Cleanup: cleanup, Run: func(context.Context) error { ran = append(ran, name); return err }}
	}
	p := &Plan{Steps: []*Step{
		step("a", false, nil), step("skip", false, fmt.Errorf("%w: why", ErrSkip)), step("b", false, errors.New("boom")),
		{Name: "group", Children: []*Step{step("c", false, nil), step("undo", true, nil)}}, step("down", true, nil),
	}}
	p.Number()
	r := &Runner{Journal: j}
	if err := r.Run(context.Background(), p); err == nil || !strings.Contains(err.Error(), "step 3 b: boom") {
		t.Fatalf("error %v", err)
	}
	if want := []string{"a", "skip", "b", "undo", "down"}; !slices.Equal(ran, want) {
		t.Fatalf("ran %q, want %q", ran, want)
	}
	var status []string
	for _, d := range r.Done() {
		status = append(status, d.ID+" "+d.Status)
	}
	if want := []string{"1 done", "2 skipped", "3 failed", "4.1 skipped", "4.2 done", "5 done"}; !slices.Equal(status, want) {
		t.Fatalf("status %q, want %q", status, want)
	}
}

func TestCleanupRunsAfterAnInterrupt(t *testing.T) {
	j, err := CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cleaned := false
	p := &Plan{Steps: []*Step{
		{Name: "a", Run: func(context.Context) error { cancel(); return nil }},
		{Name: "b", Run: func(context.Context) error { t.Error("ran after the interrupt"); return nil }},
		{Name: "down", Cleanup: true, Run: func(ctx context.Context) error { cleaned = ctx.Err() == nil; return nil }},
	}}
	p.Number()
	if err := (&Runner{Journal: j}).Run(ctx, p); !errors.Is(err, context.Canceled) || !cleaned {
		t.Fatalf("error %v, cleaned %v", err, cleaned)
	}
}

func TestJudge(t *testing.T) {
	good := func() *Result {
		return &Result{Receipts: []Receipt{{State: Confirmed}}, Checks: []Check{{Name: "c", Verdict: Pass}}, Probes: []Probe{{Name: "p", Samples: 1}}}
	}
	for name, c := range map[string]struct {
		spoil func(*Result)
		want  Verdict
	}{
		"all good":               {func(*Result) {}, Go},
		"a failed check":         {func(r *Result) { r.Checks[0].Verdict = Fail }, NoGo},
		"an unknown check":       {func(r *Result) { r.Checks[0].Verdict = Unknown }, Inconclusive},
		"a verdict nobody gave":  {func(r *Result) { r.Checks[0].Verdict = "" }, Inconclusive},
		"an unconfirmed receipt": {func(r *Result) { r.Receipts[0].State = Mismatch }, Inconclusive},
		"a probe without sample": {func(r *Result) { r.Probes[0].Samples = 0 }, Inconclusive},
		"a failed step":          {func(r *Result) { r.Steps = []StepDone{{Status: "failed"}} }, Inconclusive},
		"no check at all":        {func(r *Result) { r.Checks = nil }, Inconclusive},
		"one had nothing to ask": {func(r *Result) { r.Checks = append(r.Checks, Check{Name: "d", Verdict: Skipped}) }, Go},
		"none had":               {func(r *Result) { r.Checks[0].Verdict = Skipped }, Inconclusive},
		"no-go beats the rest": {func(r *Result) {
			r.Receipts[0].State = Mismatch
			r.Checks = append(r.Checks, Check{Verdict: Fail}, Check{Verdict: Unknown})
		}, NoGo},
	} {
		t.Run(name, func(t *testing.T) {
			r := good()
			c.spoil(r)
			if r.Judge(); r.Verdict != c.want {
				t.Fatalf("verdict %s, want %s (%v)", r.Verdict, c.want, r.Reasons)
			}
			skipped := slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Verdict == Skipped })
			if r.Judge(); skipped != (len(r.NotTested) == 1) { // judged twice, it was not tested once
				t.Fatalf("not tested: %v", r.NotTested)
			}
			r.Reasons = r.Reasons[:len(r.Reasons)/2]
			if (r.Verdict == Go) != (len(r.Reasons) == 0) {
				t.Fatalf("verdict %s with reasons %q", r.Verdict, r.Reasons)
			}
		})
	}
}

func TestRollbackRunsOnlyAfterAFailureOfItsOwnGroup(t *testing.T) {
	j, err := CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var ran []string
	step := func(name string, err error) *Step {
		return &Step{Name: name, Run: func(context.Context) error { ran = append(ran, name); return err }}
	}
	back := func(name string) *Step {
		s := step(name, nil)
		s.Rollback = true
		return s
	}
	p := &Plan{Steps: []*Step{
		{Name: "one", Children: []*Step{step("a", nil), back("undo a")}},
		{Name: "two", Children: []*Step{step("b", errors.New("boom")), step("c", nil), back("undo b")}},
		{Name: "three", Children: []*Step{step("d", nil), back("undo d")}},
	}}
	p.Number()
	if err := (&Runner{Journal: j}).Run(context.Background(), p); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Fatalf("error %v", err)
	}
	if want := []string{"a", "b", "undo b"}; !slices.Equal(ran, want) {
		t.Fatalf("ran %q, want %q", ran, want)
	}
}

func TestAbsorbJudgesAFailureThatWasWanted(t *testing.T) {
	j, err := CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		err  error
		want bool // the run fails
	}{"the failure": {errors.New("the wanted one"), false}, "another": {errors.New("another"), true}, "none": {nil, true}} {
		p := &Plan{Steps: []*Step{{Name: "before", Run: func(context.Context) error { return nil }}, {
			Name: "group", Parallel: true, Children: []*Step{{Name: "a", Run: func(context.Context) error { return c.err }}, {Name: "b", Run: func(context.Context) error { return nil }}},
			Absorb: func(err error, done []StepDone) error {
				if len(done) != 2 {
					return fmt.Errorf("told of %v", done)
				}
				if err != nil && strings.Contains(err.Error(), "wanted") {
					return nil
				}
				return fmt.Errorf("not what was wanted: %w", err)
			},
		}}}
		p.Number()
		r := &Runner{Journal: j}
		if err := r.Run(context.Background(), p); (err != nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
		failed := slices.ContainsFunc(r.Done(), func(d StepDone) bool { return d.Status == "failed" })
		if failed != c.want {
			t.Errorf("%s: steps %v", name, r.Done())
		}
	}
}

func TestAbsorbDoesNotExcuseAFailedRollback(t *testing.T) {
	j, err := CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &Plan{Steps: []*Step{{Name: "group", Absorb: func(error, []StepDone) error { return nil }, Children: []*Step{
		{Name: "a", Run: func(context.Context) error { return errors.New("wanted") }},
		{Name: "undo", Rollback: true, Run: func(context.Context) error { return errors.New("cannot go back") }},
	}}}}
	p.Number()
	if err := (&Runner{Journal: j}).Run(context.Background(), p); err == nil || !strings.Contains(err.Error(), "cannot go back") {
		t.Fatalf("error %v", err)
	}
}

// TestACellThatWasNotTestedLowersNothing: nothing was seen of it, so nothing was lost in it.
func TestACellThatWasNotTestedLowersNothing(t *testing.T) {
	seen := func(least int) *Result {
		return &Result{Cluster: []Cluster{{}}, Tolerance: Tolerance{Observations: 9, Minimum: least}}
	}
	untested, unseen := &Result{}, &Result{Cluster: []Cluster{{}}}
	for _, cells := range [][]*Result{{untested, seen(2), seen(1)}, {seen(1), untested}, {unseen, seen(1), seen(2), unseen}} {
		var r Result
		for _, c := range cells {
			r.Merge("x", c)
		}
		if r.Tolerance.Minimum != 1 {
			t.Errorf("%+v", r.Tolerance)
		}
	}
}

// TestAnInterruptWhileSomethingIsUndoneIsNoSuccess: what undoes things is not interrupted and does not fail, so nothing but the steps that were left out
// tells of it.
func TestAnInterruptWhileSomethingIsUndoneIsNoSuccess(t *testing.T) {
	j, err := CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	for name, undo := range map[string]bool{"undone": true, "done": false} {
		ctx, cancel := context.WithCancel(t.Context())
		p := &Plan{Steps: []*Step{
			{Name: "recover", Cleanup: undo, Run: func(context.Context) error { cancel(); return nil }},
			{Name: "await recovery", Cleanup: undo, Run: func(context.Context) error { return nil }},
			{Name: "upgrade", Run: func(context.Context) error { return nil }},
			{Name: "observe", Run: func(context.Context) error { return nil }},
		}}
		p.Number()
		r := &Runner{Journal: j}
		if err := r.Run(ctx, p); err == nil {
			t.Errorf("%s: no error", name)
		}
		res := &Result{Steps: r.Done(), Checks: []Check{{Name: "c", Verdict: Pass}}}
		if res.Judge(); res.Verdict != Inconclusive || len(res.Reasons) != 1 {
			t.Errorf("%s: %s %v", name, res.Verdict, res.Steps)
		}
	}
}

// told collects what a step was told of.
type told struct{ seen []string }

func (t *told) Seen(why string) { t.seen = append(t.seen, why) }

func (t *told) Done(error) { t.seen = append(t.seen, "done") }

func TestWhatAStepWaitsForIsToldAndKept(t *testing.T) {
	dir := t.TempDir()
	j, err := CreateJournal(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	looks, listener := 0, &told{}
	r := &Runner{Journal: j, Tell: func(string, string) Teller { return listener }}
	p := &Plan{Steps: []*Step{{Name: "gate", Run: func(ctx context.Context) error {
		return cluster.Await(ctx, "the gate", cluster.Wait{For: time.Minute, Every: time.Millisecond}, func(context.Context) error {
			if looks++; looks > 4 {
				return nil
			}
			return fmt.Errorf("open for %d", looks/2)
		})
	}}}}
	p.Number()
	if err := errors.Join(r.Run(t.Context(), p), j.Close()); err != nil {
		t.Fatal(err)
	}
	want := []string{"open for 0", "open for 1", "open for 2"}
	if got := append(slices.Clone(want), "done"); !slices.Equal(listener.seen, got) {
		t.Errorf("told %q, want %q", listener.seen, got)
	}
	entries, _, err := ReadJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, e := range entries {
		var w Waiting
		if e.Kind == "waiting" && json.Unmarshal(e.Data, &w) == nil && w.For == "the gate" && w.ID == p.Steps[0].ID {
			kept = append(kept, w.Seen)
		}
	}
	if !slices.Equal(kept, want) {
		t.Errorf("kept %q, want %q", kept, want)
	}
}

// TestWhatLatenessAloneExplainsIsTold: of a refusal when all that stands against the plan is late, and in the journal, which others judge from.
func TestWhatLatenessAloneExplainsIsTold(t *testing.T) {
	late, blocks := Finding{Check: "etcd", Severity: Unread, Late: true}, Finding{Check: "data", Severity: Blocker}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"late":              {Refusal("x", []Finding{late, {Severity: Warning}}), true},
		"late and a fact":   {Refusal("x", []Finding{late, blocks}), false},
		"a fact":            {Refusal("x", []Finding{blocks}), false},
		"nothing of either": {errors.New("boom"), false},
	} {
		dir := t.TempDir()
		j, err := CreateJournal(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := &Plan{Steps: []*Step{{Name: "preflight", Run: func(context.Context) error { return c.err }}}}
		p.Number()
		r := &Runner{Journal: j}
		if err := r.Run(context.Background(), p); err == nil {
			t.Errorf("%s: it did not fail", name)
		}
		entries, _, err := ReadJournal(dir)
		if err != nil {
			t.Fatal(err)
		}
		var told StepTold
		if err := json.Unmarshal(entries[len(entries)-1].Data, &told); err != nil || told.Late != c.want || r.Done()[0].Late != c.want {
			t.Errorf("%s: %+v, %v", name, told, err)
		}
	}
}
