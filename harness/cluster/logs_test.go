package cluster

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestUnpackStaysInTheDirectory(t *testing.T) {
	outside := t.TempDir()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range []tar.Header{
		{Name: "./pods/a.log", Typeflag: tar.TypeReg},
		{Name: "../b.log", Typeflag: tar.TypeReg},
		{Name: filepath.Join(outside, "c.log"), Typeflag: tar.TypeReg},
		{Name: "link", Linkname: outside, Typeflag: tar.TypeSymlink},
		{Name: "pods/d.log", Typeflag: tar.TypeReg},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	above := t.TempDir()
	dir := filepath.Join(above, "logs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unpack(t, &archive, dir); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string][]string{above: {"logs/pods/a.log", "logs/pods/d.log"}, outside: nil} {
		var got []string
		err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				rel, _ := filepath.Rel(from, path)
				got = append(got, rel)
			}
			return err
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q (%v)", from, got, want, err)
		}
	}
}

// TestUnpackFollowsNoLinkOutOfTheDirectory: a pod may put a link where another file of the archive goes.
func TestUnpackFollowsNoLinkOutOfTheDirectory(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "pods")); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "pods/a.log", Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unpack(t, &archive, dir); err == nil {
		t.Error("it was written through the link")
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("outside there is %v", left)
	}
}

// TestOneFileThatCannotBeMadeCostsNoOther: whoever names a machine's files may name one of them as no directory can have it beside another.
func TestOneFileThatCannotBeMadeCostsNoOther(t *testing.T) {
	for _, bad := range [][]string{{"pods", "pods/a.log"}, {"."}} {
		var archive bytes.Buffer
		w := tar.NewWriter(&archive)
		for _, name := range append(bad, "kept.log") {
			if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := unpack(t, &archive, dir); err == nil {
			t.Errorf("%q: nothing was said of it", bad)
		}
		if _, err := os.Stat(filepath.Join(dir, "kept.log")); err != nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func unpack(t *testing.T, archive io.Reader, dir string) error {
	t.Helper()
	d, err := OpenLogDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return errors.Join(d.Unpack(archive), d.Close())
}

// TestALogIsKeptByItsEnd: of a file so much, of a machine so much, and of no file nothing.
func TestALogIsKeptByItsEnd(t *testing.T) {
	dir := t.TempDir()
	d, err := OpenLogDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	d.most, d.left = logAlways+10, logAlways+20
	long := strings.Repeat("x", 2*logAlways) + "the end\n"
	for _, c := range []struct {
		name string
		kept int64
	}{{"a.log", d.most}, {"b.log", logAlways}, {"c.log", logAlways}} {
		if err := d.Add(c.name, int64(len(long)), strings.NewReader(long+"written meanwhile")); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(dir, c.name))
		first, rest, _ := strings.Cut(string(raw), "\n")
		if want := fmt.Sprintf("… %d of %d bytes are left out before this …", int64(len(long))-c.kept, len(long)); err != nil || first != want {
			t.Errorf("%s begins %.80q, %v; want %q", c.name, first, err, want)
		}
		if int64(len(rest)) != c.kept || !strings.HasSuffix(rest, "the end\n") {
			t.Errorf("%s has %d bytes, ending %q; want %d", c.name, len(rest), rest[max(0, len(rest)-20):], c.kept)
		}
	}
	if err := d.Add("short.log", 6, strings.NewReader("short\n")); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "short.log")); err != nil || string(raw) != "short\n" {
		t.Errorf("the short one is %q, %v", raw, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
