package experiment

import (
	"errors"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
)

func TestFaultOfWords(t *testing.T) {
	f, err := FaultOf("partition", []string{"target=etcd-1", "from=[etcd-2, etcd-3]", "way=out", "for=30s"})
	if err != nil || f.Target != "etcd-1" || len(f.From) != 2 || f.Way != cluster.Outbound || f.For != 30*time.Second || f.Until() {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err = FaultOf("machinePowerOff", nil); err != nil || !f.Until() || f.Target != fault.Any {
		t.Errorf("%+v, %v", f, err)
	}
	for says, words := range map[string][]string{
		"unknown fault":            {"meteor"},
		"takes no way":             {"machinePowerOff", "way=out"},
		"want PARAM=VALUE":         {"machinePowerOff", "etcd-1"},
		"want PARAM=VALUE, as":     {"machinePowerOff", "target=[etcd-1"},
		"colour is unknown; known": {"machinePowerOff", "colour=red"},
		"for is 0s":                {"machinePowerOff", "for=0s"},
		"cannot be negative":       {"machinePowerOff", "for=-1s"},
	} {
		_, err := FaultOf(words[0], words[1:])
		var usage *cluster.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "line") {
			t.Errorf("%v: %v; want %q", words, err, says)
		}
	}
}

// home is a cluster of which only the directory is asked.
type home struct {
	cluster.Cluster
	dir string
}

func (h home) Dir() string { return h.dir }
func (home) Topology() cluster.Topology {
	return cluster.Topology{Name: "three", ControlPlanes: 3, Workers: 1}.Complete()
}
func (home) Lacks() cluster.Lacks { return nil }

// TestARunTakesNoClusterThatIsBroken: what a run saw there would be what somebody has broken by hand.
func TestARunTakesNoClusterThatIsBroken(t *testing.T) {
	c := home{dir: t.TempDir()}
	if err := untouched(c); err != nil {
		t.Errorf("nothing was ever injected: %v", err)
	}
	j, err := plan.CreateJournal(ByHand(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	in := fault.Journalled{Spec: fault.Spec{Kind: "machinePowerOff"}, State: fault.Effective, Receipt: plan.Receipt{ID: "7", Machines: []string{"etcd-2"}}}
	if err := errors.Join(j.Write("run", Opening{ByHand: true}), j.Write("receipt", in)); err != nil {
		t.Fatal(err)
	}
	var usage *cluster.UsageError
	if err := untouched(c); !errors.As(err, &usage) || !strings.Contains(err.Error(), "machinePowerOff on etcd-2") || !strings.Contains(err.Error(), "drydock fault clear") {
		t.Errorf("one is in place: %v", err)
	}
	entries, _, err := plan.ReadJournal(ByHand(c))
	if n := numberAfter(entries); err != nil || n != 8 {
		t.Errorf("number %d, %v", n, err)
	}
	in.State = fault.Cleared
	if err := errors.Join(j.Write("receipt", in), j.Close()); err != nil {
		t.Fatal(err)
	}
	if err := untouched(c); err != nil {
		t.Errorf("it was cleared: %v", err)
	}
}

// TestWhatTakesNoMemberCostsNoQuorum: only what is on etcd counts, of what is in place and of what is to come.
func TestWhatTakesNoMemberCostsNoQuorum(t *testing.T) {
	h := &Hand{cluster: home{dir: t.TempDir()}}
	inPlace := func(kind string, machines ...string) {
		g, err := fault.NewGuard(fault.Spec{Kind: kind, Machines: machines}, "1", nil)
		if err != nil {
			t.Fatal(err)
		}
		h.guards = append(h.guards, g)
	}
	asked := func(kind string, words ...string) error {
		f, err := FaultOf(kind, words)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Plan(f, 1, "")
		return err
	}
	inPlace("imagePullFails", "control-plane-1")
	if err := asked("etcdMemberCrash", "target=control-plane-2"); err != nil {
		t.Errorf("beside what leaves etcd alone: %v", err)
	}
	inPlace("etcdMemberCrash", "control-plane-2")
	if err := asked("etcdMemberCrash", "target=control-plane-3"); err == nil || !strings.Contains(err.Error(), "leaves 1 of 3 members, with what is in place (imagePullFails on control-plane-1; etcdMemberCrash on control-plane-2)") {
		t.Errorf("the second member: %v", err)
	}
	inPlace("etcdMemberCrash", "control-plane-3")
	if err := asked("imagePullFails", "target=worker-1"); err != nil {
		t.Errorf("where there is no quorum to lose: %v", err)
	}
}

// TestAJournalByHandSaysItsCluster: also one whose maker was killed before he could say it.
func TestAJournalByHandSaysItsCluster(t *testing.T) {
	c := home{dir: t.TempDir()}
	empty, err := plan.CreateJournal(ByHand(c), nil)
	if err := errors.Join(err, empty.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		j, _, err := openByHand("lab", c)
		if err := errors.Join(err, j.Close()); err != nil {
			t.Fatal(err)
		}
	}
	entries, _, err := plan.ReadJournal(ByHand(c))
	if err != nil || len(entries) != 1 || !strings.Contains(string(entries[0].Data), `"cluster":"three"`) {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}
