package remedy

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

func listed(machines ...string) (list []etcd.Listed, members []etcd.Member) {
	for i, m := range machines {
		id := uint64(i + 1)
		list = append(list, etcd.Listed{ID: id, Machine: m, Name: m})
		members = append(members, etcd.Member{Machine: m, ID: id, Leader: 1})
	}
	return list, members
}

func silent(members []etcd.Member, i int) []etcd.Member {
	members[i] = etcd.Member{Machine: members[i].Machine, Error: "connection refused"}
	return members
}

// The new member counts as not well until it has shown otherwise: what is left without it must be a quorum of what there will be.
func TestAReplacementThatWouldCostTheQuorumIsRefusedWithTheSum(t *testing.T) {
	three, well := listed("a", "b", "c")
	learner, _ := listed("a", "b", "c")
	learner[1].Learner = true
	stranger, _ := listed("a", "b", "c")
	stranger[0].Machine = ""
	one, alone := listed("c")
	five, wellFive := listed("a", "b", "c", "d", "e")
	other, impostor := listed("a", "b", "c")
	impostor[1].ID = 77
	for name, c := range map[string]struct {
		list    []etcd.Listed
		members []etcd.Member
		machine string
		says    string // of a blocker; empty: none
	}{
		"one of three":              {three, silent(append([]etcd.Member{}, well...), 2), "c", ""},
		"a well one of three":       {three, well, "c", ""},
		"one of three, another ill": {three, silent(append([]etcd.Member{}, well...), 1), "c", "1 of 2 are well; a quorum of 3 is 2; not well besides: b"},
		"one of five, another ill":  {five, silent(append([]etcd.Member{}, wellFive...), 1), "c", ""},
		"the only one":              {one, alone, "c", "the only member"},
		"another is a learner":      {learner, well, "c", "is a learner"},
		"the one is a learner":      {learner, well, "b", ""},
		"a stranger":                {stranger, well, "c", "belongs to no machine"},
		"another is not the listed": {other, impostor, "c", "not well besides: b"},
		"all but one are gone":      {three[:1], well[:1], "c", ""},
		"its place is empty":        {three[:2], well[:2], "c", ""},
		"nobody was asked":          {three, nil, "c", "0 of 2 are well"},
	} {
		err := plan.Refusal("it", projectReplacement(c.list, c.members, c.machine))
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
}

func TestWhoIsIllIsNamedWithTheReason(t *testing.T) {
	list, members := listed("a", "b", "c")
	members[0].Leader = 0
	members[1].ID = 9
	list[2].Learner = true
	got := strings.Join(illMembers(list, members, []string{"a", "b", "c", "d"}), "\n")
	want := "a: its member follows no leader\nb: its member calls itself 9, and the list has 2\nc: its member is a learner and has no vote\nd: it has no member on the list"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestBadSettingsAreRefusedWithWhatIsKnown(t *testing.T) {
	three := cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3}
	for want, s := range map[string]Spec{
		`unknown runbook "magic"; known: replace-etcd-member`: {Runbook: "magic"},
		`machine is "x"; it may be one of etcd-1`:             {Runbook: "replace-etcd-member", Machine: "x"},
		"timeout is -1s; it cannot be negative":               {Runbook: "replace-etcd-member", Timeout: -1e9},
	} {
		if _, err := New(s, three); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

func TestOneThatWasBegunIsNotTakenForAnother(t *testing.T) {
	three := cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3}
	r, err := New(Spec{Runbook: "replace-etcd-member", Machine: "etcd-1"}, three)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.GoOn(Begun{Found: Diagnosis{Machine: "etcd-2"}}); err == nil || !strings.Contains(err.Error(), "was begun for etcd-2") {
		t.Errorf("it goes on with another machine's: %v", err)
	}
	if err := r.GoOn(Begun{Found: Diagnosis{Machine: "etcd-1"}}); err != nil {
		t.Error(err)
	}
}
