package cli

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"drydock.dev/drydock/harness/lock"
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
	there := func(paths []string) (n int) {
		for _, p := range paths {
			if _, err := os.Stat(p); err == nil {
				n++
			}
		}
		return n
	}
	args := []string{"prune", "--state-dir", state, "--cache-dir", cache}
	if code, said := command(t, append(args, "--dry-run")...); code != exitGo || there(goes) != len(goes) {
		t.Fatalf("the dry run: exit code %d, %q, %d of %d there", code, said, there(goes), len(goes))
	}
	if code, said := command(t, args...); code != exitGo || there(goes) != 0 || there(stays) != len(stays) {
		t.Fatalf("exit code %d, %q; left %d, kept %d of %d", code, said, there(goes), there(stays), len(stays))
	}
}
