package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"drydock.dev/drydock/harness/cluster"
)

// specFile is in a claimed directory, beside the journal.
const specFile = "spec.json"

// Claim is the directory of one piece of work on a cluster that can be interrupted and gone on with, held by one process: what was asked for, the
// journal, and what else the work keeps there.
type Claim struct {
	Dir     string
	Journal *Journal
	Resumed bool // it was begun before and is not finished

	ended string
}

// TakeClaim takes the directory. Work that has ended well, by an entry of that kind in its journal, is moved aside, so that nothing it has kept passes
// for this one's; work that has not is gone on with.
func TakeClaim(dir, ended string) (_ *Claim, err error) {
	c := &Claim{Dir: dir, ended: ended}
	c.Journal, err = CreateJournal(dir, func(old []Entry) error {
		if hasEnded(old, ended) {
			return nil
		}
		return errUnfinished
	})
	if errors.Is(err, errUnfinished) {
		c.Journal, err = AppendJournal(dir)
		_, missing := os.Stat(filepath.Join(dir, specFile))
		c.Resumed = missing == nil // an attempt that was refused has begun nothing
	}
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", dir, err)
	}
	return c, nil
}

// Unfinished reports whether work was begun in a directory and has not ended well.
func Unfinished(dir, ended string) bool {
	if _, err := os.Stat(filepath.Join(dir, specFile)); err != nil {
		return false
	}
	entries, _, err := ReadJournal(dir)
	return err == nil && !hasEnded(entries, ended)
}

func hasEnded(entries []Entry, ended string) bool {
	return slices.ContainsFunc(entries, func(e Entry) bool { return e.Kind == ended })
}

// TakeClaimAnew takes the directory and moves aside what is in it, finished or not.
func TakeClaimAnew(dir, ended string) (_ *Claim, err error) {
	c := &Claim{Dir: dir, ended: ended}
	if c.Journal, err = CreateJournal(dir, nil); err != nil {
		return nil, fmt.Errorf("claim %s: %w", dir, err)
	}
	return c, nil
}

var errUnfinished = errors.New("it was begun here and is not finished")

// Keep writes what was asked for, which is what goes on after an interrupt. An attempt that is refused must not come this far.
func (c *Claim) Keep(spec any) error {
	if err := WriteFile(filepath.Join(c.Dir, specFile), spec); err != nil {
		return fmt.Errorf("keep the settings: %w", err)
	}
	return nil
}

// ReadSpec reads what was asked for, of a directory or of a file.
func ReadSpec(path string, into any) error {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		path = filepath.Join(path, specFile)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return cluster.Usagef("%s: %w", path, err)
	}
	return nil
}

// Finish writes that the work has ended well.
func (c *Claim) Finish() error {
	return c.Journal.Write(c.ended, map[string]string{"dir": c.Dir})
}

// Close lets go of the directory.
func (c *Claim) Close() error { return c.Journal.Close() }
