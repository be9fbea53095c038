package health

import (
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
)

// TestALossOfSeveralIsExpectedWhileTheyAllHold: a fault that costs the quorum only beside others excuses its loss while so many hold as that takes, and no longer.
func TestALossOfSeveralIsExpectedWhileTheyAllHold(t *testing.T) {
	begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return begun.Add(time.Duration(s) * time.Second) }
	window := func(id string, from, to int, components []string, machines ...string) Window {
		return Window{ID: id, Machines: machines, Components: components, Began: at(from), Effective: at(from), Recover: at(to), Cleared: at(to)}
	}
	tips := func(w Window, with ...string) Window { w.Expected, w.With = true, with; return w }
	beside := func(w Window) Window { w.Expected, w.WithSteps = true, true; return w }
	step := func(w Window) Window { w.Upgrade = true; return w }
	some := func(w Window, n int) Window { w.AtMost = n; return w }
	member := []string{etcd.Program}
	for name, c := range map[string]struct {
		windows []Window
		want    map[int]bool // at a second
	}{
		"three of five": {
			[]Window{window("1", 10, 60, member, "etcd-1", "etcd-2"), tips(window("2", 30, 90, member, "etcd-3"), "1")},
			map[int]bool{20: false, 40: true, 75: false},
		},
		"two of the three others will do": {
			[]Window{window("1", 10, 60, nil, "etcd-1", "etcd-2"), window("2", 10, 30, nil, "etcd-4"), tips(window("3", 20, 90, member, "etcd-3"), "1", "2")},
			map[int]bool{15: false, 25: true, 50: true, 75: false},
		},
		"another that it was not planned with": {
			[]Window{window("1", 10, 60, member, "etcd-1"), window("x", 10, 60, member, "etcd-2"), tips(window("2", 10, 60, member, "etcd-3"), "1")},
			map[int]bool{40: false},
		},
		"one that leaves etcd alone": {
			[]Window{window("1", 10, 60, []string{"kubelet"}, "etcd-1", "etcd-2"), tips(window("2", 10, 60, member, "etcd-3"), "1")},
			map[int]bool{40: false},
		},
		"by itself": {[]Window{tips(window("1", 10, 60, member, "etcd-1", "etcd-2", "etcd-3"))}, map[int]bool{5: false, 40: true, 70: false}},
		"beside a step of an upgrade": {
			[]Window{step(window("4.2", 20, 30, member, "etcd-1", "etcd-2")), beside(window("1", 10, 60, member, "etcd-3"))},
			map[int]bool{12: false, 25: true, 32: true, 45: false},
		},
		"beside a step that leaves etcd alone": {
			[]Window{step(window("4.2", 20, 30, []string{"kubelet"}, "etcd-1", "etcd-2")), beside(window("1", 10, 60, member, "etcd-3"))},
			map[int]bool{25: false},
		},
		"beside a step of which nobody knows where it is": {
			[]Window{step(some(window("4.2", 20, 30, nil, "etcd-1", "etcd-2", "etcd-4", "etcd-5"), 1)), beside(window("1", 10, 60, member, "etcd-3"))},
			map[int]bool{25: false},
		},
		"a ring, and a member more": {
			[]Window{some(window("1", 10, 60, member, "etcd-1", "etcd-2", "etcd-3", "etcd-4", "etcd-5"), 2), tips(window("2", 30, 40, member, "etcd-3"), "1")},
			map[int]bool{20: false, 35: true, 50: false},
		},
		"one that never came": {
			[]Window{{ID: "1", Machines: []string{"etcd-1", "etcd-2"}}, tips(window("2", 10, 60, member, "etcd-3"), "1")}, map[int]bool{40: false},
		},
	} {
		r := &Record{Topology: cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 5}, Windows: c.windows}
		for s, want := range c.want {
			if got := r.expected(at(s)); got != want {
				t.Errorf("%s: at %d s expected %t", name, s, got)
			}
		}
	}
}
