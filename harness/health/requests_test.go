package health

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// outage is why tries of a probe failed between two times, every so many of them.
type outage struct {
	probe    string
	from, to float64
	class    cluster.Failure
	status   int
	every    int    // 0: all
	says     string // empty: the class
}

const minute = 60.0

// served is a cluster of control planes and a worker that was used for a minute, five tries a second, but for the outages.
func served(controlPlanes int, outages ...outage) *Record {
	r := &Record{Topology: cluster.Topology{ControlPlanes: controlPlanes, Workers: 1, Timing: cluster.TimingFast}.Complete(), Samples: map[string][]load.Sample{}}
	probes := []string{load.ProbeAPIRead, load.ProbeAPIWrite, load.ProbeAPINew}
	for _, m := range r.Topology.ControlPlaneMachines() {
		probes = append(probes, load.ProbeAPIDirect+m, load.ProbeAPIDirectWrite+m)
	}
	for _, p := range probes {
		n := 0
		for t := 0.0; t < minute; n++ {
			s := load.Sample{Start: at(t), End: at(t + 0.01)}
			next := t + 0.2
			for _, o := range outages {
				if !strings.HasPrefix(p, o.probe) || t < o.from || t >= o.to || o.every > 0 && n%o.every != 0 {
					continue
				}
				s.Err, s.Class, s.Status = "failed: "+cmp.Or(o.says, string(o.class)), o.class, o.status
				if o.class == cluster.Deadline {
					s.End, next = at(t+1), t+1
				}
			}
			r.Samples[p] = append(r.Samples[p], s)
			t = next
		}
	}
	return r
}

func step(from, to float64, machines ...string) Window {
	return Window{Machines: machines, Upgrade: true, Began: at(from), Effective: at(from), Recover: at(to), Cleared: at(to)}
}

