package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/labinit"
	"drydock.dev/drydock/harness/lock"
	"drydock.dev/drydock/harness/release"
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
	img := &image{dir: filepath.Join(dir, "images", "image"), key: "k"}
	saveAgain(t, img, filepath.Join(dir, "lab"))
	return img
}

// saveAgain writes the disks of a lab's directory to the image.
func saveAgain(t *testing.T, img *image, labDir string) {
	t.Helper()
	l := &Lab{dir: labDir, topology: cluster.Topology{}}
	l.machines = []*Machine{{lab: l, name: "m"}}
	fresh, err := img.fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fresh.write(t.Context(), l), img.publish(t.Context(), fresh), fresh.close()); err != nil {
		t.Fatal(err)
	}
}

// TestManySaveAndBootAtOnce: whoever reads an image reads all of one.
func TestManySaveAndBootAtOnce(t *testing.T) {
	img := savedImage(t)
	labDir := filepath.Join(filepath.Dir(filepath.Dir(img.dir)), "lab")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 4 {
				saveAgain(t, img, labDir)
			}
		})
		wg.Go(func() {
			for range 8 {
				reading, err := img.lock(t.Context(), lock.Share)
				if err != nil {
					t.Error(err)
					return
				}
				m, err := img.open()
				if err == nil {
					err = img.restore(t.Context(), m, t.TempDir())
				}
				if err := errors.Join(err, reading.Keep()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(img.dir), ".*-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestLeftoversOfAKilledWriterGo: and those of one that lives stay.
func TestLeftoversOfAKilledWriterGo(t *testing.T) {
	img := savedImage(t)
	dead := filepath.Join(filepath.Dir(img.dir), freshPrefix+"dead")
	if err := os.MkdirAll(filepath.Join(dead, "m"), 0o755); err != nil {
		t.Fatal(err)
	}
	alive, err := img.fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("what a killed writer left is still there")
	}
	second, err := img.fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(alive.dir); err != nil {
		t.Errorf("a second writer removed the first one's image: %v", err)
	}
	if err := errors.Join(alive.close(), second.close()); err != nil {
		t.Fatal(err)
	}
}

// TestAnImageIsDroppedOnlyIfItIsTheDamagedOne: another process may have saved a good one since.
func TestAnImageIsDroppedOnlyIfItIsTheDamagedOne(t *testing.T) {
	img := savedImage(t)
	seen, err := img.open()
	if err != nil {
		t.Fatal(err)
	}
	saveAgain(t, img, filepath.Join(filepath.Dir(filepath.Dir(img.dir)), "lab"))
	if err := img.drop(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	now, err := img.open()
	if err != nil {
		t.Fatalf("a good image was dropped: %v", err)
	}
	if err := img.drop(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if _, err := img.open(); err == nil {
		t.Fatal("the damaged image is still there")
	}
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

// TestImageIsOfAllThatIsAsked: another cluster of the same short description may have other machines, or members that are full at another size.
func TestImageIsOfAllThatIsAsked(t *testing.T) {
	p := &Provider{Images: t.TempDir(), Store: &release.Store{}}
	dir := func(change func(*cluster.Topology)) string {
		topology := cluster.Topology{Name: "a", ControlPlanes: 1, Workers: 1}
		topology.Named = topology.Machines()
		change(&topology)
		return p.image(newLab(p, "", labinit.Config{Topology: topology}, nil), "k").dir
	}
	plain := dir(func(*cluster.Topology) {})
	if named := dir(func(t *cluster.Topology) { t.Name = "b" }); named != plain {
		t.Errorf("the cluster's own name makes another image: %s, %s", plain, named)
	}
	for what, change := range map[string]func(*cluster.Topology){
		"machines of other names": func(t *cluster.Topology) { t.Named[0].Name = "k8s-master-0" },
		"another quota":           func(t *cluster.Topology) { t.EtcdQuota = 8 << 20 },
		"another etcd":            func(t *cluster.Topology) { t.EtcdVersion = "v3.6.3" },
	} {
		if dir(change) == plain {
			t.Errorf("%s is the image of %s as well", plain, what)
		}
	}
}
