// Package subject runs real clients and tools, pinned and built once, against the twin: as processes and never linked in, and tells what they did by
// the twin's own log.
package subject

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/lock"
)

// Builder makes the programs of subjects.
type Builder struct {
	Source   string // the checkout; empty: subjects cannot be built
	Dir      string // where built programs are kept
	Progress cluster.Progress
}

// Build builds a program of hack/subjects and keeps it in the cache: a real client, in a module of its own, that is run and never linked. A module without
// a main.go is for a command of somebody else's, unmodified: the one its go.mod declares as its tool.
func (b Builder) Build(ctx context.Context, name string) (_ string, err error) {
	if b.Source == "" {
		return "", cluster.Usagef("subject %s: its source is not here; run drydock from a checkout", name)
	}
	dir := filepath.Join(b.Source, "hack", "subjects", name)
	sum, err := subjectSum(dir)
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
	fresh := program + ".new" // what a killed build left by that name is written over
	what := "."
	if !hasMain(dir) {
		what = "tool"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", fresh, what)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("subject %s: %w:\n%s", name, err, out)
	}
	return program, os.Rename(fresh, program)
}

func hasMain(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "main.go"))
	return err == nil
}

// known are the names of what can be built: every module below hack/subjects but the driver, which is a library.
func (b Builder) known() (names []string) {
	modules, _ := filepath.Glob(filepath.Join(b.Source, "hack", "subjects", "*", "go.mod"))
	for _, m := range modules {
		if name := filepath.Base(filepath.Dir(m)); name != "driver" {
			names = append(names, name)
		}
	}
	return names
}

// subjectSum names the subject's version: its own sources, those of the driver where it has one, and the modules it is built of.
func subjectSum(dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", err
	}
	patterns := []string{filepath.Join(dir, "*")}
	if hasMain(dir) {
		patterns = append(patterns, filepath.Join(dir, "..", "driver", "*"))
	}
	var files []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("subject: %w", err)
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	h := sha256.New()
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintf(h, "%s %d\n", filepath.Base(f), len(raw))
		_, _ = h.Write(raw)
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}
