package experiment

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// How much of the logs is shown in a report.
const (
	excerptsKept  = 12
	excerptLines  = 40
	excerptLength = 300     // of a line, in bytes
	excerptTail   = 1 << 20 // of a file, in bytes
	excerptBefore = 15 * time.Second
	excerptAfter  = 5 * time.Second
)

// excerpts are the lines of the machines' logs, where those are kept, around each failure that names a machine; and what programs said of themselves while
// they did not answer.
func (e *Evidence) excerpts(dir string, res *plan.Result) []plan.Excerpt {
	var out []plan.Excerpt
	if root, err := os.OpenRoot(dir); err == nil { // wherever the run came from: nothing in it leads out
		defer func() { _ = root.Close() }()
		for _, w := range e.wrong(res) {
			out = append(out, e.around(root.FS(), w)...)
		}
	}
	out = out[:min(len(out), excerptsKept)]
	for _, s := range e.Record.Said {
		x := plan.Excerpt{File: s.Program + " on " + s.Machine, About: "what it wrote while it did not answer"}
		for _, l := range s.Lines {
			line := l.Text
			if !l.Last.IsZero() {
				line = l.Last.Format("15:04:05.000 ") + line
			}
			if l.Times > 1 {
				line += fmt.Sprintf(" (%d times)", l.Times)
			}
			x.Lines = append(x.Lines, line)
		}
		out = append(out, x)
	}
	return out
}

// wrongdoing is a failure on a machine, and when.
type wrongdoing struct {
	of, what, machine string
	stretch
}

// wrong lists the failures that name a machine, each machine's first: a step that failed, or else a check.
func (e *Evidence) wrong(res *plan.Result) []wrongdoing {
	var out []wrongdoing
	add := func(of, what, text string, from, to time.Time) {
		for _, m := range e.Record.Topology.Machines() {
			known := slices.ContainsFunc(out, func(w wrongdoing) bool { return w.machine == m.Name })
			if strings.Contains(text, m.Name) && !known {
				out = append(out, wrongdoing{of, what, m.Name, stretch{from.Add(-excerptBefore), to.Add(excerptAfter)}})
			}
		}
	}
	for _, s := range res.Steps {
		if s.Status == "failed" && !s.Started.IsZero() {
			add(plan.CauseStep+s.ID, "step "+s.ID+" "+s.Name, s.Name+" "+s.Error, s.Ended().Add(-excerptBefore), s.Ended())
		}
	}
	for i, c := range res.Checks {
		if c.Verdict == plan.Fail && c.Place != nil {
			add(fmt.Sprint(plan.CauseCheck, i+1), "check "+c.Name, strings.Join(c.Place.Of, " "), c.Place.From, c.Place.To)
		}
	}
	return out
}

// around reads the machine's logs of that time.
func (e *Evidence) around(files fs.FS, w wrongdoing) []plan.Excerpt {
	var out []plan.Excerpt
	read := func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".log") {
			return nil //nolint:nilerr // what is not there is not shown
		}
		if lines := linesOf(files, name, w.stretch); len(lines) > 0 {
			out = append(out, plan.Excerpt{Of: w.of, File: name, About: fmt.Sprintf("%s to %s, around %s", w.from.Format(time.TimeOnly), w.to.Format(time.TimeOnly), w.what), Lines: lines})
		}
		return nil
	}
	_ = fs.WalkDir(files, path.Join(plan.LogsDir, e.Label, w.machine), read)
	return out
}

// linesOf are the last lines of a log that were written in a time.
func linesOf(files fs.FS, name string, when stretch) []string {
	f, err := files.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	if s, seeks := f.(io.Seeker); seeks {
		if st, err := f.Stat(); err == nil && st.Size() > excerptTail {
			_, _ = s.Seek(-excerptTail, io.SeekEnd)
		}
	}
	raw, err := io.ReadAll(io.LimitReader(f, excerptTail))
	if err != nil {
		return nil
	}
	var out []string
	for line := range bytes.Lines(raw) {
		text := strings.ToValidUTF8(strings.TrimSpace(string(line)), "�")
		if at := observe.LineTime(text, when.to); at.IsZero() || !when.has(at) {
			continue
		}
		if len(text) > excerptLength {
			text = strings.ToValidUTF8(text[:excerptLength], "") + "…"
		}
		out = append(out, text)
	}
	return out[max(0, len(out)-excerptLines):]
}