func TestRequests(t *testing.T) {
	direct := load.ProbeAPIDirect + "control-plane-1"
	all := "API server"
	fault := []Window{{Machines: []string{"control-plane-2"}, Began: at(15), Effective: at(16), Recover: at(45), Cleared: at(46)}}
	for name, c := range map[string]struct {
		r       *Record
		windows []Window
		host    []observe.HostReading
		p       Params
		want    plan.Verdict
		says    string
	}{
		"quiet":                      {r: served(1), want: plan.Pass, says: "p99 10ms"},
		"the only API server killed": {r: served(1, outage{probe: all, from: 20, to: 24, class: cluster.Refused}), want: plan.Fail, says: "API server read failed for 4s from"},
		// As seen: connections break, nobody listens, no answer comes, and the first that come know of no permissions yet.
		"a kill that takes three seconds": {
			r: served(1, outage{probe: direct, from: 20, to: 20.2, class: cluster.Reset}, outage{probe: direct, from: 20.2, to: 20.6, class: cluster.Refused},
				outage{probe: direct, from: 20.6, to: 21.6, class: cluster.Deadline}, outage{probe: direct, from: 21.6, to: 22.8, class: cluster.Answered, status: 403}),
			want: plan.Fail, says: "past the balancer, on control-plane-1 failed for",
		},
		"one refusal":                        {r: served(1, outage{probe: direct, from: 20, to: 20.2, class: cluster.Refused}), want: plan.Pass},
		"one of three killed":                {r: served(3, outage{probe: direct, from: 20, to: 24, class: cluster.Refused}), want: plan.Fail, says: "past the balancer, on control-plane-1 failed for 4s"},
		"killed by a fault":                  {r: served(3, outage{probe: direct, from: 20, to: 45, class: cluster.Refused}), windows: []Window{step(19, 46, "control-plane-1")}, want: plan.Pass},
		"a fault on another":                 {r: served(3, outage{probe: direct, from: 20, to: 45, class: cluster.Refused}), windows: []Window{step(19, 46, "control-plane-2")}, want: plan.Fail, says: "longer than 20s"},
		"away for longer than the step":      {r: served(3, outage{probe: direct, from: 20, to: 55, class: cluster.Refused}), windows: []Window{step(19, 46, "control-plane-1")}, want: plan.Fail},
		"an upgrade, through the balancer":   {r: served(3, outage{probe: load.ProbeAPIRead, from: 20, to: 24.2, class: cluster.Reset}), windows: []Window{step(19, 46, "control-plane-1")}, want: plan.Pass},
		"the only control plane's upgrade":   {r: served(1, outage{probe: all, from: 20, to: 45, class: cluster.Refused}), windows: []Window{step(19, 46, "control-plane-1")}, want: plan.Pass},
		"a fault does not excuse all":        {r: served(3, outage{probe: load.ProbeAPIWrite, from: 20, to: 45, class: cluster.Deadline}), windows: []Window{step(19, 46, "control-plane-1")}, want: plan.Fail, says: "API server write failed for"},
		"expected":                           {r: served(3, outage{probe: load.ProbeAPIWrite, from: 20, to: 45, class: cluster.Deadline}), windows: []Window{{Machines: []string{"control-plane-1"}, Expected: true, Began: at(19), Cleared: at(46)}}, want: plan.Pass},
		"all writes forbidden":               {r: served(1, outage{probe: load.ProbeAPIWrite, from: 20, to: 30, class: cluster.Answered, status: 403}), want: plan.Fail, says: "API server write failed for 10s"},
		"one write in ten forbidden":         {r: served(1, outage{probe: load.ProbeAPIWrite, to: minute, class: cluster.Answered, status: 403, every: 10}), want: plan.Fail, says: "30 of 300 times"},
		"a webhook that cannot be called":    {r: served(1, outage{probe: load.ProbeAPIWrite, from: 50, to: minute, class: cluster.Answered, status: 500}), want: plan.Fail, says: "API server write failed 50 of 300 times"},
		"one in twenty too slow":             {r: served(1, outage{probe: all, to: minute, class: cluster.Deadline, every: 20}), want: plan.Pass},
		"every other too slow":               {r: served(1, outage{probe: all, to: minute, class: cluster.Deadline, every: 2}), want: plan.Fail, says: "above 20 %"},
		"one in ten, allowed":                {r: served(1, outage{probe: load.ProbeAPIWrite, to: minute, class: cluster.Answered, status: 403, every: 10}), p: Params{MaxErrors: 15}, want: plan.Pass},
		"slow for a while":                   {r: served(1, outage{probe: all, from: 20, to: 22, class: cluster.Deadline}), want: plan.Pass},
		"no answer for long":                 {r: served(1, outage{probe: all, from: 20, to: 35, class: cluster.Deadline}), want: plan.Fail, says: "longer than 10s"},
		"no answer, but the harness stalled": {r: served(1, outage{probe: all, from: 20, to: 28, class: cluster.Deadline}), host: stalled(20, 28), want: plan.Pass},
		"refused, though the harness stalled": {
			r: served(3, outage{probe: direct, from: 15, to: 35, class: cluster.Refused}), host: stalled(20, 23), want: plan.Fail, says: "on control-plane-1 failed for",
		},
		"blind for longer than is allowed": {r: served(1), host: stalled(20, 40), want: plan.Unknown, says: "blind for 21s"},
		// A fault on one of three is no reason for the others to refuse or to forbid: that is no matter of time, so it has less of it.
		"forbidden during a fault":              {r: served(3, outage{probe: load.ProbeAPIWrite, from: 20, to: 32, class: cluster.Answered, status: 403}), windows: fault, want: plan.Fail, says: "API server write was refused or forbidden for 12s"},
		"a conflict during a fault":             {r: served(3, outage{probe: load.ProbeAPIWrite, from: 20, to: 32, class: cluster.Answered, status: 409}), windows: fault, want: plan.Fail, says: "longer than 5s"},
		"forbidden during a step":               {r: served(3, outage{probe: load.ProbeAPIWrite, from: 20, to: 32, class: cluster.Answered, status: 403}), windows: []Window{step(19, 46, "control-plane-2")}, want: plan.Fail, says: "refused or forbidden"},
		"a webhook nobody can call, a fault":    {r: served(3, outage{probe: load.ProbeAPIWrite, from: 20, to: 32, class: cluster.Answered, status: 500, says: `Internal error occurred: failed calling webhook "x"`}), windows: fault, want: plan.Fail, says: "failed calling webhook"},
		"the balancer refuses during a fault":   {r: served(3, outage{probe: load.ProbeAPINew, from: 20, to: 32, class: cluster.Refused}), windows: fault, want: plan.Fail, says: "refused or forbidden for 12s"},
		"another server refuses, a fault":       {r: served(3, outage{probe: direct, from: 20, to: 32, class: cluster.Refused}), windows: fault, want: plan.Fail, says: "past the balancer, on control-plane-1 was refused"},
		"errors for longer than elections":      {r: served(3, outage{probe: load.ProbeAPIWrite, from: 20, to: 32, class: cluster.Answered, status: 500}), windows: fault, want: plan.Fail, says: "was answered with errors for 12s"},
		"an election's errors":                  {r: served(3, outage{probe: load.ProbeAPIWrite, from: 20, to: 28, class: cluster.Answered, status: 500}), windows: fault, want: plan.Pass},
		"no permissions known yet, for a while": {r: served(3, outage{probe: load.ProbeAPIWrite, from: 20, to: 27, class: cluster.Deadline}, outage{probe: load.ProbeAPIWrite, from: 27, to: 31, class: cluster.Answered, status: 403}), windows: fault, want: plan.Pass},
		"late for as long":                      {r: served(3, outage{probe: load.ProbeAPIWrite, from: 20, to: 32, class: cluster.Deadline}), windows: fault, want: plan.Pass},
		"forbidden, and allowed to be":          {r: served(3, outage{probe: load.ProbeAPIWrite, from: 20, to: 32, class: cluster.Answered, status: 403}), windows: fault, p: Params{MaxGap: 15 * time.Second}, want: plan.Pass},
		"one of three forbids all through":      {r: served(3, outage{probe: load.ProbeAPIWrite, from: 20, to: 50, class: cluster.Answered, status: 403, every: 3}), windows: fault, want: plan.Fail, says: "refused or forbidden for 10s in all"},
		"the only control plane's own restart":  {r: served(1, outage{probe: all, from: 20, to: 45, class: cluster.Refused}), windows: []Window{{Machines: []string{cp}, Began: at(19), Effective: at(19), Recover: at(45), Cleared: at(46)}}, want: plan.Pass},
		"now and then during a fault": {
			r:       served(3, outage{probe: load.ProbeAPIWrite, from: 10, to: 24.1, class: cluster.Deadline}, outage{probe: load.ProbeAPIWrite, from: 24.2, to: 40, class: cluster.Deadline}),
			windows: []Window{step(5, 41, "control-plane-2")}, want: plan.Fail, says: "beside the longest gap",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.r.Windows, c.r.Host = c.windows, c.host
			got := judge(t, "requests", c.r, nil, c.p)
			if got.Verdict != c.want || !strings.Contains(got.Message, c.says) {
				t.Fatalf("%s: %s", got.Verdict, got.Message)
			}
			if !strings.Contains(got.Message, "allowed are gaps of ") {
				t.Fatalf("does not say what is allowed: %s", got.Message)
			}
		})
	}
}

