package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports/certificate"
)

// lasted is a time of the timeline of seen, in seconds.
func lasted(s float64) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 25, 0, time.FixedZone("", 3600)).Add(time.Duration(s * float64(time.Second)))
}

// seen is a result with everything a page shows: a NO-GO of an etcd-only run.
func seen() *plan.Result {
	r := result()
	r.Command = "drydock run etcd-leader-crash --provider lab --seed 1"
	r.Plan = []plan.Planned{{ID: "1", Name: "bring up"}, {ID: "4", Name: "etcdMemberCrash of leader for 5s", Group: true}, {ID: "4.1", Name: "inject"}, {ID: "4.2", Name: "hold for 5s"}, {ID: "5", Name: "settle", About: "look once more"}}
	r.Steps = []plan.StepDone{
		{ID: "1", Name: "bring up", Status: "done", Started: lasted(-20), DurationSeconds: 19}, {ID: "4.1", Name: "inject", Status: "done", Started: lasted(10), DurationSeconds: 1},
		{ID: "4.2", Name: "hold for 5s", Status: "failed", Started: lasted(11), DurationSeconds: 5, Error: "</script><b>member on etcd-1</b>"},
	}
	r.Receipts[0].Armed, r.Receipts[0].EffectiveAt, r.Receipts[0].ClearedAt = lasted(10), lasted(12), lasted(17)
	r.Checks = append(r.Checks, plan.Check{Name: "etcdHealthy", When: "finally", Verdict: plan.Fail, Message: "member on etcd-1: refused", Place: &plan.Place{From: lasted(60), To: lasted(60), Of: []string{"etcd", "etcd-1"}}})
	span := func(from, to float64, tone plan.Tone, label string, value int) plan.Span {
		return plan.Span{From: lasted(from), To: lasted(to), Tone: tone, Label: label, Value: value}
	}
	r.Timelines = []*plan.Timeline{{
		First: lasted(-20), Began: lasted(0), Ended: lasted(60), Last: lasted(60),
		Faults: []plan.FaultWindow{{ID: "4", Name: "etcdMemberCrash of leader", Machines: []string{"etcd-1"}, Armed: lasted(10), Effective: lasted(12), Recover: lasted(17)}},
		Groups: []plan.Lanes{
			{Name: "etcd", About: "members", Lanes: []plan.Lane{{Name: "etcd-1", Of: []string{"etcd-1", "etcd"}, Spans: []plan.Span{span(0, 10, plan.ToneLead, "leads, term 2", 0), span(10, 60, plan.ToneBad, "refuses", 0)}}}},
			{Name: plan.LanesSpare, Lanes: []plan.Lane{{Name: "members to spare", Level: true, Spans: []plan.Span{span(0, 10, plan.ToneOK, "1", 1), span(10, 30, plan.ToneBad, "-1", -1), span(30, 60, plan.ToneBad, "0", 0)}}}},
			{Name: plan.LanesProbes, Lanes: []plan.Lane{{Name: "etcd write", Of: []string{"etcd write"}, Samples: []plan.Sample{{At: lasted(1), Took: 12 * time.Millisecond}, {At: lasted(11), Took: time.Second, Err: "<img src=x>", Tone: plan.ToneSilent}, {At: lasted(14), Took: 9 * time.Millisecond}}, Spans: []plan.Span{span(1, 14, plan.ToneBad, "13s", 0)}}}},
			{Name: plan.LanesVersions, Folded: true, Lanes: []plan.Lane{{Name: "etcd on etcd-1", Spans: []plan.Span{span(0, 10, plan.ToneOK, "v3.5.0", 0), span(10, 60, plan.ToneLead, "v3.6.0", 0)}}}},
			{Name: "Harness and host", Lanes: []plan.Lane{{Name: "load", Unit: "%", Points: []plan.Point{{At: lasted(0), V: 1}, {At: lasted(30), V: 2.5}}, Marks: []plan.Mark{{At: lasted(5), Tone: plan.ToneBad, Label: "jumped"}}}}},
		},
	}}
	r.Plots = []plan.Plot{{Title: "Calls", X: "minutes", Y: "calls", Lines: []plan.Line{{Name: "a", Points: [][2]float64{{0, 0}, {1, 3}}, Marks: [][2]float64{{1, 3}}}}}}
	r.Tables = []plan.Table{{Title: "Figures", Columns: []string{"what", "how much"}, Rows: [][]string{{"calls", "3"}}}}
	r.Logs = []plan.Excerpt{{File: "etcd on etcd-2", About: "what it wrote", Lines: []string{"slow"}}, {Of: "step 4.2", File: "logs/etcd-1/units/etcd.log", About: "around check etcdHealthy", Lines: []string{"<b>panic</b>"}}}
	r.Cluster[0].Versions["etcd/etcd-1"], r.Cluster[0].From = "v3.6.0", map[string]string{"etcd/etcd-1": "v3.5.0"}
	r.Fingerprints = []plan.Fingerprint{{Scenario: plan.Source{Name: "etcd-leader-crash", Sum: "c0ffee"}, Drydock: plan.Program{Version: "v1.2.3", Sum: "ab"}, Programs: map[string]string{"etcd v3.6.0 etcd": "feed"}}}
	r.Coverage = []plan.Coverage{{Fault: "etcdMemberCrash", Reached: []string{"control-plane/1/kubeadm"}, Never: []string{"control-plane/2/kubeadm"}}}
	r.Reasons = []string{}
	r.Judge()
	return r
}

