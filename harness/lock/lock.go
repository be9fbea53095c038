// Package lock says who owns what several processes could take at once: a lab, a run's directory, a version in the cache. An owner is a
// process that holds a lock on a file (flock(2)); the kernel lets go of it when the process ends, however it does.
package lock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Lock is held until Release, or until the process ends.
type Lock struct{ file *os.File }

// HeldError is the refusal of a lock that somebody else holds.
type HeldError struct{ Path, Holder string }

func (e *HeldError) Error() string { return "it belongs to " + e.Holder }

// Try takes the lock of a file, making the file and its directory. A *HeldError says who has it.
func Try(path string) (*Lock, error) { return take(path, syscall.LOCK_EX) }

// Share takes it together with all others that share it, and keeps everybody out who wants it alone.
func Share(path string) (*Lock, error) { return take(path, syscall.LOCK_SH) }

// Wait tries until it has the lock or the context ends; held is told, each time, who has it.
func Wait(ctx context.Context, path string, try func(path string) (*Lock, error), held func(by string)) (*Lock, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		l, err := try(path)
		var other *HeldError
		if !errors.As(err, &other) {
			return l, err
		}
		held(other.Holder)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock %s: %w; %w", path, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// inherited is how long the lock of a process that was killed may outlast it: a child that it was just starting has its files until it
// runs its own program.
const inherited = 5 * time.Second

func take(path string, how int) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	patience := time.Now().Add(inherited)
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			holder := readHolder(f)
			if err := f.Close(); err != nil {
				return nil, fmt.Errorf("lock %s: %w", path, err)
			}
			if ended(holder) && time.Now().Before(patience) {
				<-time.After(10 * time.Millisecond)
				continue
			}
			return nil, &HeldError{Path: path, Holder: holder}
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		// Whoever had it before may have removed the file: then this lock is of a file nobody else will ever open.
		if !current(f, path) {
			_ = f.Close()
			continue
		}
		if how == syscall.LOCK_EX {
			err = sign(f)
		} else {
			err = f.Truncate(0) // who signed it has ended
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		return &Lock{file: f}, nil
	}
}

func current(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}

// Holder is who has the lock of a file, as the file says, for those who only look; empty: nobody who lives.
func Holder(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil || len(raw) == 0 || ended(string(raw)) {
		return ""
	}
	return string(raw)
}

// signature begins what a holder writes into the file.
const signature = "process %d"

// ended says of a holder, by what it wrote, that there is no such process any more.
func ended(holder string) bool {
	var pid int
	if _, err := fmt.Sscanf(holder, signature, &pid); err != nil {
		return false
	}
	return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// sign writes who holds the lock, for those who are refused.
func sign(f *os.File) error {
	const longest = 100
	command := strings.Join(append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...), " ")
	if len(command) > longest {
		command = command[:longest] + "…"
	}
	text := fmt.Sprintf(signature+" (%s), since %s", os.Getpid(), command, time.Now().Format(time.DateTime))
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

func readHolder(f *os.File) string {
	raw := make([]byte, 256)
	n, _ := f.ReadAt(raw, 0)
	if n == 0 {
		return "another process"
	}
	return string(raw[:n])
}

// Release lets go of the lock and leaves no file; idempotent, and nothing to do for a nil Lock.
func (l *Lock) Release() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := os.Remove(l.file.Name()) // before it is let go: afterwards it may be somebody else's
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	err = errors.Join(err, l.file.Close())
	l.file = nil
	return err
}

// Keep lets go of the lock and leaves the file, for a lock that is shared: others may hold it still.
func (l *Lock) Keep() error { return l.file.Close() }