// TestRequestsToAFullEtcd: writes may be refused where the scenario wants it, as long as that, and reads never.
func TestRequestsToAFullEtcd(t *testing.T) {
	full := []Window{{Machines: []string{"etcd-1"}, NoWrites: true, Began: at(19), Effective: at(20), Recover: at(38), Cleared: at(40)}}
	for name, c := range map[string]struct {
		out     outage
		windows []Window
		want    plan.Verdict
	}{
		"writes refused":          {outage{probe: load.ProbeEtcdWrite, from: 20, to: 40, class: cluster.Answered}, full, plan.Pass},
		"unasked":                 {outage{probe: load.ProbeEtcdWrite, from: 20, to: 40, class: cluster.Answered}, nil, plan.Fail},
		"longer than wanted":      {outage{probe: load.ProbeEtcdWrite, from: 20, to: 59, class: cluster.Answered}, full, plan.Fail},
		"reads refused":           {outage{probe: load.ProbeEtcdRead, from: 20, to: 40, class: cluster.Answered}, full, plan.Fail},
		"before anybody was full": {outage{probe: load.ProbeEtcdWrite, from: 5, to: 17, class: cluster.Answered}, full, plan.Fail},
	} {
		r := served(1)
		for _, probe := range []string{load.ProbeEtcdRead, load.ProbeEtcdWrite} {
			r.Samples[probe] = r.Samples[load.ProbeAPIRead]
			if probe == c.out.probe {
				out := c.out
				out.probe = load.ProbeAPIRead
				r.Samples[probe] = served(1, out).Samples[load.ProbeAPIRead]
			}
		}
		r.Topology, r.Windows = cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3}, c.windows
		if got := judge(t, "requests", r, nil, Params{}); got.Verdict != c.want {
			t.Errorf("%s: %s, %s", name, got.Verdict, got.Message)
		}
	}
}

