package health

import (
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

func TestChangedContents(t *testing.T) {
	of := func(sum string) *observe.Inventory {
		return &observe.Inventory{Contents: map[string]map[string]string{"cp": {"/etc/kubernetes/scheduler.conf": sum, "/etc/kubernetes/pki/ca.crt": "1"}}}
	}
	for name, c := range map[string]struct {
		before, after *observe.Inventory
		windows       []Window
		says          string
	}{
		"the same":                {of("a"), of("a"), nil, ""},
		"changed":                 {of("a"), of("b"), nil, "/etc/kubernetes/scheduler.conf on cp is not what it was"},
		"changed by a repair":     {of("a"), of("b"), []Window{{Machines: []string{"cp"}, Began: time.Now()}}, ""},
		"not read before":         {&observe.Inventory{}, of("b"), nil, ""},
		"a fault somewhere else":  {of("a"), of("b"), []Window{{Machines: []string{"w"}, Began: time.Now()}}, "scheduler.conf on cp"},
		"a file is gone: Files'":  {of("a"), &observe.Inventory{Contents: map[string]map[string]string{"cp": {}}}, nil, ""},
		"evidence of another day": {of("a"), &observe.Inventory{}, nil, ""},
	} {
		r := &Record{Before: c.before, After: c.after, Windows: c.windows}
		got := strings.Join(r.changedContents(), "; ")
		if c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, want %q", name, got, c.says)
		}
	}
}

func TestEtcdHealthyNamesEverythingThatIsWrong(t *testing.T) {
	final := func(change func(o *observe.Observation)) *Record {
		o := observe.Observation{}
		for _, m := range []string{"etcd-1", "etcd-2"} {
			o.Members = append(o.Members, etcd.Member{Machine: m, ID: 1, Leader: 1, Term: 2, Version: "3.6.16"})
			o.Quorum.Members = append(o.Quorum.Members, etcd.Listed{Machine: m})
		}
		change(&o)
		return &Record{Topology: cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 2}, Final: o}
	}
	for name, c := range map[string]struct {
		change func(o *observe.Observation)
		want   plan.Verdict
		says   []string
	}{
		"well":    {func(*observe.Observation) {}, plan.Pass, nil},
		"nothing": {func(o *observe.Observation) { o.Members = nil }, plan.Unknown, nil},
		"a stranger, an alarm and another version": {func(o *observe.Observation) {
			o.Quorum.Members = append(o.Quorum.Members, etcd.Listed{ID: 0xabc, Learner: true})
			o.Members[0].Alarms = []string{"NOSPACE"}
			o.Members[1].Version = "3.6.11"
		}, plan.Fail, []string{"member abc", "etcd-1: NOSPACE", "etcd-2 runs 3.6.11"}},
	} {
		v, said := etcdHealthy(final(c.change), nil, Params{})
		if v != c.want {
			t.Errorf("%s: %s %q, want %s", name, v, said, c.want)
		}
		if asked, _ := etcdHealthy(final(c.change), nil, Params{Version: "v3.6"}); asked != c.want { // it is of that minor
			t.Errorf("%s, held to v3.6: %s, want %s", name, asked, c.want)
		}
		for _, s := range c.says {
			if !strings.Contains(said, s) {
				t.Errorf("%s: %q, want %q", name, said, s)
			}
		}
	}
}

// TestEtcdHealthyAtAVersion: a member of another version, or one that does not tell, is named.
func TestEtcdHealthyAtAVersion(t *testing.T) {
	r := &Record{Topology: cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 2}}
	for i, v := range []string{"3.5.19", ""} {
		m := []string{"etcd-1", "etcd-2"}[i]
		r.Final.Members = append(r.Final.Members, etcd.Member{Machine: m, ID: 1, Leader: 1, Term: 2, Version: v})
		r.Final.Quorum.Members = append(r.Final.Quorum.Members, etcd.Listed{Machine: m})
	}
	v, said := etcdHealthy(r, nil, Params{Version: "v3.6.4"})
	if v != plan.Fail || !strings.Contains(said, "etcd-1 runs 3.5.19 instead of v3.6.4") || !strings.Contains(said, "etcd-2 runs what it does not tell instead of v3.6.4") {
		t.Errorf("%s %q", v, said)
	}
}

func TestEveryMemberThatWasLostIsNamed(t *testing.T) {
	r := &Record{Topology: cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 2}}
	begun := time.Now()
	for i := range 20 {
		started := begun.Add(-time.Hour)
		if i > 10 {
			started = begun.Add(5 * time.Second)
		}
		r.Observations = append(r.Observations, observe.Observation{Time: begun.Add(time.Duration(i) * time.Second / 2), Members: []etcd.Member{
			{Machine: "etcd-1", ID: 1, Leader: 1, Started: started}, {Machine: "etcd-2", ID: 2, Leader: 1, Started: started},
		}})
	}
	v, said := onlyPlannedLosses(r, nil, Params{})
	if v != plan.Fail || !strings.Contains(said, "etcd-1 was restarted") || !strings.Contains(said, "etcd-2 was restarted") {
		t.Errorf("%s %q", v, said)
	}
}
