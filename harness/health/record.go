package health

import (
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
)

// Record is everything a run has observed; checks read it and nothing else.
type Record struct {
	Topology     cluster.Topology
	Observations []observe.Observation
	Final        observe.Observation
	FinalError   string // why the cluster was not whole at the end; empty: it was
	Samples      map[string][]load.Sample
	Windows      []Window
	Budgets      []Budget // of the workload, in the order of time
	Hashes       map[string]uint32
	HashError    string
	Histories    []load.History
	Ledgers      []load.Ledger
	Host         []observe.HostReading
	Before       *observe.Inventory // nil: not taken
	After        *observe.Inventory
	AfterError   string
	Said         []observe.Said // by what did not answer, while it did not
}
