// Package runs is about many runs at once: which a directory holds, how their verdicts and margins went over time, and a local page that lists them while
// they go on. It reads and never writes: a verdict is what the run's report says, or, where that is missing, what is made of its journal.
package runs

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports"
)

// Judge makes a run's result of its directory.
type Judge func(dir string) (*plan.Result, error)

// Run is one run of those below a directory.
type Run struct {
	Name   string       // its directory below the one that was looked into, with slashes; ".": that one itself
	Dir    string       // where it is
	Result *plan.Result // nil: it cannot be read
	Why    string       // why not
	Owner  string       // the process that it belongs to, which lives: the run goes on, and its result is of what there is so far
	Page   bool         // it has a page
	stamp  string       // of the files that were read: as long as it is the same, so is all else; empty: it may change and stay the same
}

// Started is when the run began; zero: nobody knows.
func (r *Run) Started() time.Time {
	if r.Result == nil {
		return time.Time{}
	}
	return r.Result.Started
}

// State is the run's verdict, or what stands against one: running, unreadable.
func (r *Run) State() string {
	switch {
	case r.Owner != "":
		return "running"
	case r.Result == nil:
		return "unreadable"
	}
	return string(r.Result.Verdict)
}

// Shelf finds the runs below a directory, and reads again only what has changed.
type Shelf struct {
	root  string
	judge Judge
	known map[string]*Run
}

// Open looks into a directory. It must be there; that nothing is in it is no error.
func Open(root string, judge Judge) (*Shelf, error) {
	st, err := os.Stat(root)
	switch {
	case err != nil:
		return nil, fmt.Errorf("runs: %w", err)
	case !st.IsDir():
		return nil, fmt.Errorf("runs: %s is no directory", root)
	}
	return &Shelf{root: root, judge: judge, known: map[string]*Run{}}, nil
}

// Root is the directory that was looked into.
func (s *Shelf) Root() string { return s.root }

// Find tells each directory below root, that one included, that holds a run, and each that cannot be looked into, with why. A run is in no other's own
// directories. It follows no links.
func Find(root string, each func(dir string, err error)) error {
	found := map[string]bool{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		dir := filepath.Join(root, name)
		switch {
		case err != nil && name == ".":
			return err
		case errors.Is(err, fs.ErrNotExist): // it was moved aside just now
			return nil
		case err != nil:
			each(dir, err)
			return nil // whoever asks has it
		case !d.IsDir():
			return nil
		case slices.Contains(plan.OwnDirs(), d.Name()) && found[filepath.Dir(dir)]:
			return fs.SkipDir
		}
		if stamp, _ := stampOf(dir); stamp != "" {
			found[dir] = true
			each(dir, nil)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("runs: %s: %w", root, err)
	}
	return nil
}

// List is all runs, newest first; those of which nobody knows when they began are last.
func (s *Shelf) List() ([]*Run, error) {
	var out []*Run
	found := map[string]*Run{}
	err := Find(s.root, func(dir string, err error) {
		if err != nil {
			out = append(out, &Run{Name: s.name(dir), Dir: dir, Why: err.Error()})
			return
		}
		stamp, settled := stampOf(dir)
		r := s.known[dir]
		if r == nil || r.stamp != stamp {
			if r = s.read(dir); settled {
				r.stamp = stamp
			}
		}
		found[dir] = r
		out = append(out, r)
	})
	if err != nil {
		return nil, err
	}
	s.known = found
	slices.SortStableFunc(out, func(a, b *Run) int {
		return cmp.Or(b.Started().Compare(a.Started()), strings.Compare(a.Name, b.Name))
	})
	return out, nil
}

func (s *Shelf) name(dir string) string {
	rel, err := filepath.Rel(s.root, dir)
	if err != nil {
		return dir
	}
	return filepath.ToSlash(rel)
}

// tick is longer than the steps in which a file system counts: what was written that lately may be written again and have the same time.
const tick = 100 * time.Millisecond

// stampOf changes when the run does; empty: there is none in this directory. Of one that was written just now it need not: it has not settled.
func stampOf(dir string) (stamp string, settled bool) {
	var b strings.Builder
	look := func(name string) {
		if st, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			fmt.Fprintf(&b, "%s %d %d ", name, st.Size(), st.ModTime().UnixNano())
			settled = settled && time.Since(st.ModTime()) > tick
		}
	}
	settled = true
	look(reports.ResultFile)
	look(plan.JournalFile)
	if b.Len() > 0 {
		look(reports.PageFile) // comes later
		b.WriteString(plan.Owner(dir))
	}
	return b.String(), settled
}

// read reads a run's report; one that has none, because it goes on or was cut off, is judged from its journal.
func (s *Shelf) read(dir string) *Run {
	r := &Run{Name: s.name(dir), Dir: dir, Owner: plan.Owner(dir)}
	root, err := os.OpenRoot(dir)
	if err != nil {
		r.Why = err.Error()
		return r
	}
	defer func() { _ = root.Close() }()
	if st, err := root.Lstat(reports.PageFile); err == nil && st.Mode().IsRegular() {
		r.Page = true
	}
	res, err := resultOf(root)
	if r.Owner != "" || errors.Is(err, fs.ErrNotExist) {
		res, err = s.judge(dir)
	}
	if err != nil {
		r.Why = err.Error()
		return r
	}
	r.Result = res
	return r
}

// resultOf reads a report. What is none, or of another shape, is an error: nothing is guessed.
func resultOf(root *os.Root) (*plan.Result, error) {
	raw, err := root.ReadFile(reports.ResultFile)
	if err != nil {
		return nil, err
	}
	var r plan.Result
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", reports.ResultFile, err)
	}
	switch {
	case r.Schema != plan.Schema:
		return nil, fmt.Errorf("%s: it is of schema %q, this program reads %q", reports.ResultFile, r.Schema, plan.Schema)
	case !slices.Contains([]plan.Verdict{plan.Go, plan.NoGo, plan.Inconclusive}, r.Verdict):
		return nil, fmt.Errorf("%s: its verdict is %q", reports.ResultFile, r.Verdict)
	}
	return &r, nil
}

// href is where a run's page is, from the directory that was looked into.
func (r *Run) href() string { return path.Join(r.Name, reports.PageFile) }
