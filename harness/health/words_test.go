package health

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// TestANoGoQuotesWhoFailed: the words are those of the component the message names, its own and no neighbour's, and a pass has none.
func TestANoGoQuotesWhoFailed(t *testing.T) {
	r := &Record{
		Final: observe.Observation{Members: []etcd.Member{{Machine: "etcd-1", Error: "context deadline exceeded"}}},
		Said: []observe.Said{
			{Program: "etcd", Machine: "etcd-1", Lines: []observe.Line{
				{Text: "one of long ago", Times: 1},
				{Text: "too many learner members", Times: 129},
				{Text: "failed to nodeToMember: no key", Fatal: true, Times: 129},
				{Text: "panic: failed to nodeToMember", Fatal: true, Times: 112},
			}},
			{Program: "kubelet", Machine: "etcd-1", Lines: []observe.Line{{Text: "the kubelet's"}}},
			{Program: "etcd", Machine: "etcd-10", Lines: []observe.Line{{Text: "a neighbour's"}}},
		},
		Windows: []Window{
			{Machines: []string{"etcd-1", "etcd-4"}, Refused: "add a learner: etcdserver: unhealthy cluster"},
			{Machines: []string{"etcd-10"}, Refused: "a neighbour's"},
		},
	}
	kind, err := FindCheck(Checks(), "etcdHealthy", "finally")
	if err != nil {
		t.Fatal(err)
	}
	got := kind.Judge(r, nil, Params{})
	const want = `member on etcd-1: context deadline exceeded; etcd on etcd-1 said: "one of long ago", "too many learner members" (129 times), ` +
		`"failed to nodeToMember: no key" (129 times); its repair said: add a learner: etcdserver: unhealthy cluster`
	if got.Verdict != plan.Fail || got.Message != want {
		t.Errorf("%s: %s\nwant %s", got.Verdict, got.Message, want)
	}
	if all := r.words("nothing answers on etcd-1"); !strings.Contains(all, "the kubelet's") || !strings.Contains(all, "nodeToMember") {
		t.Errorf("where no program is named all are meant: %s", all)
	}
	r.Topology.Etcd, r.Topology.EtcdMembers = cluster.EtcdOnly, 1
	r.Final.Members = []etcd.Member{{Machine: "etcd-1", ID: 1, Leader: 1}}
	r.Final.Quorum.Members = []etcd.Listed{{ID: 1, Machine: "etcd-1"}}
	if got := kind.Judge(r, nil, Params{}); got.Verdict != plan.Pass || strings.Contains(got.Message, "said") {
		t.Errorf("%s: %s", got.Verdict, got.Message)
	}
}

// TestANameWithinAnotherIsNotMeant: master-2 is not master, and what master said explains nothing of it.
func TestANameWithinAnotherIsNotMeant(t *testing.T) {
	for message, want := range map[string]bool{
		"the member on master was lost": true, "master: dial": true, "lost: master": true, "(master)": true, "etcd/master, refused": true, "it was on master.": true,
		"the member on master-2 was lost": false, "old-master is gone": false, "node master.example.com is gone": false, "mastering": false,
	} {
		if names(message, "master") != want {
			t.Errorf("%q: %t", message, !want)
		}
	}
}
