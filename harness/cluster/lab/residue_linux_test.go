package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster/lab/labinit"
	"drydock.dev/drydock/harness/cluster/lab/process"
)

// stray starts a process in namespaces of its own, as a lab's PID 1 is, and gives a directory its trace.
func stray(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "cat")
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		t.Skipf("this machine gives no namespaces: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	p, ok := process.Stat(cmd.Process.Pid)
	if !ok {
		t.Fatal("the process is not in /proc")
	}
	r := look(p)
	trace(t, dir, labinit.Trace{PID: r.in["pid"][0], Net: r.in["net"][0], Mount: r.in["mnt"][0], Start: p.Start})
	return cmd
}

func trace(t *testing.T, dir string, tr labinit.Trace) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(dir, 0o755), labinit.Config{Trace: tr}.Write(dir)); err != nil {
		t.Fatal(err)
	}
}

// residue holds the lines of a lab's residue to what they should contain, one each.
func residue(t *testing.T, dir string, want ...string) {
	t.Helper()
	left, err := Residue(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != len(want) {
		t.Fatalf("residue %q, want %q", left, want)
	}
	for i := range want {
		if !strings.Contains(left[i], want[i]) {
			t.Errorf("residue %q, want %q", left[i], want[i])
		}
	}
}

func TestResidueKnowsALabByItsNamespaces(t *testing.T) {
	labs := t.TempDir()
	a, ab := filepath.Join(labs, "a"), filepath.Join(labs, "ab")
	cmd := stray(t, ab)
	residue(t, ab, "namespace mnt:", "namespace net:", "namespace pid:")

	// The process is the other lab's, although its directory begins with this one's.
	trace(t, a, labinit.Trace{PID: 1, Net: 1, Mount: 1, Start: 1})
	residue(t, a)

	// Its numbers, had by another before: that one has ended.
	cfg, err := labinit.ReadConfig(ab)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Trace.Start--
	trace(t, a, cfg.Trace)
	residue(t, a)

	// A network namespace lives on in an open file, and with it its interfaces.
	held, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	residue(t, ab, fmt.Sprintf("process %d", os.Getpid()))
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	residue(t, ab)
}

func TestResidueOfADirectoryThatNeverHeldALab(t *testing.T) {
	residue(t, t.TempDir())
}

// TestDownWaitsForAllThatTheLabBegan: the socket of a lab that was killed is closed before its processes have ended.
func TestDownWaitsForAllThatTheLabBegan(t *testing.T) {
	p := &Provider{StateDir: t.TempDir()}
	dir, err := Dir(p.StateDir, "a")
	if err != nil {
		t.Fatal(err)
	}
	last := stray(t, dir)
	killed := make(chan struct{})
	time.AfterFunc(200*time.Millisecond, func() { defer close(killed); _ = last.Process.Kill(); _ = last.Wait() })
	if err := p.Down(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-killed:
	default:
		t.Error("a process of the lab outlived it")
	}
}
