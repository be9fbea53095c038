// Package unit supervises the services of a lab machine from systemd unit files: the small part of systemd that kubeadm,
// a runbook and a person use, so that they type the same words on every provider.
package unit

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	sdunit "github.com/coreos/go-systemd/v22/unit"
)

// File is what a unit file and its drop-ins say (systemd.service(5)); keys that are not here are ignored.
type File struct {
	Name         string
	Description  string
	ExecStart    []string
	Environment  []string
	WorkingDir   string
	Restart      string        // no, on-failure, always
	RestartAfter time.Duration // default 100 ms, as systemd's
	StopTimeout  time.Duration // TimeoutStopSec, default 90 s
	Conditions   []string      // ConditionPathExists: a path that must be there, or must not after a "!"; all hold or it is not started
}

// Where unit files live on a machine, and the drop-ins that a boot takes away.
const (
	Dir    = "/etc/systemd/system"
	RunDir = "/run/systemd/system"
)

// ErrNotFound is a unit without a file.
var ErrNotFound = errors.New("unit not found")

// Load reads NAME.service below the first directory and NAME.service.d/*.conf below all. Drop-ins are taken in the order of their names, and
// of two of one name the one in the directory that comes first, as systemd does.
func Load(name string, dirs ...string) (File, error) {
	f := File{Name: name, Restart: "no", RestartAfter: 100 * time.Millisecond, StopTimeout: 90 * time.Second}
	dropIns := map[string]string{}
	for _, dir := range slices.Backward(dirs) {
		found, err := filepath.Glob(filepath.Join(dir, name+".service.d", "*.conf"))
		if err != nil {
			return f, fmt.Errorf("unit %s: %w", name, err)
		}
		for _, path := range found {
			dropIns[filepath.Base(path)] = path
		}
	}
	if err := f.apply(filepath.Join(dirs[0], name+".service")); err != nil {
		return f, err
	}
	for _, base := range slices.Sorted(maps.Keys(dropIns)) {
		if err := f.apply(dropIns[base]); err != nil {
			return f, err
		}
	}
	if len(f.ExecStart) == 0 {
		return f, fmt.Errorf("unit %s: no ExecStart", name)
	}
	return f, nil
}

func (f *File) apply(path string) error {
	r, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", filepath.Base(path), ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("unit %s: %w", f.Name, err)
	}
	defer func() { _ = r.Close() }()
	options, err := sdunit.Deserialize(r)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, o := range options {
		if err := f.set(o.Section, o.Name, o.Value); err != nil {
			return fmt.Errorf("%s: %s: %w", path, o.Name, err)
		}
	}
	return nil
}

func (f *File) set(section, key, value string) error {
	var err error
	switch section + "." + key {
	case "Unit.Description":
		f.Description = value
	case "Unit.ConditionPathExists":
		f.Conditions = append(f.Conditions, value)
		if value == "" { // clears, as in systemd
			f.Conditions = nil
		}
	case "Service.ExecStart":
		f.ExecStart, err = Split(value) // an empty one clears, as in systemd
	case "Service.Environment":
		var words []string
		words, err = Split(value)
		f.Environment = append(f.Environment, words...)
	case "Service.EnvironmentFile":
		err = f.readEnvironment(value)
	case "Service.WorkingDirectory":
		f.WorkingDir = value
	case "Service.Restart":
		f.Restart = value
	case "Service.RestartSec":
		f.RestartAfter, err = seconds(value)
	case "Service.TimeoutStopSec":
		f.StopTimeout, err = seconds(value)
	}
	return err
}

// readEnvironment reads a file of KEY=VALUE lines; a leading dash makes it optional.
func (f *File) readEnvironment(path string) error {
	name, optional := strings.CutPrefix(path, "-")
	raw, err := os.ReadFile(name)
	if err != nil {
		if optional {
			return nil
		}
		return fmt.Errorf("environment file: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		f.Environment = append(f.Environment, key+"="+strings.Trim(value, `"'`))
	}
	return nil
}

// seconds reads a bare number as seconds and anything else as a Go duration: "10", "100ms", "1min".
func seconds(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s + "s"); err == nil {
		return d, nil
	}
	d, err := time.ParseDuration(strings.Replace(s, "min", "m", 1))
	if err != nil {
		return 0, fmt.Errorf("%q is not a time span: %w", s, err)
	}
	return d, nil
}

// Unmet is the first condition that does not hold, empty when all do.
func (f *File) Unmet() string {
	for _, c := range f.Conditions {
		path, not := strings.CutPrefix(c, "!")
		if _, err := os.Stat(path); (err == nil) == not {
			return "ConditionPathExists=" + c
		}
	}
	return ""
}

// Argv is ExecStart with the environment filled in: $NAME as a word of its own is split at spaces, ${NAME} is not.
func (f *File) Argv(env []string) []string {
	lookup := map[string]string{}
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		lookup[k] = v
	}
	var out []string
	for _, word := range f.ExecStart {
		if name, ok := strings.CutPrefix(word, "$"); ok && !strings.HasPrefix(name, "{") {
			words, err := Split(lookup[name])
			if err != nil {
				words = strings.Fields(lookup[name])
			}
			out = append(out, words...)
			continue
		}
		out = append(out, os.Expand(word, func(k string) string { return lookup[k] }))
	}
	return out
}

// Split cuts a line into words at spaces, keeping quoted ones together.
func Split(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	inWord := false
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n' || r == '\\':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("unbalanced %c in %q", quote, s)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
