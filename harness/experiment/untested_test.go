package experiment

import (
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// said is what a result says of something that was not tested; empty: nothing.
func said(r *plan.Result, what string) string {
	for _, n := range r.NotTested {
		if n.What == what {
			return n.Why
		}
	}
	return ""
}

// TestWhatWasNotTestedFollowsFromTheEvidence: steps that no fault held in, faults and checks that nobody asked for, and what nobody looked at.
func TestWhatWasNotTestedFollowsFromTheEvidence(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	step := func(name string, from, seconds int) plan.StepDone {
		return plan.StepDone{ID: name, Name: name, Status: "done", Started: at.Add(time.Duration(from) * time.Second), DurationSeconds: float64(seconds)}
	}
	change := func(e *Evidence) {
		e.Record.Topology = cluster.Topology{Name: "x", Etcd: cluster.EtcdStacked, ControlPlanes: 1, EtcdMembers: 1, Timing: cluster.TimingFast}
		e.Upgrade = []plan.StepDone{step("drain", 0, 10), step("kubeadm", 10, 30), step("verify", 50, 10), {ID: "8.2", Name: "hold for 5s", Status: "done", Started: at.Add(45 * time.Second), DurationSeconds: 2}, {ID: "9", Name: "later", Status: "skipped"}}
		receipt := func(kind, state string, from, to int) plan.Receipt {
			armed, cleared := at.Add(time.Duration(from)*time.Second), at.Add(time.Duration(to)*time.Second)
			return plan.Receipt{ID: kind, Fault: kind, State: state, Evidence: []plan.Evidence{{Time: armed}, {Time: cleared}}, Armed: armed, EffectiveAt: armed, ClearedAt: cleared}
		}
		e.Receipts = []plan.Receipt{receipt("etcdMemberCrash", plan.Confirmed, 12, 20), receipt("etcdMemberFreeze", plan.Mismatch, 12, 20), receipt("machinePowerOff", plan.Confirmed, 45, 47)}
		e.Planned = []PlannedFault{{ID: "7", Step: "7", Name: "machineFreeze of any for 5s"}, {ID: "machinePowerOff", Step: "8", Name: "machinePowerOff of any for 2s"}}
	}
	dir := runOf(t, change)
	r, err := Judge(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range r.Coverage {
		got = append(got, c.Fault+": "+strings.Join(c.Reached, ", ")+"; never "+strings.Join(c.Never, ", "))
	}
	if want := []string{
		"etcdMemberCrash: in kubeadm; never drain, verify", "etcdMemberFreeze: ; never drain, kubeadm, verify", "machinePowerOff: before verify; never drain, kubeadm, verify",
		"machineFreeze: ; never drain, kubeadm, verify",
	}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for what, why := range map[string]string{
		"etcdMemberCrash in other steps":  "seen to hold in kubeadm, and in none of 2 others",
		"etcdMemberFreeze in other steps": "seen to hold nowhere, and in none of 3 others",
		"other kinds of faults":           "unsyncedWritesLost",
		"what other checks judge":         "hashesEqual",
		"applications":                    "no workload was watched",
		"whether the host kept up":        "it was not watched",
		"which build of Drydock, which scenario's file and which programs these were": "the run's journal does not tell",
	} {
		if got := said(r, what); !strings.Contains(got, why) {
			t.Errorf("%s: %q", what, got)
		}
	}
	others := strings.Split(said(r, "other kinds of faults"), ", ")
	for _, name := range []string{"etcdMemberCrash", "machineFreeze"} {
		if slices.Contains(others, name) {
			t.Errorf("%s was planned", name)
		}
	}
}

// TestAClusterSaysWhatItIsNot: by its own account, which the journal keeps.
func TestAClusterSaysWhatItIsNot(t *testing.T) {
	dir := runOf(t, nil)
	j, err := plan.AppendJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := plan.Fingerprint{
		Scenario: plan.Source{Name: "x", Sum: "1"}, Topology: &cluster.Topology{Name: "x", Etcd: cluster.EtcdStacked, ControlPlanes: 1, Timing: cluster.TimingFast},
		Profile: &cluster.Profile{SkipPhases: []string{"addon/kube-proxy"}, IgnorePreflight: []string{"all"}, KubeletGates: map[string]bool{"KubeletInUserNamespace": true}, Kubelet: map[string]any{"failSwapOn": false}},
		Lacks:   cluster.Lacks{cluster.CanKernel: "no QEMU here"},
	}
	if err := j.Write(fingerprinted, f); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Judge(dir)
	if err != nil || len(r.Fingerprints) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	for what, why := range map[string]string{
		"kube-proxy": "left out", "the times of production": "timing: fast", "what needs the capability kernel": "no QEMU here", "kubeadm's own preflight checks": "all", "kubelets with their defaults": "failSwapOn",
		"kubelets without feature gates": "KubeletInUserNamespace", "which programs these were, byte by byte": "does not tell",
	} {
		if got := said(r, what); !strings.Contains(got, why) {
			t.Errorf("%s: %q", what, got)
		}
	}
	f.Topology.Timing, f.Profile, f.Lacks, f.Programs = cluster.TimingProduction, &cluster.Profile{}, nil, map[string]string{"etcd v1 etcd": "12"}
	if got := limits(&f); len(got) > 0 {
		t.Errorf("a cluster with nothing left out: %+v", got)
	}
}

// TestStepsThatTheRunDidNotComeTo are those of the plan, groups left out.
func TestStepsThatTheRunDidNotComeTo(t *testing.T) {
	planned := []plan.Planned{{ID: "1", Name: "a"}, {ID: "2", Name: "g", Group: true}, {ID: "2.1", Name: "b"}, {ID: "3", Name: "c"}}
	got := unreached(planned, []plan.StepDone{{ID: "1", Status: "done"}, {ID: "2.1", Status: "unfinished"}})
	if len(got) != 1 || !strings.Contains(got[0].Why, "2: 2.1 b, 3 c") {
		t.Errorf("%+v", got)
	}
	ended := []plan.StepDone{{ID: "1"}, {ID: "2.1"}, {ID: "3", Status: "skipped"}}
	if got := unreached(planned, ended); got != nil {
		t.Errorf("%+v", got)
	}
	if got := unreached(append(planned, plan.Planned{ID: "4", Name: "back", Rollback: true}), ended); len(got) != 1 || got[0].What != "rollback" || !strings.Contains(got[0].Why, "1 were planned and not carried out: 4 back") {
		t.Errorf("a rollback that nothing called for: %+v", got)
	}
}

// TestVersionsAreFromAndTo: the first that each program was seen to have, where it had another at the end.
func TestVersionsAreFromAndTo(t *testing.T) {
	r, err := Judge(runOf(t, func(e *Evidence) {
		e.Record.Observations[0].Versions = map[string]string{"etcd/a": "v1"}
		e.Record.Observations[1].Versions = map[string]string{"etcd/a": "v2", "etcd/b": "v1"}
		e.Record.Final.Versions = map[string]string{"etcd/a": "v2", "etcd/b": "v1"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if from := r.Cluster[0].From; len(from) != 1 || from["etcd/a"] != "v1" {
		t.Errorf("%v", from)
	}
}
