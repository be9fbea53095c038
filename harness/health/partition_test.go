package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

func TestMinorityStepsDown(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	leads, follows, none := etcd.Member{ID: 1, Leader: 1}, etcd.Member{ID: 1, Leader: 2}, etcd.Member{ID: 1}
	for name, c := range map[string]struct {
		machines []string
		said     map[int]etcd.Member // by etcd-1, a second after its leadership was cut off
		want     plan.Verdict
		says     string
	}{
		"steps down":                 {[]string{"etcd-1"}, map[int]etcd.Member{1: leads, 4: leads, 6: none, 9: none}, plan.Pass, "2 looks"},
		"leads on":                   {[]string{"etcd-1"}, map[int]etcd.Member{4: none, 6: leads, 9: none}, plan.Fail, "etcd-1 still took itself for the leader"},
		"follows on":                 {[]string{"etcd-1"}, map[int]etcd.Member{6: none, 9: follows}, plan.Fail, "etcd-1 still followed 2"},
		"leads again afterwards":     {[]string{"etcd-1"}, map[int]etcd.Member{6: none, 12: leads}, plan.Pass, "1 looks"},
		"silent":                     {[]string{"etcd-1"}, map[int]etcd.Member{6: {Error: "no answer"}}, plan.Unknown, "etcd-1 was not seen"},
		"looked at before that only": {[]string{"etcd-1"}, map[int]etcd.Member{4: none}, plan.Unknown, "etcd-1 was not seen"},
		"one of two unseen":          {[]string{"etcd-1", "etcd-2"}, map[int]etcd.Member{6: none}, plan.Unknown, "etcd-2 was not seen"},
		"a majority":                 {[]string{"etcd-1", "etcd-2", "etcd-3"}, map[int]etcd.Member{6: none}, plan.Unknown, "3 of 5 members, which is no minority"},
		"no member":                  {[]string{"worker-1"}, map[int]etcd.Member{6: none}, plan.Unknown, "0 of 5 members"},
	} {
		r := &Record{Topology: cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 5}}
		for s := range 14 {
			if m, ok := c.said[s]; ok {
				m.Machine = "etcd-1"
				r.Observations = append(r.Observations, observe.Observation{Time: at(s), Members: []etcd.Member{m}})
			}
		}
		v, said := minorityStepsDown(r, &Window{Machines: c.machines, Began: began, Effective: began, Recover: at(10)}, Params{})
		if v != c.want || !strings.Contains(said, c.says) {
			t.Errorf("%s: %s, %s", name, v, said)
		}
	}
}

func TestLeaderStays(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	led, other, later, silent := etcd.Member{Leader: 1, Term: 2}, etcd.Member{Leader: 2, Term: 3}, etcd.Member{Leader: 1, Term: 3}, etcd.Member{Error: "no answer"}
	for name, c := range map[string]struct {
		said map[int]etcd.Member // by etcd-1; the others follow on
		want plan.Verdict
		says string
	}{
		"stays":                      {map[int]etcd.Member{4: led, 9: led}, plan.Pass, "followed 1 in term 2, at 14 looks"},
		"is late now and then":       {map[int]etcd.Member{4: led, 6: silent}, plan.Pass, "at 13 looks"},
		"another":                    {map[int]etcd.Member{4: led, 9: other}, plan.Fail, "etcd-1 followed 2 in term 3"},
		"the same, elected again":    {map[int]etcd.Member{4: led, 9: later}, plan.Fail, "in term 3"},
		"nobody":                     {map[int]etcd.Member{4: led, 9: {Term: 2}}, plan.Fail, "followed 0"},
		"another afterwards":         {map[int]etcd.Member{4: led, 11: other}, plan.Pass, "followed 1 in term 2"},
		"nobody for a moment before": {map[int]etcd.Member{0: {Term: 2}, 4: led}, plan.Pass, "followed 1 in term 2"},
		"another until it bit":       {map[int]etcd.Member{2: other, 4: led}, plan.Fail, "before the fault the leader was 1, in term 2"},
		"elected before it bit":      {map[int]etcd.Member{2: later, 4: later}, plan.Fail, "before the fault the leader was 1, in term 2"},
		"never seen":                 {map[int]etcd.Member{4: silent, 9: silent}, plan.Unknown, "only 2 of 3 members"},
		"seen before and after only": {map[int]etcd.Member{1: led, 11: led}, plan.Unknown, "only 2 of 3 members"},
	} {
		r := &Record{Topology: cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3}}
		for s := range 14 {
			o := observe.Observation{Time: at(s)}
			for i, m := range []etcd.Member{c.said[s], led, led} {
				m.Machine = fmt.Sprint("etcd-", i+1)
				if _, said := c.said[s]; said || i > 0 {
					o.Members = append(o.Members, m)
				}
			}
			r.Observations = append(r.Observations, o)
		}
		v, said := etcdLeaderStays(r, &Window{Machines: []string{"etcd-1"}, Began: at(2), Effective: at(4), Recover: at(10)}, Params{})
		if v != c.want || !strings.Contains(said, c.says) {
			t.Errorf("%s: %s, %s", name, v, said)
		}
	}
}
