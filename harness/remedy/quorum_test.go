package remedy

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

func TestAClusterIsBegunAgainOnlyWhereNoMajorityCanComeBack(t *testing.T) {
	lost := func(m string) remains { return remains{machine: m} }
	down := func(m string) remains { return remains{machine: m, data: true} }
	up := func(m string, revision int64) remains {
		return remains{machine: m, data: true, answers: true, revision: revision}
	}
	for name, c := range map[string]struct {
		left     []remains
		survivor string
		says     string
	}{
		"two of three lost":        {[]remains{lost("a"), up("b", 7), lost("c")}, "b", ""},
		"one lost, one down":       {[]remains{lost("a"), up("b", 7), down("c")}, "b", "2 of 3 machines have their member's data, which is a quorum of 2"},
		"all down":                 {[]remains{down("a"), down("b"), down("c")}, "", "3 of 3 machines"},
		"all lost":                 {[]remains{lost("a"), lost("b"), lost("c")}, "", "no member that has its data answers"},
		"one may have more":        {[]remains{lost("a"), lost("b"), lost("c"), down("d"), up("e", 7)}, "e", "d has its member's data, which does not answer"},
		"the best of two of five":  {[]remains{lost("a"), up("b", 7), lost("c"), lost("d"), up("e", 9)}, "e", ""},
		"what is left is down":     {[]remains{lost("a"), down("b"), lost("c")}, "", "no member that has its data answers"},
		"a machine does not speak": {[]remains{{machine: "a", unknown: "timeout"}, up("b", 7), lost("c")}, "b", "a does not answer: timeout"},
	} {
		survivor, stands := projectRestore(c.left)
		err := plan.Refusal("it", stands)
		if survivor.machine != c.survivor || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: survivor %q, %v; want %q, %q", name, survivor.machine, err, c.survivor, c.says)
		}
	}
	kubernetes := cluster.Topology{ControlPlanes: 3, Etcd: cluster.EtcdStacked, EtcdMembers: 3}
	if _, err := New(Spec{Runbook: "restore-quorum"}, kubernetes); err == nil || !strings.Contains(err.Error(), "for etcd alone so far") {
		t.Errorf("with API servers over it: %v", err)
	}
}
