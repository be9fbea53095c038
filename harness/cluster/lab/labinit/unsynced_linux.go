package labinit

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/unsynced"
)

// unsyncedDir is where a machine's durable contents are kept, below the lab's directory and beside the disks.
const unsyncedDir = "unsynced"

// slowest bounds how long one fsync is held up: the thread that asked sleeps as long, whatever else becomes of its machine.
const slowest = 10 * time.Second

// pair makes two connected sockets, which no program that is started inherits unasked.
func pair() (ours, theirs *os.File, err error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	return os.NewFile(uintptr(ends[0]), "ours"), os.NewFile(uintptr(ends[1]), "theirs"), nil
}

func (s *switchboard) tellSyncs() bool { return s.cfg.Lacks.Why(cluster.CanSlowDisk) == "" }

// follow answers a machine that tells what it fsyncs. One that ends before it does says itself why.
func (s *switchboard) follow(m Machine, r *running) {
	defer func() { _ = r.tells.Close() }()
	if !s.tellSyncs() || m.VM { // what a kernel of its own is asked nobody else hears
		return
	}
	listener, err := unsynced.Told(r.tells)
	if err != nil {
		_, _ = fmt.Fprintf(s.log, "machine %s: %v\n", m.Name, err)
		return
	}
	s.mu.Lock()
	slow := s.slow[m.Name]
	s.mu.Unlock()
	r.syncs.Slow(slow.Delay, slow.Dirs...)
	ended := r.syncs.Follow(listener)
	go func() {
		if err := <-ended; err != nil {
			_, _ = fmt.Fprintf(s.log, "machine %s: %v\n", m.Name, err)
		}
	}()
}

// loseUnsynced has the machine's next end lose what is not fsynced by then below the directories.
func (s *switchboard) loseUnsynced(ctx context.Context, p UnsyncedParams) error {
	m, turn, err := s.machine(p.Name)
	if err != nil {
		return err
	}
	turn.Lock()
	defer turn.Unlock()
	r := s.get(p.Name)
	if r == nil {
		return fmt.Errorf("machine %s is off", p.Name)
	}
	var dirs []string
	for _, d := range p.Dirs {
		rel := strings.TrimPrefix(filepath.Clean(d), "/")
		if !filepath.IsAbs(d) || !fs.ValidPath(rel) || rel == "." {
			return fmt.Errorf("machine %s: %q is no directory on its disk", p.Name, d)
		}
		dirs = append(dirs, rel)
	}
	store := filepath.Join(unsyncedDir, m.Name)
	if err := r.syncs.Begin(ctx, r.cmd.Process.Pid, filepath.Join("disks", m.Name), store, dirs); err != nil {
		return fmt.Errorf("machine %s: %w", p.Name, err)
	}
	return nil
}

// slowSync has the machine's disk be slow, now and after it was off.
func (s *switchboard) slowSync(p SlowParams) error {
	_, turn, err := s.machine(p.Name)
	if err != nil {
		return err
	}
	if p.Delay < 0 || p.Delay > slowest {
		return fmt.Errorf("machine %s: a disk that takes %s longer; it is 0 to %s", p.Name, p.Delay, slowest)
	}
	turn.Lock()
	defer turn.Unlock()
	s.mu.Lock()
	s.slow[p.Name] = p
	s.mu.Unlock()
	if r := s.get(p.Name); r != nil {
		r.syncs.Slow(p.Delay, p.Dirs...)
	}
	return nil
}

// keepUnsynced undoes it.
func (s *switchboard) keepUnsynced(_ context.Context, name string) error {
	_, turn, err := s.machine(name)
	if err != nil {
		return err
	}
	turn.Lock()
	defer turn.Unlock()
	if r := s.get(name); r != nil {
		return r.syncs.Keep()
	}
	return nil
}
