package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Killer is in the place of the kernel of a machine that has none of its own.
type Killer struct {
	Booted  time.Time
	Console io.Writer
	// Scores are the oom_score_adj of processes, by PID, that could not be given them: a user namespace may not lower any.
	Scores func() map[int]int
	Spared []int // never chosen, as the kernel never chooses the first process
	// Panic ends the machine, which boots that many seconds later; 0: never, less: at once.
	Panic func(reboot int)
}

// every is how often what the machine's processes have is summed. Filling it takes some of these.
const every = 50 * time.Millisecond

// Watch acts when the machine's processes have Room more than they have now: the machine panics if its settings say so, and otherwise one process is
// ended and stopped is called. It returns then, or when the context ends.
func (k *Killer) Watch(ctx context.Context, stopped func()) {
	total := held(k.all()) + Room
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		all := k.all()
		mode, err := setting(cluster.PanicOnOOM)
		if held(all) < total || err != nil { // whoever writes a setting has emptied it for a moment
			continue
		}
		k.say("Memory of the machine has run out: %d of %d MiB", held(all)>>20, total>>20)
		if mode != 0 {
			k.panic(cluster.SaysPanic + ": system-wide panic_on_oom is enabled")
			return
		}
		victim, ok := Victim(all, total)
		if !ok {
			k.panic("Kernel panic - not syncing: System is deadlocked on memory")
			return
		}
		stopped()
		_ = syscall.Kill(victim.PID, syscall.SIGKILL)
		k.say("Out of memory: %s", victim)
		return
	}
}

func (k *Killer) panic(why string) {
	reboot, _ := setting(cluster.PanicReboots) // one that cannot be read is 0: it stays as it is
	k.say("%s", why)
	if reboot > 0 {
		k.say("Rebooting in %d seconds..", reboot)
	}
	k.Panic(reboot)
}

// say writes to the console as kernels do: seconds since the boot first.
func (k *Killer) say(format string, args ...any) {
	_, _ = fmt.Fprintf(k.Console, "[%12.6f] %s\n", time.Since(k.Booted).Seconds(), fmt.Sprintf(format, args...))
}

// setting reads one of the machine's own files.
func setting(file string) (int, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(bytes.TrimSpace(raw)))
}

func held(all []Process) (sum uint64) {
	for _, p := range all {
		sum += p.Held()
	}
	return sum
}

// all are the machine's processes with what decides among them.
func (k *Killer) all() []Process {
	scores := k.Scores()
	for _, pid := range k.Spared {
		scores[pid] = spared
	}
	files, _ := filepath.Glob("/proc/[0-9]*/status")
	out := make([]Process, 0, len(files))
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		p, ok := parseStatus(raw)
		if !ok {
			continue
		}
		var told bool
		if p.Score, told = scores[p.PID]; !told {
			raw, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "oom_score_adj"))
			p.Score, _ = strconv.Atoi(strings.TrimSpace(string(raw)))
		}
		out = append(out, p)
	}
	return out
}
