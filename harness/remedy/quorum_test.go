package remedy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

func lost(m string) remains { return remains{machine: m} }

func with(m string, term, last uint64) remains {
	return remains{machine: m, data: true, Remains: etcd.Remains{Log: etcd.Log{Member: uint64(m[0]), Term: term, Last: last, Commit: last - 1}, Revision: 7}}
}

func ofBefore(m string, term, last uint64) remains {
	l := with(m, term, last)
	l.Log.Cluster = 1
	return l
}

func damaged(m string, l etcd.Log) remains {
	return remains{machine: m, data: true, damaged: "crc", Remains: etcd.Remains{Log: l}}
}

func TestAClusterIsBegunAgainOnlyWhereNoMajorityCanComeBack(t *testing.T) {
	for name, c := range map[string]struct {
		left     []remains
		given    bool
		survivor string
		says     string
	}{
		"two of three lost":         {[]remains{lost("a"), with("b", 2, 9), lost("c")}, false, "b", ""},
		"one lost, two have theirs": {[]remains{lost("a"), with("b", 2, 9), with("c", 2, 9)}, false, "b", "2 of 3 machines have their member's data, which is a quorum of 2"},
		"all have theirs":           {[]remains{with("a", 2, 9), with("b", 2, 9), with("c", 2, 9)}, true, "a", "3 of 3 machines"},
		"all lost":                  {[]remains{lost("a"), lost("b"), lost("c")}, false, "", "no member has data that can be read"},
		"all lost but a snapshot":   {[]remains{lost("a"), lost("b"), lost("c")}, true, "", ""},
		"the log that goes further": {[]remains{lost("a"), with("b", 2, 9), lost("c"), lost("d"), with("e", 2, 10)}, false, "e", ""},
		"the log of a later term":   {[]remains{lost("a"), with("b", 3, 4), lost("c"), lost("d"), with("e", 2, 10)}, false, "b", ""},
		"a machine does not speak":  {[]remains{{machine: "a", unknown: "timeout"}, with("b", 2, 9), lost("c")}, false, "b", "a does not answer: timeout"},
		"the only one is damaged":   {[]remains{lost("a"), damaged("b", etcd.Log{}), lost("c")}, false, "", "b has its member's data, which is damaged: crc"},
		"a damaged one had more":    {[]remains{lost("a"), lost("b"), damaged("c", etcd.Log{Term: 2, Last: 12}), with("d", 2, 9), lost("e")}, false, "d", "entry 12 of term 2 and the survivor's to entry 9 of term 2"},
		"a damaged one had no more": {[]remains{lost("a"), lost("b"), damaged("c", etcd.Log{Term: 2, Last: 9}), with("d", 2, 9), lost("e")}, false, "d", ""},
		"nobody knows what it had":  {[]remains{lost("a"), damaged("b", etcd.Log{}), with("c", 2, 9)}, false, "c", "nobody can tell"},
		"one is of before":          {[]remains{lost("a"), with("b", 2, 9), lost("c"), lost("d"), ofBefore("e", 7, 900)}, false, "b", "is of cluster 0 (entry 9 of term 2), and that of e of cluster 1"},
		"one is damaged of three":   {[]remains{damaged("a", etcd.Log{Term: 2, Last: 8}), lost("b"), with("c", 2, 9)}, false, "c", ""},
	} {
		survivor, stands := projectRestore(c.left, c.given)
		err := plan.Refusal("it", stands)
		if survivor.machine != c.survivor || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: survivor %q, %v; want %q, %q", name, survivor.machine, err, c.survivor, c.says)
		}
	}
}

