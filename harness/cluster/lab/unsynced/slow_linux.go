package unsynced

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// slowness is of a disk, below some of its directories. The zero value is as fast as it is.
type slowness struct {
	mu    sync.Mutex
	delay time.Duration
	dirs  []string
	due   map[asked]time.Time // when calls that wait may go on
}

// asked is a call that a signal may have its thread make again: what it has waited then counts.
type asked struct {
	tid uint32
	nr  int32
	fd  uint64
}

// Slow has every fsync and fdatasync of a file or directory below the directories take so much longer from now on, whoever calls it; 0: as long as it
// does. sync and syncfs, which go by no file, take as long as they do. The directories are named as the machine's programs name them.
func (r *Recorder) Slow(delay time.Duration, dirs ...string) {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	r.disk.delay, r.disk.dirs, r.disk.due = delay, nil, map[asked]time.Time{}
	for _, d := range dirs {
		r.disk.dirs = append(r.disk.dirs, filepath.Clean(d))
	}
}

// longer is how long a call has still to wait, and what is to be said when it has.
func (s *slowness) longer(c call) (wait time.Duration, waited func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delay == 0 || c.nr != unix.SYS_FSYNC && c.nr != unix.SYS_FDATASYNC {
		return 0, nil
	}
	// What the link says is as the thread's own root has it (proc_pid_fd(5)).
	file, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.tid, int32(c.args[0])))
	if err != nil || !s.below(file) {
		return 0, nil
	}
	a := asked{c.tid, c.nr, c.args[0]}
	until, again := s.due[a]
	if !again {
		until = time.Now().Add(s.delay)
		s.due[a] = until
	}
	return max(time.Until(until), time.Nanosecond), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.due[a].Equal(until) {
			delete(s.due, a)
		}
	}
}

func (s *slowness) below(file string) bool {
	return slices.ContainsFunc(s.dirs, func(d string) bool { return file == d || strings.HasPrefix(file, d+"/") })
}
