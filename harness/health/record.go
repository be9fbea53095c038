package health

import (
	"maps"
	"slices"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Record is everything a run has observed; checks read it and nothing else. It is kept as it is and judged again later: nothing in it is a verdict.
type Record struct {
	Topology     cluster.Topology         `json:"topology"`
	ReadOnly     bool                     `json:"readOnly,omitempty"` // nobody wrote, and nothing was broken: it was looked at only
	Quiet        bool                     `json:"quiet,omitempty"`    // there were no probes and no recorded clients, as the scenario wanted
	Observations []observe.Observation    `json:"observations"`
	Final        observe.Observation      `json:"final"`             // the last Look
	Unwhole      string                   `json:"unwhole,omitempty"` // what Whole said when the time to settle was over; empty: the cluster was whole and stayed so
	Ailing       []string                 `json:"ailing,omitempty"`  // pods and workloads that were not well before anything was done
	Samples      map[string][]load.Sample `json:"samples"`
	Windows      []Window                 `json:"windows"`
	Budgets      []Budget                 `json:"budgets,omitempty"` // of the workload, in the order of time
	Histories    []load.History           `json:"histories"`
	Ledgers      []load.Ledger            `json:"ledgers"`
	Traffic      []load.Sent              `json:"traffic,omitempty"` // by the script, in the order of its answers
	Leases       []load.Lease             `json:"leases,omitempty"`
	Watched      *load.Watched            `json:"watched,omitempty"` // nil: nobody watched
	Host         []observe.HostReading    `json:"host"`
	Before       *observe.Inventory       `json:"before,omitempty"` // nil: not taken
	After        *observe.Inventory       `json:"after,omitempty"`
	AfterError   string                   `json:"afterError,omitempty"`
	Remedies     []Remedy                 `json:"remedies,omitempty"`
	Tools        []ToolRun                `json:"tools,omitempty"`
	Renamed      map[string]string        `json:"renamed,omitempty"` // machines of the topology that others came in the place of: their names before, by what these are called
	ARM          *ARM                     `json:"arm,omitempty"`     // nil: no twin was beside the cluster
	Said         []observe.Said           `json:"said,omitempty"`    // by what did not answer, while it did not
	Probed       *observe.Probed          `json:"probed,omitempty"`  // nil: nobody asked
}

// Probes sums the samples up.
func Probes(r *Record) []plan.Probe {
	out := []plan.Probe{}
	for _, name := range slices.Sorted(maps.Keys(r.Samples)) {
		out = append(out, load.Sum(name, r.Samples[name]))
	}
	return out
}

// looks are all observations, the last one among them.
func (r *Record) looks() []observe.Observation {
	if r.Final.Time.IsZero() {
		return r.Observations
	}
	return append(slices.Clone(r.Observations), r.Final)
}
