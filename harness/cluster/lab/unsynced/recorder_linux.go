package unsynced

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Recorder is told of a machine's calls and remembers what they made durable, while it is asked to.
type Recorder struct {
	mu       sync.Mutex
	followed bool
	volume   *volume // nil: nothing is to be lost
	disk     slowness
}

// Follow answers from now on, until the last program that could ask has ended; then it closes the listener and says what went wrong. While nobody
// answers they wait.
func (r *Recorder) Follow(listener *os.File) <-chan error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.followed = true
	ended := make(chan error, 1)
	go func() {
		ended <- errors.Join(listen(listener, r.disk.longer, func(c call) { r.told(listener, c) }), listener.Close())
	}()
	return ended
}

// told follows one call before the kernel carries it out.
func (r *Recorder) told(listener *os.File, c call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.volume
	if v == nil || v.fault != nil {
		return
	}
	if c.nr == unix.SYS_SYNC || c.nr == unix.SYS_SYNCFS { // of whichever file system: what is in the directories is on this one
		v.fault = v.syncAll()
		return
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/fd/%d", c.tid, int32(c.args[0])), unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) { // no file of that number, or the thread was killed: the kernel refuses it as well
		return
	}
	if err != nil {
		v.fault = err
		return
	}
	pin := os.NewFile(uintptr(fd), "fsynced")
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || !v.here(st.Dev) || !waits(listener, c) {
		_ = pin.Close()
		return
	}
	i, n, err := v.know(pin)
	if err == nil {
		err = v.sync(i, n)
	}
	v.fault = err
}

// Begin takes all that is in the directories of the disk now for durable, with the programs of the machine stopped meanwhile, and remembers from then on. The
// first process of the machine has the number pid here; the store is a directory on the disk's file system that nothing else uses.
func (r *Recorder) Begin(ctx context.Context, pid int, disk, store string, dirs []string) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.followed {
		return errors.New("nobody tells what is fsynced")
	}
	if err := r.end(); err != nil {
		return err
	}
	stopped, err := stop(ctx, pid)
	defer func() { err = errors.Join(err, stopped.goOn()) }()
	if err != nil {
		return err
	}
	v, err := remember(disk, store, dirs)
	if err != nil {
		return fmt.Errorf("remember what is on the disk: %w", err)
	}
	if err := v.untold(pid); err != nil {
		return errors.Join(err, v.forget())
	}
	r.volume = v
	return nil
}

// Doubt says, before a cut, what the machine's programs may have made durable without telling; nil when nothing is remembered.
func (r *Recorder) Doubt(pid int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.volume == nil {
		return nil
	}
	return r.volume.untold(pid)
}

// Keep forgets: nothing will be lost. Idempotent.
func (r *Recorder) Keep() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.end()
}

// Lose takes from the directories what is not durable. The machine's programs have ended; nothing remembered, nothing is lost.
func (r *Recorder) Lose() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.volume == nil {
		return nil
	}
	err := r.volume.lose()
	return errors.Join(err, r.end())
}

func (r *Recorder) end() error {
	v := r.volume
	r.volume = nil
	if v == nil {
		return nil
	}
	return v.forget()
}
