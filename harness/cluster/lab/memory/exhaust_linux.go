package memory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Exhaust has the calling process, which is the first of a kernel of its own and so the one that it never ends, take all memory there is, until the kernel
// has ended another process for it; when the context ends it gives it back.
//
// Before a kernel gives up it drops what it can read again, such as the pages of programs; whoever runs them reads them again at once, a good many at a
// time, and so it can go on for many minutes. So this process keeps its own pages, and all others stand still until the kernel has decided.
func Exhaust(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("take all memory: %w", err)
		}
	}()
	before, err := killed()
	if err != nil {
		return err
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("keep its own pages: %w", err)
	}
	const others = -1 // all but this one (kill(2))
	if err := unix.Kill(others, unix.SIGSTOP); err != nil && !errors.Is(err, unix.ESRCH) {
		return errors.Join(fmt.Errorf("have all others stand still: %w", err), unix.Munlockall())
	}
	taken := take(ctx, before)
	errs := []error{unix.Munlockall()}
	if err := unix.Kill(others, unix.SIGCONT); err != nil && !errors.Is(err, unix.ESRCH) {
		errs = append(errs, err)
	}
	<-ctx.Done()
	for _, mem := range taken {
		errs = append(errs, unix.Munmap(mem))
	}
	return errors.Join(errs...)
}

// take takes memory until there is none, or another process was ended.
func take(ctx context.Context, before uint64) (taken [][]byte) {
	for ctx.Err() == nil {
		if now, err := killed(); err != nil || now != before {
			break
		}
		mem, err := unix.Mmap(-1, 0, chunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			break // the kernel says itself that it has no more
		}
		taken = append(taken, mem)
		_ = unix.Madvise(mem, unix.MADV_HUGEPAGE) // faster, where it can be had
		if unix.Madvise(mem, unix.MADV_POPULATE_WRITE) != nil {
			break
		}
	}
	return taken
}

// killed is how many processes this kernel has ended for want of memory.
func killed() (n uint64, err error) {
	raw, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if _, err := fmt.Sscanf(line, "oom_kill %d", &n); err == nil {
			return n, nil
		}
	}
	return 0, errors.New("/proc/vmstat does not count the processes that were ended for it (Linux 4.13)")
}
