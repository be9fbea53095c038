package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// savedImage is an image of one machine with a file that has a hole, a link and a directory.
func savedImage(t *testing.T) *image {
	t.Helper()
	dir := t.TempDir()
	disk := filepath.Join(dir, "lab", "disks", "m")
	if err := os.MkdirAll(filepath.Join(disk, "var"), 0o755); err != nil {
		t.Fatal(err)
	}
	data := append(make([]byte, 3<<20), "tail"...)
	if err := os.WriteFile(filepath.Join(disk, "var/wal"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("var/wal", filepath.Join(disk, "link")); err != nil {
		t.Fatal(err)
	}
	img := &image{dir: filepath.Join(dir, "image"), key: "k"}
	l := &Lab{dir: filepath.Join(dir, "lab"), topology: cluster.Topology{}}
	l.machines = []*Machine{{lab: l, name: "m"}}
	if err := img.write(context.Background(), l); err != nil {
		t.Fatal(err)
	}
	return img
}

func TestImageComesBackAsItWas(t *testing.T) {
	img, disks := savedImage(t), t.TempDir()
	m, err := img.open()
	if err != nil {
		t.Fatal(err)
	}
	if err := img.restore(context.Background(), m, disks); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(disks, "m/link"))
	if err != nil || len(raw) != 3<<20+4 || !strings.HasSuffix(string(raw), "tail") {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
}

func TestDamagedImageIsDetected(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, img *image){
		"a changed byte": func(t *testing.T, img *image) {
			t.Helper()
			f, err := os.OpenFile(filepath.Join(img.dir, "m/var/wal"), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte{1}, 100); err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		},
		"a missing file": func(t *testing.T, img *image) {
			t.Helper()
			if err := os.Remove(filepath.Join(img.dir, "m/link")); err != nil {
				t.Fatal(err)
			}
		},
		"a file too many": func(t *testing.T, img *image) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(img.dir, "m/new"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			img := savedImage(t)
			damage(t, img)
			m, err := img.open()
			if err != nil {
				t.Fatal(err)
			}
			if err := img.restore(context.Background(), m, t.TempDir()); err == nil {
				t.Fatal("the damage was not noticed")
			}
		})
	}
}

func TestStaleImageIsRefused(t *testing.T) {
	img := savedImage(t)
	other := &image{dir: img.dir, key: "another"}
	if _, err := other.open(); err == nil || !strings.Contains(err.Error(), "another cluster") {
		t.Fatalf("error %v", err)
	}
	if imageAge > 365*24*time.Hour {
		t.Fatal("an image may not outlive kubeadm's certificates, which last a year")
	}
}
