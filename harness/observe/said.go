package observe

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
)

// Said is what a program wrote to its own log while it did not answer: why it crashes, in words that a user can search for.
type Said struct {
	Program string `json:"program"` // as in Component.Name, or etcd
	Machine string `json:"machine"`
	Lines   []Line `json:"lines"` // the last ones, oldest first; lines that differ in numbers only are one
}

// Line is a line of level error or above, without its frame.
type Line struct {
	Text  string    `json:"text"`
	Fatal bool      `json:"fatal,omitempty"` // the process ended with it
	Times int       `json:"times"`
	Last  time.Time `json:"last,omitzero"` // zero when the line has no time and none before it had
}

// How much of a program's log is looked at and kept. A crash loop writes about 200 lines a start.
const (
	saidWithin = 10 * time.Second
	saidLines  = 20000
	saidKept   = 8
	saidLength = 240 // of a line, in bytes
)

// process is a program on a machine.
type process struct{ program, machine string }

// silence is a time in which a process did not answer: from its last answer on; until is zero when none came any more.
type silence struct{ from, until time.Time }

func (s silence) covers(t time.Time) bool {
	return t.IsZero() || !t.Before(s.from) && (s.until.IsZero() || !t.After(s.until))
}

// silences finds who did not answer, and when.
func silences(seen []Observation) map[process][]silence {
	out, answered, quiet := map[process][]silence{}, map[process]time.Time{}, map[process]bool{}
	note := func(p process, t time.Time, failed bool) {
		switch {
		case failed && !quiet[p]:
			out[p] = append(out[p], silence{from: answered[p]})
		case !failed && quiet[p]:
			out[p][len(out[p])-1].until = t
		}
		if quiet[p] = failed; !failed {
			answered[p] = t
		}
	}
	for _, o := range seen {
		for _, m := range o.Members {
			note(process{etcd.Program, m.Machine}, o.Time, m.Error != "")
		}
		for _, c := range o.Components {
			note(process{c.Name, c.Machine}, o.Time, c.Error != "")
		}
	}
	return out
}

// LastWords reads the logs of everything that did not answer at some observation. A log that cannot be read, as that of a machine without
// power, has no words: they explain a verdict and are no part of it.
func (t *Target) LastWords(ctx context.Context, seen []Observation) []Said {
	return t.words(ctx, silences(seen))
}

// WordsNow are those of everything that has not answered since the last observation or longer.
func (t *Target) WordsNow(ctx context.Context, seen []Observation) []Said {
	quiet := silences(seen)
	maps.DeleteFunc(quiet, func(_ process, s []silence) bool { return !s[len(s)-1].until.IsZero() })
	return t.words(ctx, quiet)
}

func (t *Target) words(ctx context.Context, silent map[process][]silence) []Said {
	ctx, cancel := context.WithTimeout(ctx, saidWithin)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var out []Said
	for p, quiet := range silent {
		wg.Go(func() {
			raw, err := readLog(ctx, t.Cluster, p)
			if err != nil {
				return
			}
			if lines := heard(raw, quiet); len(lines) > 0 {
				mu.Lock()
				defer mu.Unlock()
				out = append(out, Said{Program: p.program, Machine: p.machine, Lines: lines})
			}
		})
	}
	wg.Wait()
	slices.SortFunc(out, Said.compare)
	return out
}

func (s Said) compare(o Said) int {
	return cmp.Or(cmp.Compare(s.Machine, o.Machine), cmp.Compare(s.Program, o.Program))
}

// Together adds what was read later to what was read before, of which it may repeat a part or know nothing any more.
func Together(before, later []Said) []Said {
	out := slices.Clone(before)
	for _, l := range later {
		i := slices.IndexFunc(out, func(s Said) bool { return s.compare(l) == 0 })
		if i < 0 {
			out = append(out, l)
			continue
		}
		again := map[string]bool{}
		for _, line := range l.Lines {
			again[line.kind()] = true
		}
		old := slices.DeleteFunc(slices.Clone(out[i].Lines), func(line Line) bool { return again[line.kind()] })
		lines := append(old, l.Lines...)
		out[i].Lines = lines[max(0, len(lines)-2*saidKept):]
	}
	slices.SortFunc(out, Said.compare)
	return out
}

