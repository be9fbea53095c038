package memory

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	chunk = 8 << 20
	pace  = 10 * time.Millisecond // between two chunks: whoever watches is to see it come
)

// Fill takes that much memory, every page of it, and holds it until the context ends.
func Fill(ctx context.Context, limit uint64) error {
	page := os.Getpagesize()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for taken := uint64(0); taken < limit; taken += chunk {
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
