package unsynced

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/process"
)

// family are the processes a machine's first one has begun, and itself.
func family(pid int) []process.Info {
	return slices.DeleteFunc(process.Tree(process.List(), pid), func(p process.Info) bool { return p.State == "Z" })
}

// stopped are the processes that were stopped here.
type stopped map[int]bool

// stopWithin is how long programs may take to be stopped: what they have asked the kernel's disks for is done first.
const stopWithin = 5 * time.Second

// stop stops all programs of a machine. Those that stood still before stay so afterwards.
func stop(ctx context.Context, pid int) (stopped, error) {
	mine, looks := stopped{}, 0
	wait := cluster.Wait{For: stopWithin, Every: time.Millisecond}
	return mine, cluster.Await(ctx, "all programs of the machine stopped", wait, func(context.Context) error {
		var running []string
		for _, p := range family(pid) {
			if !mine[p.PID] && still(p.PID) {
				continue
			}
			if !mine[p.PID] {
				if err := unix.Kill(p.PID, unix.SIGSTOP); err != nil && !errors.Is(err, unix.ESRCH) {
					return fmt.Errorf("stop %s (%d): %w", p.Name, p.PID, err)
				}
				mine[p.PID] = true
			}
			if !still(p.PID) {
				running = append(running, p.Name)
			}
		}
		if len(running) > 0 {
			looks = 0
			return fmt.Errorf("%s: not yet", strings.Join(running, ", "))
		}
		if looks++; looks < 2 { // one may have begun another between the list and its own stop
			return errors.New("to be seen once more")
		}
		return nil
	})
}

// goOn lets them go on.
func (s stopped) goOn() error {
	var errs []error
	for pid := range s {
		if err := unix.Kill(pid, unix.SIGCONT); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("let process %d go on: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}

// still reports whether no thread of the process runs: one that the kernel works for stops when that is done.
func still(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, t := range tasks {
		tid, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			continue
		}
		if p, ok := process.Stat(tid); ok && !strings.Contains("TtZX", p.State) {
			return false
		}
	}
	return true
}

// untold names a program of the machine that may make something durable without a call that is told of.
func (v *volume) untold(pid int) error {
	here, err := v.there()
	if err != nil {
		return err
	}
	for _, p := range family(pid) {
		if err := v.opened(p, here); err != nil {
			return err
		}
		if err := mapped(p, here); err != nil {
			return err
		}
	}
	return nil
}

// there are the numbers of all inodes that are in the directories now.
func (v *volume) there() (map[uint64]bool, error) {
	out := map[uint64]bool{}
	for _, dir := range v.dirs {
		err := fs.WalkDir(v.disk.FS(), dir, func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) { // gone meanwhile
				return nil
			}
			if st, ok := info.Sys().(*syscall.Stat_t); ok && err == nil {
				out[st.Ino] = true
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return out, nil
}

// opened looks at a program's open files.
func (v *volume) opened(p process.Info, here map[uint64]bool) error {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.PID))
	for _, f := range files {
		if target, _ := os.Readlink(f); target == "anon_inode:[io_uring]" {
			return fmt.Errorf("%s (%d) uses io_uring, by which it could fsync unseen", p.Name, p.PID)
		}
		var st unix.Stat_t
		if unix.Stat(f, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || !v.here(st.Dev) || !here[st.Ino] {
			continue
		}
		if flags := flagsOf(p.PID, filepath.Base(f)); flags&unix.O_DSYNC != 0 { // which O_SYNC has in it
			return fmt.Errorf("%s (%d) has a file open with O_DSYNC or O_SYNC: what it writes there is durable at once", p.Name, p.PID)
		}
	}
	return nil
}

// flagsOf reads the open flags of proc_pid_fdinfo(5), in octal.
func flagsOf(pid int, fd string) uint64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "flags:"); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(rest), 8, 64)
			return n
		}
	}
	return 0
}

// mapped looks at a program's mappings (proc_pid_maps(5)): through one that is shared and writable it writes unseen, and msync(2) is not told of.
func mapped(p process.Info, here map[uint64]bool) error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", p.PID))
	if err != nil {
		return nil // it has ended
	}
	defer func() { _ = f.Close() }()
	const perms, ino, name = 1, 4, 5
	for s := bufio.NewScanner(f); s.Scan(); {
		w := strings.Fields(s.Text())
		if len(w) <= name || !strings.HasPrefix(w[perms], "rw") || !strings.HasSuffix(w[perms], "s") || strings.HasPrefix(w[name], "/dev/") || strings.HasPrefix(w[name], "/memfd:") {
			continue
		}
		if n, err := strconv.ParseUint(w[ino], 10, 64); err == nil && here[n] {
			return fmt.Errorf("%s (%d) writes to %s through a shared mapping", p.Name, p.PID, w[name])
		}
	}
	return nil
}