// A snapshot is restored where nothing that is left has more.
func TestASnapshotOfLessThanIsLeftIsRefusedWithTheSum(t *testing.T) {
	of := func(index uint64) etcd.Holds {
		return etcd.Holds{Revision: 5, Index: index, Members: []uint64{'a', 'b', 'c'}}
	}
	for name, c := range map[string]struct {
		given etcd.Holds
		err   error
		left  []remains
		says  string
	}{
		"nothing is left":     {of(4), nil, []remains{lost("a"), lost("b"), lost("c")}, ""},
		"damaged":             {of(4), errors.New("has no checksum"), []remains{lost("a")}, "has no checksum"},
		"as much as is left":  {of(9), nil, []remains{lost("a"), with("b", 2, 9)}, ""},
		"less than is left":   {of(4), nil, []remains{lost("a"), with("b", 2, 9)}, "goes to entry 9, the snapshot x to entry 4: 5 entries less"},
		"of another cluster":  {of(99), nil, []remains{lost("a"), with("d", 2, 9)}, "has the data of member 64, with revision 7 at least, which is not on the list in x (revision 5)"},
		"what is left is bad": {of(4), nil, []remains{lost("a"), damaged("b", etcd.Log{Term: 2, Last: 9})}, ""}, // that stands against it by itself
	} {
		err := plan.Refusal("it", projectGiven("x", c.given, c.err, c.left))
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
}

func TestRoomAndProgramsAreThereBeforeAnythingIsTouched(t *testing.T) {
	for name, c := range map[string]struct {
		missing    []string
		used, room cluster.Size
		says       string
	}{
		"enough": {nil, 10 << 20, 30 << 20, ""}, "none of it": {nil, 10 << 20, 29 << 20, "takes 10Mi, and there is room for 29Mi"}, "no program": {[]string{"etcdutl"}, 0, 1, "lacks etcdutl"},
	} {
		err := plan.Refusal("it", projectRoom("m", c.missing, c.used, c.room))
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
	if got := kibi("/dev/vda 264 52 40 57% /", 3); got != 40<<10 {
		t.Errorf("the room of df is %s", got)
	}
}

func TestAMachineThatRunsNoStaticPodsIsNotBegunWith(t *testing.T) {
	for says, lacks := range map[string][]string{"": {""}, "on m: no kubelet runs, etcd has no manifest": {"no kubelet runs", "etcd has no manifest"}} {
		err := plan.Refusal("it", projectPods("m", lacks))
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", says, err)
		}
	}
}

// What goes on after an interrupt goes on with the snapshot it was begun with.
func TestASnapshotIsOfTheRemedyItWasGivenTo(t *testing.T) {
	three := cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3}
	if _, err := New(Spec{Runbook: "etcd-nospace", Snapshot: "x"}, three); err == nil || !strings.Contains(err.Error(), "the runbook restores none") {
		t.Errorf("of a runbook that restores none: %v", err)
	}
	begun := Begun{Spec: Spec{Runbook: "restore-quorum", Snapshot: "x"}}
	for given, says := range map[string]string{"": "", "x": "", "y": "begun with x"} {
		r, err := New(Spec{Runbook: "restore-quorum", Snapshot: given}, three)
		if err != nil {
			t.Fatal(err)
		}
		err = r.GoOn(begun)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) || err == nil && r.Spec.Snapshot != "x" {
			t.Errorf("%q: %v, snapshot %q; want %q", given, err, r.Spec.Snapshot, says)
		}
	}
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.db")
	if err := os.WriteFile(bad, []byte("no snapshot"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copySnapshot(bad, filepath.Join(dir, "snapshots", "copy.db")); err == nil {
		t.Error("a file that is no snapshot was taken for one")
	}
}

// What etcd's own flag is for is not asked of a snapshot, nor of a member whose flags are in a manifest, and a remedy that was begun with it is gone on with so.
func TestANewClusterIsForcedWhereEtcdIsAServiceAndNothingIsRestored(t *testing.T) {
	service, pod := cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3}, cluster.Topology{Etcd: cluster.EtcdStacked, ControlPlanes: 3, EtcdMembers: 3}
	for name, c := range map[string]struct {
		spec Spec
		on   cluster.Topology
		says string
	}{
		"a service":        {Spec{Runbook: "restore-quorum"}, service, ""},
		"with a snapshot":  {Spec{Runbook: "restore-quorum", Snapshot: "x"}, service, "without a snapshot"},
		"a static pod":     {Spec{Runbook: "restore-quorum"}, pod, "no static pod"},
		"restores nothing": {Spec{Runbook: "etcd-nospace"}, service, "is of restore-quorum"},
	} {
		c.spec.ForceNewCluster = true
		r, err := New(c.spec, c.on)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
		if err != nil {
			continue
		}
		var names []string
		for _, s := range r.Steps() {
			names = append(names, strings.TrimPrefix(s.Name, "restore-quorum/"))
		}
		if got := strings.Join(names, " "); !strings.HasPrefix(got, "diagnose stop force rejoin-") || strings.Contains(got, "restore ") {
			t.Errorf("%s: its steps are %s", name, got)
		}
		if err := r.GoOn(Begun{Spec: Spec{Runbook: "restore-quorum"}}); err == nil || !strings.Contains(err.Error(), "begun with forceNewCluster false") {
			t.Errorf("%s: going on with one that restores: %v", name, err)
		}
	}
}
