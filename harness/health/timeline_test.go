package health

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// spansOf writes a lane's spans as people read them, in seconds of the record.
func spansOf(t *testing.T, tl *plan.Timeline, group, lane string) string {
	t.Helper()
	for _, g := range tl.Groups {
		for _, l := range g.Lanes {
			if g.Name != group || l.Name != lane {
				continue
			}
			var out []string
			for _, s := range l.Spans {
				out = append(out, fmt.Sprintf("%g-%g %s %s", s.From.Sub(at(0)).Seconds(), s.To.Sub(at(0)).Seconds(), s.Tone, s.Label))
			}
			return strings.Join(out, "; ")
		}
	}
	t.Fatalf("no lane %q in %q", lane, group)
	return ""
}

// TestTimelineTellsRefusalsFromSilence: who refuses has power and is down, who is silent may be anything, and where nobody looked nothing is drawn.
func TestTimelineTellsRefusalsFromSilence(t *testing.T) {
	r := three()
	for i := range 60 {
		if i >= 35 && i < 55 { // nobody looked
			continue
		}
		o := seen(float64(i))
		switch {
		case i >= 5 && i < 10:
			o.Members[1] = etcd.Member{Machine: "etcd-2", Error: "connection refused", Failure: cluster.Refused}
		case i >= 15 && i < 25:
			o.Members[1] = etcd.Member{Machine: "etcd-2", Error: "deadline", Failure: cluster.Deadline}
			o.Quorum.Error = "no linearizable read"
		}
		r.Observations = append(r.Observations, o)
	}
	tl := Timeline(r)
	for lane, want := range map[[2]string]string{
		{"etcd", "etcd-2"}:              "0-5 ok follows, term 0; 5-10 bad refuses; 10-15 ok follows, term 0; 15-25 silent no answer; 25-49 ok follows, term 0; 49-55 unseen not looked at; 55-59 ok follows, term 0",
		{"Machines", "etcd-2"}:          "0-15 ok answers; 15-25 silent no answer; 25-49 ok answers; 49-55 unseen not looked at; 55-59 ok answers",
		{plan.LanesSpare, spareMembers}: "0-5 ok 1; 5-10 bad 0; 10-15 ok 1; 15-25 bad -1; 25-49 ok 1; 49-55 unseen not looked at; 55-59 ok 1",
	} {
		if got := spansOf(t, tl, lane[0], lane[1]); got != want {
			t.Errorf("%s:\n got %s\nwant %s", lane, got, want)
		}
	}
}

// TestTimelineOfHalfARecord: of a run that was cut off there are looks and no topology, or a topology and no looks.
func TestTimelineOfHalfARecord(t *testing.T) {
	if tl := Timeline(&Record{}); tl != nil {
		t.Errorf("of nothing: %+v", tl)
	}
	tl := Timeline(&Record{Observations: []observe.Observation{seen(0), seen(1)}})
	if tl == nil || !tl.Ended.Equal(at(1)) || spansOf(t, tl, "etcd", "etcd-3") == "" {
		t.Errorf("of two looks: %+v", tl)
	}
}

// TestOutagesLastFromSuccessToSuccess, as gaps do that checks judge.
func TestOutagesLastFromSuccessToSuccess(t *testing.T) {
	var samples []load.Sample
	for i := range 10 {
		s := load.Sample{Start: at(float64(i)), End: at(float64(i) + 0.1)}
		if i >= 4 && i < 7 {
			s.Err = "refused"
		}
		samples = append(samples, s)
	}
	got := outages(samples)
	if len(got) != 1 || got[0].To.Sub(got[0].From) != load.LongestGap(samples) || !strings.Contains(got[0].More, "3 tries failed") {
		t.Errorf("%+v, longest gap %s", got, load.LongestGap(samples))
	}
}

// TestPlaceIsWhatTheMessageNames: times as clock writes them, and names as whole words.
func TestPlaceIsWhatTheMessageNames(t *testing.T) {
	r := three()
	for i := range 30 {
		r.Observations = append(r.Observations, seen(float64(i)))
	}
	w := &Window{ID: "4", Began: at(3), Effective: at(4), Cleared: at(9)}
	for message, want := range map[string]struct {
		window   *Window
		when     string
		from, to time.Time
		of       []string
	}{
		"member on etcd-2 lost at " + clock(at(12)) + " and at " + clock(at(14)): {nil, "always", at(12), at(14), []string{"etcd-2"}},
		"nobody led": {w, "during", at(3), at(9), nil},
		"the end":    {nil, "finally", at(29), at(29), nil},
		"etcd-22 and xetcd-1 are none of ours; etcd is": {nil, "always", at(0), at(29), []string{"etcd"}},
	} {
		p := r.place(plan.Check{When: want.when, Message: message}, want.window)
		if p == nil || !p.From.Equal(want.from) || !p.To.Equal(want.to) || !slices.Equal(p.Of, want.of) {
			t.Errorf("%s: %+v", message, p)
		}
	}
	if p := r.place(plan.Check{When: "always", Message: "all well"}, nil); p != nil {
		t.Errorf("nothing is named: %+v", p)
	}
}

// TestAMachineThatIsMadeLaterIsNotSeenBefore: nothing of it answers until it is there.
func TestAMachineThatIsMadeLaterIsNotSeenBefore(t *testing.T) {
	r := three()
	for i := range 6 {
		o := seen(float64(i))
		o.Nodes = []observe.Node{{Name: "etcd-1", Ready: true, Version: "v1"}}
		switch {
		case i >= 4:
			o.Nodes = append(o.Nodes, observe.Node{Name: "worker-9", Ready: true, Version: "v2"})
			fallthrough
		case i >= 2:
			o.Components = append(o.Components, observe.Component{Name: "kubelet", Machine: "worker-9", Version: "v2"})
		}
		r.Observations = append(r.Observations, o)
	}
	want := "0-2 unseen not seen; 2-4 ok answers, no node; 4-5 ok Ready v2"
	if got := spansOf(t, Timeline(r), "Machines", "worker-9"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
