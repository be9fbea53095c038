// Command fsynced writes, fsyncs, names and removes files at random, knows by itself what of that a power cut must leave (fsync(2)), and prints it; after
// the cut it prints what is there. With what makes the cut it shares how its calls are told, and nothing that remembers.
package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster/lab/unsynced"
)

const usage = "usage: fsynced [told] write DIR SEED OPERATIONS [settle] | fsynced [told] fsync FILE TIMES | fsynced show DIR"

func main() {
	if err := run(os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "fsynced:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 && args[0] == "told" {
		if err := told(); err != nil {
			return err
		}
		args = args[1:]
	}
	switch {
	case len(args) >= 4 && args[0] == "write":
		seed, err := strconv.ParseUint(args[2], 10, 64)
		if err != nil {
			return errors.New(usage)
		}
		n, err := strconv.Atoi(args[3])
		if err != nil {
			return errors.New(usage)
		}
		return write(args[1], seed, n, len(args) > 4 && args[4] == "settle")
	case len(args) == 3 && args[0] == "fsync":
		n, err := strconv.Atoi(args[2])
		if err != nil {
			return errors.New(usage)
		}
		return fsync(args[1], n)
	case len(args) == 2 && args[0] == "show":
		return show(args[1])
	}
	return errors.New(usage)
}

// told has this process's calls told to whoever has the other end of file 3, and waits for one byte of standard input. On a machine of a lab they are told
// to the lab.
func told() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := unsynced.Tell(3); err != nil {
		return err
	}
	_, err := os.Stdin.Read(make([]byte, 1))
	return err
}

// fsync prints how long each call took, while its thread gets a signal every few milliseconds.
func fsync(file string, times int) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	me, done := unix.Gettid(), make(chan struct{})
	defer close(done)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				_ = unix.Tgkill(os.Getpid(), me, unix.SIGURG) // as Go's own scheduler does; the call is made again
			}
		}
	}()
	for range times {
		began := time.Now()
		if err := f.Sync(); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(os.Stdout, time.Since(began))
	}
	return f.Close()
}

// thing is a file or directory as this program sees it, and as a power cut leaves it.
type thing struct {
	dir           bool
	live, durable []byte
	names, kept   map[string]*thing // of a directory
}

type writer struct {
	rng *rand.Rand
	top *thing
	at  string
	n   int
}

func write(at string, seed uint64, n int, settle bool) error {
	w := &writer{rng: rand.New(rand.NewPCG(seed, 1)), top: newDir(), at: at}
	for range n {
		if err := w.step(); err != nil {
			return err
		}
	}
	if settle {
		if err := w.settle(w.at, w.top); err != nil {
			return err
		}
	}
	for _, line := range slices.Sorted(slices.Values(w.top.after("."))) {
		_, _ = fmt.Fprintln(os.Stdout, line)
	}
	return nil
}

func newDir() *thing {
	return &thing{dir: true, names: map[string]*thing{}, kept: map[string]*thing{}}
}

// after tells what a cut leaves below a directory.
func (t *thing) after(path string) []string {
	out := []string{"dir " + path}
	for name, c := range t.kept {
		if at := filepath.Join(path, name); c.dir {
			out = append(out, c.after(at)...)
		} else {
			out = append(out, file(at, c.durable))
		}
	}
	return out
}

func file(path string, content []byte) string {
	return fmt.Sprintf("file %s %d %x", path, len(content), sha256.Sum256(content))
}

// place is a directory, and the path it has.
type place struct {
	path string
	dir  *thing
}

func (w *writer) places(p place) []place {
	out := []place{p}
	for _, name := range slices.Sorted(maps.Keys(p.dir.names)) {
		if c := p.dir.names[name]; c.dir {
			out = append(out, w.places(place{filepath.Join(p.path, name), c})...)
		}
	}
	return out
}

