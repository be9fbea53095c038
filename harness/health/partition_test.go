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
