package health

import (
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

// TestQuiet: where a scenario wants nobody to write but its traffic, no probe is missed, what was acknowledged to the traffic is judged, and what needs
// clients is not taken for well.
func TestQuiet(t *testing.T) {
	three := cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3}
	kept := []load.Ledger{{Name: load.LedgerScript, Acknowledged: []string{"a", "b"}, Found: []string{"a", "b"}}}
	lost := []load.Ledger{{Name: load.LedgerScript, Acknowledged: []string{"a", "b"}, Found: []string{"a"}}}
	if gaps := strings.Join(Silence(&Record{Topology: three, Quiet: true}), "; "); strings.Contains(gaps, "is missing") {
		t.Errorf("a quiet load misses probes: %s", gaps)
	}
	if gaps := strings.Join(Silence(&Record{Topology: three}), "; "); !strings.Contains(gaps, load.ProbeEtcdWrite) {
		t.Errorf("no probe is missed where there should be some: %s", gaps)
	}
	for name, c := range map[string]struct {
		r    Record
		want plan.Verdict
	}{
		"all is there":      {Record{Quiet: true, Topology: three, Ledgers: kept}, plan.Pass},
		"one is gone":       {Record{Quiet: true, Topology: three, Ledgers: lost}, plan.Fail},
		"nothing":           {Record{Quiet: true, Topology: three}, plan.Unknown},
		"with probes":       {Record{Topology: three, Ledgers: kept}, plan.Unknown}, // the probe's own writes are missing
		"could not be read": {Record{Quiet: true, Topology: three, Ledgers: []load.Ledger{{Name: load.LedgerScript, Acknowledged: []string{"a"}, Error: "no answer"}}}, plan.Unknown},
		"unknown to all":    {Record{Quiet: true, Topology: three, Ledgers: []load.Ledger{{Name: load.LedgerScript, Error: "a delete without an answer may have taken them"}}}, plan.Unknown},
	} {
		if v, why := noLoss(&c.r, nil, Params{}); v != c.want {
			t.Errorf("%s: %s, %s; want %s", name, v, why, c.want)
		}
	}
	if v, why := linearizable(&Record{Quiet: true, Topology: three}, nil, Params{}); v != plan.Unknown {
		t.Errorf("no history is %s: %s", v, why)
	}
	if slices.Contains(Quiet(&Record{Quiet: true}), "noAcknowledgedWriteLost") || !slices.Contains(Quiet(&Record{Quiet: true, Ledgers: kept}), "noAcknowledgedWriteLost") {
		t.Error("that no acknowledged write is lost is judged where none was acknowledged, or is not where some were")
	}
}