// TestGoldenData: what the page is drawn from is the evidence, and nothing else.
func TestGoldenData(t *testing.T) {
	got, err := json.MarshalIndent(newView(seen()).pack(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "page.json")
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, '\n'), want) {
		t.Errorf("%s is not the golden one (go test ./reports -update rewrites it):\n%s", path, got)
	}
}

// written is the page of a result.
func written(t *testing.T, r *plan.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, r, certificate.Of(r, plan.Program{Version: "v1.2.3", Sum: strings.Repeat("ab", 32)}, nil)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestThePageAnswersAtOnce: go or no-go, why, on whom and since when, where the margin was thinnest, what was not tested, and how to do it again.
func TestThePageAnswersAtOnce(t *testing.T) {
	page := written(t, seen())
	step, rest, _ := strings.Cut(page[strings.Index(page, `<td>4.2</td>`):], "</tr>")
	if logs := rest[strings.Index(rest, `id="logs"`):]; !strings.Contains(step, "logs/etcd-1/units/etcd.log") || strings.Contains(logs, "etcd-1/units") || !strings.Contains(logs, "etcd on etcd-2") {
		t.Errorf("the logs of the step that failed do not stand with it:\n%s", step)
	}
	for _, want := range []string{
		`<span class="verdict">NO-GO</span>`, "etcdHealthy (finally): member on etcd-1: refused", "etcd, etcd-1: refuses since 03:04:35 (&#43;10.0 s)",
		"no members to spare", "for 50.0 s in all, first at 03:04:35", "in step 4.1 inject", "for 20.0 s of it fewer than are needed", "page cache", "13.0 s", "etcd write, from",
		"drydock run etcd-leader-crash --provider lab --seed 1", "etcdMemberCrash of leader for 5s", "not reached", "v3.5.0", "<strong>v3.6.0</strong>", "until seen 2.0 s, held 5.0 s",
		"look once more", `<summary>logs/etcd-1/units/etcd.log`, `<a href="#logs">`, "v1.2.3, sha256 abababababab", "etcd/etcd-1: v3.5.0 → v3.6.0", "sha256 <code>c0ffee</code>", "never in</th>", "control-plane/2/kubeadm",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// TestTheSameIsSaidEachTime: making one report of a result leaves it as it was for the next.
func TestTheSameIsSaidEachTime(t *testing.T) {
	r := seen()
	before := written(t, r)
	var b bytes.Buffer
	if err := errors.Join(Markdown(&b, r), SVG(&b, r)); err != nil {
		t.Fatal(err)
	}
	if written(t, r) != before || !strings.Contains(b.String(), "refuses since 03:04:35") {
		t.Errorf("the page is another after the summary was made")
	}
}

// TestThePageSaysWhen its reason was to be seen, of whatever kind that is.
func TestThePageSaysWhen(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *plan.Result)
		want   string
	}{
		"a step":               {func(r *plan.Result) { r.Checks = r.Checks[:1] }, "From 03:04:36 (&#43;11.0 s) to 03:04:41 (&#43;16.0 s)."},
		"a check with a time":  {func(r *plan.Result) { r.Checks[3].Place.From, r.Checks[3].Place.To = lasted(20), lasted(20) }, "At 03:04:45 (&#43;20.0 s)."},
		"a check of all of it": {func(r *plan.Result) { r.Checks[3].Place.From = lasted(0) }, ""},
	} {
		r := seen()
		r.Reasons = []string{}
		c.change(r)
		r.Judge()
		page := written(t, r)
		banner := page[strings.Index(page, "<header"):strings.Index(page, "</header>")]
		if !strings.Contains(banner, c.want) || c.want == "" && strings.Contains(banner, "From 0") {
			t.Errorf("%s: %s", name, banner)
		}
	}
}

// TestThePageNeedsNothingAndRunsNothingElse: whatever a machine said is text, and no file is fetched.
func TestThePageNeedsNothingAndRunsNothingElse(t *testing.T) {
	page := written(t, seen())
	if n := strings.Count(page, "<script"); n != 2 || strings.Contains(page, "<img") || strings.Contains(page, "<b>") {
		t.Errorf("%d scripts, or markup of what was seen", n)
	}
	if !regexp.MustCompile(`default-src &#39;none&#39;;.* script-src &#39;sha256-[^ ]+&#39;`).MatchString(page) {
		t.Error("the page has no policy")
	}
	if found := regexp.MustCompile(`(?:src|href)="?(?:https?:|//)[^"\s>]*`).FindAllString(page, -1); len(found) > 0 {
		t.Errorf("it refers to %q", found)
	}
}

// TestThePageOfHalfARun has no timeline, or one of a run that was cut off.
func TestThePageOfHalfARun(t *testing.T) {
	r := &plan.Result{Schema: plan.Schema, Scenario: "x", Gaps: []string{"the run was cut off"}, Reasons: []string{}}
	r.Judge()
	if page := written(t, r); !strings.Contains(page, "INCONCLUSIVE") || !strings.Contains(page, "Nothing was looked at") || strings.Contains(page, "undefined") {
		t.Error(page)
	}
	cut := seen()
	cut.Checks, cut.Gaps, cut.Reasons, cut.Steps[2].Status = nil, []string{"the journal stops"}, []string{}, "unfinished"
	cut.Judge()
	if page := written(t, cut); !strings.Contains(page, "unfinished") || !strings.Contains(page, "Missing of the evidence: the journal stops") || !strings.Contains(page, "not seen to be over") {
		t.Error("the page of a run that was cut off does not say so")
	}
}

// TestStepsAreInThePlansOrder: 2 before 10, groups before what is in them, each cell for itself.
func TestStepsAreInThePlansOrder(t *testing.T) {
	r := &plan.Result{Steps: []plan.StepDone{
		{ID: "a/10", Name: "ten", Status: "done", Started: lasted(9)}, {ID: "a/2.10", Name: "w/b", Status: "failed", Started: lasted(2), DurationSeconds: 3}, {ID: "a/2.9", Name: "w/a", Status: "done", Started: lasted(1), DurationSeconds: 1},
	}}
	var got []string
	for _, n := range tree(r) {
		got = append(got, fmt.Sprintf("%s %s %s %s", n.ID, n.Name, n.Status, n.Took()))
	}
	want := "a/2 w failed 4.0 s, a/2.9 w/a done 1.0 s, a/2.10 w/b failed 3.0 s, a/10 ten done 0.0 s"
	if strings.Join(got, ", ") != want {
		t.Errorf("%q", got)
	}
}

// long is a result of a long run: many thousand changes and samples.
func long(changes, samples int) *plan.Result {
	r := seen()
	t := r.Timelines[0]
	t.Ended, t.Last = lasted(3600), lasted(3620)
	tones := []plan.Tone{plan.ToneOK, plan.ToneBad, plan.ToneSilent, plan.ToneWarn}
	const lanes = 40
	g := plan.Lanes{Name: "Machines", About: "many"}
	for i := range lanes {
		l := plan.Lane{Name: fmt.Sprintf("machine-%d", i), Of: []string{fmt.Sprintf("machine-%d", i)}}
		n := changes / lanes
		for k := range n {
			l.Spans = append(l.Spans, plan.Span{From: lasted(3600 * float64(k) / float64(n)), To: lasted(3600 * float64(k+1) / float64(n)), Tone: tones[(k+i)%4], Label: fmt.Sprintf("state %d", k%7), More: fmt.Sprintf("dial tcp 10.0.0.%d:%d: connection refused", i, k)})
		}
		g.Lanes = append(g.Lanes, l)
	}
	probes := plan.Lanes{Name: plan.LanesProbes}
	for i := range 13 {
		l := plan.Lane{Name: fmt.Sprintf("probe %d", i)}
		n := samples / 13
		for k := range n {
			s := plan.Sample{At: lasted(3600 * float64(k) / float64(n)), Took: time.Duration(3+k%50) * time.Millisecond}
			if k%97 == 0 {
				s.Err, s.Tone = fmt.Sprintf("read tcp 10.0.0.1:%d: reset by peer", k), plan.ToneBad
			}
			l.Samples = append(l.Samples, s)
		}
		budget := plan.Lane{Name: fmt.Sprintf("left of budget %d", i)}
		for k := range n {
			budget.Points = append(budget.Points, plan.Point{At: lasted(3600 * float64(k) / float64(n)), V: float64(k % 90)})
		}
		probes.Lanes = append(probes.Lanes, l, budget)
	}
	t.Groups = append([]plan.Lanes{g}, append(t.Groups, probes)...)
	return r
}

// TestThePageStaysSmall whatever the run: failures are all in it, and of the rest what is slow.
func TestThePageStaysSmall(t *testing.T) {
	for _, c := range []struct{ changes, samples int }{{10_000, 20_000}, {40_000, 400_000}} {
		r := long(c.changes, c.samples)
		page := written(t, r)
		const most = 3 << 20
		if t.Logf("%d changes, %d samples: %d KiB", c.changes, c.samples, len(page)>>10); len(page) > most {
			t.Errorf("%d changes, %d samples: %d bytes", c.changes, c.samples, len(page))
		}
		failed := 0
		for _, l := range r.Timelines[0].Groups[len(r.Timelines[0].Groups)-1].Lanes {
			for _, s := range l.Samples {
				if s.Err != "" {
					failed++
				}
			}
		}
		for _, g := range newView(r).pack().Cells[0].Groups {
			for _, l := range g.Lanes {
				if l.Samples != nil && strings.HasPrefix(l.Name, "probe") {
					failed -= len(l.Samples.Err)
				}
			}
		}
		if failed != 0 {
			t.Errorf("%d failures are not in the page", failed)
		}
	}
}
