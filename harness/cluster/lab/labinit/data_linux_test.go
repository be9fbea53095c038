package labinit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

const etcdPath = "/var/lib/etcd"

// dataBoard is a lab's directory with the disk of a machine, which is off.
func dataBoard(t *testing.T) *switchboard {
	t.Helper()
	t.Chdir(t.TempDir())
	write(t, "disks/m/var/lib/etcd/member/wal", "1")
	write(t, "disks/m/etc/hostname", "m")
	write(t, "disks/other/secret", "of another")
	return &switchboard{cfg: Config{Topology: cluster.Topology{Etcd: cluster.EtcdStacked, ControlPlanes: 1, EtcdMembers: 1}}}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func reads(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); string(got) != want || err != nil {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
}

func TestADiskOfDataOutlivesItsMachine(t *testing.T) {
	s := dataBoard(t)
	disks := map[string]string{etcdPath: "m-etcddisk"}
	for range 2 { // once more, after an interrupt: nothing is lost
		if err := s.keepData("m", disks); err != nil {
			t.Fatal(err)
		}
		reads(t, "data/m-etcddisk/member/wal", "1")
	}
	if err := os.RemoveAll("disks/m"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("disks/m", 0o755); err != nil {
		t.Fatal(err)
	}
	if kept, err := keptData(); err != nil || strings.Join(kept, " ") != "m-etcddisk" {
		t.Errorf("%v, %v", kept, err)
	}
	if err := s.giveData("m", map[string]string{etcdPath: "m-etcddisk", "/srv": "never-kept"}); err != nil {
		t.Fatal(err)
	}
	if kept, err := keptData(); err != nil || len(kept) > 0 {
		t.Errorf("%v, %v", kept, err)
	}
	reads(t, "disks/m/var/lib/etcd/member/wal", "1")
	if left, err := os.ReadDir("data"); err != nil || len(left) > 0 {
		t.Errorf("a disk that a machine has is kept as well: %v, %v", left, err)
	}
	if err := s.keepData("m", disks); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.dropData("m-etcddisk"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.giveData("m", disks); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("disks/m/var/lib/etcd"); err == nil {
		t.Error("a disk that was dropped is given")
	}
}

func TestADiskOfDataIsOfItsMachineAlone(t *testing.T) {
	for name, x := range map[string]struct {
		plant func() error
		disks map[string]string
		says  string
	}{
		"a link out of the disk":        {func() error { return os.Symlink("../../../other", "disks/m/var/lib/linked") }, map[string]string{"/var/lib/linked": "d"}, "is no directory"},
		"a link on the way":             {func() error { return os.Symlink("../other", "disks/m/link") }, map[string]string{"/link/secret": "d"}, "is no directory"},
		"a way out":                     {nil, map[string]string{"/../other": "d"}, ""}, // which is /other of the machine's own
		"a way that is not whole":       {nil, map[string]string{"var/lib/etcd": "d"}, "a whole path"},
		"the root":                      {nil, map[string]string{"/": "d"}, "a whole path"},
		"a name that leads elsewhere":   {nil, map[string]string{etcdPath: "../disks/other"}, "one word"},
		"a name of nothing":             {nil, map[string]string{etcdPath: ""}, "one word"},
		"a name for what is above":      {nil, map[string]string{etcdPath: ".."}, "one word"},
		"a file in the directory's way": {nil, map[string]string{"/etc/hostname": "d"}, "is no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			s := dataBoard(t)
			if x.plant != nil {
				if err := x.plant(); err != nil {
					t.Fatal(err)
				}
			}
			for _, err := range []error{s.keepData("m", x.disks), s.giveData("m", x.disks)} {
				if (err == nil) != (x.says == "") || err != nil && !strings.Contains(err.Error(), x.says) {
					t.Errorf("%v; want %q", err, x.says)
				}
			}
			reads(t, "disks/other/secret", "of another")
			reads(t, "disks/m/var/lib/etcd/member/wal", "1")
		})
	}
}

func TestADiskInMemoryIsNotKept(t *testing.T) {
	s := dataBoard(t)
	s.cfg.Topology = cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 1, EtcdDisk: 1 << 28, Named: []cluster.MachineSpec{{Name: "m", Role: cluster.Etcd}}}
	if err := s.keepData("m", map[string]string{etcdPath: "d"}); err == nil || !strings.Contains(err.Error(), "in memory") {
		t.Error(err)
	}
}
