package live

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

var update = flag.Bool("update", false, "write the pictures anew")

// recorded are the events of a real run, without its evidence.
func recorded(t *testing.T, name string) []plan.Entry {
	t.Helper()
	dir := t.TempDir()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".jsonl"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, plan.JournalFile), raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	entries, damaged, err := plan.ReadJournal(dir)
	if err != nil || len(damaged) > 0 || len(entries) == 0 {
		t.Fatalf("%v, %v, %d entries", err, damaged, len(entries))
	}
	return entries
}

// at is the picture so long after the first event.
func at(events []plan.Entry, after time.Duration, s Screen) string {
	r, now := until(events, after)
	return r.Text(now, s)
}

// until is the run so long after its first event.
func until(events []plan.Entry, after time.Duration) (*Run, time.Time) {
	r, now := &Run{}, events[0].Time.Add(after)
	for _, e := range events {
		if e.Time.After(now) {
			break
		}
		r.See(e)
	}
	return r, now
}

func event(t *testing.T, began time.Time, after time.Duration, kind string, data any) plan.Entry {
	t.Helper()
	raw, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Entry{Time: began.Add(after), Kind: kind, Data: raw}
}

// matrix are two clusters at the same time, of which one is done, while a program is fetched.
func matrix(t *testing.T) []plan.Entry {
	t.Helper()
	began := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	steps := []plan.Planned{{ID: "1", Name: "bring up"}, {ID: "2", Name: "the fault", Group: true}, {ID: "2.1", Name: "inject"}, {ID: "2.2", Name: "recover"}}
	told := func(label, id, name, status string) plan.StepTold {
		return plan.StepTold{Label: label, StepDone: plan.StepDone{ID: id, Name: name, Status: status}}
	}
	failed := told("members=3", "2.1", "inject", "failed")
	failed.Error = "no member leads\nand more of that"
	left := told("members=3", "2.2", "recover", "skipped")
	left.Error = plan.ErrSkip.Error() + ": nothing was injected"
	return []plan.Entry{
		event(t, began, 0, "run", experiment.Opening{Scenario: "table", Provider: "lab", Seed: 7}),
		event(t, began, 0, "plan", experiment.Outlined{Label: "members=1", Steps: steps}), event(t, began, 0, "plan", experiment.Outlined{Label: "members=3", Steps: steps}),
		event(t, began, time.Second, "step-started", told("members=1", "1", "bring up", "")), event(t, began, time.Second, "step-started", told("members=3", "1", "bring up", "")),
		event(t, began, time.Second, Phase, Doing{What: "etcd v3.6.16: MiB", Done: 3, Total: 20}),
		event(t, began, 2*time.Second, "waiting", plan.Waiting{Label: "members=1", ID: "1", For: "etcd", Seen: "connection refused\nand more"}),
		event(t, began, 3*time.Second, "step", told("members=3", "1", "bring up", "done")),
		event(t, began, 4*time.Second, "pulse", experiment.Pulse{Label: "members=1", Probes: []load.State{{Name: "etcd write", Tries: 9, Failures: 4, Silent: 1500 * time.Millisecond}, {Name: "etcd read", Tries: 8}}}),
		event(t, began, 5*time.Second, "step-started", told("members=3", "2.1", "inject", "")), event(t, began, 6*time.Second, "step", failed), event(t, began, 6*time.Second, "step", left),
		event(t, began, 7*time.Second, Phase, Doing{What: "saving the cluster", Seen: "disks"}),
	}
}

