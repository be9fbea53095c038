package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/cluster"
)

// exported is an archive of an etcd and of a patch release that is not in the table, and the store it is of.
func exported(t *testing.T) (*Store, []byte) {
	t.Helper()
	s := &Store{Dir: t.TempDir(), Progress: mute{}}
	var versions []Version
	for product, want := range map[string]string{Etcd: "v3.6.16", Kubernetes: "v1.35.2"} {
		v, err := Resolve(product, want)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range v.Programs {
			if err := errors.Join(os.MkdirAll(filepath.Dir(s.cached(v, n)), 0o755), os.WriteFile(s.cached(v, n), []byte(n+" of "+want), 0o755)); err != nil {
				t.Fatal(err)
			}
		}
		versions = append(versions, v)
	}
	var once, twice bytes.Buffer
	for _, to := range []*bytes.Buffer{&once, &twice} {
		if err := s.Export(t.Context(), to, versions...); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(once.Bytes(), twice.Bytes()) {
		t.Error("the same programs make another archive")
	}
	return s, once.Bytes()
}

func TestWhatIsExportedIsImported(t *testing.T) {
	from, raw := exported(t)
	to := &Store{Dir: t.TempDir(), Progress: mute{}}
	v, err := Resolve(Etcd, "v3.6.16")
	if err != nil {
		t.Fatal(err)
	}
	mine := to.cached(v, "etcdctl")
	if err := errors.Join(os.MkdirAll(filepath.Dir(mine), 0o755), os.WriteFile(mine, []byte("mine"), 0o755)); err != nil {
		t.Fatal(err)
	}
	kept, imported := "", 0
	err = to.Import(t.Context(), bytes.NewReader(raw), "a.tar.gz", func(p Program, was bool) {
		if was {
			kept += p.path()
		} else {
			imported++
		}
	})
	if err != nil || kept != "etcd/v3.6.16/etcdctl" || imported != 9 {
		t.Fatalf("%v; kept %q, imported %d", err, kept, imported)
	}
	for _, path := range []string{"etcd/v3.6.16/etcd", "kubernetes/v1.35.2/kubelet"} {
		a, errA := os.ReadFile(filepath.Join(from.Dir, path))
		b, errB := os.ReadFile(filepath.Join(to.Dir, path))
		if errors.Join(errA, errB) != nil || !bytes.Equal(a, b) {
			t.Errorf("%s is %q, %v; was %q, %v", path, b, errB, a, errA)
		}
	}
	if err := to.Ensure(t.Context(), v, v.Programs...); err != nil { // and is held to its checksum
		t.Error(err)
	}
	known, err := to.Known(Kubernetes)
	if err != nil || len(known) != 5 || known[2].Version != "v1.35.2" || known[3].Version != "v1.35.4" {
		t.Errorf("known are %v, %v", known, err)
	}
}

// TestADamagedArchiveIsNotUsed: whichever way it is wrong, the error names it, and of the version it is wrong in nothing is in the cache.
func TestADamagedArchiveIsNotUsed(t *testing.T) {
	_, raw := exported(t)
	type change = func(m *Manifest, files map[string][]byte, order *[]string)
	for name, c := range map[string]struct {
		change change
		want   string
	}{
		"a changed program": {func(_ *Manifest, f map[string][]byte, _ *[]string) {
			f["etcd/v3.6.16/etcd"] = []byte("evil of v3.6.16")
		}, "etcd/v3.6.16/etcd: its checksum is wrong"},
		"a missing program":  {func(_ *Manifest, _ map[string][]byte, o *[]string) { *o = (*o)[:len(*o)-1] }, "EOF"},
		"one too many":       {func(_ *Manifest, f map[string][]byte, o *[]string) { f["x"] = nil; *o = append(*o, "x") }, "x is not in its manifest"},
		"another machine's":  {func(m *Manifest, _ map[string][]byte, _ *[]string) { m.Arch = "vax" }, "for vax"},
		"an unknown version": {func(m *Manifest, _ map[string][]byte, _ *[]string) { m.Programs[0].Version = "../../v1" }, "is unknown"},
		"an unknown product": {func(m *Manifest, _ map[string][]byte, _ *[]string) { m.Programs[0].Product = "../x" }, "is unknown"},
		"a name elsewhere": {func(m *Manifest, f map[string][]byte, o *[]string) {
			m.Programs[0].Name = "../../../x"
			(*o)[1] = m.Programs[0].path()
			f[(*o)[1]] = nil
		}, `has no program "../../../x"`},
	} {
		t.Run(name, func(t *testing.T) {
			m, files, order := opened(t, raw)
			c.change(&m, files, &order)
			s := &Store{Dir: filepath.Join(t.TempDir(), "cache"), Progress: mute{}}
			used := map[string]int{}
			err := s.Import(t.Context(), bytes.NewReader(closed(t, m, files, order)), "a.tar.gz", func(p Program, _ bool) { used[p.Product]++ })
			var usage *cluster.UsageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), "a.tar.gz") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			for product, n := range used {
				if product != m.Programs[0].Product && product != m.Programs[len(m.Programs)-1].Product || n != 3 && n != 7 {
					t.Errorf("%d programs of %s were used", n, product)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(s.Dir, "*", "*", ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if out, _ := filepath.Glob(filepath.Join(s.Dir, "..", "*")); len(out) > 1 {
				t.Errorf("beside the cache there is %v", out)
			}
		})
	}
	s := &Store{Dir: t.TempDir(), Progress: mute{}}
	if err := s.Import(t.Context(), bytes.NewReader(raw[:len(raw)/2]), "half", func(Program, bool) {}); err == nil {
		t.Error("half an archive was good")
	}
}

func opened(t *testing.T, raw []byte) (m Manifest, files map[string][]byte, order []string) {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	files = map[string][]byte{}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if err != nil {
			break
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(tr); err != nil {
			t.Fatal(err)
		}
		files[h.Name], order = b.Bytes(), append(order, h.Name)
	}
	if err := json.Unmarshal(files[manifestFile], &m); err != nil || m.Arch != runtime.GOARCH || len(order) != 11 {
		t.Fatalf("%v, %q, %q", err, m.Arch, order)
	}
	return m, files, order
}

func closed(t *testing.T, m Manifest, files map[string][]byte, order []string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	raw, err := json.Marshal(m)
	files[manifestFile] = raw
	for _, name := range order {
		err = errors.Join(err, tw.WriteHeader(&tar.Header{Name: name, Size: int64(len(files[name])), Typeflag: tar.TypeReg, Mode: 0o755}))
		_, werr := tw.Write(files[name])
		err = errors.Join(err, werr)
	}
	if err := errors.Join(err, tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestAPatchReleaseIsBuiltOfItsNeighboursModule: nothing of the neighbour's own version is left in it.
func TestAPatchReleaseIsBuiltOfItsNeighboursModule(t *testing.T) {
	v, err := Resolve(Kubernetes, "v1.35.2")
	if err != nil || v.Like != "v1.35.4" || len(v.SHA256) > 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	dir := t.TempDir()
	raw, err := fixtures.Modules().Open(v.Module + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var was bytes.Buffer
	_, err = was.ReadFrom(raw)
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "go.mod"), was.Bytes(), 0o600), v.retarget(dir)); err != nil {
		t.Fatal(err)
	}
	is, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	count := func(text, version string) (n int) {
		for line := range strings.Lines(text) {
			if strings.Contains(line, "k8s.io/") && !strings.HasPrefix(line, "//") {
				n += strings.Count(line, version)
			}
		}
		return n
	}
	for _, number := range []string{"v1.35.", "v0.35."} {
		before, after, left := count(was.String(), number+"4"), count(string(is), number+"2"), count(string(is), number+"4")
		if before == 0 || after != before || left != 0 {
			t.Errorf("%s4 was there %d times, is %d times, and %s2 %d times", number, before, left, number, after)
		}
	}
	for _, none := range []string{"v1.35.02", "v1.35.2-rc.1", "v1.99.1", "1.35.2", "v1.35.2/../x"} {
		if v, err := Resolve(Kubernetes, none); err == nil {
			t.Errorf("%q resolves to %q", none, v.Version)
		}
	}
}
