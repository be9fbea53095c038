// Package subject runs real clients and tools, pinned and built once, against the twin: as processes and never linked in, and tells what they did by
// the twin's own log.
package subject

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/lock"
)

// Builder makes the programs of subjects.
type Builder struct {
	Source   fs.FS  // has hack/subjects, by its path in the source tree
	Dir      string // where built programs are kept
	Progress cluster.Progress
}

// Build builds a program of hack/subjects and keeps it in the cache: a real client, in a module of its own, that is run and never linked. A module without
// a main.go is for a command of somebody else's, unmodified: the one its go.mod declares as its tool.
func (b Builder) Build(ctx context.Context, name string) (_ string, err error) {
	sum, err := b.sum(name)
	if err != nil {
		return "", cluster.Usagef("no subject %q: %w; known: %s", name, err, strings.Join(b.known(), ", "))
	}
	program := filepath.Join(b.Dir, name+"-"+sum)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	done := b.Progress.Phase("building subject %s (minutes, once)", name)
	defer func() { done(err) }()
	owner, err := lock.Wait(ctx, program+".lock", lock.Try, func(string) {})
	if err != nil {
		return "", fmt.Errorf("subject %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, owner.Release()) }()
	if _, err := os.Stat(program); err == nil { // somebody else has built it meanwhile
		return program, nil
	}
	fresh, source := program+".new", program+".source" // what a killed build left by these names goes
	if err := errors.Join(os.RemoveAll(source), b.unpack(name, source)); err != nil {
		return "", fmt.Errorf("subject %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(source)) }()
	what := "."
	if !b.hasMain(name) {
		what = "tool"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", fresh, what)
	cmd.Dir, cmd.Env = filepath.Join(source, name), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("subject %s: %w:\n%s", name, err, out)
	}
	return program, os.Rename(fresh, program)
}

// subjects is where they are in a source tree, and driver the one that is a library of others.
const (
	subjects = "hack/subjects"
	driver   = "driver"
)

// unpack writes the subject's module below a directory, and beside it the driver's.
func (b Builder) unpack(name, dir string) error {
	for _, module := range []string{name, driver} {
		from, err := fs.Sub(b.Source, path.Join(subjects, module))
		if err == nil {
			err = os.CopyFS(filepath.Join(dir, module), from)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b Builder) hasMain(name string) bool {
	_, err := fs.Stat(b.Source, path.Join(subjects, name, "main.go"))
	return err == nil
}

// known are the names of what can be built: every module below hack/subjects but the driver, which is a library.
func (b Builder) known() (names []string) {
	modules, _ := fs.Glob(b.Source, path.Join(subjects, "*", "go.mod"))
	for _, m := range modules {
		if name := path.Base(path.Dir(m)); name != driver {
			names = append(names, name)
		}
	}
	return names
}

// sum names the subject's version: its own sources, those of the driver where it has one, and the modules it is built of.
func (b Builder) sum(name string) (string, error) {
	if _, err := fs.Stat(b.Source, path.Join(subjects, name, "go.mod")); err != nil {
		return "", err
	}
	patterns := []string{path.Join(subjects, name, "*")}
	if b.hasMain(name) {
		patterns = append(patterns, path.Join(subjects, driver, "*"))
	}
	var files []string
	for _, pattern := range patterns {
		found, err := fs.Glob(b.Source, pattern)
		if err != nil {
			return "", fmt.Errorf("subject: %w", err)
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	h := sha256.New()
	for _, f := range files {
		raw, err := fs.ReadFile(b.Source, f)
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintf(h, "%s %d\n", path.Base(f), len(raw))
		_, _ = h.Write(raw)
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}