// TestPictures: what is shown of real runs, at instants that matter, is what somebody has looked at.
func TestPictures(t *testing.T) {
	crash, cut := recorded(t, "etcd-leader-crash"), recorded(t, "interrupted")
	cut = append(cut, plan.Entry{})
	for i, e := range cut { // the word of who looks on is in no journal
		if strings.Contains(string(e.Data), "interrupt signal") {
			copy(cut[i+1:], cut[i:])
			cut[i] = plan.Entry{Time: e.Time, Kind: Interrupted}
			break
		}
	}
	wide := Screen{Width: 100, Height: 24}
	var got strings.Builder
	for _, p := range []struct {
		title  string
		events []plan.Entry
		after  time.Duration
		screen Screen
	}{
		{"before the fault", crash, 5 * time.Second, wide},
		{"a fault is injected", crash, 7 * time.Second, wide},
		{"a fault has its effect", crash, 12 * time.Second, wide},
		{"the same, on a narrow and low screen", crash, 12 * time.Second, Screen{Width: 44, Height: 14}},
		{"the same, in colours", crash, 12 * time.Second, Screen{Width: 100, Height: 24, Color: true}},
		{"the end", crash, time.Hour, wide},
		{"interrupted", cut, 17 * time.Second, wide},
		{"two clusters", matrix(t), 8 * time.Second, wide},
	} {
		fmt.Fprintf(&got, "== %s, %dx%d\n%s\n", p.title, p.screen.Width, p.screen.Height, strings.ReplaceAll(at(p.events, p.after, p.screen), "\x1b", "␛"))
	}
	golden := filepath.Join("testdata", "pictures.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got.String() != string(want) {
		t.Errorf("%v: the pictures are others (go test ./harness/experiment/live -update, and look at them):\n%s", err, &got)
	}
}

// TestAGroupIsOver: a rollback that nothing calls for does not keep its group going, and neither does what a failure has left out.
func TestAGroupIsOver(t *testing.T) {
	child := func(status string, rollback bool) *step {
		return &step{status: status, Planned: plan.Planned{Rollback: rollback}}
	}
	for want, children := range map[string][]*step{
		"done":    {child("done", false), child("skipped", false), child("", true)},
		"failed":  {child("failed", false), child("", false), child("", true)},
		"":        {child("", false), child("", true)},
		"skipped": {child("skipped", false), child("", true)},
	} {
		if got := (&step{children: children}).state(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, going := range [][]*step{{child("done", false), child("", false)}, {child("failed", false), child(running, true)}, {child(running, false), child("failed", false)}} {
		if got := (&step{children: going}).state(); got != running {
			t.Errorf("%q, want %q", got, running)
		}
	}
}

// TestEveryPictureFits: no line is wider than the screen, or what is below it would move; nor is it higher, but where all of the screen would not do.
func TestEveryPictureFits(t *testing.T) {
	const lowest, narrowest = 12, 14
	for _, events := range [][]plan.Entry{recorded(t, "etcd-leader-crash"), recorded(t, "interrupted"), matrix(t)} {
		for after := time.Duration(0); after < 28*time.Second; after += 1700 * time.Millisecond {
			r, now := until(events, after)
			for width := 4; width <= 140; width += 8 {
				for height := 1; height <= 40; height += 3 {
					lines := strings.Split(r.Text(now, Screen{Width: width, Height: height, Color: width%16 == 4}), "\n")
					if len(lines) > max(height, lowest) {
						t.Errorf("%d lines on a screen of %dx%d", len(lines), width, height)
					}
					for _, l := range lines {
						if ansi.StringWidth(l) >= max(width, narrowest) {
							t.Fatalf("%q is %d wide, on a screen of %d", l, ansi.StringWidth(l), width)
						}
					}
				}
			}
		}
	}
}

// TestWhatCannotBeReadIsLeftOut: an event of another version, or one that was cut off, ends no view.
func TestWhatCannotBeReadIsLeftOut(t *testing.T) {
	events := recorded(t, "etcd-leader-crash")
	want := at(events, 12*time.Second, Screen{Width: 100, Height: 24})
	var strange []plan.Entry
	for _, e := range events {
		strange = append(strange, e)
		for _, kind := range []string{"run", "plan", "step", "waiting", "receipt", "observation", "pulse", "result", Phase, "news"} {
			if kind != "run" {
				strange = append(strange, plan.Entry{Time: e.Time, Kind: kind, Data: json.RawMessage(`"cut`)})
			}
		}
	}
	if got := at(strange, 12*time.Second, Screen{Width: 100, Height: 24}); got != want {
		t.Errorf("another picture:\n%s", got)
	}
	if got := (&Run{}).Text(time.Now(), Screen{}); got == "" {
		t.Error("nothing at all is shown before the first event")
	}
}
