package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	if err := os.MkdirAll(filepath.Join(src, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(src, "program"), []byte("run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(src, "lib", "l.so"), []byte("library"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := Spec{
		Ref: "drydock/test:v1", Entrypoint: []string{"/bin/program"}, Links: map[string]string{"/bin/other": "program"},
		Files: map[string]string{"/bin/program": filepath.Join(src, "program"), "/usr": src},
	}
	one, two := filepath.Join(dir, "one.tar"), filepath.Join(dir, "two.tar")
	for _, file := range []string{one, two} {
		if err := Write(spec, file); err != nil {
			t.Fatal(err)
		}
	}
	tag, err := name.NewTag(spec.Ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(one, &tag)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil || !reflect.DeepEqual(config.Config.Entrypoint, spec.Entrypoint) || config.OS != "linux" {
		t.Errorf("config is %+v, %v", config, err)
	}
	layers := mutate.Extract(img)
	defer func() { _ = layers.Close() }()
	got := map[string]string{}
	for tr := tar.NewReader(layers); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = h.FileInfo().Mode().String() + " " + string(content) + h.Linkname
	}
	want := map[string]string{
		"bin/program": "-rwxr-xr-x run", "bin/other": "Lrwxrwxrwx program", "usr/program": "-rwxr-xr-x run", "usr/lib/l.so": "-rw-r--r-- library",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("holds %v", got)
	}
	a, errA := os.ReadFile(one)
	b, errB := os.ReadFile(two)
	if err := errors.Join(errA, errB); err != nil || !bytes.Equal(a, b) {
		t.Errorf("the same files made two images: %v", err)
	}
}

func TestNothingIsLeftOfAnImageThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.tar")
	for _, s := range []Spec{{Ref: "no spaces:v1"}, {Ref: "drydock/test:v1", Files: map[string]string{"/p": file + "-none"}}} {
		if err := Write(s, file); err == nil {
			t.Errorf("no error of %+v", s)
		}
	}
	if left, err := filepath.Glob(file + "*"); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
