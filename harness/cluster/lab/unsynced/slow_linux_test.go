package unsynced

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fsyncs has the program fsync a file some times, under a rain of signals, and returns how long each took.
func (r *Recorder) fsyncs(t *testing.T, program, file string, prepare func()) []time.Duration {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	var out []time.Duration
	for _, w := range strings.Fields(r.run(t, program, func(int) error { prepare(); return nil }, "fsync", file, "4")) {
		d, err := time.ParseDuration(w)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	if len(out) != 4 {
		t.Fatalf("%d calls", len(out))
	}
	return out
}

// Bite and null: below the directory each call takes that much longer, and no call elsewhere or when nothing was asked for does.
func TestASlowDiskIsSlowBelowItsDirectory(t *testing.T) {
	program, top := fsynced(t), t.TempDir()
	const delay = 300 * time.Millisecond
	slow, other := filepath.Join(top, "slow"), filepath.Join(top, "slowly")
	for name, c := range map[string]struct {
		file    string
		prepare func(r *Recorder)
		slow    bool
	}{
		"below it":            {filepath.Join(slow, "member", "f"), func(r *Recorder) { r.Slow(delay, other+"-not", slow) }, true},
		"beside it":           {filepath.Join(other, "f"), func(r *Recorder) { r.Slow(delay, slow) }, false},
		"nobody asked":        {filepath.Join(slow, "f"), func(*Recorder) {}, false},
		"undone":              {filepath.Join(slow, "f"), func(r *Recorder) { r.Slow(delay, slow); r.Slow(0) }, false},
		"as fast as it is":    {filepath.Join(slow, "f"), func(r *Recorder) { r.Slow(0, slow) }, false},
		"slower than it was":  {filepath.Join(slow, "f"), func(r *Recorder) { r.Slow(time.Millisecond, slow); r.Slow(delay, slow) }, true},
		"with a path to tidy": {filepath.Join(slow, "f"), func(r *Recorder) { r.Slow(delay, slow+"//.") }, true},
	} {
		r := &Recorder{}
		// A signal that came in between makes the call again; what it has waited counts, or it would take for ever. A busy host makes calls longer, and
		// hardly all of them.
		took := r.fsyncs(t, program, c.file, func() { c.prepare(r) })
		if least := slices.Min(took); (least >= delay) != c.slow || c.slow && least > 2*delay {
			t.Errorf("%s: calls took %s with a delay of %s", name, took, delay)
		}
		if n := len(r.disk.due); n > 0 {
			t.Errorf("%s: %d calls are still known", name, n)
		}
	}
}

// A slow disk that also loses its power loses what was not fsynced, and nothing else.
func TestASlowDiskLosesNoMore(t *testing.T) {
	program := fsynced(t)
	m := machine{disk: t.TempDir(), r: &Recorder{}}
	dir := filepath.Join(m.disk, "data")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	left := m.r.run(t, program, func(pid int) error {
		m.r.Slow(5*time.Millisecond, dir)
		return m.r.Begin(t.Context(), pid, m.disk, filepath.Join(t.TempDir(), "store"), []string{"data"})
	}, "write", dir, "3", "100")
	if err := m.r.Lose(); err != nil {
		t.Fatal(err)
	}
	if now := m.shown(t, program); now != left {
		t.Errorf("must be left:\n%s\nis there:\n%s", left, now)
	}
}