// kind is the same of lines that differ in numbers only.
func (l Line) kind() string { return numbers.ReplaceAllString(l.Text, "#") }

// Words are the last errors that a program on a machine has written since a time: LastWords, while there is still something to decide by them.
func (t *Target) Words(ctx context.Context, machine, program string, since time.Time) ([]Line, error) {
	raw, err := readLog(ctx, t.Cluster, process{program, machine})
	if err != nil {
		return nil, err
	}
	return heard(raw, []silence{{from: since}}), nil
}

// linesKept is how many lines of a log are given of those that match.
const linesKept = 500

// LogLines are the lines of a program's log on a machine that match, by an extended regular expression of POSIX, the last ones of many; of a static pod or of
// a unit, the container before this one included. None is no error. at is when the look began, by the machine's own clock, which the lines are dated by too.
func LogLines(ctx context.Context, c cluster.Cluster, machine, program, pattern string) (lines []string, at time.Time, err error) {
	m, err := c.Machine(machine)
	if err != nil {
		return nil, at, err
	}
	script := "date +" + clockFormat + "; " + fmt.Sprintf(allOfLog, program, saidLines) + fmt.Sprintf(` | grep -E -e "$1" | tail -n %d`, linesKept)
	r, err := m.Exec(ctx, cluster.Command{Args: []string{"/bin/sh", "-c", script, "sh", pattern}})
	if err != nil {
		return nil, at, err
	}
	clock, rest, _ := strings.Cut(r.Stdout, "\n")
	if at, err = time.Parse(time.RFC3339Nano, clock); err != nil {
		return nil, at, fmt.Errorf("clock of %s: %w", machine, err)
	}
	return strings.FieldsFunc(rest, func(c rune) bool { return c == '\n' }), at, nil
}

// clockFormat has date(1) write the time as RFC 3339 does.
const clockFormat = "%Y-%m-%dT%H:%M:%S.%N%:z"

// stamps are the frames in which programs write when they wrote a line: the container runtime's, the journal's (cluster.JournalFormat), etcd's (JSON), and
// Kubernetes' (klog), which leaves out year and zone.
var stamps = regexp.MustCompile(`^(\d{4}-\S+) (?:(?:stdout|stderr) [FP]|\S+ \S+?(?:\[\d+\])?:) |^\{.*?"ts":"([^"]+)"|^[IWEF](\d{4} [0-9:.]+) `)

// LineTime is when a line of a log was written, by the clock of its machine, of which at is a time; zero where the line does not say.
func LineTime(line string, at time.Time) time.Time {
	m := stamps.FindStringSubmatch(line)
	if m == nil {
		return time.Time{}
	}
	if m[3] != "" {
		t, err := time.ParseInLocation("2006 0102 15:04:05", fmt.Sprint(at.Year(), " ", m[3]), at.Location())
		switch {
		case err != nil:
			return time.Time{}
		case t.After(at.AddDate(0, 6, 0)): // of last December
			return t.AddDate(-1, 0, 0)
		case t.Before(at.AddDate(0, -6, 0)): // of next January
			return t.AddDate(1, 0, 0)
		}
		return t
	}
	for _, zone := range []string{"Z07:00", "Z0700"} { // the journal of an older systemd
		if t, err := time.Parse("2006-01-02T15:04:05"+zone, cmp.Or(m[1], m[2])); err == nil {
			return t
		}
	}
	return time.Time{}
}

// allOfLog is a script that writes out the end of a program's log.
const allOfLog = `logs=$(ls -tr /var/log/pods/kube-system_%[1]s-*/%[1]s/*.log 2>/dev/null | tail -n 3)
if [ -n "$logs" ]; then cat $logs; else journalctl -u %[1]s -n %[2]d -o cat; fi | tail -n %[2]d`

