package health

import (
	"errors"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return epoch.Add(time.Duration(seconds * float64(time.Second))) }

// seen is an observation of three members, of which the named are lost.
func seen(seconds float64, lost ...string) observe.Observation {
	o := observe.Observation{Time: at(seconds)}
	for i, n := range []string{"etcd-1", "etcd-2", "etcd-3"} {
		m := etcd.Member{Machine: n, ID: uint64(i + 1), Leader: 1, Started: epoch}
		for _, l := range lost {
			if l == n {
				m = etcd.Member{Machine: n, Error: "refused"}
			}
		}
		o.Members = append(o.Members, m)
	}
	return o
}

func three() *Record {
	return &Record{Topology: cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3}}
}

func judge(t *testing.T, name string, r *Record, w *Window, p Params) plan.Check {
	t.Helper()
	for _, k := range Checks() {
		if k.Name == name {
			return k.Judge(r, w, p)
		}
	}
	t.Fatalf("no check %s", name)
	return plan.Check{}
}

// TestNoDataIsNeverAPass: whatever a check is about, an empty record is not enough.
func TestNoDataIsNeverAPass(t *testing.T) {
	for _, k := range Checks() {
		w := &Window{Effective: at(1), Recover: at(2)}
		if c := k.Judge(&Record{}, w, Params{}); c.Verdict == plan.Pass {
			t.Errorf("%s passes on nothing: %s", k.Name, c.Message)
		}
		if c := k.Judge(&Record{}, &Window{}, Params{}); c.Verdict != plan.Unknown {
			t.Errorf("%s is %s although the fault was never effective", k.Name, c.Verdict)
		}
	}
}

func TestOnlyPlannedLosses(t *testing.T) {
	window := Window{Machines: []string{"etcd-1"}, Began: at(2), Effective: at(3), Recover: at(6), Cleared: at(7)}
	restarted := seen(4)
	restarted.Members[1].Started = at(3)
	for name, c := range map[string]struct {
		obs     []observe.Observation
		windows []Window
		want    plan.Verdict
	}{
		"quiet":                   {[]observe.Observation{seen(0), seen(1), seen(2)}, nil, plan.Pass},
		"the fault's own":         {[]observe.Observation{seen(1), seen(3, "etcd-1"), seen(4, "etcd-1"), seen(8)}, []Window{window}, plan.Pass},
		"another one":             {[]observe.Observation{seen(1), seen(3, "etcd-1", "etcd-2"), seen(4, "etcd-1", "etcd-2")}, []Window{window}, plan.Fail},
		"without any fault":       {[]observe.Observation{seen(0), seen(1, "etcd-3"), seen(2, "etcd-3")}, nil, plan.Fail},
		"one late answer":         {[]observe.Observation{seen(0), seen(1, "etcd-3"), seen(2)}, nil, plan.Pass},
		"a quick restart":         {[]observe.Observation{seen(0), restarted}, nil, plan.Fail},
		"after it was over":       {[]observe.Observation{seen(1), seen(20, "etcd-1"), seen(21, "etcd-1")}, []Window{window}, plan.Fail},
		"when quorum loss is due": {[]observe.Observation{seen(1), seen(3, "etcd-3"), seen(4, "etcd-3")}, []Window{{Machines: []string{"etcd-1"}, Expected: true, Began: at(2)}}, plan.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			r := three()
			r.Observations, r.Windows = c.obs, c.windows
			if got := judge(t, "onlyPlannedLosses", r, nil, Params{}); got.Verdict != c.want {
				t.Fatalf("%s: %s", got.Verdict, got.Message)
			}
		})
	}
}

// unconfirmed is an observation at which no quorum stood behind a read.
func unconfirmed(seconds float64) observe.Observation {
	o := seen(seconds)
	o.Quorum.Error = "no linearizable read succeeded"
	return o
}

func TestEtcdQuorum(t *testing.T) {
	gone := func(from, to float64) (out []observe.Observation) {
		out = append(out, seen(from-1))
		for s := from; s < to; s++ {
			out = append(out, unconfirmed(s))
		}
		return append(out, seen(to))
	}
	upgraded := Window{Machines: []string{"etcd-1"}, Upgrade: true, Began: at(2), Cleared: at(20)}
	for name, c := range map[string]struct {
		obs     []observe.Observation
		windows []Window
		params  Params
		want    plan.Verdict
	}{
		"nothing":                            {nil, nil, Params{}, plan.Unknown},
		"never":                              {[]observe.Observation{unconfirmed(0), unconfirmed(1)}, nil, Params{}, plan.Unknown},
		"always":                             {[]observe.Observation{seen(0), seen(1)}, nil, Params{}, plan.Pass},
		"one look":                           {gone(1, 2), nil, Params{}, plan.Pass},
		"an election":                        {gone(1, 5), nil, Params{}, plan.Pass},
		"members that answer and no quorum":  {gone(1, 20), nil, Params{}, plan.Fail},
		"an election, where less is allowed": {gone(1, 5), nil, Params{MaxGap: 2 * time.Second}, plan.Fail},
		"a long loss, where more is allowed": {gone(1, 20), nil, Params{MaxGap: time.Minute}, plan.Pass},
		"the same, and it lasts":             {gone(1, 20)[:19], nil, Params{MaxGap: time.Minute}, plan.Unknown},
		"an election at the end":             {gone(1, 5)[:4], nil, Params{}, plan.Pass},
		"a loss that is wanted":              {gone(3, 20), []Window{{Expected: true, Began: at(2), Cleared: at(20)}}, Params{}, plan.Pass},
		"another fault's":                    {gone(3, 20), []Window{{Machines: []string{"etcd-1"}, Began: at(2), Cleared: at(20)}}, Params{}, plan.Fail},
	} {
		r := three()
		r.Observations, r.Windows = c.obs, c.windows
		if got := judge(t, "etcdQuorum", r, nil, c.params); got.Verdict != c.want {
			t.Errorf("%s: %s (%s), want %s", name, got.Verdict, got.Message, c.want)
		}
	}
	for members, want := range map[int]plan.Verdict{1: plan.Pass, 3: plan.Fail} {
		r := &Record{Topology: cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: members}, Observations: gone(3, 19), Windows: []Window{upgraded}}
		if got := judge(t, "etcdQuorum", r, nil, Params{}); got.Verdict != want {
			t.Errorf("one of %d members is upgraded: %s (%s), want %s", members, got.Verdict, got.Message, want)
		}
	}
	after := &Record{Topology: cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 1}, Observations: gone(3, 40), Windows: []Window{upgraded}}
	if got := judge(t, "etcdQuorum", after, nil, Params{}); got.Verdict != plan.Fail {
		t.Errorf("the only member stays away after its upgrade: %s (%s)", got.Verdict, got.Message)
	}
}

