package release

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/cluster"
)

// hex64 is a checksum of nothing.
func hex64(c string) string { return strings.Repeat(c, 64) }

// TestAMismatchIsAnErrorAndNoBuild: whoever changes what a server sends must not be answered by a build that hides it.
func TestAMismatchIsAnErrorAndNoBuild(t *testing.T) {
	published, _ := server(t, "the program", hex64("0"))
	pinned, _ := server(t, "the program", "")
	pinned.SHA256 = map[string]string{}
	for _, arch := range []string{"amd64", "arm64"} {
		pinned.SHA256[arch+"/prog"] = hex64("0")
	}
	for name, v := range map[string]Version{"published": published, "pinned": pinned} {
		s := &Store{Dir: t.TempDir(), Source: fstest.MapFS{}, Progress: mute{}} // a build would fail with other words
		err := s.Ensure(t.Context(), v, "prog")
		if !errors.Is(err, errMismatch) || !strings.Contains(err.Error(), "was not used") {
			t.Errorf("%s: error %v", name, err)
		}
		if len(s.Missing(v, "prog")) == 0 {
			t.Errorf("%s: it was installed all the same", name)
		}
	}
}

// TestAServersOwnWordIsGoodOnce: what it publishes must stay what it was when it was first believed.
func TestAServersOwnWordIsGoodOnce(t *testing.T) {
	s := &Store{Dir: t.TempDir(), Source: fstest.MapFS{}, Progress: mute{}}
	first, _ := server(t, "the program", "")
	if err := s.Ensure(t.Context(), first, "prog"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.cached(first, "prog")); err != nil {
		t.Fatal(err)
	}
	second, _ := server(t, "another program by that name", "") // with a true checksum of it
	err := s.Ensure(t.Context(), second, "prog")
	if !errors.Is(err, errMismatch) || !strings.Contains(err.Error(), "first downloaded") || !strings.Contains(err.Error(), "sums.json") {
		t.Fatalf("error %v", err)
	}
	if err := s.Ensure(t.Context(), first, "prog"); err != nil {
		t.Fatal(err)
	}
}

// TestALoginPageIsNoChecksum: then there is no release server, and what is missing is built.
func TestALoginPageIsNoChecksum(t *testing.T) {
	v, downloads := server(t, "the program", "<html>")
	s := &Store{Dir: t.TempDir(), Source: fstest.MapFS{}, Progress: mute{}}
	if err := s.Ensure(t.Context(), v, "prog"); err == nil || errors.Is(err, errMismatch) || !strings.Contains(err.Error(), "no module to build it") {
		t.Fatalf("error %v", err)
	}
	if downloads.Load() != 0 {
		t.Fatal("it was downloaded")
	}
}

func TestAChangedProgramIsRefused(t *testing.T) {
	v, _ := server(t, "the program", "")
	s := &Store{Dir: t.TempDir(), Progress: mute{}}
	if err := s.Ensure(t.Context(), v, "prog"); err != nil {
		t.Fatal(err)
	}
	path := s.cached(v, "prog")
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("the PROGRAM"), 0o755); err != nil { // of the same length
		t.Fatal(err)
	}
	if err := os.Chtimes(path, st.ModTime(), st.ModTime()); err != nil { // and of the same age
		t.Fatal(err)
	}
	var usage *cluster.UsageError
	err = s.Ensure(t.Context(), v, "prog")
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "was changed in the cache") || !strings.Contains(err.Error(), "remove "+path) || !strings.Contains(err.Error(), "--bin-dir") {
		t.Fatalf("error %v", err)
	}
	if err := os.Remove(path); err != nil { // as it says
		t.Fatal(err)
	}
	if err := s.Ensure(t.Context(), v, "prog"); err != nil {
		t.Fatal(err)
	}
}

// TestACopiedCacheIsGood: another inode and time of change, the same programs.
func TestACopiedCacheIsGood(t *testing.T) {
	v, downloads := server(t, "the program", "")
	s := &Store{Dir: t.TempDir(), Progress: mute{}}
	if err := s.Ensure(t.Context(), v, "prog"); err != nil {
		t.Fatal(err)
	}
	copied := &Store{Dir: t.TempDir(), Progress: mute{}}
	if err := os.CopyFS(copied.Dir+"/all", os.DirFS(s.Dir)); err != nil {
		t.Fatal(err)
	}
	copied.Dir += "/all"
	for range 2 {
		if err := copied.Ensure(t.Context(), v, "prog"); err != nil {
			t.Fatal(err)
		}
	}
	if downloads.Load() != 1 {
		t.Fatalf("%d downloads", downloads.Load())
	}
}

// TestACacheOfAnOlderDrydockIsRecorded: and from then on held to it.
func TestACacheOfAnOlderDrydockIsRecorded(t *testing.T) {
	v, downloads := server(t, "the program", "")
	s := &Store{Dir: t.TempDir(), Progress: mute{}}
	path := s.cached(v, "prog")
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("old"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := s.Ensure(t.Context(), v, "prog"); err != nil || downloads.Load() != 0 {
		t.Fatalf("%d downloads, %v", downloads.Load(), err)
	}
	if err := os.WriteFile(path, []byte("new"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Ensure(t.Context(), v, "prog"); err == nil {
		t.Fatal("a change was not noticed")
	}
}

// TestWhatAKilledFetchLeftGoes: with the next fetch of that version.
func TestWhatAKilledFetchLeftGoes(t *testing.T) {
	v, _ := server(t, "the program", "")
	s := &Store{Dir: t.TempDir(), Progress: mute{}}
	for _, left := range []string{".build-1", ".download-2", ".new-3"} {
		if err := os.MkdirAll(s.cached(v, left), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Ensure(t.Context(), v, "prog"); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(s.cached(v, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestAServerThatGoesAwayLeavesTheRestToTheBuild: what it sent whole is used.
func TestAServerThatGoesAwayLeavesTheRestToTheBuild(t *testing.T) {
	good, _ := server(t, "the program", "")
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/b") || asked.Add(1) > 3 { // probe, checksum and program of the first
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		resp, err := http.Get(strings.Replace(strings.TrimSuffix(good.Product.URL, "/{version}/{arch}/{name}"), "%", "", 1) + r.URL.Path) //nolint:noctx // a test's own server
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		raw := make([]byte, 100)
		n, _ := resp.Body.Read(raw)
		_, _ = fmt.Fprint(w, string(raw[:n]))
	}))
	t.Cleanup(s.Close)
	v := Version{Version: "v1.2.3", Module: "none", Product: fixtures.Product{Name: "thing", URL: s.URL + "/{name}", Checksum: s.URL + "/{name}.sha256",
		Programs: map[string]string{"a": "x/a", "b": "x/b"}}}
	store := &Store{Dir: t.TempDir(), Source: fstest.MapFS{}, Progress: mute{}}
	if err := store.Ensure(t.Context(), v, "a", "b"); err == nil || !strings.Contains(err.Error(), "no module to build it") {
		t.Fatalf("error %v", err)
	}
	if missing := store.Missing(v, "a", "b"); len(missing) != 1 || missing[0] != "b" {
		t.Fatalf("missing: %v", missing)
	}
	known, err := store.readSums(v)
	if err != nil || known["a"].SHA256 == "" {
		t.Fatalf("records %v, %v", known, err)
	}
}
