package unsynced

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fsynced builds the program that knows what it fsynced.
func fsynced(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "fsynced")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", out, "./fsynced")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return out
}

// machine is a disk and a program that runs on it.
type machine struct {
	disk string
	r    *Recorder
}

// play has the program write on a fresh disk and cuts its power when it has. It returns what the program says must be left.
func play(t *testing.T, program string, remember bool, args ...string) (m machine, left string) {
	t.Helper()
	m.disk = t.TempDir()
	dir := filepath.Join(m.disk, "data")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	m.r = &Recorder{}
	out := m.r.run(t, program, func(pid int) error {
		if !remember {
			return nil
		}
		return m.r.Begin(t.Context(), pid, m.disk, filepath.Join(t.TempDir(), "store"), []string{"data"})
	}, append([]string{"write", dir}, args...)...)
	return m, out
}

// run has the program do something to its end, its calls told of, after it was prepared for. It returns what the program says.
func (r *Recorder) run(t *testing.T, program string, prepare func(pid int) error, args ...string) string {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(ends[1]), "theirs")
	cmd := exec.CommandContext(t.Context(), program, append([]string{"told"}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &out, &said, []*os.File{theirs}
	begin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	ours := os.NewFile(uintptr(ends[0]), "ours")
	defer func() { _ = ours.Close() }()
	listener, err := Told(ours)
	if err != nil {
		t.Fatal(err)
	}
	ended := r.Follow(listener)
	if err := prepare(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := begin.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the recorder does not end with the last program")
	}
	return out.String()
}

func (m machine) shown(t *testing.T, program string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, "show", filepath.Join(m.disk, "data")).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Bite: whatever a program did, a cut leaves what it fsynced and nothing else, and hardly one has fsynced everything last.
func TestACutLeavesWhatWasFsyncedAndNothingElse(t *testing.T) {
	program := fsynced(t)
	const seeds = 6
	lossy := 0
	for seed := range seeds {
		m, left := play(t, program, true, fmt.Sprint(seed), "200")
		if before := m.shown(t, program); before != left {
			lossy++
		}
		if err := m.r.Lose(); err != nil {
			t.Fatal(err)
		}
		if now := m.shown(t, program); now != left {
			t.Errorf("seed %d: must be left:\n%s\nis there:\n%s", seed, left, now)
		}
	}
	if lossy < seeds-1 {
		t.Errorf("%d of %d programs had something to lose: the test shows little", lossy, seeds)
	}
}

// Null: what was all fsynced is all there, and without remembering nothing is lost.
func TestNothingIsLostThatWasFsynced(t *testing.T) {
	program := fsynced(t)
	for _, c := range []struct {
		remember bool
		args     []string
	}{{true, []string{"7", "150", "settle"}}, {false, []string{"7", "150"}}, {true, []string{"7", "0"}}} {
		m, left := play(t, program, c.remember, c.args...)
		before := m.shown(t, program)
		if c.remember && before != left {
			t.Errorf("%v: the program itself leaves something unsynced", c.args)
		}
		if err := m.r.Lose(); err != nil {
			t.Fatal(err)
		}
		if now := m.shown(t, program); now != before {
			t.Errorf("%v: before:\n%s\nafter:\n%s", c.args, before, now)
		}
	}
}

// What cannot be told of is named, and the cut is not made by halves.
func TestWhatIsDurableUntoldIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(t *testing.T, file string)
		says string
	}{
		"O_DSYNC": {func(t *testing.T, file string) {
			t.Helper()
			f, err := os.OpenFile(file, os.O_WRONLY|syscall.O_DSYNC, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() })
		}, "O_DSYNC"},
		"a mapping": {func(t *testing.T, file string) {
			t.Helper()
			f, err := os.OpenFile(file, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			b, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Munmap(b); _ = f.Close() })
		}, "shared mapping"},
		"a mapping that is only read, as etcd's": {func(t *testing.T, file string) {
			t.Helper()
			f, err := os.OpenFile(file, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			b, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Munmap(b); _ = f.Close() })
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			disk := t.TempDir()
			file := filepath.Join(disk, "data", "f")
			if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, make([]byte, 4096), 0o600); err != nil {
				t.Fatal(err)
			}
			v, err := remember(disk, filepath.Join(t.TempDir(), "store"), []string{"data"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = v.forget() })
			c.do(t, file)
			err = v.untold(os.Getpid())
			if got := fmt.Sprint(err); c.says == "" && err != nil || c.says != "" && !strings.Contains(got, c.says) {
				t.Errorf("said %v, want %q", err, c.says)
			}
		})
	}
}

// A machine may have put a link in the way: what is lost is its own.
func TestALinkOnTheWayLeadsNowhere(t *testing.T) {
	disk, other := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(disk, "lib", "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(other, "data", "precious"), 0o755); err != nil {
		t.Fatal(err)
	}
	v, err := remember(disk, filepath.Join(t.TempDir(), "store"), []string{"lib/data"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.forget() })
	if err := os.Rename(filepath.Join(disk, "lib"), filepath.Join(disk, "lib-aside")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, filepath.Join(disk, "lib")); err != nil {
		t.Fatal(err)
	}
	if err := v.lose(); err == nil {
		t.Error("it went along a link out of the disk")
	}
	if _, err := os.Stat(filepath.Join(other, "data", "precious")); err != nil {
		t.Error(err)
	}
}

// BenchmarkFsync is what a call costs that is told of while nothing is remembered, beside one that is not told of. It needs root.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	each := func(b *testing.B) {
		b.Helper()
		for b.Loop() {
			if _, err := f.WriteAt([]byte{1}, 0); err != nil {
				b.Fatal(err)
			}
			if err := unix.Fdatasync(int(f.Fd())); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("plain", each)
	l, err := Install() // of all that this process calls from now on
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = listen(l, new(slowness).longer, func(call) {}) }()
	b.Run("told", each)
}
