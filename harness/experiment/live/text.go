package live

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Screen is what the text is for.
type Screen struct {
	Width, Height int  // in cells
	Color         bool // by the escape sequences of ANSI
}

// The colours.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	faint  = "2"
	bold   = "1"
)

func (s Screen) paint(color, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// narrow is the width below which times are not put at the right edge.
const narrow = 60

// line puts something at the left, and a time at the right edge. What does not fit is cut off on the left: a line that wraps moves all below it.
func (s Screen) line(left, right string) string {
	room := max(s.Width-1, 1)
	if right == "" {
		return ansi.Truncate(left, room, "…")
	}
	if s.Width < narrow {
		return ansi.Truncate(left, max(room-ansi.StringWidth(right)-1, 1), "…") + " " + right
	}
	left = ansi.Truncate(left, max(room-ansi.StringWidth(right)-2, 1), "…")
	return left + strings.Repeat(" ", max(room-ansi.StringWidth(left)-ansi.StringWidth(right), 1)) + right
}

// Text is the run at an instant, for the screen: never wider, and no higher than it where that can be.
func (r *Run) Text(now time.Time, s Screen) string {
	below := r.below(now, s)
	tree := r.tree(now, s)
	tree = fold(tree, s.Height-len(below)-3, s)
	title := s.paint(bold, strings.TrimSpace("drydock "+r.opening.Scenario))
	if r.opening.Provider != "" {
		title += fmt.Sprintf("  %s, seed %d", r.opening.Provider, r.opening.Seed)
	}
	if r.verdict != "" {
		now = r.last // it is over
	}
	lines := []string{s.line(title, clock(now.Sub(r.began)))}
	for _, l := range tree {
		lines = append(lines, l.text)
	}
	if len(below) > 0 {
		lines = append(append(lines, ""), below...)
	}
	return strings.Join(lines, "\n")
}

// row is a line of the tree.
type row struct {
	text string
	done bool // its step is over
	busy bool // or runs
}

func (r *Run) tree(now time.Time, s Screen) []row {
	var out []row
	for _, c := range r.cells {
		indent := " "
		if c.label != "" && len(r.cells) > 1 {
			state := (&step{children: c.steps}).state()
			began, ended := (&step{children: c.steps}).span()
			out = append(out, row{s.line(" "+s.mark(state, now)+" "+c.label, times(state, began, ended, now)), state != "" && state != running, state == running})
			if state != running && state != "failed" {
				continue
			}
			indent = "   "
		}
		for _, st := range c.steps {
			out = st.rows(out, indent, now, s)
		}
	}
	return out
}

// rows are the step's, and of one that is being done or has failed its children's.
func (st *step) rows(out []row, indent string, now time.Time, s Screen) []row {
	state := st.state()
	began, ended := st.span()
	text := indent + s.mark(state, now) + " " + st.ID + " " + st.Name
	switch {
	case state == running && st.waits != "":
		text += s.paint(faint, ": "+st.waits)
	case (state == "failed" || state == "skipped") && len(st.children) == 0:
		text += ": " + strings.TrimPrefix(st.failed, plan.ErrSkip.Error()+": ")
	case state == "":
		text = s.paint(faint, text)
	}
	out = append(out, row{s.line(text, times(state, began, ended, now)), state != "" && state != running, state == running})
	if state == running || state == "failed" {
		for _, c := range st.children {
			out = c.rows(out, indent+"  ", now, s)
		}
	}
	return out
}

// turns are the pictures of what goes on.
const turns = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

func (s Screen) mark(state string, now time.Time) string {
	switch state {
	case "":
		return "·"
	case running:
		all := []rune(turns)
		return s.paint(yellow, string(all[int(now.UnixMilli()/redraw.Milliseconds())%len(all)]))
	case "done", "expected":
		return s.paint(green, "✓")
	case "skipped":
		return "-"
	default:
		return s.paint(red, "✗")
	}
}

// redraw is how long a picture stands.
const redraw = 200 * time.Millisecond

func times(state string, began, ended, now time.Time) string {
	switch {
	case began.IsZero() || state == "":
		return ""
	case state == running:
		return clock(now.Sub(began))
	default:
		return ended.Sub(began).Round(100 * time.Millisecond).String()
	}
}

func clock(d time.Duration) string { return max(d, 0).Round(time.Second).String() }

// fold leaves out what is over, the oldest first, and then what is to come, the last first, until the rows fit.
func fold(rows []row, height int, s Screen) []row {
	height = max(height, 3)
	if len(rows) <= height {
		return rows
	}
	over := 0
	for len(rows)-over+1 > height && over < len(rows) && rows[over].done {
		over++
	}
	rows = rows[over:]
	if over > 0 {
		rows = append([]row{{text: s.line(s.paint(faint, fmt.Sprintf(" ✓ %d more that are over", over)), "")}}, rows...)
	}
	if more := len(rows) - height; more > 0 {
		rows = append(slices.Clone(rows[:height-1]), row{text: s.line(s.paint(faint, fmt.Sprintf(" · %d more", more+1)), "")})
	}
	return rows
}

// below is what is said of all of it.
func (r *Run) below(now time.Time, s Screen) []string {
	var out []string
	for _, d := range r.doing {
		what := " … " + d.What
		if d.Total > 0 {
			what += fmt.Sprintf(" %d/%d", d.Done, d.Total)
		}
		if d.Seen != "" {
			what += ": " + d.Seen
		}
		out = append(out, s.line(what, clock(now.Sub(d.began))))
	}
	for _, f := range r.receipts {
		if text := f.text(now, s); text != "" {
			out = append(out, s.line(text, ""))
		}
	}
	for _, c := range r.cells {
		out = append(out, c.below(s, len(r.cells) > 1)...)
	}
	if h := r.host(s); h != "" {
		out = append(out, s.line(h, ""))
	}
	switch {
	case r.verdict != "":
		out = append(out, s.line(" verdict  "+string(r.verdict), ""))
	case r.ended:
	case !r.interrupted.IsZero():
		out = append(out, s.line(s.paint(yellow, " interrupted: what is broken is healed, what was seen is judged. Ctrl-C again: stop at once"), clock(now.Sub(r.interrupted))))
	default:
		out = append(out, s.line(s.paint(faint, " Ctrl-C: heal, judge and report. Twice: stop at once, and drydock heal does the rest"), ""))
	}
	return out
}

// text is a fault while it is not over; empty: it is, or was never begun.
func (f receipt) text(now time.Time, s Screen) string {
	says := map[fault.State]string{fault.Armed: "is injected, and its effect awaited", fault.Effective: "has its effect", fault.Recovering: "is undone, and its end awaited"}[f.State]
	if says == "" {
		return ""
	}
	on := strings.Join(f.Receipt.Machines, ", ")
	if on != "" {
		on = " on " + on
	}
	return s.paint(red, " fault    ") + f.Spec.Kind + on + " " + says + " for " + clock(now.Sub(f.since))
}

// below is what a cell's probes and members have come to.
func (c *cell) below(s Screen, several bool) []string {
	of := ""
	if several && c.label != "" {
		of = c.label + ": "
	}
	state := (&step{children: c.steps}).state()
	if several && state != running {
		return nil
	}
	var out []string
	if len(c.pulse.Probes) > 0 {
		out = append(out, s.line(" probes   "+of+probes(c.pulse.Probes, s), ""))
	}
	if n := len(c.seen); n > 0 {
		members := len(c.seen[n-1].Members)
		text := fmt.Sprintf("%d more of %d members could be lost now, %d at the worst", c.spare, members, c.tolerance.Minimum)
		if zero := c.tolerance.SecondsAtZero; zero > 0 {
			text += fmt.Sprintf(", none for %.0fs in all", zero)
		}
		if c.spare == 0 {
			text = s.paint(yellow, text)
		}
		out = append(out, s.line(" quorum   "+of+text, ""))
	}
	return out
}

// probes are who is not served, the longest first, and of all how much has failed.
func probes(all []load.State, s Screen) string {
	var silent []load.State
	tries, failures := 0, 0
	for _, p := range all {
		tries, failures = tries+p.Tries, failures+p.Failures
		if p.Silent > 0 {
			silent = append(silent, p)
		}
	}
	slices.SortStableFunc(silent, func(a, b load.State) int { return cmp.Compare(b.Silent, a.Silent) })
	text := fmt.Sprintf("%d of %d are served; %d of %d tries failed", len(all)-len(silent), len(all), failures, tries)
	if len(silent) > 0 {
		var who []string
		for _, p := range silent {
			who = append(who, fmt.Sprintf("%s (%s)", p.Name, p.Silent.Round(100*time.Millisecond)))
		}
		text += "; " + s.paint(red, "not served: "+strings.Join(who, ", "))
	}
	return text
}

// host is how the host is, as the newest pulse of any cell has it.
func (r *Run) host(s Screen) string {
	var h observe.HostReading
	for _, c := range r.cells {
		if c.pulse.Host.Time.After(h.Time) {
			h = c.pulse.Host
		}
	}
	if h.Time.IsZero() {
		return ""
	}
	const busy = 50 // per cent of the time
	text := fmt.Sprintf("load %.1f on %d cores; waiting for processors %.0f %%, for disks %.0f %%, for memory %.0f %%", h.Load, h.Cores, h.CPU, h.IO, h.Memory)
	if max(h.CPU, h.IO, h.Memory) >= busy {
		text = s.paint(yellow, text)
	}
	return " host     " + text
}
