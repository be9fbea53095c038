package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
)

// TestHealMindsTheFaultsOfAFinishedRun: a result says what was seen, and nothing of what was undone. A damaged line is no reason to stop. The museum's runs
// are one directory below.
func TestHealMindsTheFaultsOfAFinishedRun(t *testing.T) {
	for _, name := range []string{"finished", "museum-1/etcd-13766-1"} {
		t.Run(name, func(t *testing.T) { healsFinished(t, name) })
	}
}

func healsFinished(t *testing.T, name string) {
	t.Helper()
	state := t.TempDir()
	dir := filepath.Join(state, "runs", filepath.FromSlash(name))
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

// TestHealLooksAfterEveryProvider: what was left of a cluster is found whichever provider made it, without being told which.
func TestHealLooksAfterEveryProvider(t *testing.T) {
	state := t.TempDir()
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(state, "no-daemon.sock"))
	for _, dir := range []string{"labs/left", "kind/clusters/left"} {
		if err := os.MkdirAll(filepath.Join(state, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.SetOut(&out)
	o := &options{stateDir: state, cacheDir: t.TempDir(), provider: "lab", quiet: true}
	o.progress = o.newProgress(os.Stderr)
	err := o.heal(cmd, nil)
	if err == nil || !strings.Contains(err.Error(), "provider kind needs Docker") {
		t.Errorf("what may be left of kind and cannot be looked for is no error: %v, %s", err, &out)
	}
	if !strings.Contains(out.String(), "left: no process, mount, interface or port of the lab remains") {
		t.Errorf("the lab's is not removed: %s", &out)
	}
}
