package health

import (
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// gasping is a host on which the harness got a processor now and then: no stall is long, and between two of them hardly anything is seen.
func gasping(from, to float64) []observe.HostReading {
	host := stalled()
	for t := from; t < to; t += 1.4 {
		r := &host[int(t)]
		r.Stalls = append(r.Stalls, observe.Stall{From: at(t), To: at(t + 0.35), Of: observe.StalledHarness})
	}
	return host
}

// TestManyShortStallsHideNoOutage: what was not seen in slices was not seen. Nobody can say how long it was away, so nobody says it was there.
func TestManyShortStallsHideNoOutage(t *testing.T) {
	quorum := three()
	members := three()
	for i := range 110 {
		s := float64(i) / 2
		o := seen(s)
		if s >= 10 && s < 40 {
			o.Quorum.Error = "context deadline exceeded"
		}
		quorum.Observations = append(quorum.Observations, o)
		o = seen(s)
		if s >= 10 && s < 40 {
			o.Members[1].Error, o.Members[1].Failure = "context deadline exceeded", cluster.Deadline
		}
		members.Observations = append(members.Observations, o)
	}
	clients := served(1, outage{probe: "API server", from: 10, to: 40, class: cluster.Deadline})
	for _, c := range []struct {
		check string
		r     *Record
	}{{"etcdQuorum", quorum}, {"onlyPlannedLosses", members}, {"requests", clients}, {"apiAvailable", clients}} {
		c.r.Host = gasping(8, 42)
		if got := judge(t, c.check, c.r, nil, Params{}); got.Verdict != plan.Unknown || !strings.Contains(got.Message, "stalled") && !strings.Contains(got.Message, "blind") {
			t.Errorf("%s: %s: %s", c.check, got.Verdict, got.Message)
		}
	}
}

// TestAStartThatIsNotToldAnyMore: whoever tells it until he is killed, and not after that, has not shown that he was not.
func TestAStartThatIsNotToldAnyMore(t *testing.T) {
	r := three()
	for i := range 121 {
		o := seen(float64(i) / 2)
		if i > 40 {
			o.Members[1].Started = time.Time{}
		}
		r.Observations = append(r.Observations, o)
	}
	if got := judge(t, "onlyPlannedLosses", r, nil, Params{}); got.Verdict != plan.Unknown || !strings.Contains(got.Message, "etcd-2") {
		t.Errorf("%s: %s", got.Verdict, got.Message)
	}
}

// TestWhoBeganLate: the begin of a run is looked at as well as its end.
func TestWhoBeganLate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *Record)
		says   string
	}{
		"a probe":      {func(r *Record) { r.Samples[load.ProbeEtcdRead] = r.Samples[load.ProbeEtcdRead][30:] }, `the probe "etcd linearizable read" began at`},
		"the observer": {func(r *Record) { r.Observations = r.Observations[30:] }, "the observer began at"},
		"one try that took long": {func(r *Record) {
			s := r.Samples[load.ProbeEtcdRead]
			s[20].End = s[40].End
			r.Samples[load.ProbeEtcdRead] = append(s[:21:21], s[41:]...)
		}, `a try of the probe "etcd linearizable read" took`},
	} {
		r := watched()
		c.change(r)
		if got := strings.Join(Silence(r), "; "); !strings.Contains(got, c.says) {
			t.Errorf("%s: %q", name, got)
		}
	}
	r := three()
	for i := range 120 {
		r.Observations = append(r.Observations, seen(float64(i)))
	}
	r.Final = seen(120)
	h := load.History{Name: load.LedgerEtcd}
	for i := 60; i < 120; i++ {
		h.Ops = append(h.Ops, load.Op{Kind: "get", Key: "k", Call: at(float64(i)).UnixNano(), Return: at(float64(i)).UnixNano() + 1})
	}
	r.Histories = []load.History{h}
	if got := judge(t, "linearizable", r, nil, Params{}); got.Verdict != plan.Unknown || !strings.Contains(got.Message, "no client did anything from") {
		t.Errorf("%s: %s", got.Verdict, got.Message)
	}
}

