package cli

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"

	"drydock.dev/drydock/harness/experiment/live"
	"drydock.dev/drydock/harness/plan"
)

// watcher shows a run while it goes on: as a picture on a terminal, line by line elsewhere.
type watcher struct {
	progress *progress
	dir      string // the run's
	released func() bool
	told     map[string]plan.Teller // of steps that run, line by line

	mu   sync.Mutex
	run  live.Run
	bars []string // what is shown beside the steps and ends together

	program *tea.Program // nil: line by line
	gone    chan struct{}
}

// watch begins to show a run. The caller ends it, before he prints anything.
func (p *progress) watch(ctx context.Context, dir string) *watcher {
	w := &watcher{progress: p, dir: dir, told: map[string]plan.Teller{}, gone: make(chan struct{})}
	if p.live {
		w.program = tea.NewProgram(picture{watcher: w}, tea.WithInput(nil), tea.WithOutput(p.out), tea.WithoutSignalHandler(), tea.WithFPS(framesPerSecond))
		p.mu.Lock()
		p.picture = w
		p.mu.Unlock()
		go func() {
			defer close(w.gone)
			_, _ = w.program.Run() // a terminal that cannot be drawn on shows nothing; the run goes on
		}()
	}
	w.released = context.AfterFunc(ctx, w.interrupted)
	return w
}

// end leaves the last picture where it is.
func (w *watcher) end() {
	w.released()
	if w.program == nil {
		return
	}
	w.progress.mu.Lock()
	w.progress.picture = nil
	w.progress.mu.Unlock()
	w.program.Quit()
	<-w.gone
}

// interrupted says what the first interrupt has done, and what a second would: end the program there and then, as it would a program that knows of none.
func (w *watcher) interrupted() {
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	w.see(plan.Entry{Time: time.Now(), Kind: live.Interrupted})
	if w.program == nil {
		w.progress.say(" ! interrupted: what is broken is being healed, and what was seen is judged. Once more: stop at once")
	}
	go func() {
		got := <-again
		if w.program != nil {
			w.program.Kill() // the terminal is as it was before
			<-w.gone
		}
		w.progress.say(" ! stopped at once: `drydock heal " + w.dir + "` undoes what is left")
		signal.Reset(got)
		if s, ok := got.(syscall.Signal); ok {
			_ = syscall.Kill(os.Getpid(), s)
		}
	}()
}

// see takes an event of the run, or of what is done for it.
func (w *watcher) see(e plan.Entry) {
	w.mu.Lock()
	w.run.See(e)
	w.mu.Unlock()
	if w.program == nil {
		w.line(e)
	}
}

// line shows the beginnings and ends of steps, and why they have not ended.
func (w *watcher) line(e plan.Entry) {
	switch e.Kind {
	case "step-started":
		d := decoded[plan.StepTold](e)
		w.told[d.Label+d.ID] = w.progress.begin(strings.TrimSpace(d.Label + " " + d.ID + " " + d.Name))
	case "waiting":
		d := decoded[plan.Waiting](e)
		if t := w.told[d.Label+d.ID]; t != nil {
			t.Seen(d.Seen)
		}
	case "step":
		d := decoded[plan.StepTold](e)
		if t := w.told[d.Label+d.ID]; t != nil { // one that was left out was never begun
			delete(w.told, d.Label+d.ID)
			t.Done(d.Err())
		}
	}
}

// decoded is an event of this process's own.
func decoded[T any](e plan.Entry) (v T) {
	_ = json.Unmarshal(e.Data, &v) // it was written a moment ago
	return v
}

// doing shows something that is done within a step.
func (w *watcher) doing(d live.Doing) {
	raw, err := json.Marshal(d)
	if err != nil {
		return
	}
	w.see(plan.Entry{Time: time.Now(), Kind: live.Phase, Data: raw})
}

// advance shows how far something is; finish that all such is over.
func (w *watcher) advance(what string, done, total int) {
	w.mu.Lock()
	if !slices.Contains(w.bars, what) {
		w.bars = append(w.bars, what)
	}
	w.mu.Unlock()
	w.doing(live.Doing{What: what, Done: done, Total: total})
}

func (w *watcher) finish() {
	w.mu.Lock()
	over := w.bars
	w.bars = nil
	w.mu.Unlock()
	for _, what := range over {
		w.doing(live.Doing{What: what, Ended: true})
	}
}

// within is a Teller of something within a step.
type within struct {
	*watcher
	what string
}

func (t within) Seen(why string) {
	first, _, _ := strings.Cut(why, "\n")
	t.doing(live.Doing{What: t.what, Seen: first})
}
func (t within) Done(error) { t.doing(live.Doing{What: t.what, Ended: true}) }

// picture is the run as Bubble Tea draws it: it looks at the run now and then, so that no run waits for a terminal.
type picture struct {
	*watcher
	width, height int
}

const framesPerSecond = 10

type tick time.Time

func next() tea.Cmd { return tea.Tick(redrawEvery, func(t time.Time) tea.Msg { return tick(t) }) }

// Init has it drawn again and again.
func (picture) Init() tea.Cmd { return next() }

// Update takes the terminal's size.
func (m picture) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tick:
		return m, next()
	}
	return m, nil
}

// View draws it.
func (m picture) View() tea.View {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.width == 0 {
		return tea.NewView("")
	}
	text := m.run.Text(time.Now(), live.Screen{Width: m.width, Height: m.height - 1, Color: m.progress.color})
	v := tea.NewView(text + "\n")      // the line that is left at the end is cleared
	v.DisableBracketedPasteMode = true // nothing is typed
	return v
}
