package memory

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	chunk = 8 << 20
	pace  = 10 * time.Millisecond // between two chunks: whoever watches is to see it come
)

// Fill takes that much memory, every page of it, and holds it until the context ends. With 0 it takes what there is, until the kernel, which is then
// the machine's own, has ended another process.
func Fill(ctx context.Context, limit uint64) error {
	before, err := killed()
	if err != nil {
		return err
	}
	page := os.Getpagesize()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for taken := uint64(0); limit == 0 || taken < limit; taken += chunk {
		if limit == 0 {
			if now, err := killed(); err != nil || now != before {
				break
			}
		}
		mem, err := unix.Mmap(-1, 0, chunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			break // the kernel says itself that it has no more
		}
		for i := 0; i < len(mem); i += page {
			mem[i] = 1
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	<-ctx.Done()
	return nil
}

// killed is how many processes this kernel has ended for want of memory.
func killed() (n uint64, err error) {
	raw, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0, fmt.Errorf("fill the memory: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		if _, err := fmt.Sscanf(line, "oom_kill %d", &n); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("fill the memory: /proc/vmstat does not count the processes that were ended for it (Linux 4.13)")
}
