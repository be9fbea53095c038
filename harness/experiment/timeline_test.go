package experiment

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// TestWhatIsLeftOfARunHasATimeline: what was to be done, what was done, and the step that the journal stops in with what it waited for.
func TestWhatIsLeftOfARunHasATimeline(t *testing.T) {
	dir := t.TempDir()
	j, err := plan.CreateJournal(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	look := observe.Observation{Time: now, Members: []etcd.Member{{Machine: "etcd-1", ID: 1, Leader: 1}}}
	later := look
	later.Time = now.Add(time.Second)
	for _, err := range []error{
		j.Write("run", Opening{Scenario: "etcd-leader-crash", Provider: "lab", Seed: 3}),
		j.Write("plan", Outlined{Steps: []plan.Planned{{ID: "1", Name: "bring up"}, {ID: "2", Name: "crash it", Group: true}, {ID: "2.1", Name: "hold"}, {ID: "3", Name: "settle"}}}),
		j.Write("step", plan.StepDone{ID: "1", Name: "bring up", Status: "done", Started: now.Add(-5 * time.Second), DurationSeconds: 4}),
		j.Sample("observation", look),
		j.Write("receipt", fault.Journalled{Receipt: plan.Receipt{ID: "2", Fault: "etcdMemberCrash", Target: "leader", Armed: now}}),
		j.Write("step-started", plan.StepDone{ID: "2.1", Name: "hold", Status: "done", Started: now}),
		j.Sample("waiting", plan.Waiting{ID: "2.1", For: "the end", Seen: "nothing"}),
		j.Sample("observation", later), j.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := Judge(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != plan.Inconclusive || len(r.Timelines) != 1 || len(r.Plan) != 4 || r.Command != "drydock run etcd-leader-crash --provider lab --seed 3" {
		t.Fatalf("%s, %d timelines, %v, %s", r.Verdict, len(r.Timelines), r.Plan, r.Command)
	}
	tl := r.Timelines[0]
	if len(tl.Faults) != 1 || !tl.First.Equal(r.Steps[0].Started) || !tl.Ended.Equal(later.Time) {
		t.Errorf("%+v", tl)
	}
	if s := r.Steps[1]; s.Status != "unfinished" || !strings.Contains(s.Error, "waited for the end, and saw last: nothing") {
		t.Errorf("%+v", s)
	}
}

// TestTheCommandIsThatOfTheScenario: exhibits are below museum/, the fixed release has an option, and so has a run that injects nothing; a file of one's own is
// nobody's to name.
func TestTheCommandIsThatOfTheScenario(t *testing.T) {
	for want, o := range map[string]Opening{
		"drydock run museum/etcd-20340 --provider lab --seed 1":                {Scenario: "etcd-20340", Provider: "lab", Seed: 1},
		"drydock run museum/etcd-20340 --fixed --provider lab --seed 1":        {Scenario: "etcd-20340-fixed", Provider: "lab", Seed: 1},
		"drydock run FILE-OF-mine --provider lab --seed 1":                     {Scenario: "mine", Provider: "lab", Seed: 1},
		"drydock run etcd-leader-crash --provider kind --seed 7 --null-faults": {Scenario: "etcd-leader-crash", Provider: "kind", Seed: 7, NullFaults: true},
		"drydock run arm-throttled-provider --seed 7 --null-faults":            {Scenario: "arm-throttled-provider", Provider: armProvider, Seed: 7, NullFaults: true},
	} {
		if got := o.command(); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}

// TestExcerptsAreOfTheMachineAndTheTime that a failed check names, and never of a file outside the run.
func TestExcerptsAreOfTheMachineAndTheTime(t *testing.T) {
	dir, at := t.TempDir(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := &Evidence{}
	e.Record.Topology = cluster.Topology{Name: "x", Etcd: cluster.EtcdOnly, EtcdMembers: 3}
	e.Record.Said = []observe.Said{{Program: "etcd", Machine: "etcd-1", Lines: []observe.Line{{Text: "too many learners", Times: 30, Last: at}}}}
	var log bytes.Buffer
	for _, s := range []int{-600, -2, 1, 600} {
		log.WriteString(`{"level":"warn","ts":"` + at.Add(time.Duration(s)*time.Second).Format(time.RFC3339Nano) + `","msg":"line ` + time.Duration(s*int(time.Second)).String() + "\"}\n")
	}
	outside := filepath.Join(t.TempDir(), "outside.log")
	for _, machine := range []string{"etcd-1", "etcd-2"} {
		units := filepath.Join(dir, "logs", machine, "units")
		if err := os.MkdirAll(units, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{filepath.Join(units, "etcd.log"), outside} {
			if err := os.WriteFile(name, log.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(outside, filepath.Join(units, "link.log")); err != nil {
			t.Fatal(err)
		}
	}
	res := &plan.Result{Checks: []plan.Check{{Name: "whole", Verdict: plan.Fail, Place: &plan.Place{From: at, To: at, Of: []string{"etcd", "etcd-1"}}}}}
	got := e.excerpts(dir, res)
	if len(got) != 2 || got[0].File != "logs/etcd-1/units/etcd.log" || len(got[0].Lines) != 2 || !strings.Contains(got[0].Lines[0], "line -2s") {
		t.Fatalf("%+v", got)
	}
	if l := got[1].Lines; len(l) != 1 || l[0] != "03:04:05.000 too many learners (30 times)" {
		t.Errorf("%q", l)
	}
}
