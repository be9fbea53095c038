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

func TestEtcdLeaderMoves(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	// Whoever is named first leads; a name in capitals does not answer.
	look := func(names string) (out []etcd.Member) {
		for i, n := range strings.Fields(names) {
			m := etcd.Member{Machine: strings.ToLower(n), ID: uint64(i + 1), Leader: 1}
			if n != strings.ToLower(n) {
				m = etcd.Member{Machine: strings.ToLower(n), Error: "late"}
			}
			out = append(out, m)
		}
		return out
	}
	for name, c := range map[string]struct {
		said    map[int]string
		want    plan.Verdict
		says    string
		stalled []observe.Stall
	}{
		"moves":                  {map[int]string{-1: "a b c", 1: "a B c", 2: "A b c", 3: "b a c", 15: "b a c"}, plan.Pass, "b led in the place of a, seen 3s", nil},
		"stays":                  {map[int]string{-1: "a b c", 1: "a b c", 15: "a b c"}, plan.Fail, "none of the members", nil},
		"late":                   {map[int]string{-1: "a b c", 1: "a b c", 14: "a b c", 15: "c b a"}, plan.Fail, "only 15s after", nil},
		"too short a look":       {map[int]string{-1: "a b c", 1: "a b c", 4: "a b c"}, plan.Unknown, "last seen 4s", nil},
		"another led":            {map[int]string{-1: "b a c", 3: "b a c", 15: "b a c"}, plan.Unknown, "the fault is not on b", nil},
		"nobody was seen before": {map[int]string{3: "b a c"}, plan.Unknown, "was not seen", nil},
		"late beside a stall":    {map[int]string{-1: "a b c", 1: "a b c", 15: "c b a"}, plan.Unknown, "for 8s of it the harness was stalled", []observe.Stall{{From: at(3).Add(aroundStall), To: at(11).Add(-aroundStall)}}},
		"late for all that":      {map[int]string{-1: "a b c", 1: "a b c", 15: "c b a"}, plan.Fail, "only 15s after", []observe.Stall{{From: at(3).Add(aroundStall), To: at(7).Add(-aroundStall)}}},
		"stays, beside a stall":  {map[int]string{-1: "a b c", 1: "a b c", 15: "a b c"}, plan.Unknown, "the harness was stalled", []observe.Stall{{From: at(3), To: at(11)}}},
		"a stall after it":       {map[int]string{-1: "a b c", 1: "a b c", 15: "c b a"}, plan.Fail, "only 15s after", []observe.Stall{{From: at(17), To: at(23)}}},
		"only afterwards":        {map[int]string{-1: "a b c", 3: "a b c", 15: "a b c", 21: "b a c"}, plan.Fail, "none of", nil},
	} {
		r := &Record{Topology: cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3}, Host: []observe.HostReading{{Stalls: c.stalled}}}
		for s := -1; s < 25; s++ {
			if said, ok := c.said[s]; ok {
				r.Observations = append(r.Observations, observe.Observation{Time: at(s), Members: look(said)})
			}
		}
		v, said := etcdLeaderMoves(r, &Window{Machines: []string{"a"}, Began: began, Effective: at(2), Recover: at(20)}, Params{})
		if v != c.want || !strings.Contains(said, c.says) {
			t.Errorf("%s: %s, %s", name, v, said)
		}
	}
}
