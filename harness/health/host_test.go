package health

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// stalled is a host that is read every second and did not let the harness see between the times.
func stalled(spans ...float64) []observe.HostReading {
	var out []observe.HostReading
	for i := range 60 {
		out = append(out, observe.HostReading{Time: at(float64(i)), Load: 1, Available: 1 << 30, OOMKills: 7})
	}
	for i := 0; i+1 < len(spans); i += 2 {
		r := &out[int(spans[i+1])]
		r.Stalls = append(r.Stalls, observe.Stall{From: at(spans[i]), To: at(spans[i+1]), Of: observe.StalledHarness})
	}
	return out
}

func TestBlind(t *testing.T) {
	back := stalled()
	back[20].Jump = -5 * time.Second
	for name, c := range map[string]struct {
		host []observe.HostReading
		want Blind
	}{
		"not watched":        {nil, nil},
		"quiet":              {stalled(), nil},
		"a stall":            {stalled(10, 12), Blind{{at(9.5), at(12.5)}}},
		"two that touch":     {stalled(10, 12, 12.8, 14), Blind{{at(9.5), at(14.5)}}},
		"two apart":          {stalled(10, 12, 20, 21), Blind{{at(9.5), at(12.5)}, {at(19.5), at(21.5)}}},
		"the clock put back": {back, Blind{{at(14), at(20)}}},
	} {
		r := &Record{Host: c.host}
		if got := r.Blind(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestEvidence: who is refused knows it however slow he is; who got no answer while he could not look knows nothing.
func TestEvidence(t *testing.T) {
	blind := (&Record{Host: stalled(10, 12)}).Blind()
	for _, c := range []struct {
		failure cluster.Failure
		from    float64
		want    bool
	}{
		{cluster.Refused, 10.5, true}, {cluster.Answered, 10.5, true}, {cluster.Deadline, 10.5, false}, {cluster.Reset, 10.5, false},
		{cluster.Deadline, 12.2, false}, {cluster.Deadline, 20, true}, {cluster.Reset, 20, true},
	} {
		m := etcd.Member{Error: "x", Failure: c.failure}
		if got := blind.Lost(m, at(c.from)); got != c.want {
			t.Errorf("%s at %g: %t", c.failure, c.from, got)
		}
	}
}

func TestHostOf(t *testing.T) {
	if HostOf(&Record{}) != nil {
		t.Error("a host nobody watched is told of")
	}
	host := stalled(10, 12, 20, 21)
	host[30].Load, host[31].Available, host[59].OOMKills = 15, 1<<20, 8
	h := HostOf(&Record{Host: host})
	if h.Stalls != 2 || h.LongestStallSeconds != 2 || h.BlindSeconds != 5 || h.OOMKills != 1 || h.Load != 15 || h.MinAvailable != 1<<20 {
		t.Errorf("%+v", h)
	}
}

// TestReadingsAndSamplesAreKept: what is judged again is what was judged.
func TestReadingsAndSamplesAreKept(t *testing.T) {
	type kept struct {
		Host    []observe.HostReading
		Samples []load.Sample
	}
	in := kept{Host: stalled(10, 12), Samples: []load.Sample{{Start: at(1), End: at(2), Err: "x", Class: cluster.Answered, Status: 403}}}
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out kept
	if err := json.Unmarshal(raw, &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Fatalf("%v", err)
	}
}

type ledger = load.Ledger

// TestWhatAQuorumConfirmsWhileTheHarnessIsStalled: blindness is no reason to doubt a read that succeeded in the midst of it, and no excuse for a time
// without any that is longer than allowed.
func TestWhatAQuorumConfirmsWhileTheHarnessIsStalled(t *testing.T) {
	for name, c := range map[string]struct {
		host     []observe.HostReading
		from, to float64 // no read is confirmed
		want     plan.Verdict
	}{
		"stalls, and every read confirmed":                {stalled(20, 21, 21.5, 22.5, 23, 24, 24.5, 25.5, 26, 27), 0, 0, plan.Pass},
		"one read failed between":                         {stalled(20, 21, 21.5, 22.5, 23, 24, 24.5, 25.5, 26, 27), 23, 24, plan.Pass},
		"all failed, and nobody could see why":            {stalled(20, 27), 20, 28, plan.Unknown},
		"long, and some of it seen":                       {stalled(20, 22), 20, 26, plan.Unknown},
		"longer than allowed where it was seen":           {stalled(20, 22), 20, 30, plan.Fail},
		"none failed while it was stalled, one did later": {stalled(20, 27), 40, 41, plan.Pass},
	} {
		r := three()
		for s := range 60 {
			o := seen(float64(s))
			if float64(s) >= c.from && float64(s) < c.to {
				o.Quorum.Error = "context deadline exceeded"
			}
			r.Observations = append(r.Observations, o)
		}
		r.Host = c.host
		if got := judge(t, "etcdQuorum", r, nil, Params{}); got.Verdict != c.want {
			t.Errorf("%s: %s (%s), want %s", name, got.Verdict, got.Message, c.want)
		}
	}
}

func TestAHostThatCannotKeepUpIsNoVerdictOnACluster(t *testing.T) {
	lost := func(load float64) *Record {
		r := three()
		for s := range 20 {
			o := seen(float64(s))
			if s > 3 {
				o.Quorum.Error = "context deadline exceeded"
			}
			r.Observations = append(r.Observations, o)
			r.Host = append(r.Host, observe.HostReading{Time: at(float64(s)), Load: load, Cores: 2})
		}
		r.Ledgers = []ledger{{Name: "etcd", Acknowledged: []string{"a"}}}
		return r
	}
	for load, want := range map[float64]plan.Verdict{1: plan.Fail, 34: plan.Fail, 44: plan.Unknown} {
		if got := judge(t, "etcdQuorum", lost(load), nil, Params{}); got.Verdict != want {
			t.Errorf("load %.0f: %s (%s), want %s", load, got.Verdict, got.Message, want)
		}
		if got := judge(t, "noAcknowledgedWriteLost", lost(load), nil, Params{}); got.Verdict != plan.Fail {
			t.Errorf("load %.0f: a lost write is %s", load, got.Verdict)
		}
	}
}

func TestAPanicOfAMemberIsNoMatterOfTheHostsLoad(t *testing.T) {
	crashing := func(program string, fatal bool) *Record {
		r := three()
		r.Final, r.Unwhole = seen(1), "member on etcd-1: context deadline exceeded"
		r.Host = []observe.HostReading{{Time: at(0), Load: 44, Cores: 2}}
		r.Said = []observe.Said{{Program: program, Machine: "etcd-1", Lines: []observe.Line{{Text: "panic: no such member", Fatal: fatal, Times: 28, Last: at(1)}}}}
		return r
	}
	for _, c := range []struct {
		program string
		fatal   bool
		want    plan.Verdict
	}{{"etcd", true, plan.Fail}, {"etcd", false, plan.Unknown}, {"kube-scheduler", true, plan.Unknown}} {
		if got := judge(t, "whole", crashing(c.program, c.fatal), nil, Params{}); got.Verdict != c.want {
			t.Errorf("%+v: %s (%s)", c, got.Verdict, got.Message)
		}
	}
}

// TestAnOutOfMemoryHostIsNamed: a process that the kernel killed for want of memory looks like any other that was killed.
func TestAnOutOfMemoryHostIsNamed(t *testing.T) {
	for kills, says := range map[uint64]bool{0: false, 2: true} {
		r := three()
		r.Final = seen(60, "etcd-2")
		r.Host = stalled()
		r.Host[40].OOMKills += kills
		r.Host[59].OOMKills += kills
		got := judge(t, "whole", r, nil, Params{})
		if got.Verdict != plan.Fail || strings.Contains(got.Message, "for want of memory") != says {
			t.Errorf("%d: %s: %s", kills, got.Verdict, got.Message)
		}
	}
}
