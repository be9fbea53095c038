package fault

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// starved is a machine of no cluster, whose memory may run out, and what becomes of it then.
type starved struct {
	cluster.Machine
	cluster.Power

	then func(s *starved)

	mu      sync.Mutex
	files   map[string]string
	console string
	off     bool
	filled  bool
}

const bootFile = "/proc/sys/kernel/random/boot_id"

func newStarved(then func(s *starved)) *starved {
	old := "[ 0.5] " + cluster.SaysOOMKilled + " 5 (old) total-vm:1kB\n[ 0.6] " + cluster.SaysPanic + ": an old one\n"
	return &starved{then: then, console: old, files: map[string]string{bootFile: "first", cluster.PanicOnOOM: "0\n", cluster.PanicReboots: "10\n", "/proc/77/comm": "agent\n"}}
}

func (*starved) Name() string       { return "worker-1" }
func (*starved) Role() cluster.Role { return cluster.Etcd } // without a kubelet to restart
func (*starved) Addr() netip.Addr   { return netip.MustParseAddr("10.77.1.1") }
func (s *starved) ReadFile(_ context.Context, path string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, there := s.files[path]
	switch {
	case s.off:
		return nil, errors.New("it is off")
	case !there:
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

func (s *starved) WriteFile(_ context.Context, path string, data []byte, _ fs.FileMode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[path] = string(data)
	return nil
}

// Exec knows the scripts of the fault: `echo VALUE > FILE`, and `rm -f FILE; …`.
func (s *starved) Exec(_ context.Context, cmd cluster.Command) (cluster.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch words := strings.Fields(strings.ReplaceAll(cmd.Args[len(cmd.Args)-1], ";", "")); words[0] {
	case "echo":
		s.files[words[3]] = words[1]
	case "rm":
		delete(s.files, words[2])
	}
	return cluster.Result{}, nil
}

func (s *starved) FillMemory(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filled = true
	s.then(s)
	return nil
}

func (s *starved) FreeMemory(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filled = false
	return nil
}

func (s *starved) Console(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []byte("booted\n" + s.console), nil
}

// oomOn is the cluster that a fault sees of it; the network and etcd are others' to look at.
type oomOn struct {
	cluster.Cluster
	m *starved
}

func (o oomOn) Machine(string) (cluster.Machine, error) { return o.m, nil }
func (oomOn) Topology() cluster.Topology {
	return cluster.Topology{Name: "o", Etcd: cluster.EtcdOnly, EtcdMembers: 1}
}

// panicked writes what a kernel says, and boots where it really did.
func panicked(id string) func(s *starved) {
	return func(s *starved) {
		s.console += "[ 1.0] " + cluster.SaysPanic + ": system-wide panic_on_oom is enabled\n"
		s.files[bootFile], s.files[cluster.PanicOnOOM], s.files[cluster.PanicReboots] = id, "0", "10"
	}
}

func endedOne(s *starved) {
	s.console += "[ 1.0] " + cluster.SaysOOMKilled + " 77 (agent) total-vm:1kB\n"
	delete(s.files, "/proc/77/comm")
}

// What a machine must show after its memory has run out, beside its being gone from the network.
func TestARunOutOfMemoryHasLeftItsTraces(t *testing.T) {
	for name, c := range map[string]struct {
		panics    bool
		then      func(s *starved)
		ended     string // why the effect is not seen; empty: it is, or the machine panics
		recovered string // why the recovery is not
	}{
		"a panic and a boot":            {true, panicked("second"), "", ""},
		"a fake panic, the old boot id": {true, panicked("first"), "", "it has not panicked, whatever it looked like"},
		"a boot and other settings": {true, func(s *starved) { panicked("second")(s); s.files[cluster.PanicReboots] = "0" }, "",
			`/proc/sys/kernel/panic of worker-1 is "0", and was "10" before`},
		"a process ended":             {false, endedOne, "", ""},
		"nothing ended":               {false, func(*starved) {}, "has not said", ""},
		"a process only said to have": {false, func(s *starved) { endedOne(s); s.files["/proc/77/comm"] = "agent\n" }, "process 77 (agent) of worker-1 is still there", ""},
		"a boot instead of an end":    {false, func(s *starved) { endedOne(s); s.files[bootFile] = "second" }, "worker-1 has booted", "was to end one process"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, m := context.Background(), newStarved(c.then)
			f, e := &outOfMemory{panics: c.panics}, &Env{Cluster: oomOn{m: m}}
			if _, err := f.ended(ctx, e, m, nil); err == nil || !strings.Contains(err.Error(), "has not said") {
				t.Errorf("before it was injected: %v", err)
			}
			if err := f.Inject(ctx, e, []string{"worker-1"}); err != nil {
				t.Fatal(err)
			}
			if !c.panics {
				_, err := f.ended(ctx, e, m, nil)
				says(t, "effect", err, c.ended)
			}
			if err := f.Recover(ctx, e, []string{"worker-1"}); err != nil {
				t.Fatal(err)
			}
			if _, left := m.files[oomFile]; left || m.filled || m.files[cluster.PanicOnOOM] != "0" && c.recovered == "" {
				t.Errorf("left: %v, filled %t", m.files, m.filled)
			}
			_, err := f.asBefore(ctx, m)
			says(t, "recovery", err, c.recovered)
		})
	}
}

func says(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: error %v instead of %q", what, err, want)
	}
}

