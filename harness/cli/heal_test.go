package cli

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
)

// TestHealMindsTheFaultsOfAFinishedRun: a result says what was seen, and nothing of what was undone. A damaged line is no reason to stop.
func TestHealMindsTheFaultsOfAFinishedRun(t *testing.T) {
	state := t.TempDir()
	dir := filepath.Join(state, "runs", "finished")
	j, err := plan.CreateJournal(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	armed := fault.Journalled{Spec: fault.Spec{Kind: "etcdMemberCrash"}, State: fault.Armed, Receipt: plan.Receipt{ID: "3.1", Machines: []string{"etcd-1"}}}
	if err := errors.Join(j.Write("run", experiment.Opening{Cluster: "gone"}), j.Write("receipt", armed), j.Write("result", plan.Result{}), j.Close()); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, plan.JournalFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"time":"2026-`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if code, said := command(t, "heal", "--state-dir", state); code != exitGo {
		t.Fatalf("exit code %d, %q", code, said)
	}
	entries, damaged, err := plan.ReadJournal(dir)
	if err != nil || len(damaged) != 1 {
		t.Fatalf("damaged %v, %v", damaged, err)
	}
	if err := fault.Settled(entries); err != nil {
		t.Fatal(err)
	}
}
