package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"drydock.dev/drydock/harness/experiment/live"
	"drydock.dev/drydock/harness/plan"
)

// progress shows what is being done and for how long: a live line on a terminal, plain lines elsewhere.
type progress struct {
	out   io.Writer
	live  bool // on a terminal that lines can be drawn anew on
	color bool

	mu      sync.Mutex
	picture *watcher // of a run, which shows all this in the place of lines; nil: there is none
	phases  []*phase
	bars    map[string]*progressbar.ProgressBar
	shown   map[string]time.Time // when a bar's plain line was last printed
	begun   map[string]time.Time
}

// phase is something that takes a while and is shown meanwhile.
type phase struct {
	*progress
	label string
	begun time.Time
	seen  string // what it waits for
	stop  chan struct{}
}

const (
	redrawEvery = 200 * time.Millisecond
	plainEvery  = 15 * time.Second
)

func (o *options) newProgress(f *os.File) *progress {
	p := &progress{out: f, live: drawable(f), color: o.colors(f), bars: map[string]*progressbar.ProgressBar{}, shown: map[string]time.Time{}, begun: map[string]time.Time{}}
	if o.quiet {
		p.out, p.live = io.Discard, false
	}
	return p
}

// drawable reports whether lines of it can be drawn anew. A dumb terminal is one that only prints.
func drawable(f *os.File) bool { return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" }

// colors reports whether it shows colours, and they are wanted (https://no-color.org).
func (o *options) colors(f *os.File) bool {
	return drawable(f) && os.Getenv("NO_COLOR") == "" && !o.noColor
}

// Phase begins something that takes a while; done ends it.
func (p *progress) Phase(format string, args ...any) func(error) {
	return p.begin(fmt.Sprintf(format, args...)).Done
}

func (p *progress) begin(label string) plan.Teller {
	if w := p.shownIn(); w != nil {
		w.doing(live.Doing{What: label})
		return within{w, label}
	}
	ph := &phase{progress: p, label: label, begun: time.Now(), stop: make(chan struct{})}
	p.mu.Lock()
	p.phases = append(p.phases, ph)
	p.mu.Unlock()
	go p.animate(ph, ph.stop)
	return ph
}

// shownIn is the picture of a run that shows it all; nil: there is none.
func (p *progress) shownIn() *watcher {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.picture
}

// say prints a line between the others.
func (p *progress) say(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	printf(p.out, "%s\n", line)
}

// Seen is shown beside the phase from now on; of several lines the first.
func (ph *phase) Seen(why string) {
	ph.mu.Lock()
	defer ph.mu.Unlock()
	ph.seen, _, _ = strings.Cut(why, "\n")
}

// Done ends the phase.
func (ph *phase) Done(err error) {
	close(ph.stop)
	ph.mu.Lock()
	defer ph.mu.Unlock()
	ph.phases = slices.DeleteFunc(ph.phases, func(other *phase) bool { return other == ph })
	mark, why := ph.paint("32", "✓"), ""
	switch {
	case errors.Is(err, plan.ErrSkip):
		why, _, _ = strings.Cut(err.Error(), "\n")
		mark, why = "-", ": "+why
	case err != nil:
		mark, why = ph.paint("31", "✗"), ": failed"
	}
	ph.clear()
	printf(ph.out, " %s %s%s (%s)\n", mark, ph.label, why, time.Since(ph.begun).Round(100*time.Millisecond))
}

// animate redraws the live line, or prints a plain one now and then for something slow.
func (p *progress) animate(ph *phase, stop <-chan struct{}) {
	every := plainEvery
	if p.live {
		every = redrawEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		p.mu.Lock()
		elapsed := time.Since(ph.begun).Round(time.Second)
		seen := ""
		if ph.seen != "" {
			seen = ": " + ph.seen
		}
		switch {
		case !p.live:
			printf(p.out, " … %s (%s so far)%s\n", ph.label, elapsed, seen)
		case len(p.phases) > 0 && p.phases[len(p.phases)-1] == ph:
			p.clear()
			printf(p.out, "%s", p.fit(fmt.Sprintf(" … %s (%s)%s", ph.label, elapsed, seen)))
		}
		p.mu.Unlock()
	}
}

// fit cuts a live line at the terminal's edge: what has wrapped is not cleared.
func (p *progress) fit(line string) string {
	if f, ok := p.out.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 1 && utf8.RuneCountInString(line) >= width {
			return string([]rune(line)[:width-2]) + "…"
		}
	}
	return line
}

func (p *progress) clear() {
	if p.live {
		printf(p.out, "\r\033[K")
	}
}

func (p *progress) paint(color, s string) string {
	if !p.color {
		return s
	}
	return "\033[" + color + "m" + s + "\033[0m"
}

// paintFor colours for another stream than the progress.
func (o *options) paintFor(f *os.File) func(color, s string) string {
	return (&progress{color: o.colors(f)}).paint
}

// Advance draws a bar of done out of total; total 0 means that the end is not known.
func (p *progress) Advance(label string, done, total int) {
	if w := p.shownIn(); w != nil {
		w.advance(label, done, total)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun[label].IsZero() {
		p.begun[label] = time.Now()
	}
	if !p.live {
		if last := p.shown[label]; time.Since(last) < plainEvery {
			return
		}
		p.shown[label] = time.Now()
		counted := ""
		if total > 0 {
			counted = fmt.Sprintf(" %d/%d", done, total)
		}
		printf(p.out, " … %s%s (%s)\n", label, counted, time.Since(p.begun[label]).Round(time.Second))
		return
	}
	bar := p.bars[label]
	if bar == nil {
		size := total
		if size == 0 {
			size = -1
		}
		bar = progressbar.NewOptions(size, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(label), progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true), progressbar.OptionThrottle(redrawEvery), progressbar.OptionClearOnFinish())
		p.bars[label] = bar
	}
	if total > 0 && bar.GetMax() != total {
		bar.ChangeMax(total)
	}
	_ = bar.Set(done)
}

// Finish says how something with bars ended.
func (p *progress) Finish(label string, err error) {
	if w := p.shownIn(); w != nil {
		w.finish()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, bar := range p.bars {
		_ = bar.Clear()
		delete(p.bars, name)
	}
	if err != nil {
		printf(p.out, " %s %s\n", p.paint("31", "✗"), label)
		return
	}
	printf(p.out, " %s %s\n", p.paint("32", "✓"), label)
}