// Another process undoes it from what is on the machine alone.
func TestMemoryIsFreedBySomebodyElse(t *testing.T) {
	ctx, m := context.Background(), newStarved(endedOne)
	m.files[cluster.PanicOnOOM] = "2"
	e := &Env{Cluster: oomOn{m: m}}
	if err := (&outOfMemory{}).Inject(ctx, e, []string{"worker-1"}); err != nil {
		t.Fatal(err)
	}
	if m.files[cluster.PanicOnOOM] != "0" {
		t.Errorf("the setting is %s", m.files[cluster.PanicOnOOM])
	}
	var evidence []plan.Evidence
	for range 2 {
		heals := &outOfMemory{}
		if err := heals.Recover(ctx, e, []string{"worker-1"}); err != nil {
			t.Fatal(err)
		}
		seen, err := heals.asBefore(ctx, m)
		if err != nil {
			t.Error(err)
		}
		evidence = append(evidence, seen...)
	}
	if m.files[cluster.PanicOnOOM] != "2" || m.filled || len(m.files[oomFile]) > 0 || len(evidence) > 0 {
		t.Errorf("%v, filled %t, %v", m.files, m.filled, evidence)
	}
}

// Reboot is somebody at the switch.
func (s *starved) Reboot(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off, s.files[bootFile], s.files[cluster.PanicOnOOM], s.files[cluster.PanicReboots] = false, "second", "0", "10"
	return nil
}

// One that stands still after its panic is waited for by nobody, and one that says that it will boot does not stand still.
func TestAPanicThatStays(t *testing.T) {
	ctx, m := context.Background(), newStarved(func(s *starved) {
		s.console += "[ 1.0] " + cluster.SaysPanic + ": system-wide panic_on_oom is enabled\n"
		s.off = true
	})
	f, e := &outOfMemory{panics: true, stays: true}, &Env{Cluster: oomOn{m: m}}
	if _, err := f.ended(ctx, e, m, nil); err == nil {
		t.Error("it has ended a process before it was injected")
	}
	if err := f.Inject(ctx, e, []string{"worker-1"}); err != nil {
		t.Fatal(err)
	}
	if m.files[cluster.PanicReboots] != "0" || m.files[cluster.PanicOnOOM] != "1" {
		t.Errorf("settings: %v", m.files)
	}
	begun := time.Now()
	if err := f.Recover(ctx, e, []string{"worker-1"}); err != nil {
		t.Fatal(err)
	}
	seen, err := f.asBefore(ctx, m)
	if took := time.Since(begun); err != nil || took > 30*time.Second || !strings.Contains(seen[len(seen)-1].Saw, "has not done so by itself") {
		t.Errorf("%v after %s: %v", seen, took, err)
	}
	m.console += "Rebooting in 5 seconds..\n"
	if _, err := f.panicked(ctx, e, m, nil); err == nil || !strings.Contains(err.Error(), "should stand still") {
		t.Errorf("one that boots by itself passes for one that stays: %v", err)
	}
}
