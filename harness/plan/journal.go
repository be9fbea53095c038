package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/lock"
)

// JournalFile is the journal's name in a run's directory.
const JournalFile = "journal.jsonl"

// lockFile is held by the process whose run the directory is. It is hidden: a run leaves none.
const lockFile = ".lock"

// Owner is the process whose run a directory is; empty: it is nobody's who lives.
func Owner(dir string) string { return lock.Holder(filepath.Join(dir, lockFile)) }

// Entry is one line of a journal.
type Entry struct {
	Time time.Time       `json:"time"`
	Kind string          `json:"kind"` // run, plan, step-started, waiting, step, receipt, observation, pulse, evidence, result
	Data json.RawMessage `json:"data"`
}

// Journal is the append-only record of a run. What undo needs is on the disk before it happens. One process at a time has a directory's
// journal, and nobody ever shortens one.
type Journal struct {
	mu    sync.Mutex
	file  *os.File
	owner *lock.Lock
	torn  bool // the last write was cut off: the next one begins a new line
	watch func(Entry)
}

// Watch has every entry told from now on, in the order they are written in, once it is. It is called while others wait to write.
func (j *Journal) Watch(told func(Entry)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.watch = told
}

// CreateJournal starts a journal in the directory, making it. What an earlier run has left there is moved to DIR/TIME, the time of that
// run's last entry, once may has looked at its entries and allowed it; a nil may allows everything. A UsageError says that the directory
// is another process's.
func CreateJournal(dir string, may func(old []Entry) error) (_ *Journal, err error) {
	return openJournal(dir, func() error {
		old, _, err := ReadJournal(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && may != nil {
			err = may(old)
		}
		if err != nil {
			return err
		}
		return setAside(dir)
	})
}

// AppendJournal goes on with the journal of an earlier run; fs.ErrNotExist when there is none.
func AppendJournal(dir string) (*Journal, error) {
	return openJournal(dir, func() error {
		_, err := os.Stat(filepath.Join(dir, JournalFile))
		return err
	})
}

// openJournal takes the directory, prepares it and opens the journal. A line that a crash cut off is ended, so that nothing is appended to it.
func openJournal(dir string, prepare func() error) (_ *Journal, err error) {
	j := &Journal{}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.Close())
		}
	}()
	var held *lock.HeldError
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, cluster.Usagef("journal: %w", err)
	}
	if j.owner, err = lock.Try(filepath.Join(dir, lockFile)); errors.As(err, &held) {
		return nil, cluster.Usagef("%s: %w: wait for it, or choose another directory", dir, err)
	} else if err != nil {
		return nil, cluster.Usagef("journal: %w", err)
	}
	if err := prepare(); err != nil {
		return nil, err
	}
	if j.file, err = os.OpenFile(filepath.Join(dir, JournalFile), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j.torn, err = endsTorn(j.file)
	return j, err
}

func endsTorn(f *os.File) (bool, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return false, err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, end-1); err != nil {
		return false, fmt.Errorf("journal: %w", err)
	}
	return last[0] != '\n', nil
}

// setAside moves a run into a directory of its own, named after its time. What is not a run's is left where it is.
func setAside(dir string) error {
	st, err := os.Stat(filepath.Join(dir, JournalFile))
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	old := filepath.Join(dir, st.ModTime().Format("20060102-150405.000"))
	if err := os.MkdirAll(old, 0o755); err != nil {
		return fmt.Errorf("journal: set the earlier run aside: %w", err)
	}
	// The journal is last: interrupted before, this is done again and the rest follows.
	for _, name := range slices.Concat(OwnDirs(), OwnFiles()) {
		err := os.Rename(filepath.Join(dir, name), filepath.Join(old, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("journal: set the earlier run aside: %w", err)
		}
	}
	return nil
}

// Write appends an entry and waits for the disk.
func (j *Journal) Write(kind string, data any) error { return j.write(kind, data, true) }

// Sample appends an entry that may be lost in a power cut.
func (j *Journal) Sample(kind string, data any) error { return j.write(kind, data, false) }

func (j *Journal) write(kind string, data any, sync bool) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("journal: %s: %w", kind, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	entry := Entry{Time: time.Now(), Kind: kind, Data: raw} // told in the order they are written in
	line, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("journal: %s: %w", kind, err)
	}
	line = append(line, '\n')
	if j.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := j.file.Write(line)
	j.torn = n > 0 && line[n-1] != '\n' || n == 0 && j.torn
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if j.watch != nil {
		j.watch(entry)
	}
	if !sync {
		return nil
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// Close closes the file and lets go of the directory.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	if j.file != nil {
		err = j.file.Close()
	}
	return errors.Join(err, j.owner.Release())
}

// ReadJournal reads a run's journal, and lists the numbers of the lines, from 1, that cannot be read: a crash or a full disk has cut
// them off, or somebody has changed them. Whoever undoes things from a journal must say that something may be missing.
func ReadJournal(dir string) (entries []Entry, damaged []int, err error) {
	path := filepath.Join(dir, JournalFile)
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return nil, nil, cluster.Usagef("journal: %s is no file", path) // what is a pipe would be waited for
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	n := 0
	for line := range bytes.Lines(raw) {
		n++
		var e Entry
		switch err := json.Unmarshal(line, &e); {
		case len(bytes.TrimSpace(line)) == 0:
		case err != nil || e.Kind == "":
			damaged = append(damaged, n)
		default:
			entries = append(entries, e)
		}
	}
	return entries, damaged, nil
}
