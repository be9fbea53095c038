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

func (h home) Dir() string              { return h.dir }
func (home) Topology() cluster.Topology { return cluster.Topology{Name: "three"} }

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
