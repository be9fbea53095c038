package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows what is being done and for how long: a live line on a terminal, plain lines elsewhere.
type progress struct {
	out  io.Writer
	live bool

	mu     sync.Mutex
	phases []*phase
	bars   map[string]*progressbar.ProgressBar
	shown  map[string]time.Time // when a bar's plain line was last printed
	begun  map[string]time.Time
}

type phase struct {
	label string
	begun time.Time
}

const (
	redrawEvery = 200 * time.Millisecond
	plainEvery  = 15 * time.Second
)

func newProgress(f *os.File, quiet bool) *progress {
	p := &progress{out: f, live: term.IsTerminal(int(f.Fd())), bars: map[string]*progressbar.ProgressBar{}, shown: map[string]time.Time{}, begun: map[string]time.Time{}}
	if quiet {
		p.out, p.live = io.Discard, false
	}
	return p
}

// Phase begins something that takes a while; done ends it.
func (p *progress) Phase(format string, args ...any) func(error) {
	ph := &phase{label: fmt.Sprintf(format, args...), begun: time.Now()}
	stop := make(chan struct{})
	p.mu.Lock()
	p.phases = append(p.phases, ph)
	p.mu.Unlock()
	go p.animate(ph, stop)
	return func(err error) {
		close(stop)
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, other := range p.phases {
			if other == ph {
				p.phases = append(p.phases[:i], p.phases[i+1:]...)
				break
			}
		}
		mark, why := p.paint("32", "✓"), ""
		if err != nil {
			mark, why = p.paint("31", "✗"), ": failed"
		}
		p.clear()
		printf(p.out, " %s %s%s (%s)\n", mark, ph.label, why, time.Since(ph.begun).Round(100*time.Millisecond))
	}
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
		switch {
		case !p.live:
			printf(p.out, " … %s (%s so far)\n", ph.label, elapsed)
		case len(p.phases) > 0 && p.phases[len(p.phases)-1] == ph:
			p.clear()
			printf(p.out, " … %s (%s)", ph.label, elapsed)
		}
		p.mu.Unlock()
	}
}

func (p *progress) clear() {
	if p.live {
		printf(p.out, "\r\033[K")
	}
}

func (p *progress) paint(color, s string) string {
	if !p.live || os.Getenv("NO_COLOR") != "" {
		return s
	}
	return "\033[" + color + "m" + s + "\033[0m"
}

// paintFor colours for another stream than the progress.
func (p *progress) paintFor(f *os.File) func(color, s string) string {
	if !term.IsTerminal(int(f.Fd())) || os.Getenv("NO_COLOR") != "" {
		return func(_, s string) string { return s }
	}
	return func(color, s string) string { return "\033[" + color + "m" + s + "\033[0m" }
}

// Advance draws a bar of done out of total; total 0 means that the end is not known.
func (p *progress) Advance(label string, done, total int) {
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
