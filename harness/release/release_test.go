package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"drydock.dev/drydock/fixtures"
)

// mute hears progress and says nothing.
type mute struct{}

func (mute) Advance(string, int, int) {}
func (mute) Finish(string, error)     {}

// server publishes one program the way dl.k8s.io does; sum is what it publishes as its checksum, "" for the true one.
func server(t *testing.T, content, sum string) (v Version, downloads *atomic.Int32) {
	t.Helper()
	downloads = &atomic.Int32{}
	if sum == "" {
		h := sha256.Sum256([]byte(content))
		sum = hex.EncodeToString(h[:])
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".sha256") {
			_, _ = fmt.Fprint(w, sum)
			return
		}
		downloads.Add(1)
		_, _ = fmt.Fprint(w, content)
	}))
	t.Cleanup(s.Close)
	return Version{Version: "v1.2.3", Product: fixtures.Product{
		Name: "thing", URL: s.URL + "/{version}/{arch}/{name}", Checksum: s.URL + "/{version}/{arch}/{name}.sha256",
		Programs: map[string]string{"prog": "x/prog"},
	}}, downloads
}

func TestEnsureDownloadsOnce(t *testing.T) {
	v, downloads := server(t, "the program", "")
	s := &Store{Dir: t.TempDir(), Progress: mute{}}
	var wg sync.WaitGroup
	for range 4 { // four that want the same at once
		wg.Go(func() {
			if err := s.Ensure(t.Context(), v, "prog"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	raw, err := os.ReadFile(s.Path("thing", "v1.2.3", "prog"))
	if err != nil || string(raw) != "the program" {
		t.Fatalf("%q, %v", raw, err)
	}
	if n := downloads.Load(); n != 1 {
		t.Fatalf("%d downloads", n)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "thing/v1.2.3/.*")); len(left) > 0 {
		t.Fatalf("left behind: %v", left)
	}
}

func TestWrongChecksumIsNotInstalled(t *testing.T) {
	v, _ := server(t, "the program", strings.Repeat("0", 64))
	s := &Store{Dir: t.TempDir(), Progress: mute{}}
	err := s.Ensure(t.Context(), v, "prog")
	if err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Fatalf("error %v", err)
	}
	if len(s.Missing(v, "prog")) == 0 {
		t.Fatal("it was installed all the same")
	}
}

func TestWithoutServerAndGoTheErrorSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	v, _ := server(t, "", "")
	v.Product.Checksum = "http://127.0.0.1:1/none"
	s := &Store{Dir: t.TempDir(), Progress: mute{}}
	if err := s.Ensure(t.Context(), v, "prog"); err == nil || !strings.Contains(err.Error(), "--bin-dir") {
		t.Fatalf("error %v", err)
	}
}

func TestBinDirIsAskedForItsVersion(t *testing.T) {
	v, downloads := server(t, "released", "")
	dir := t.TempDir()
	prog := filepath.Join(dir, "prog")
	if err := os.WriteFile(prog, []byte("#!/bin/sh\necho thing v1.2.3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &Store{Dir: t.TempDir(), BinDir: dir, Progress: mute{}}
	if err := s.Ensure(t.Context(), v, "prog"); err != nil {
		t.Fatal(err)
	}
	if downloads.Load() != 0 || len(s.Missing(v, "prog")) != 1 {
		t.Fatal("the user's program went into the cache of released ones, or was not used")
	}
	if err := os.WriteFile(prog, []byte("#!/bin/sh\necho thing v1.2.30\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Ensure(t.Context(), v, "prog"); err == nil || !strings.Contains(err.Error(), `"thing v1.2.30", and v1.2.3 is wanted`) {
		t.Fatalf("error %v", err)
	}
	v.Version = "v9.9.9"
	if err := s.Ensure(t.Context(), v, "prog"); err == nil || !strings.Contains(err.Error(), "v9.9.9 is wanted") {
		t.Fatalf("error %v", err)
	}
}

// TestAProgramSaysItsRelease: one whose name only begins like that of the release that is wanted is another, and so is a pre-release.
func TestAProgramSaysItsRelease(t *testing.T) {
	for said, is := range map[string]map[string]bool{
		"etcd Version: 3.5.21\nGit SHA: a17edfd\nGo Version: go1.26.4": {"v3.5.21": true, "v3.5.2": false, "v3.5.1": false, "v1.26.4": false},
		"etcdctl version: 3.6.10\nAPI version: 3.6":                    {"v3.6.10": true, "v3.6.1": false, "v3.6.0": false},
		"Client Version: v1.35.14\nKustomize Version: v5.7.1":          {"v1.35.14": true, "v1.35.1": false, "v1.35.4": false},
		"v1.35.4":                   {"v1.35.4": true},
		"Kubernetes v1.35.4-dirty":  {"v1.35.4": true},
		"Kubernetes v1.35.4+k3s1":   {"v1.35.4": true},
		"Kubernetes v1.35.0-rc.0":   {"v1.35.0": false},
		"Kubernetes v11.35.4":       {"v1.35.4": false},
		"listens on 3.5.2.1":        {"v3.5.2": false},
		"fork/exec: not executable": {"v1.35.4": false},
	} {
		for version, want := range is {
			if got := Says(said, version); got != want {
				t.Errorf("%q says %s: %v", said, version, got)
			}
		}
	}
}

func TestUnpackTakesWhatIsNamed(t *testing.T) {
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for name, text := range map[string]string{"etcd-v3/etcd": "one", "etcd-v3/README": "no", "etcd-v3/etcdctl": "two"} {
		if err := tw.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o755, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = tw.Close(), zw.Close()
	dir := t.TempDir()
	archive := filepath.Join(dir, "a.tar.gz")
	if err := os.WriteFile(archive, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unpack(archive, dir, []string{"etcd", "etcdctl"}); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "etcdctl")); err != nil || string(raw) != "two" {
		t.Fatalf("%q, %v", raw, err)
	}
	if err := unpack(archive, dir, []string{"etcdutl"}); err == nil || !strings.Contains(err.Error(), "etcdutl") {
		t.Fatalf("error %v", err)
	}
}

// TestAReleaseByName: of a release that is not listed the server is built of its own module, whatever that asks for, and the tools are the newest listed one's.
func TestAReleaseByName(t *testing.T) {
	v, err := Resolve(Etcd, "v3.5.2")
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{Dir: t.TempDir(), Source: fstest.MapFS{}, Progress: mute{}} // no nested module can be built here
	v.Product.Checksum = "http://127.0.0.1:1/none"
	lent := s.Path(Etcd, "v3.6.16", "etcdutl")
	if err := os.MkdirAll(filepath.Dir(lent), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lent, []byte("the neighbour's"), 0o755); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir() // with a go command that says what it was asked for
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\n[ $1 = build ] && { cat go.mod; echo \"$@\"; } >${4}server\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	if err := s.Ensure(t.Context(), v, "etcdutl", "etcd"); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(s.Path(Etcd, "v3.5.2", "etcdutl")); err != nil || string(raw) != "the neighbour's" {
		t.Errorf("etcdutl: %q, %v", raw, err)
	}
	raw, err := os.ReadFile(s.Path(Etcd, "v3.5.2", "etcd"))
	for _, want := range []string{"require go.etcd.io/etcd/server/v3 v3.5.2\n", "-mod=mod", " go.etcd.io/etcd/server/v3\n"} {
		if err != nil || !strings.Contains(string(raw), want) {
			t.Errorf("the go command was not given %q: %s, %v", want, raw, err)
		}
	}
	if known, err := s.Known(Etcd); err != nil || len(known) != 2 || known[0].Version != "v3.5.2" {
		t.Errorf("what the cache has is not known: %v, %v", known, err)
	}
}

func TestResolve(t *testing.T) {
	for want, got := range map[string]string{"v1.35": "v1.35.4", "v1.36.3": "v1.36.3", "": "v1.36.3", "v1.35.1": "v1.35.1"} {
		v, err := Resolve(Kubernetes, want)
		if err != nil || v.Version != got {
			t.Errorf("%q resolves to %q, %v; want %q", want, v.Version, err, got)
		}
	}
	for want, got := range map[string]string{"": "v3.6.16", "v3.6": "v3.6.16", "v3.5.0": "v3.5.0", "v3.7.0": "v3.7.0"} {
		v, err := Resolve(Etcd, want)
		if err != nil || v.Version != got {
			t.Errorf("%q resolves to %q, %v; want %q", want, v.Version, err, got)
		}
	}
	for product, unknown := range map[string][]string{Etcd: {"v2", "v3.5", "v3.4.1", "3.5.2", "v3.5.2-rc.0", "v3.5.02"}, Kubernetes: {"v1.2.3", "v3.5.2", "1.35.1"}} {
		for _, want := range unknown {
			newest, _ := Resolve(product, "")
			if _, err := Resolve(product, want); err == nil || !strings.Contains(err.Error(), newest.Version) {
				t.Errorf("%s %s: error %v", product, want, err)
			}
		}
	}
}

// TestEveryModuleIsThere: a version in the table without a module to build it would fail on a machine without the release server.
func TestEveryModuleIsThere(t *testing.T) {
	source := fixtures.Modules()
	for _, product := range []string{Kubernetes, Etcd} {
		all, err := Known(product)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range all {
			raw, err := fs.ReadFile(source, v.Module+"/go.mod")
			if err != nil || !strings.Contains(string(raw), v.Version) {
				t.Errorf("%s %s: %s does not require it: %v", product, v.Version, v.Module, err)
			}
			for _, name := range v.Programs {
				if tool := v.Product.Programs[name]; !strings.Contains(string(raw), tool+"\n") {
					t.Errorf("%s %s: %s does not build %s", product, v.Version, v.Module, name)
				}
			}
		}
	}
}

func TestStampsAreFilledIn(t *testing.T) {
	v, err := Resolve(Kubernetes, "v1.35")
	if err != nil {
		t.Fatal(err)
	}
	got := v.fill(v.Product.LDFlags, "", "")
	for _, want := range []string{"gitVersion=v1.35.4", "gitMajor=1", "gitMinor=35", "gitTreeState=clean"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}
