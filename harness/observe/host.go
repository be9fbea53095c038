package observe

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// HostReading is the state of the host the harness runs on. What the host does not tell is zero.
type HostReading struct {
	Time      time.Time     `json:"time"`
	Stalls    []Stall       `json:"stalls,omitempty"`    // seen since the reading before
	Jump      time.Duration `json:"jump,omitempty"`      // of the host's clock since the reading before, against the one that never jumps
	Load      float64       `json:"load"`                // of the last minute
	Cores     int           `json:"cores"`               // processors there are to share it
	CPU       float64       `json:"cpu,omitempty"`       // per cent of the last 10 s in which something waited for a processor
	IO        float64       `json:"io,omitempty"`        // the same for disks
	Memory    float64       `json:"memory,omitempty"`    // the same for memory
	Available uint64        `json:"available,omitempty"` // bytes of memory
	OOMKills  uint64        `json:"oomKills,omitempty"`  // since the host booted
}

// Stall is a time in which the harness could not look, or the disk took nothing.
type Stall struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Of   string    `json:"of"`
}

// What stalls.
const (
	StalledHarness = "harness" // this process got no processor
	StalledDisk    = "disk"    // a few bytes were not written
)

// A heartbeat that is late by stalledFrom is a stall of the harness; a write of a few bytes that takes slowDisk is one of the disk that
// members of etcd write to as well.
const (
	heartbeat   = 50 * time.Millisecond
	stalledFrom = 250 * time.Millisecond
	slowDisk    = 500 * time.Millisecond
	hostEvery   = 500 * time.Millisecond
)

// HostWatch reads the host again and again: without it, a harness that was too slow to see an answer says that there was none.
type HostWatch struct {
	dir string

	mu       sync.Mutex
	stalls   []Stall
	readings []HostReading
}

// NewHostWatch makes a watch that writes to a file in the directory to see how long the disk takes.
func NewHostWatch(dir string) *HostWatch { return &HostWatch{dir: dir} }

// Run watches until the context ends.
func (w *HostWatch) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { w.beat(ctx) })
	wg.Go(func() { w.write(ctx) })
	tick := time.NewTicker(hostEvery)
	defer tick.Stop()
	last := time.Now()
	for ctx.Err() == nil {
		r := readHost()
		r.Time = time.Now()
		r.Jump = jump(r.Time.Round(0).Sub(last.Round(0)), r.Time.Sub(last))
		last = r.Time
		w.mu.Lock()
		r.Stalls, w.stalls = w.stalls, nil
		w.readings = append(w.readings, r)
		w.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.readings); n > 0 { // what was seen since
		w.readings[n-1].Stalls = append(w.readings[n-1].Stalls, w.stalls...)
	}
}

// Last is the newest reading; zero: there is none.
func (w *HostWatch) Last() HostReading {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.readings) == 0 {
		return HostReading{}
	}
	return w.readings[len(w.readings)-1]
}

// Readings returns what was read so far.
func (w *HostWatch) Readings() []HostReading {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.readings)
}

// jump is how much further the wall clock went than the one that never jumps. A little is the clock being set right slowly.
func jump(wall, steady time.Duration) time.Duration {
	const least = 100 * time.Millisecond
	if d := wall - steady; d.Abs() >= least {
		return d
	}
	return 0
}

func (w *HostWatch) stalled(from, to time.Time, of string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stalls = append(w.stalls, Stall{From: from, To: to, Of: of})
}

// beat notices when this process was not run.
func (w *HostWatch) beat(ctx context.Context) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	last := time.Now()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		now := time.Now()
		if now.Sub(last) >= heartbeat+stalledFrom {
			w.stalled(last, now, StalledHarness)
		}
		last = now
	}
}

// write notices when the disk takes nothing. A directory that cannot be written to tells nothing.
func (w *HostWatch) write(ctx context.Context) {
	f, err := os.CreateTemp(w.dir, ".heartbeat-")
	if err != nil {
		return
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	tick := time.NewTicker(hostEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		begun := time.Now()
		if _, err := f.WriteAt([]byte(begun.String()), 0); err != nil {
			return
		}
		if err := f.Sync(); err != nil {
			return
		}
		if now := time.Now(); now.Sub(begun) >= slowDisk {
			w.stalled(begun, now, StalledDisk)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// readHost reads what Linux tells of itself; proc(5), and Documentation/accounting/psi.rst of the kernel.
func readHost() HostReading {
	r := HostReading{
		Load: number(field("/proc/loadavg", "", 0)), Cores: runtime.NumCPU(), CPU: pressure("cpu"), IO: pressure("io"), Memory: pressure("memory"),
		OOMKills: uint64(number(field("/proc/vmstat", "oom_kill", 1))),
	}
	const kibibyte = 1024
	r.Available = uint64(number(field("/proc/meminfo", "MemAvailable:", 1))) * kibibyte
	return r
}

// pressure is avg10 of the line "some avg10=0.00 avg60=0.00 avg300=0.00 total=0".
func pressure(of string) float64 {
	return number(strings.TrimPrefix(field(fmt.Sprintf("/proc/pressure/%s", of), "some", 1), "avg10="))
}

// field is the nth word of the file's first line that begins with the word; empty when there is none.
func field(file, begins string, n int) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(raw)) {
		if words := strings.Fields(line); len(words) > n && (begins == "" || words[0] == begins) {
			return words[n]
		}
	}
	return ""
}

func number(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return v
}

// Host is the host itself; what it does not tell is empty.
func Host() cluster.Computer {
	c := cluster.Computer{Kernel: field("/proc/sys/kernel/osrelease", "", 0), Processor: runtime.GOARCH, Processors: runtime.NumCPU()}
	const kibibyte = 1024
	c.Memory = uint64(number(field("/proc/meminfo", "MemTotal:", 1))) * kibibyte
	raw, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return c
	}
	for line := range strings.Lines(string(raw)) {
		if name, is := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); is {
			c.System = strings.Trim(name, `"`)
		}
	}
	return c
}
