package lab

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/labinit"
)

// TestMachinesOfTheSameMoment has machines come and go within one tick of the file system's clock, as a removal and the addition right behind it do.
func TestMachinesOfTheSameMoment(t *testing.T) {
	dir := t.TempDir()
	l := newLab(nil, dir, labinit.Config{}, nil)
	at := time.Now()
	for _, machines := range [][]labinit.Machine{{{Name: "a", Role: cluster.Worker, Addr: "10.77.0.2"}}, {}, {{Name: "b", Role: cluster.Worker, Addr: "10.77.0.2"}}} {
		if err := (labinit.Config{Machines: machines}).Write(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, labinit.ConfigFile), at, at); err != nil {
			t.Fatal(err)
		}
		if got := l.Machines(); len(got) != len(machines) || len(got) == 1 && got[0].Name() != machines[0].Name {
			t.Errorf("machines are %v after lab.json listed %v", got, machines)
		}
	}
}
