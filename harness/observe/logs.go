package observe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
)

// Log is what one program has written on one machine.
type Log struct {
	Machine string
	// Unit is a service's name, or that of a container of a static pod; of another pod's container, POD/CONTAINER.
	Unit string

	files []string // oldest first, below the directory they were collected in
	path  string   // on its machine, of a container: a pattern of all its files; empty: the journal has it
}

// String names it.
func (l Log) String() string { return l.Machine + " " + l.Unit }

// LogLine is a line of a log.
type LogLine struct {
	Log  *Log
	At   time.Time // of a line that does not say, that of the one before
	Text string
}

// CollectedLogs lists the logs that Cluster.CollectLogs has put into a directory, those of units alone if any are named: of services, containers or pods.
// A unit that nobody has is a UsageError that lists those there are.
func CollectedLogs(dir string, units ...string) ([]*Log, error) {
	var all []*Log
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || path.Ext(file) != ".log" {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		all = addLog(all, rel)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	if len(units) == 0 {
		return all, nil
	}
	var out []*Log
	for _, u := range units {
		found := slices.Collect(func(yield func(*Log) bool) {
			for _, l := range all {
				if l.is(u) && !yield(l) {
					return
				}
			}
		})
		if len(found) == 0 {
			return nil, cluster.Usagef("no unit %q has written a log; known: %s", u, strings.Join(unitsOf(all), ", "))
		}
		out = append(out, found...)
	}
	return out, nil
}

// is reports whether somebody means this log by a unit's name.
func (l *Log) is(unit string) bool {
	pod, container, ofPod := strings.Cut(l.Unit, "/")
	return l.Unit == strings.TrimSuffix(unit, ".service") || ofPod && (pod == unit || container == unit)
}

func unitsOf(logs []*Log) []string {
	var out []string
	for _, l := range logs {
		out = append(out, l.Unit)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// containerLog is the kubelet's name of a container's log: NAMESPACE_POD_UID/CONTAINER/RESTART.log.
var containerLog = regexp.MustCompile(`^([^/_]+)_([^/_]+)_[^/]+/([^/]+)/[^/]+$`)

// addLog adds a file, MACHINE/…, to the log it is of.
func addLog(all []*Log, file string) []*Log {
	machine, below, _ := strings.Cut(filepath.ToSlash(file), "/")
	l := &Log{Machine: machine, Unit: strings.TrimSuffix(path.Base(below), ".log")}
	if m := containerLog.FindStringSubmatch(strings.TrimPrefix(below, "pods/")); m != nil {
		l.Unit, l.path = m[2]+"/"+m[3], fmt.Sprintf("/var/log/pods/%s_%s_*/%s/*.log", m[1], m[2], m[3])
		if m[2] == m[3]+"-"+machine { // what the kubelet names a static pod
			l.Unit = m[3]
		}
	}
	if i := slices.IndexFunc(all, func(k *Log) bool { return k.Machine == l.Machine && k.Unit == l.Unit }); i >= 0 {
		all[i].files = append(all[i].files, file)
		return all
	}
	l.files = []string{file}
	return append(all, l)
}

// ReadLogs gives the lines of logs in the order in which they were written: of each its last, or all for a negative count, and none from before since.
func ReadLogs(dir string, logs []*Log, since time.Time, tail int) ([]LogLine, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	defer func() { _ = root.Close() }()
	var out []LogLine
	for _, l := range logs {
		var lines []LogLine
		for _, file := range l.files {
			f, err := root.Open(file)
			if err != nil {
				return nil, fmt.Errorf("logs: %w", err)
			}
			lines, err = l.read(f, since, tail, lines)
			if err := errors.Join(err, f.Close()); err != nil {
				return nil, fmt.Errorf("log of %s: %w", l, err)
			}
		}
		// A container's restarts, and a static pod's lives, are files of their own, in no order of names.
		slices.SortStableFunc(lines, byTime)
		out = append(out, last(lines, tail)...)
	}
	slices.SortStableFunc(out, byTime)
	return out, nil
}

func byTime(a, b LogLine) int { return a.At.Compare(b.At) }

func last(lines []LogLine, n int) []LogLine {
	if n < 0 {
		return lines
	}
	return lines[max(0, len(lines)-n):]
}

// read appends the lines of one file, of which no more are kept than the last ones that are wanted.
func (l *Log) read(from io.Reader, since time.Time, tail int, lines []LogLine) ([]LogLine, error) {
	var of []LogLine
	err := l.each(from, since, func(line LogLine) {
		of = append(of, line)
		if tail >= 0 && len(of) > 2*tail+1000 { // dropped now and then, not at every line
			of = slices.Clone(last(of, tail))
		}
	})
	return append(lines, last(of, tail)...), err
}

// each calls for every line not from before since.
func (l *Log) each(from io.Reader, since time.Time, do func(LogLine)) error {
	r, at, now := bufio.NewReader(from), time.Time{}, time.Now()
	for {
		raw, err := r.ReadBytes('\n')
		if raw = bytes.TrimRight(raw, "\r\n"); len(raw) > 0 {
			text := strings.ToValidUTF8(string(raw), "�")
			if t := LineTime(text, now); !t.IsZero() {
				at = t
			}
			if !at.Before(since) {
				do(LogLine{Log: l, At: at, Text: unframed(text)})
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// unframed is a container's own line.
func unframed(line string) string { return line[len(criFrame.FindString(line)):] }

// What follows a log on its machine: it ends when its standard input does, as with whoever reads it, for nobody else could tell it to.
const (
	followUnit = `journalctl -u "$1" -n "$2" -f --no-pager -o ` + cluster.JournalFormat + ` & t=$!; cat >/dev/null; kill $t`
	// A restart begins a new file, and a static pod that is made anew a new directory.
	followFiles = `newest() { ls -t %[1]s 2>/dev/null | head -n 1; }
follow() {
  f=$(newest); tail -n "$1" -F "$f" 2>/dev/null & t=$!
  trap 'kill $t; exit' TERM
  while sleep 1; do
    n=$(newest)
    if [ "$n" != "$f" ]; then kill $t; f=$n; tail -n +1 -F "$f" 2>/dev/null & t=$!; fi
  done
}
follow "$2" & f=$!; cat >/dev/null; kill $f`
)

// followEnds is how long what follows a log may take to end.
const followEnds = 3 * time.Second

// Follow calls for the log's last lines and then for every one that is written, until the context ends or the machine does.
func (l *Log) Follow(ctx context.Context, m cluster.Machine, since time.Time, tail int, do func(LogLine)) error {
	script, lines := followUnit, fmt.Sprint(tail)
	if l.path != "" {
		script = fmt.Sprintf(followFiles, l.path)
	}
	switch {
	case tail < 0 && l.path == "":
		lines = "all"
	case tail < 0:
		lines = "+1"
	}
	call, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	stdin, end := io.Pipe()
	defer context.AfterFunc(ctx, func() {
		_ = end.Close()
		time.AfterFunc(followEnds, hangUp)
	})()
	written, out := io.Pipe()
	var both errgroup.Group
	both.Go(func() error { return errors.Join(l.each(written, since, do), written.Close()) })
	both.Go(func() error {
		return errors.Join(cluster.Stream(call, m, cluster.Command{Args: []string{"/bin/sh", "-c", script, "sh", l.Unit, lines}, Stdin: stdin}, out), out.Close(), stdin.Close())
	})
	err := both.Wait()
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("follow %s: %w", l, err)
	default:
		return fmt.Errorf("follow %s: what followed it has ended: is the machine off?", l)
	}
}
