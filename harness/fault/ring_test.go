package fault

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

func etcdOf(members int) cluster.Topology {
	return cluster.Topology{Name: "p", Etcd: cluster.EtcdOnly, EtcdMembers: members}
}

// A ring is one when every two that are no neighbours are parted, and every two that are still talk.
func TestRing(t *testing.T) {
	const (
		four = "13 31 24 42"
		five = "13 31 14 41 24 42 25 52 35 53"
	)
	for name, c := range map[string]struct {
		members int
		lost    string
		says    string // empty: it is the ring
	}{
		"none":                      {5, "", "still reaches"},
		"of five":                   {5, five, ""},
		"of four":                   {4, four, ""},
		"one pair talks":            {5, "13 31 14 41 24 42 25 52", "still reaches"},
		"one pair is parted half":   {5, "13 31 14 41 24 42 25 52 35", "still hears"},
		"the other half of it":      {5, "13 31 14 41 24 42 25 52 53", "still hears"},
		"two neighbours are parted": {5, five + " 12 21", "should not be affected"},
		"so are the ends of it":     {5, five + " 15 51", "should not be affected"},
		"one is cut off":            {4, four + " 12 21 14 41", "should not be affected"},
	} {
		t.Run(name, func(t *testing.T) {
			ring := etcdOf(c.members).EtcdMachines()
			seen, err := effect(t, &partition{way: cluster.BothWays, ring: ring}, c.members, c.lost, ring...)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v; want %q", err, c.says)
			}
			if pairs := c.members * (c.members - 1) / 2; err == nil && len(seen) != pairs {
				t.Errorf("%d of %d pairs were looked at: %v", len(seen), pairs, seen)
			}
		})
	}
	// Before it is injected each machine is looked at by itself: one that is parted from one that it should be parted from later is so already.
	if _, err := effect(t, &partition{way: cluster.BothWays, ring: etcdOf(4).EtcdMachines()}, 4, "24 42", "etcd-2"); err != nil {
		t.Errorf("a pair that is parted before was not seen: %v", err)
	}
}

// Whoever is in it sees a majority, and no two the same one.
func TestRingOfMajorities(t *testing.T) {
	for n := leastRing; n <= cluster.MaxEtcdMembers; n++ {
		ring := etcdOf(n).EtcdMachines()
		seen := map[string]bool{}
		for _, m := range ring {
			far := acrossRing(ring, m)
			near := slices.DeleteFunc(slices.Clone(ring), func(o string) bool { return slices.Contains(far, o) })
			if len(near) < cluster.Quorum(n) || len(far) == 0 || !slices.Contains(near, m) {
				t.Errorf("of %d, %s reaches %v", n, m, near)
			}
			for _, o := range far {
				if !slices.Contains(acrossRing(ring, o), m) {
					t.Errorf("of %d, %s is parted from %s and not the other way round", n, m, o)
				}
			}
			seen[strings.Join(near, " ")] = true
		}
		if len(seen) != n {
			t.Errorf("of %d some see the same: %v", n, seen)
		}
	}
}

func TestRingsThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		members int
		target  string
		params  Params
		says    string
		away    int
	}{
		"of five":           {5, Members, Params{Ring: true}, "", 2},
		"of four":           {4, Members, Params{Ring: true}, "", 1},
		"of three":          {3, Members, Params{Ring: true}, "it takes 4", 0},
		"of a part":         {7, Majority, Params{Ring: true}, "target members or workers", 0},
		"of the leader":     {5, Leader, Params{Ring: true}, "target members or workers", 0},
		"with another side": {5, Members, Params{Ring: true, From: []string{"etcd-1"}}, "neither from nor way", 0},
		"one way":           {5, Members, Params{Ring: true, Way: cluster.Outbound}, "neither from nor way", 0},
	} {
		s, err := NewSpec("partition", c.target, 0, c.params, etcdOf(c.members), rand.New(rand.NewPCG(1, 1)))
		var usage *cluster.UsageError
		if (err == nil) != (c.says == "") || err != nil && (!errors.As(err, &usage) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
		if away := Impact(etcdOf(c.members), nil, s); err == nil && away != c.away {
			t.Errorf("%s: %d members are away; want %d", name, away, c.away)
		}
	}
	ring, err := NewSpec("partition", Members, 0, Params{Ring: true}, etcdOf(5), rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, costs := CostsQuorum(etcdOf(5), nil, nil, ring); costs {
		t.Error("a ring of five costs the quorum")
	}
	if _, missing, costs := CostsQuorum(etcdOf(5), []string{"etcd-1"}, nil, ring); !costs || missing != 3 {
		t.Errorf("a ring of five beside a lost member: %d missing, costs the quorum %t", missing, costs)
	}
}
