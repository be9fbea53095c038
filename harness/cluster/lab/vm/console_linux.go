package vm

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
)

// boots is the first thing a kernel says (start_kernel of init/main.c).
const boots = "Linux version "

// panicked is what it says when it can go on no more (panic of kernel/panic.c).
const panicked = "Kernel panic - not syncing"

// console keeps what the kernel says on its serial console, and notices that it begins anew: whatever was underway in the machine has ended then.
type console struct {
	log io.Writer

	mu     sync.Mutex
	panics func()          // called when the kernel panics; nil: nobody is told
	boot   context.Context //nolint:containedctx // the life of one boot, which calls from outside are to end with
	ends   context.CancelFunc
	recent []string // the last lines
}

// newConsole keeps what is said in the log. Of the first panic it tells.
func newConsole(log io.Writer, panics func()) *console {
	c := &console{log: log, panics: panics}
	c.boot, c.ends = context.WithCancel(context.Background()) //nolint:forbidigo // it ends with the machine's boot and with nothing else
	return c
}

// underway lives as long as the kernel that runs now.
func (c *console) underway() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.boot
}

// expectPanics has nobody told of a panic: the machine serves, and what its kernel does is its own business.
func (c *console) expectPanics() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.panics = nil
}

// last is what was said last, or before the first panic, for an error.
func (c *console) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.recent, "\n")
}

// follow copies what comes until it ends.
func (c *console) follow(from io.Reader) {
	lines := bufio.NewReaderSize(from, 64<<10)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			_, _ = io.WriteString(c.log, line)
			c.note(strings.TrimRight(line, "\r\n"))
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

func (c *console) note(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.Contains(line, boots) {
		c.ends()
		c.boot, c.ends = context.WithCancel(context.Background()) //nolint:forbidigo // as above
	}
	if c.panics == nil {
		return
	}
	const keep = 12
	if c.recent = append(c.recent, line); len(c.recent) > keep {
		c.recent = c.recent[1:]
	}
	if strings.Contains(line, panicked) { // behind it comes the kernel's own state, and not why
		c.panics()
		c.panics = nil
	}
}
