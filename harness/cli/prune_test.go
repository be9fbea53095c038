package cli

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/lock"
	"drydock.dev/drydock/harness/plan"
)

// TestPruneRemovesWhatNobodyNeedsAndNothingElse: a dry run removes nothing at all.
func TestPruneRemovesWhatNobodyNeedsAndNothingElse(t *testing.T) {
	state, cache := t.TempDir(), t.TempDir()
	goes := []string{
		filepath.Join(state, "labs/dead/disks"), filepath.Join(state, "failed/old"), filepath.Join(cache, "images/.new-1/m"), filepath.Join(cache, "images/.old-2"),
		filepath.Join(cache, "images/broken"), filepath.Join(cache, "images/old"), filepath.Join(cache, "releases/etcd/v3.6.16/.build-1"), filepath.Join(cache, "releases/kubernetes/v1.36.3.go-build"),
	}
	stays := []string{
		filepath.Join(state, "labs/coming-up/disks"), filepath.Join(state, "failed/new"), filepath.Join(state, "runs/a"), filepath.Join(cache, "images/good"),
		filepath.Join(cache, "releases/etcd/v3.6.16/etcd"), filepath.Join(cache, "releases/kubernetes/v1.35.4/.build-9"), filepath.Join(cache, "subjects/x"),
	}
	for _, d := range append(append([]string{}, goes...), stays...) {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, image := range []string{"good", "old"} {
		if err := os.WriteFile(filepath.Join(cache, "images", image, "manifest.json"), []byte(`{"saved":"`+time.Now().Format(time.RFC3339)+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-31 * 24 * time.Hour)
	for _, old := range []string{filepath.Join(state, "failed/old"), filepath.Join(cache, "images/old")} {
		if err := os.Chtimes(old, long, long); err != nil {
			t.Fatal(err)
		}
	}
	for _, held := range []string{filepath.Join(state, "locks/coming-up"), filepath.Join(cache, "releases/kubernetes/v1.35.4.lock")} {
		l, err := lock.Try(held)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Release() })
	}
	args := []string{"prune", "--state-dir", state, "--cache-dir", cache}
	if code, said := command(t, append(args, "--dry-run")...); code != exitGo || present(goes) != len(goes) {
		t.Fatalf("the dry run: exit code %d, %q, %d of %d there", code, said, present(goes), len(goes))
	}
	if code, said := command(t, args...); code != exitGo || present(goes) != 0 || present(stays) != len(stays) {
		t.Fatalf("exit code %d, %q; left %d, kept %d of %d", code, said, present(goes), present(stays), len(stays))
	}
}

// present counts those that are.
func present(paths []string) (n int) {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			n++
		}
	}
	return n
}

// TestPruneOfRuns: only those that are named as a kind, are old, have ended or died, and have left nothing to heal.
func TestPruneOfRuns(t *testing.T) {
	state := t.TempDir()
	long := time.Now().Add(-31 * 24 * time.Hour)
	armed := fault.Journalled{Spec: fault.Spec{Kind: "etcdMemberCrash"}, State: fault.Armed, Receipt: plan.Receipt{ID: "3.1", Machines: []string{"etcd-1"}}}
	run := func(name string, old bool, write func(j *plan.Journal) error) string {
		dir := filepath.Join(state, "runs", name)
		j, err := plan.CreateJournal(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(j.Write("run", experiment.Opening{Cluster: "gone"}), write(j)); err != nil {
			t.Fatal(err)
		}
		if name != "lives" {
			err = j.Close()
		} else {
			t.Cleanup(func() { _ = j.Close() })
		}
		if old {
			err = errors.Join(err, os.Chtimes(filepath.Join(dir, plan.JournalFile), long, long))
		}
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	over := func(j *plan.Journal) error { return j.Write("result", plan.Result{}) }
	none := func(*plan.Journal) error { return nil }
	goes := []string{run("old", true, over), run("died", true, none), run("museum-1/etcd-1-1", true, over), filepath.Join(state, "runs", "museum-1"), run("museum-2/etcd-1-1", true, over)}
	broken := run("broken", true, func(j *plan.Journal) error { return j.Write("receipt", armed) })
	stays := []string{broken, run("new", false, over), run("lives", true, none), run("museum-2/etcd-1-2", false, over)}
	args := []string{"prune", "--state-dir", state, "--cache-dir", t.TempDir()}
	for _, dry := range [][]string{args, append(slices.Clone(args), "runs", "--dry-run")} {
		if code, said := command(t, dry...); code != exitGo || present(goes) != len(goes) {
			t.Fatalf("%q: exit code %d, %q, %d of %d there", dry, code, said, present(goes), len(goes))
		}
	}
	code, said := command(t, append(args, "runs")...)
	if code != exitGo || present(goes) != 0 || present(stays) != len(stays) || !strings.Contains(said, "drydock heal "+broken) || strings.Contains(said, "lives") {
		t.Fatalf("exit code %d, %q; left %d, kept %d of %d", code, said, present(goes), present(stays), len(stays))
	}
	if code, said := command(t, append(args, "everything")...); code != exitUsage || !strings.Contains(said, "everything") {
		t.Fatalf("exit code %d, %q", code, said)
	}
}

func TestPruneOfTemporaries(t *testing.T) {
	dir := t.TempDir()
	old, fresh, other := filepath.Join(dir, "drydock-logs-1"), filepath.Join(dir, "drydock-logs-2"), filepath.Join(dir, "mine-1")
	for _, d := range []string{old, fresh, other} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-25 * time.Hour)
	if err := errors.Join(os.Chtimes(old, long, long), os.Chtimes(other, long, long)); err != nil {
		t.Fatal(err)
	}
	if err := pruneTemp(dir, func(_, _ string, remove func() error) error { return remove() }); err != nil || present([]string{old}) != 0 || present([]string{fresh, other}) != 2 {
		t.Errorf("%v; left %d, kept %d of 2", err, present([]string{old}), present([]string{fresh, other}))
	}
}
