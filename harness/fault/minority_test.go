package fault

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestCutsMinority(t *testing.T) {
	for name, c := range map[string]struct {
		kind, target string
		params       Params
		says         string // empty: they are cut off
	}{
		"a minority":               {"partition", Minority, Params{}, ""},
		"whoever leads":            {"partition", Leader, Params{}, ""},
		"whoever leads, alone":     {"machineIsolate", Leader, Params{}, ""},
		"a ring":                   {"partition", Members, Params{Ring: true}, "reaches 2 others, which is a majority"},
		"over a bridge":            {"partition", "etcd-1", Params{From: []string{"etcd-4", "etcd-5"}}, "still reach etcd-1, etcd-2, etcd-3, which is a majority"},
		"over a bridge that lacks": {"partition", "etcd-1", Params{From: []string{"etcd-3", "etcd-4", "etcd-5"}}, ""},
		"more than a minority":     {"machineIsolate", Majority, Params{}, "3 of 5 members, which is no minority"},
		"one that is killed":       {"etcdMemberCrash", Leader, Params{}, "etcdMemberCrash cuts nobody off"},
		"links that are bad":       {"linkLoss", Leader, Params{Loss: 0.5}, "linkLoss cuts nobody off"},
	} {
		s, err := NewSpec(c.kind, c.target, 0, c.params, etcdOf(5), rand.New(rand.NewPCG(1, 1)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if why := s.CutsMinority(etcdOf(5)); (why == "") != (c.says == "") || !strings.Contains(why, c.says) {
			t.Errorf("%s: %q; want %q", name, why, c.says)
		}
	}
}
