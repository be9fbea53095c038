package experiment

import (
	"errors"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

// script is a scenario with the traffic in the place of its step.
func script(step string) string {
	return strings.Replace(strings.Replace(good, "{controlPlanes: 3}", "{etcd: only, etcdMembers: 3}", 1), "- fault: {etcdMemberCrash: {target: leader, for: 5s}}", step, 1)
}

// TestTrafficPlan: traffic is steps of the plan, one an entry; beside a fault they come when that is seen to hold, and before it is undone.
func TestTrafficPlan(t *testing.T) {
	s, err := Parse("x.yaml", []byte(script(`- traffic: [{burst: {writes: 10}, through: etcd-2}, {txn: {then: [{put: a}, {get: b, revision: 1}]}, says: compacted}]
    - fault: {etcdMemberFreeze: {target: etcd-3, for: 5s}}
      traffic: [{burst: {writes: 5000, keys: 10}}]
    - fault: {etcdMemberCrash: {target: etcd-1, for: 1s}}
      when: {traffic: [{compact: {}}, {defragment: {}, through: etcd-1}], calledFor: 300ms}
      times: 2`)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan(1)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, step := range p.Outline() {
		names = append(names, step.Name)
	}
	said := strings.Join(names, "\n")
	want := []string{
		"traffic\nsend a burst of 10 writes of 100 to 10 keys below burst/, through etcd-2\nsend a transaction: put a, get b at revision 1; must fail, saying: compacted\n",
		"etcdMemberCrash of etcd-1 for 1s\nwait for a compaction, then a defragmentation, through etcd-1 to be sent 300ms ago, within 1m0s\ninject\n",
		"await its effect\nsend a burst of 5000 writes of 100 to 10 keys below burst/\nhold for 5s\nrecover\n",
	}
	for _, w := range want {
		if !strings.Contains(said, w) {
			t.Errorf("the plan is\n%s\nand has not\n%s", said, w)
		}
	}
}

// TestTrafficRefused: what cannot be sent is refused when the scenario is read, with its place and what is known.
func TestTrafficRefused(t *testing.T) {
	for name, c := range map[string]struct{ step, want string }{
		"an unknown kind":      {"- traffic: [{blast: {}}]", "field blast is unknown; known: burst, txn, compact"},
		"nothing":              {"- traffic: [{}]", "spec.steps[0]: traffic[0]: want one of burst, txn, compact"},
		"beside time":          {"- observe: 3s\n      traffic: [{burst: {writes: 1}}]", "want one of"},
		"beside several":       {"- faults: [{etcdMemberCrash: {target: etcd-1}}]\n      traffic: [{burst: {writes: 1}}]", "want one of"},
		"defragment of all":    {"- traffic: [{defragment: {}}]", "it is of one member"},
		"a metric of all":      {"- traffic: [{metric: {name: x}}]", "it is of one member"},
		"a metric of none":     {"- traffic: [{metric: {}, through: etcd-1}]", "metric: name is"},
		"an event of nothing":  {"- fault: {etcdMemberCrash: {target: etcd-1}}\n      when: {traffic: [{}]}", "when: traffic[0]: want one of"},
		"an event elsewhere":   {"- fault: {etcdMemberCrash: {target: etcd-1}}\n      when: {traffic: [{alarms: {}, through: etcd-9}]}", `no member of etcd is on "etcd-9"`},
		"called, and nothing":  {"- fault: {etcdMemberCrash: {target: etcd-1}}\n      when: {ack: 3, calledFor: 1s}", "calledFor is 1s; it is how long the last entry of traffic"},
		"traffic of a program": {"- fault: {etcdMemberCrash: {target: etcd-1}}\n      when: {traffic: [{alarms: {}}], on: etcd-1}", "traffic takes no on and no of"},
		"a loud load":          {"- observe: 1s\n  load: loud", `spec.load is "loud"; known: quiet`},
		"a machine without it": {"- traffic: [{burst: {writes: 1}, through: worker-1}]", `no member of etcd is on "worker-1"; there are etcd-1, etcd-2, etcd-3`},
	} {
		s, err := Parse("x.yaml", []byte(script(c.step)))
		if err == nil {
			_, err = s.Plan(1)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want it to say %q", name, err, c.want)
		}
	}
}

// TestNoPasswordsOutliveARun: authentication is refused where a run that is killed would leave it behind, wherever the entry stands, and nothing else is.
func TestNoPasswordsOutliveARun(t *testing.T) {
	up := struct{ cluster.Cluster }{}
	for step, refused := range map[string]bool{
		"- traffic: [{burst: {writes: 1}}, {auth: {disable: true}}]":                                      false,
		"- traffic: [{burst: {writes: 1}}, {auth: {enable: writer}}]":                                     true,
		"- fault: {etcdMemberCrash: {target: etcd-1}}\n      traffic: [{auth: {enable: writer}}]":         true,
		"- fault: {etcdMemberCrash: {target: etcd-1}}\n      when: {traffic: [{auth: {enable: writer}}]}": true,
		"- faults: [{etcdMemberCrash: {target: etcd-1}, when: {traffic: [{auth: {enable: writer}}]}}]":    true,
	} {
		s := parsed(t, script(step))
		cells, err := s.Cells()
		if err != nil {
			t.Fatal(err)
		}
		for _, on := range []cluster.Cluster{nil, up} {
			cell := cells[0]
			cell.On = on
			_, err := s.choose(cell, 1)
			var usage *cluster.UsageError
			if want := refused && on != nil; errors.As(err, &usage) != want || want && !strings.Contains(err.Error(), "nobody would know them") || !want && err != nil {
				t.Errorf("%s, on a cluster that is up: %t: %v", step, on != nil, err)
			}
		}
	}
}