// readLog takes the errors out of a static pod's log, the container before this one included, or out of a unit's.
func readLog(ctx context.Context, c cluster.Cluster, p process) (string, error) {
	m, err := c.Machine(p.machine)
	if err != nil {
		return "", err
	}
	const script = allOfLog + ` |
grep -E '"level":"(error|dpanic|panic|fatal)"|(^| )[EF][0-9]{4} [0-9:.]+ |(^| )(panic|fatal error|Error): ' || true`
	return cluster.Shell(ctx, m, fmt.Sprintf(script, p.program, saidLines))
}

// heard are the lines that were written while the process did not answer.
func heard(raw string, quiet []silence) []Line {
	var out []Line
	at, last := map[string]int{}, time.Time{}
	for text := range strings.Lines(raw) {
		line, ok := parseLine(strings.TrimSpace(text), last)
		if !ok {
			continue
		}
		last = line.Last
		if !slices.ContainsFunc(quiet, func(s silence) bool { return s.covers(line.Last) }) {
			continue
		}
		key := line.kind()
		if i, again := at[key]; again {
			line.Times = out[i].Times + 1
			out[i].Times = 0 // it moves to the place of its last time
		}
		at[key] = len(out)
		out = append(out, line)
	}
	out = slices.DeleteFunc(out, func(l Line) bool { return l.Times == 0 })
	return out[max(0, len(out)-saidKept):]
}

var (
	numbers = regexp.MustCompile(`[0-9a-f]{6,}|[0-9]+`)
	// criFrame is the time, stream and tag that a container runtime puts before each line.
	criFrame = regexp.MustCompile(`^(\S+) (?:stdout|stderr) [FP] `)
	// klogFrame is level, date, time, thread and place: E1121 14:40:44.380808    1234 file.go:12] text.
	klogFrame = regexp.MustCompile(`^([EF])(\d{4} [0-9:.]+)\s+\d+ \S+\] (.*)$`)
	// goEnd is how Go ends a process, and a command that does not understand its flags.
	goEnd     = regexp.MustCompile(`^(panic|fatal error|Error): `)
	recovered = regexp.MustCompile(` \[recovered[^]]*\]$`) // Go's remark on a panic that was thrown again
)

// parseLine reads a line of etcd's (JSON), of Kubernetes' (klog) or of Go's own. One without a time was written when the one before it was.
func parseLine(s string, before time.Time) (Line, bool) {
	l := Line{Times: 1, Last: before}
	if m := criFrame.FindStringSubmatch(s); m != nil {
		s = s[len(m[0]):]
		if t, err := time.Parse(time.RFC3339Nano, m[1]); err == nil {
			l.Last = t
		}
	}
	switch m := klogFrame.FindStringSubmatch(s); {
	case strings.HasPrefix(s, "{"):
		var j struct{ Level, Ts, Msg, Error, Panic string }
		if err := json.Unmarshal([]byte(s), &j); err != nil || j.Msg == "" {
			return l, false
		}
		if t, err := time.Parse(time.RFC3339Nano, j.Ts); err == nil {
			l.Last = t
		}
		l.Text, l.Fatal = j.Msg, j.Level != "error"
		if why := cmp.Or(j.Error, j.Panic); why != "" {
			l.Text += ": " + why
		}
	case m != nil:
		l.Text, l.Fatal = m[3], m[1] == "F" || strings.HasPrefix(m[3], `"command failed"`) // what every command of Kubernetes ends with
		if t, err := time.ParseInLocation("2006 0102 15:04:05", fmt.Sprint(time.Now().Year(), " ", m[2]), time.Local); err == nil && l.Last.Equal(before) {
			l.Last = t
		}
	case goEnd.MatchString(s):
		l.Text, l.Fatal = recovered.ReplaceAllString(s, ""), true
	default:
		return l, false
	}
	if len(l.Text) > saidLength {
		l.Text = strings.ToValidUTF8(l.Text[:saidLength], "") + "…"
	}
	return l, true
}