func samples(results ...error) []load.Sample {
	var out []load.Sample
	for i, err := range results {
		s := load.Sample{Start: at(10 + float64(i)), End: at(10.5 + float64(i))}
		if err != nil {
			s.Err, s.Class = err.Error(), cluster.Answered
		}
		out = append(out, s)
	}
	return out
}

func TestWritesStopAndContinue(t *testing.T) {
	bad := errors.New("no quorum")
	w := &Window{Effective: at(9), Recover: at(14)}
	r := three()
	for name, c := range map[string]struct {
		samples    []load.Sample
		stop, goOn plan.Verdict
	}{
		"all fail":     {samples(bad, bad), plan.Pass, plan.Fail},
		"one succeeds": {samples(bad, nil, bad), plan.Fail, plan.Pass},
		"none taken":   {nil, plan.Unknown, plan.Unknown},
	} {
		r.Samples = map[string][]load.Sample{load.ProbeEtcdWrite: c.samples}
		if got := judge(t, "etcdWritesStop", r, w, Params{}); got.Verdict != c.stop {
			t.Errorf("%s: stop is %s", name, got.Verdict)
		}
		if got := judge(t, "etcdWritesContinue", r, w, Params{MaxGap: 10 * time.Second}); got.Verdict != c.goOn {
			t.Errorf("%s: continue is %s", name, got.Verdict)
		}
	}
	r.Samples = map[string][]load.Sample{load.ProbeEtcdWrite: samples(nil, bad, bad, bad, nil)}
	if got := judge(t, "etcdWritesContinue", r, w, Params{MaxGap: 2 * time.Second}); got.Verdict != plan.Fail {
		t.Errorf("a gap of 4 s within 2 s: %s", got.Verdict)
	}
	r.Samples = map[string][]load.Sample{load.ProbeEtcdWrite: samples(bad, bad, bad, nil, nil, nil, nil)}
	if got := judge(t, "etcdWritesContinue", r, &Window{Began: at(10.2), Effective: at(12.8), Recover: at(18)}, Params{MaxGap: 2 * time.Second}); got.Verdict != plan.Fail {
		t.Errorf("a gap of 3 s within 2 s, over when the fault's effect was seen: %s (%s)", got.Verdict, got.Message)
	}
}

func TestLeadersMove(t *testing.T) {
	held := func(seconds float64, holder string, acquired float64) observe.Observation {
		o := observe.Observation{Time: at(seconds)}
		for _, c := range []string{"kube-controller-manager", "kube-scheduler"} {
			o.Leases = append(o.Leases, observe.Lease{Component: c, Holder: holder + "_x", Acquired: at(acquired), Renewed: at(seconds)})
		}
		return o
	}
	mixed := func(a, b observe.Observation) observe.Observation { a.Leases[1] = b.Leases[1]; return a }
	w := &Window{Machines: []string{"m1"}, Began: at(2), Effective: at(3), Recover: at(30)}
	for name, c := range map[string]struct {
		obs  []observe.Observation
		want plan.Verdict
	}{
		"moved in time": {[]observe.Observation{held(1, "m1", 0), held(9, "m2", 8)}, plan.Pass},
		"moved late":    {[]observe.Observation{held(1, "m1", 0), held(25, "m2", 24)}, plan.Fail},
		"never moved":   {[]observe.Observation{held(1, "m1", 0), held(25, "m1", 0)}, plan.Fail},
		"was elsewhere": {[]observe.Observation{held(1, "m2", 0), held(9, "m2", 0)}, plan.Skipped},
		"one of two":    {[]observe.Observation{mixed(held(1, "m1", 0), held(1, "m2", 0)), held(9, "m2", 8)}, plan.Pass},
		"not seen":      {[]observe.Observation{held(9, "m2", 8)}, plan.Unknown},
	} {
		r := &Record{Topology: cluster.Topology{Timing: cluster.TimingFast}, Observations: c.obs}
		if got := judge(t, "leadersMove", r, w, Params{MaxGap: time.Second}); got.Verdict != c.want {
			t.Errorf("%s: %s %s", name, got.Verdict, got.Message)
		}
	}
}
