package experiment

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// runOf writes the directory of a run that was as change makes it.
func runOf(t *testing.T, change func(*Evidence)) string {
	t.Helper()
	dir := t.TempDir()
	j, err := plan.CreateJournal(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := &Evidence{Schema: evidenceSchema, Always: []Check{{Name: "etcdQuorum"}}, Record: health.Record{
		Topology: cluster.Topology{Name: "x", Etcd: cluster.EtcdOnly, EtcdMembers: 1},
	}}
	for i := range 20 {
		at := time.Now().Add(time.Duration(i) * time.Second / 2)
		e.Record.Observations = append(e.Record.Observations, observe.Observation{Time: at, Members: []etcd.Member{{Machine: "etcd-1", ID: 1, Leader: 1}}})
	}
	e.Record.Final = e.Record.Observations[19]
	if change != nil {
		change(e)
	}
	for _, err := range []error{
		j.Write("run", Opening{Scenario: "quiet", Provider: "lab", Seed: 3}), j.Sample("observation", e.Record.Observations[0]),
		e.keep(dir, j), j.Write("ended", ended{Seconds: 10, Cells: 1}), j.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func verdictOf(r *plan.Result, check string) plan.Verdict {
	for _, c := range r.Checks {
		if c.Name == check {
			return c.Verdict
		}
	}
	return ""
}

func TestARunIsJudgedFromItsEvidence(t *testing.T) {
	dir := runOf(t, nil)
	r, err := Judge(dir)
	if err != nil {
		t.Fatal(err)
	}
	if verdictOf(r, "etcdQuorum") != plan.Pass || r.Seed != 3 || len(r.Kept) != 1 || r.Kept[0].Bytes == 0 {
		t.Errorf("%+v", r)
	}
	lost := func(e *Evidence) {
		for i := range e.Record.Observations {
			if i > 3 {
				e.Record.Observations[i].Quorum.Error = "no linearizable read succeeded"
			}
		}
	}
	if r, err = Judge(runOf(t, lost)); err != nil || r.Verdict != plan.NoGo {
		t.Errorf("without a quorum for 8 s: %v, %v", r.Verdict, err)
	}
}

func TestAPlannedFaultThatNeverBeganIsInconclusive(t *testing.T) {
	r, err := Judge(runOf(t, func(e *Evidence) {
		e.Planned = []PlannedFault{{ID: "3", Step: "3", Name: "etcdMemberCrash of leader for 5s", During: []Check{{Name: "etcdWritesContinue"}}}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Receipts) != 1 || r.Receipts[0].State != plan.NotInjected || verdictOf(r, "etcdWritesContinue") != plan.Unknown {
		t.Errorf("%+v %+v", r.Receipts, r.Checks)
	}
}

func TestWhatIsLeftOfARunIsInconclusiveAndSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(dir string, journal []byte) []byte
		says   string
	}{
		"cut in the middle": {func(_ string, j []byte) []byte {
			lines := bytes.SplitAfter(j, []byte("\n"))
			return bytes.Join(lines[:2], nil)
		}, "last seen at"},
		"a torn line": {func(_ string, j []byte) []byte {
			lines := bytes.SplitAfter(j, []byte("\n"))
			lines[1] = append(lines[1][:len(lines[1])/2], '\n')
			return bytes.Join(lines, nil)
		}, "line 2 of the journal is damaged"},
		"killed before its end": {func(_ string, j []byte) []byte {
			lines := bytes.SplitAfter(j, []byte("\n"))
			return bytes.Join(lines[:3], nil)
		}, "the run did not end"},
		"an entry that says something else": {func(_ string, j []byte) []byte {
			return bytes.Replace(j, []byte(`"kind":"ended","data":{`), []byte(`"kind":"ended","data":7,"was":{`), 1)
		}, `entry "ended" of`},
		"a cell without a word": {func(_ string, j []byte) []byte {
			return bytes.Replace(j, []byte(`"cells":1`), []byte(`"cells":2`), 1)
		}, "the run had 2 cells, its journal tells of 1"},
		"the evidence is gone": {func(dir string, j []byte) []byte {
			_ = os.Remove(filepath.Join(dir, evidenceName("")))
			return j
		}, "no such file"},
		"the evidence is damaged": {func(dir string, j []byte) []byte {
			_ = os.WriteFile(filepath.Join(dir, evidenceName("")), []byte("x"), 0o600)
			return j
		}, "evidence"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := runOf(t, nil)
			path := filepath.Join(dir, plan.JournalFile)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.damage(dir, raw), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Judge(dir)
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != plan.Inconclusive && r.Verdict != plan.NoGo || !strings.Contains(fmt.Sprint(r.Gaps), c.says) {
				t.Errorf("%s, gaps %q; want %q", r.Verdict, r.Gaps, c.says)
			}
		})
	}
}

func TestADirectoryWithoutARunIsAMistake(t *testing.T) {
	if _, err := Judge(t.TempDir()); err == nil {
		t.Error("a result was made of nothing")
	}
}

func TestWhatAnInterruptLeftHalfDoneIsNoNoGo(t *testing.T) {
	for broken, want := range map[bool]plan.Verdict{false: plan.Fail, true: plan.Unknown} {
		r, err := Judge(runOf(t, func(e *Evidence) { e.Broken, e.Record.Unwhole = broken, "node worker-1 is not Ready" }))
		if err != nil {
			t.Fatal(err)
		}
		if got := verdictOf(r, "whole"); got != want {
			t.Errorf("interrupted %v: %s, want %s", broken, got, want)
		}
	}
}

func TestAFaultThatHadNothingToDoWasNotTested(t *testing.T) {
	r, err := Judge(runOf(t, func(e *Evidence) {
		e.Planned = []PlannedFault{{ID: "3", Step: "3", Name: "etcdMemberCrash of minority", Skip: "1 members tolerate no loss"}}
	}))
	if want := (plan.NotTested{What: "etcdMemberCrash of minority", Why: "1 members tolerate no loss"}); err != nil || !slices.Contains(r.NotTested, want) {
		t.Errorf("%+v, %v", r.NotTested, err)
	}
}

// TestAnUpgradeThatLatenessRefused: a preflight that had no answers of a host that could not keep up has shown nothing of the upgrade; one that was refused for
// anything else, on a host that was well until then, or that went on, has.
func TestAnUpgradeThatLatenessRefused(t *testing.T) {
	begun := time.Now()
	step := func(name, status string, after time.Duration, late bool) plan.StepDone {
		return plan.StepDone{Name: name, Status: status, Started: begun.Add(after), DurationSeconds: 10, Late: late}
	}
	for name, c := range map[string]struct {
		load    float64
		at      time.Duration
		upgrade []plan.StepDone
		want    plan.Verdict
	}{
		"late, on a host that could not keep up":   {44, 0, []plan.StepDone{step("preflight", "failed", 0, true)}, plan.Unknown},
		"late, and begun anew after a kill":        {44, 0, []plan.StepDone{step("preflight", "failed", time.Minute, true), step("preflight", "done", 0, false)}, plan.Unknown},
		"late, on a host that was well":            {4, 0, []plan.StepDone{step("preflight", "failed", 0, true)}, plan.Fail},
		"late, and the host was busy later":        {44, time.Minute, []plan.StepDone{step("preflight", "failed", 0, true)}, plan.Fail},
		"refused for something else":               {44, 0, []plan.StepDone{step("preflight", "failed", 0, false)}, plan.Fail},
		"refused as the plan wanted":               {44, 0, []plan.StepDone{step("preflight", "expected", 0, true)}, plan.Fail},
		"it came to its end, and the host was not": {44, 0, []plan.StepDone{step("preflight", "failed", 0, true), step("verify", "done", time.Minute, false)}, plan.Fail},
		"there was none":                           {44, 0, nil, plan.Fail},
	} {
		e := &Evidence{Upgrade: c.upgrade, Record: health.Record{
			Topology: cluster.Topology{ControlPlanes: 1},
			Host:     []observe.HostReading{{Time: begun, Load: 1, Cores: 2}, {Time: begun.Add(c.at + time.Second), Load: c.load, Cores: 2}},
			Final:    observe.Observation{Time: begun.Add(time.Hour), Components: []observe.Component{{Name: observe.Kubelet, Machine: "control-plane-1", Version: "v1.35.4"}}},
		}}
		if got := e.check(Check{Name: "versions", Params: health.Params{Version: "v1.36"}}, "finally", nil); got.Verdict != c.want {
			t.Errorf("%s: %s: %s", name, got.Verdict, got.Message)
		}
	}
}
