package experiment

import (
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/plan"
)

// Learn makes of a clean run's evidence what its upgrade changes in a cluster's objects, as a file of fixtures/objects. A run that was broken on purpose, or
// that something else was wrong with, teaches nothing.
func Learn(dir string) ([]byte, error) {
	entries, _, err := plan.ReadJournal(dir)
	if err != nil {
		return nil, err
	}
	j := readRun(entries)
	if len(j.cells) != 1 || !j.ended || len(j.damaged) > 0 {
		return nil, cluster.Usagef("%s: one whole run on one cluster is needed to learn from", dir)
	}
	e, err := readEvidence(dir, j.cells[0].Label)
	if err != nil {
		return nil, err
	}
	if len(e.Planned) > 0 || len(e.Receipts) > 0 {
		return nil, cluster.Usagef("%s: the run had faults, and what they change must not be learned", dir)
	}
	for _, c := range e.Judge().Checks {
		if c.Verdict != plan.Pass && c.Name != "objectsPreserved" {
			return nil, cluster.Usagef("%s: the run was not clean: %s: %s", dir, c.Name, c.Message)
		}
	}
	return health.Learn(&e.Record)
}