func TestRequestsThatWereNotMade(t *testing.T) {
	r := served(1)
	delete(r.Samples, load.ProbeAPIWrite)
	if got := judge(t, "requests", r, nil, Params{}); got.Verdict != plan.Unknown || !strings.Contains(got.Message, "API server write: no sample") {
		t.Errorf("a probe that is missing: %s: %s", got.Verdict, got.Message)
	}
	r = served(1)
	r.Samples[load.ProbeAPIRead] = r.Samples[load.ProbeAPIRead][:100]
	if got := judge(t, "requests", r, nil, Params{}); got.Verdict != plan.Unknown || !strings.Contains(got.Message, "nothing was tried for") {
		t.Errorf("a probe that was silenced: %s: %s", got.Verdict, got.Message)
	}
}

func TestAvailable(t *testing.T) {
	read := load.ProbeAPIRead
	for name, c := range map[string]struct {
		r    *Record
		host []observe.HostReading
		p    Params
		want plan.Verdict
		says string
	}{
		"quiet":                     {r: served(1), want: plan.Pass, says: "of at most 15s"},
		"a gap":                     {r: served(1, outage{probe: read, from: 10, to: 22, class: cluster.Refused}), want: plan.Pass},
		"too long a gap":            {r: served(1, outage{probe: read, from: 10, to: 22, class: cluster.Refused}), p: Params{MaxGap: 10 * time.Second}, want: plan.Fail, says: "gap of 12s"},
		"too long by default":       {r: served(1, outage{probe: read, from: 10, to: 30, class: cluster.Deadline}), want: plan.Fail},
		"one success a gap":         {r: served(1, outage{probe: read, to: 14, class: cluster.Deadline}, outage{probe: read, from: 14.2, to: 28, class: cluster.Deadline}, outage{probe: read, from: 29, to: minute - 4, class: cluster.Deadline, every: 1}), p: Params{MaxGap: 40 * time.Second}, want: plan.Fail, says: "beside the longest gap"},
		"nothing ever":              {r: served(1, outage{probe: read, to: minute, class: cluster.Refused}), p: Params{MaxGap: time.Hour}, want: plan.Fail, says: "failed all"},
		"a gap nobody could see":    {r: served(1, outage{probe: read, from: 10, to: 24, class: cluster.Deadline}), host: stalled(10, 24), want: plan.Pass},
		"longer blind than allowed": {r: served(1), host: stalled(10, 30), want: plan.Unknown, says: "blind"},
	} {
		c.r.Host = c.host
		if got := judge(t, "apiAvailable", c.r, nil, c.p); got.Verdict != c.want || !strings.Contains(got.Message, c.says) {
			t.Errorf("%s: %s: %s", name, got.Verdict, got.Message)
		}
	}
}