// step does one thing at random.
func (w *writer) step() error {
	all := w.places(place{w.at, w.top})
	p := all[w.rng.IntN(len(all))]
	var files, dirs []string
	for _, name := range slices.Sorted(maps.Keys(p.dir.names)) {
		if p.dir.names[name].dir {
			dirs = append(dirs, name)
		} else {
			files = append(files, name)
		}
	}
	one := func(names []string) string { return names[w.rng.IntN(len(names))] }
	w.n++
	fresh := fmt.Sprintf("n%d", w.n)
	switch k := w.rng.IntN(100); {
	case k < 12:
		p.dir.names[fresh] = &thing{}
		return os.WriteFile(filepath.Join(p.path, fresh), nil, 0o600)
	case k < 16 && len(all) < 6:
		p.dir.names[fresh] = newDir()
		return os.Mkdir(filepath.Join(p.path, fresh), 0o755)
	case k < 32:
		p.dir.kept = maps.Clone(p.dir.names)
		return flush(p.path, unix.Fsync)
	case k < 34:
		w.top.sync()
		return flush(w.at, unix.Syncfs)
	case k < 36 && len(dirs) > 0:
		name := one(dirs)
		p.dir.names[fresh] = p.dir.names[name]
		delete(p.dir.names, name)
		return os.Rename(filepath.Join(p.path, name), filepath.Join(p.path, fresh))
	case len(files) == 0:
		return nil
	case k < 42:
		name := one(files)
		p.dir.names[fresh] = p.dir.names[name]
		delete(p.dir.names, name)
		return os.Rename(filepath.Join(p.path, name), filepath.Join(p.path, fresh))
	case k < 44:
		name := one(files)
		p.dir.names[fresh] = p.dir.names[name]
		return os.Link(filepath.Join(p.path, name), filepath.Join(p.path, fresh))
	case k < 48:
		name := one(files)
		delete(p.dir.names, name)
		return os.Remove(filepath.Join(p.path, name))
	case k < 64:
		name := one(files)
		t := p.dir.names[name]
		t.durable = slices.Clone(t.live)
		return flush(filepath.Join(p.path, name), []func(int) error{unix.Fsync, unix.Fdatasync}[w.rng.IntN(2)])
	default:
		name := one(files)
		return w.change(filepath.Join(p.path, name), p.dir.names[name])
	}
}

// change writes somewhere in a file, behind its end too, cuts it, or preallocates.
func (w *writer) change(path string, t *thing) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	switch w.rng.IntN(8) {
	case 0:
		size := w.rng.IntN(len(t.live) + 1)
		t.live = t.live[:size]
		return f.Truncate(int64(size))
	case 1:
		size := len(t.live) + 1<<20
		t.live = append(t.live, make([]byte, 1<<20)...)
		if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(size)); err != nil {
			return f.Truncate(int64(size))
		}
		return nil
	}
	at, raw := w.rng.IntN(len(t.live)+10000), make([]byte, w.rng.IntN(20000))
	for i := range raw {
		raw[i] = byte(w.rng.Uint32())
	}
	if grow := at + len(raw) - len(t.live); grow > 0 && len(raw) > 0 {
		t.live = append(t.live, make([]byte, grow)...)
	}
	copy(t.live[min(at, len(t.live)):], raw)
	_, err = f.WriteAt(raw, int64(at))
	return err
}

// sync is what sync does: everything that has a name is durable.
func (t *thing) sync() {
	t.durable = slices.Clone(t.live)
	t.kept = maps.Clone(t.names)
	for _, c := range t.names {
		c.sync()
	}
}

// settle fsyncs every file and directory, one by one.
func (w *writer) settle(path string, t *thing) error {
	for name, c := range t.names {
		if err := w.settle(filepath.Join(path, name), c); err != nil {
			return err
		}
	}
	t.durable, t.kept = slices.Clone(t.live), maps.Clone(t.names)
	return flush(path, unix.Fsync)
}

func flush(path string, how func(int) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(how(int(f.Fd())), f.Close())
}

// show prints what is in a directory.
func show(at string) error {
	var lines []string
	err := filepath.WalkDir(at, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(at, path)
		if err != nil || d.IsDir() {
			lines = append(lines, "dir "+rel)
			return err
		}
		raw, err := os.ReadFile(path)
		lines = append(lines, file(rel, raw))
		return err
	})
	_, _ = fmt.Fprintln(os.Stdout, strings.Join(slices.Sorted(slices.Values(lines)), "\n"))
	return err
}
