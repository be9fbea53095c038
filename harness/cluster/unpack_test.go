package cluster

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	if err := Unpack(&archive, dir); err != nil {
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
	if err := Unpack(&archive, dir); err == nil {
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
		if err := Unpack(&archive, dir); err == nil {
			t.Errorf("%q: nothing was said of it", bad)
		}
		if _, err := os.Stat(filepath.Join(dir, "kept.log")); err != nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
