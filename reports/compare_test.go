package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// usual is what commands start with.
func usual() Noise { return Noise{Percent: 25, Seconds: 1} }

// compared changes a run and compares it with the same before.
func compared(t *testing.T, change func(r *plan.Result)) *Comparison {
	t.Helper()
	a, b := seen(), seen()
	for _, r := range []*plan.Result{a, b} {
		one := 1
		r.Checks, r.Tolerance = r.Checks[:1], plan.Tolerance{Observations: 9, Minimum: 1, SecondsAtZero: 4, Steps: []plan.StepTolerance{{ID: "4", Name: "kubeadm", Members: &one}}}
		r.Timelines[0].Faults[0].Cleared = lasted(19)
		r.Coverage = []plan.Coverage{{Fault: "etcdMemberCrash", Reached: []string{"in a", "in b"}, Never: []string{"c"}}}
		r.Steps[2].Status, r.Steps[2].Error = "done", ""
		r.NotTested = r.NotTested[:1]
		r.Reasons = []string{}
		r.Judge()
		if r.Verdict != plan.Go {
			t.Fatal(r.Reasons)
		}
	}
	change(b)
	b.Reasons = []string{}
	b.Judge()
	return Compare(a, b, usual())
}

// TestWhatIsWorse is named, with what it was before, and nothing else is.
func TestWhatIsWorse(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *plan.Result)
		want   []string
	}{
		"nothing":                {func(*plan.Result) {}, nil},
		"within the noise":       {func(r *plan.Result) { r.Probes[0].LongestGapSeconds = 2.2 }, nil},
		"much, of little":        {func(r *plan.Result) { r.Probes[0].LongestGapSeconds = 2.3 }, []string{"worse unavailable etcd write 1.2 s 2.3 s"}},
		"a little, of much":      {func(r *plan.Result) { r.Steps[0].DurationSeconds = 23 }, nil},
		"a slower restart":       {func(r *plan.Result) { r.Timelines[0].Faults[0].Cleared = lasted(23) }, []string{"worse recovery etcdMemberCrash of leader: from undoing it until its end was seen 2.0 s 6.0 s"}},
		"a quicker one":          {func(r *plan.Result) { r.Timelines[0].Faults[0].Cleared = lasted(17.5) }, []string{"better recovery etcdMemberCrash of leader: from undoing it until its end was seen 2.0 s 0.5 s"}},
		"later seen":             {func(r *plan.Result) { r.Timelines[0].Faults[0].Effective = lasted(16) }, []string{"worse recovery etcdMemberCrash of leader: until it was seen 2.0 s 6.0 s"}},
		"a step of the scenario": {func(r *plan.Result) { r.Steps[2].DurationSeconds = 9 }, []string{"worse step hold for 5s 5.0 s 9.0 s"}},
		"a step before it":       {func(r *plan.Result) { r.Steps[0].DurationSeconds = 12 }, []string{"other step bring up 19.0 s 12.0 s"}},
		"less to spare":          {func(r *plan.Result) { r.Tolerance.Minimum = 0 }, []string{"worse margin members of etcd to spare 1 0"}},
		"less in a step":         {func(r *plan.Result) { r.Tolerance.Steps[0].Members = new(int) }, []string{"worse margin kubeadm: members of etcd to spare 1 0"}},
		"longer without any":     {func(r *plan.Result) { r.Tolerance.SecondsAtZero = 12 }, []string{"worse margin with no member of etcd to spare 4.0 s 12.0 s"}},
		"nobody looked":          {func(r *plan.Result) { r.Tolerance = plan.Tolerance{} }, []string{"worse margin members of etcd to spare 1 nobody looked"}},
		"a probe is gone":        {func(r *plan.Result) { r.Probes = nil }, []string{"worse endpoint etcd write there not there any more"}},
		"a check fails":          {func(r *plan.Result) { r.Checks[0].Verdict = plan.Fail }, []string{"worse verdict the run go no-go", "worse check etcdQuorum (always) pass fail"}},
		"a check is not made":    {func(r *plan.Result) { r.Checks[0].Name = "another" }, []string{"worse check etcdQuorum (always) there not there any more", "better check another (always) not there there"}},
		"a fault is not made":    {func(r *plan.Result) { r.Receipts = nil }, []string{"worse receipt etcdMemberCrash of leader there not there any more"}},
		"a fault is emulated":    {func(r *plan.Result) { r.Receipts[0].Emulated = []string{"x"} }, []string{"worse receipt etcdMemberCrash of leader for real emulated", "worse not tested etcdMemberCrash for real – emulated on x"}},
		"a cell is not reached":  {func(r *plan.Result) { r.Coverage[0].Reached = []string{"in b"} }, []string{"worse cell etcdMemberCrash in a held there never"}},
		"a version":              {func(r *plan.Result) { r.Cluster[0].Versions["etcd/control-plane-1"] = "v3.7.0" }, []string{"other version etcd/control-plane-1 v3.6.16 v3.7.0"}},
		"a seed":                 {func(r *plan.Result) { r.Seed = 7 }, []string{"other run seed 1 7"}},
		"the harness was stalled": {func(r *plan.Result) {
			r.NotTested = append(r.NotTested, plan.NotTested{What: plan.WhileStalled, Why: "3 s"})
		}, []string{"other not tested " + plan.WhileStalled + " – 3 s"}},
	} {
		d := compared(t, c.change)
		var got []string
		for _, x := range d.Differences {
			got = append(got, strings.Join([]string{string(x.Way), x.Of, x.What, x.Before, x.After}, " "))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, c.want)
		}
		want := plan.Pass
		if slices.ContainsFunc(c.want, func(s string) bool { return strings.HasPrefix(s, "worse") }) {
			want = plan.Fail
		}
		if d.Outcome() != want {
			t.Errorf("%s: %s", name, d.Outcome())
		}
	}
}

// TestWhatWasNotKeptCannotBeCompared: nothing worse is seen of a run without evidence, and that is no pass.
func TestWhatWasNotKeptCannotBeCompared(t *testing.T) {
	a, b := seen(), seen()
	a.Gaps, b.Gaps = []string{"the run was cut off"}, []string{"the run was cut off"}
	d := Compare(a, b, usual())
	if d.Outcome() != plan.Unknown || len(d.Missing) != 2 {
		t.Errorf("%+v", d)
	}
}

// TestAComparisonIsForPeopleAndForMachines: what is worse stands first, and the noise is said.
func TestAComparisonIsForPeopleAndForMachines(t *testing.T) {
	d := compared(t, func(r *plan.Result) {
		r.Seed, r.Started, r.Timelines[0].Faults[0].Cleared = 7, r.Started.Add(time.Hour), lasted(23)
	})
	var b bytes.Buffer
	if err := d.Text(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if !strings.Contains(b.String(), "more than 25 % and by more than 1 s") || len(lines) < 7 || !strings.HasPrefix(lines[5], "worse") || !strings.Contains(lines[5], "6.0 s") || !strings.HasPrefix(lines[6], "other") ||
		!strings.Contains(b.String(), "1 thing is worse") {
		t.Error(b.String())
	}
	raw, err := json.Marshal(d)
	if err != nil || !strings.Contains(string(raw), `"way":"worse"`) {
		t.Error(string(raw), err)
	}
	if fmt.Sprint(d.Differences[0].Way) != string(Worse) {
		t.Errorf("%+v", d.Differences)
	}
}
