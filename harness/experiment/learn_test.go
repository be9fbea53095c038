package experiment

import (
	"errors"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// TestNothingIsLearnedOfARunThatWasNotClean: what is learned is allowed from then on.
func TestNothingIsLearnedOfARunThatWasNotClean(t *testing.T) {
	for says, change := range map[string]func(*Evidence){
		"had faults":    func(e *Evidence) { e.Planned = []PlannedFault{{ID: "f", Step: "3.1"}} },
		"was not clean": func(e *Evidence) { e.Record.Unwhole = "worker-1 is not Ready" },
	} {
		_, err := Learn(runOf(t, change))
		var usage *cluster.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want: %s", err, says)
		}
	}
	dir := t.TempDir()
	j, err := plan.CreateJournal(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Write("run", Opening{}), j.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Learn(dir); err == nil || !strings.Contains(err.Error(), "one whole run") {
		t.Errorf("of a run that was cut off: %v", err)
	}
}