// TestAPartThatWasNotRead: many observations without nodes, leases or the workload in them are none of these.
func TestAPartThatWasNotRead(t *testing.T) {
	for name, c := range map[string]struct {
		check string
		drop  func(o *observe.Observation)
		says  string
	}{
		"nodes":    {"noUnplannedRestart", func(o *observe.Observation) { o.Nodes = nil }, "nodes were not read"},
		"leases":   {"oneLeader", func(o *observe.Observation) { o.Leases = nil }, "leases were not read"},
		"workload": {"pdbRespected", func(o *observe.Observation) { o.Workload = nil }, "replicas were not read"},
	} {
		with := func(from, to float64) *Record {
			r := small(func(o *observe.Observation, second float64) {
				o.Workload = &observe.WorkloadState{Replicas: 6, Ready: 6, MinAvailable: 5}
				for _, name := range []string{observe.ControllerManager, observe.Scheduler} {
					o.Leases = append(o.Leases, observe.Lease{Component: name, Holder: "control-plane-1_x", Acquired: at(-100), Renewed: o.Time, Duration: 6 * time.Second})
				}
				if second >= from && second < to {
					c.drop(o)
				}
			})
			r.Budgets = []Budget{{at(-1), 5}}
			return r
		}
		if got := judge(t, c.check, with(0, 0), nil, Params{}); got.Verdict != plan.Pass {
			t.Errorf("%s, all read: %s: %s", name, got.Verdict, got.Message)
		}
		if got := judge(t, c.check, with(10, 20), nil, Params{}); got.Verdict != plan.Pass {
			t.Errorf("%s, a moment away: %s: %s", name, got.Verdict, got.Message)
		}
		if got := judge(t, c.check, with(10, 50), nil, Params{}); got.Verdict != plan.Unknown || !strings.Contains(got.Message, c.says) {
			t.Errorf("%s, long away: %s: %s", name, got.Verdict, got.Message)
		}
		if got := judge(t, c.check, with(30, forever), nil, Params{}); got.Verdict != plan.Unknown || !strings.Contains(got.Message, c.says) {
			t.Errorf("%s, away at the end: %s: %s", name, got.Verdict, got.Message)
		}
		r := with(10, 50)
		r.Windows = []Window{step(9, 50, "control-plane-1")}
		if got := judge(t, c.check, r, nil, Params{}); got.Verdict != plan.Pass {
			t.Errorf("%s, while the only API server was upgraded: %s: %s", name, got.Verdict, got.Message)
		}
	}
}

// TestABlindHarnessSawNoRefusal: that all tries failed while nobody could look does not show that they were refused.
func TestABlindHarnessSawNoRefusal(t *testing.T) {
	r := three()
	w := &Window{ID: "3", Machines: []string{"etcd-1"}, Began: at(9), Effective: at(10), Recover: at(30), Cleared: at(31)}
	r.Host = stalled(11, 29)
	r.Samples = map[string][]load.Sample{load.ProbeEtcdWrite: {
		{Start: at(10.1), End: at(11.1), Err: "deadline", Class: cluster.Deadline}, {Start: at(28.8), End: at(29.8), Err: "deadline", Class: cluster.Deadline},
	}}
	if got := judge(t, "etcdWritesStop", r, w, Params{}); got.Verdict != plan.Unknown {
		t.Errorf("%s: %s", got.Verdict, got.Message)
	}
}

// TestAvailableWantsTries: a probe that tried nothing for longer than a gap may take has not shown that there was none.
func TestAvailableWantsTries(t *testing.T) {
	r := served(1)
	s := r.Samples[load.ProbeAPIRead]
	r.Samples[load.ProbeAPIRead] = append(s[:100:100], s[160:]...) // 12 s
	if got := judge(t, "apiAvailable", r, nil, Params{MaxGap: 5 * time.Second}); got.Verdict != plan.Unknown || !strings.Contains(got.Message, "nothing was tried for 12") {
		t.Errorf("%s: %s", got.Verdict, got.Message)
	}
}

// TestAMachineNobodyAsked: a machine that is not among those that are asked has not been well meanwhile.
func TestAMachineNobodyAsked(t *testing.T) {
	unasked := func(o *observe.Observation, second float64) {
		if second >= 10 && second < 50 {
			o.Components = slices.DeleteFunc(o.Components, func(c observe.Component) bool { return c.Machine == "worker-1" })
		}
	}
	if got := judge(t, "noUnplannedRestart", small(unasked), nil, Params{}); got.Verdict != plan.Unknown || !strings.Contains(got.Message, "kubelet on worker-1") {
		t.Errorf("%s: %s", got.Verdict, got.Message)
	}
	r := small(unasked)
	r.Windows = []Window{step(9, 50, "worker-1")}
	if got := judge(t, "noUnplannedRestart", r, nil, Params{}); got.Verdict != plan.Pass {
		t.Errorf("while it was replaced: %s: %s", got.Verdict, got.Message)
	}
}
