package release

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// building has a go command that does what the script says when it builds, for a release of etcd that no server has; a directory is the script's.
func building(t *testing.T, version, script string) (s *Store, v Version, dir string) {
	t.Helper()
	v, err := Resolve(Etcd, version)
	if err != nil {
		t.Fatal(err)
	}
	v.Product.Checksum = "http://127.0.0.1:1/none"
	bin, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\n[ $1 = build ] || exit 0\ncd "+dir+"\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return &Store{Dir: t.TempDir(), Source: fstest.MapFS{}, Progress: mute{}}, v, dir
}

// TestAReleaseThatIsNone: it leaves nothing that versions would list, takes no tools for itself, and the go command's own words are said.
func TestAReleaseThatIsNone(t *testing.T) {
	const words = "go: go.etcd.io/etcd/server/v3@v3.5.99: unknown revision"
	s, v, _ := building(t, "v3.5.99", "echo some/package\necho '"+words+"' >&2\nexit 1\n")
	lent := s.Path(Etcd, v.Borrows, "etcdctl")
	if err := errors.Join(os.MkdirAll(filepath.Dir(lent), 0o755), os.WriteFile(lent, []byte("the neighbour's"), 0o755)); err != nil {
		t.Fatal(err)
	}
	err := s.Ensure(t.Context(), v, "etcdctl", "etcd")
	if err == nil || !strings.Contains(err.Error(), "exit status 1: "+words+"; the log is ") {
		t.Errorf("error %v", err)
	}
	known, err := s.Known(Etcd)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range known {
		if k.Version == v.Version {
			t.Errorf("%s is known", k.Version)
		}
	}
}

// stopping is told of the first words of a build.
type stopping struct {
	mute
	stop context.CancelFunc
}

func (s stopping) Advance(label string, _, _ int) {
	if strings.HasSuffix(label, ": packages") {
		s.stop()
	}
}

// TestAnInterruptedBuildEndsWhole: what the go command has started ends with it, its temporary files go, and the error says what it was.
func TestAnInterruptedBuildEndsWhole(t *testing.T) {
	s, v, dir := building(t, "v3.5.2", `echo $GOTMPDIR >temporary
sh -c 'trap "echo >ended; exit 1" TERM; echo begun; for i in $(seq 50); do sleep 0.1; done' &
wait
`)
	ctx, stop := context.WithCancel(t.Context())
	s.Progress = stopping{stop: stop}
	err := s.Ensure(ctx, v, "etcd")
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted") || strings.Contains(err.Error(), "signal") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ended")); err != nil {
		t.Errorf("the compiler was not told to end: %v", err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "temporary"))
	if temporary := strings.TrimSpace(string(raw)); err != nil || !strings.HasPrefix(temporary, filepath.Join(s.Dir, Etcd, "v3.5.2", ".build-")) {
		t.Errorf("temporary files are in %q, %v", temporary, err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, Etcd, "v3.5.2", "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
