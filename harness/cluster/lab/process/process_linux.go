// Package process starts and reaps the children of a PID 1: it knows which children somebody waits for, collects
// the orphans the kernel hands over, and starts programs inside the namespaces of another process.
package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Table is the set of children somebody waits for.
type Table struct {
	mu    sync.Mutex
	known map[int]bool
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{known: map[int]bool{}} }

// Start starts the command and remembers it. The lock spans the fork so that a child which ends at once is not taken for an orphan.
func (t *Table) Start(cmd *exec.Cmd) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	t.known[cmd.Process.Pid] = true
	return nil
}

// Wait waits for a command that Start started.
func (t *Table) Wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.known, cmd.Process.Pid)
	return err
}

// ReapOrphans collects dead children that nobody waits for, until the context ends.
func (t *Table) ReapOrphans(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.reapOnce()
		}
	}
}

func (t *Table) reapOnce() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range List() {
		if p.Parent == os.Getpid() && p.State == "Z" && !t.known[p.PID] {
			_, _ = unix.Wait4(p.PID, nil, unix.WNOHANG, nil)
		}
	}
}

// Info is one process as /proc shows it.
type Info struct {
	PID    int
	Parent int
	Name   string // comm: the first 15 bytes of the program's name
	State  string // R, S, D, T, Z, ...
	Group  int
	Ticks  uint64 // user and system time, in clock ticks (100 a second on every Linux Go runs on)
	RSS    uint64 // bytes
	Start  uint64 // clock ticks since the host's boot
}

// List reads all processes of this PID namespace; one that ends meanwhile is left out.
func List() []Info {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	out := make([]Info, 0, len(dirs))
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		if p, ok := Stat(pid); ok {
			out = append(out, p)
		}
	}
	return out
}

// Tree is, of a list of all processes, one and everything below it.
func Tree(all []Info, root int) []Info {
	inside := map[int]bool{root: true}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if !inside[p.PID] && inside[p.Parent] {
				inside[p.PID], grown = true, true
			}
		}
	}
	var out []Info
	for _, p := range all {
		if inside[p.PID] {
			out = append(out, p)
		}
	}
	return out
}

// Stat reads /proc/PID/stat (proc_pid_stat(5)).
func Stat(pid int) (Info, bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Info{}, false
	}
	return parseStat(pid, string(raw))
}

func parseStat(pid int, s string) (Info, bool) {
	open, end := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')') // the name may itself hold parentheses
	if open < 0 || end < open {
		return Info{}, false
	}
	f := strings.Fields(s[end+1:])
	if len(f) < 22 {
		return Info{}, false
	}
	num := func(i int) uint64 { n, _ := strconv.ParseUint(f[i], 10, 64); return n }
	return Info{
		PID: pid, Name: s[open+1 : end], State: f[0], Parent: int(num(1)), Group: int(num(2)),
		Ticks: num(11) + num(12), RSS: num(21) * uint64(os.Getpagesize()), Start: num(19),
	}, true
}

// Named finds the processes whose program has this name.
func Named(name string) []Info {
	const commLen = 15
	if len(name) > commLen {
		name = name[:commLen]
	}
	var out []Info
	for _, p := range List() {
		if p.Name == name && p.State != "Z" {
			out = append(out, p)
		}
	}
	return out
}

// Namespaces of another process to enter; a zero PID means none.
type Namespaces struct {
	Net, Mount, PID, IPC, UTS int
}

// Inside runs fn on a thread that has joined the namespaces. Programs fn starts inherit them. The thread is
// thrown away afterwards, because a thread cannot leave a PID or mount namespace cleanly.
func Inside(ns Namespaces, fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		done <- enter(ns, fn)
	}()
	return <-done
}

func enter(ns Namespaces, fn func() error) error {
	if ns.Mount != 0 {
		// A thread that shares its root and working directory with others may not change its mount namespace (setns(2)).
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
	}
	steps := []struct {
		pid  int
		name string
		flag int
	}{
		{ns.Net, "net", unix.CLONE_NEWNET},
		{ns.IPC, "ipc", unix.CLONE_NEWIPC},
		{ns.UTS, "uts", unix.CLONE_NEWUTS},
		{ns.PID, "pid", unix.CLONE_NEWPID},
		{ns.Mount, "mnt", unix.CLONE_NEWNS},
	}
	fds := make([]int, len(steps)) // opened first: after the mount namespace changed, /proc is another
	for i, s := range steps {
		fds[i] = -1
		if s.pid == 0 {
			continue
		}
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/%s", s.pid, s.name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open the %s namespace of process %d: %w", s.name, s.pid, err)
		}
		defer func() { _ = unix.Close(fd) }()
		fds[i] = fd
	}
	for i, s := range steps {
		if fds[i] < 0 {
			continue
		}
		if err := unix.Setns(fds[i], s.flag); err != nil {
			return fmt.Errorf("enter the %s namespace of process %d: %w", s.name, s.pid, err)
		}
	}
	return fn()
}
