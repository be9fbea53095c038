// Package plan holds the numbered tree of steps of a run, its runner and its journal. A plan is a value: all choices are made
// when it is built, and it is printed before anything is touched. It knows nothing of faults or upgrades.
package plan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Step is one action, or a group of them.
type Step struct {
	ID       string
	Name     string
	About    string // what it does, for the printed plan
	Children []*Step
	Parallel bool                            // the children run at the same time
	Run      func(ctx context.Context) error // nil for a group
	Cleanup  bool                            // runs also after a failure or an interrupt, on a context that is not cancelled
	Rollback bool                            // runs only after a step before it in its group has failed, and not after an interrupt
	Disrupts []Disruption                    // what it takes down for a while
	Lingers  bool                            // when it ends, what it disrupts may still be down
	Looks    bool                            // it mends nothing: it looks, or keeps others away meanwhile and lets them back
	// Absorb judges a group's failure by the error and by what its steps came to: nil means that it was what the plan wanted, and the run goes on.
	Absorb func(err error, done []StepDone) error
}

// Disruption is what a step takes down, or starts anew, on machines.
type Disruption struct {
	Machines   []string
	Components []string // empty: all that runs on them, and the machines themselves
	AtMost     int      // so many of the machines at any instant; 0: all of them
	Until      string   // a version: a machine whose components have stayed at it for a while is done with; empty: when the step ends
}

// ErrSkip is wrapped by a step that has a reason not to run; it is no failure.
var ErrSkip = errors.New("skipped")

// Plan is what a run will do.
type Plan struct {
	Header []string // seed, cluster and the like, printed first
	Steps  []*Step
}

// Number gives every step its id: 1, 2, 2.1, ...
func (p *Plan) Number() { number(p.Steps, "") }

func number(steps []*Step, prefix string) {
	for i, s := range steps {
		s.ID = fmt.Sprintf("%s%d", prefix, i+1)
		number(s.Children, s.ID+".")
	}
}

// Print writes the plan as a tree.
func (p *Plan) Print(w io.Writer) error {
	var b strings.Builder
	for _, h := range p.Header {
		fmt.Fprintln(&b, h)
	}
	printSteps(&b, p.Steps, "")
	_, err := io.WriteString(w, b.String())
	return err
}

func printSteps(b *strings.Builder, steps []*Step, indent string) {
	for i, s := range steps {
		branch, below := "├── ", "│   "
		if i == len(steps)-1 {
			branch, below = "└── ", "    "
		}
		about := ""
		if s.About != "" {
			about = ": " + s.About
		}
		fmt.Fprintf(b, "%s%s%s%s (%s)\n", indent, branch, s.Name, about, s.ID)
		printSteps(b, s.Children, indent+below)
	}
}

// Walk visits every step, parents first.
func (p *Plan) Walk(visit func(s *Step)) { walk(p.Steps, visit) }

func walk(steps []*Step, visit func(s *Step)) {
	for _, s := range steps {
		visit(s)
		walk(s.Children, visit)
	}
}

// Runner carries a plan out.
type Runner struct {
	Journal *Journal
	Label   string                       // of the plan, where several have one journal
	Tell    func(id, name string) Teller // progress; may be nil

	mu   sync.Mutex
	done []StepDone
	cut  bool // a step was left out because of an interrupt, and that is recorded
}

// Teller shows one step while it is carried out.
type Teller interface {
	Seen(why string) // what it waits for, whenever that changes
	Done(err error)  // how it ended, once; ErrSkip: it had a reason not to run
}

// untold is the Teller of who does not listen.
type untold struct{}

func (untold) Seen(string) {}
func (untold) Done(error)  {}

// Waiting is why a step has not ended yet: what it waits for and what was seen of that last.
type Waiting struct {
	Label string `json:"label,omitempty"`
	ID    string `json:"id"`
	For   string `json:"for"`
	Seen  string `json:"seen"`
}

// StepTold is a step in a journal, which more than one plan may have.
type StepTold struct {
	Label string `json:"label,omitempty"`
	StepDone
}

// Err is how the step ended, as its Teller is told.
func (d StepDone) Err() error {
	switch d.Status {
	case "failed":
		return errors.New(d.Error)
	case "skipped":
		return fmt.Errorf("%w: %s", ErrSkip, strings.TrimPrefix(d.Error, ErrSkip.Error()+": "))
	default:
		return nil
	}
}

// Run does the steps in order. After a failure only cleanup steps run; the first error is returned with what cleanup added.
func (r *Runner) Run(ctx context.Context, p *Plan) error { return r.steps(ctx, p.Steps, nil) }

func (r *Runner) steps(ctx context.Context, steps []*Step, failed error) error {
	before := failed
	for _, s := range steps {
		if s.Rollback {
			failed = r.rollback(ctx, s, before, failed)
			continue
		}
		failed = r.step(ctx, s, failed)
	}
	return failed
}

// rollback undoes what its group began, when that failed of itself.
func (r *Runner) rollback(ctx context.Context, s *Step, before, failed error) error {
	if failed == nil || before != nil || ctx.Err() != nil {
		return failed
	}
	return errors.Join(failed, r.step(ctx, s, nil))
}

// group runs a group's children, one after another or at the same time.
func (r *Runner) group(ctx context.Context, s *Step, failed error) error {
	var err error
	if s.Parallel {
		errs := make([]error, len(s.Children))
		var wg sync.WaitGroup
		for i, c := range s.Children {
			wg.Go(func() { errs[i] = r.step(ctx, c, failed) })
		}
		wg.Wait()
		if err = failed; failed == nil {
			err = errors.Join(errs...)
		}
	} else {
		err = r.steps(ctx, s.Children, failed)
	}
	if s.Absorb == nil || failed != nil || ctx.Err() != nil {
		return err
	}
	if err = errors.Join(s.Absorb(err, r.doneIn(s)), r.excuse(s)); err != nil {
		r.record(StepDone{ID: s.ID, Name: s.Name, Status: "failed", Error: err.Error()})
	}
	return err
}

// doneIn lists the steps of a group that have ended.
func (r *Runner) doneIn(group *Step) []StepDone {
	inside := map[string]bool{}
	walk(group.Children, func(s *Step) { inside[s.ID] = true })
	return slices.DeleteFunc(r.Done(), func(d StepDone) bool { return !inside[d.ID] })
}

// excuse takes the failures of a group's steps for what was wanted. What undoes things must not fail, whatever was wanted.
func (r *Runner) excuse(group *Step) error {
	undoing := map[string]bool{}
	walk(group.Children, func(s *Step) { undoing[s.ID] = s.Rollback || s.Cleanup })
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for i, d := range r.done {
		undoes, inside := undoing[d.ID]
		switch {
		case !inside || d.Status != "failed":
		case undoes:
			errs = append(errs, fmt.Errorf("step %s %s: %s", d.ID, d.Name, d.Error))
		default:
			r.done[i].Status = "expected"
		}
	}
	return errors.Join(errs...)
}

func (r *Runner) step(ctx context.Context, s *Step, failed error) error {
	if failed == nil && ctx.Err() != nil {
		failed = interruptedError{fmt.Errorf("interrupted before step %s %s: %w", s.ID, s.Name, context.Cause(ctx))}
	}
	if s.Run == nil {
		return r.group(ctx, s, failed)
	}
	if failed != nil && !s.Cleanup {
		r.leaveOut(s, failed)
		return failed
	}
	if s.Cleanup {
		ctx = context.WithoutCancel(ctx)
	}
	var tell Teller = untold{}
	if r.Tell != nil {
		tell = r.Tell(s.ID, s.Name)
	}
	ctx = cluster.Watched(ctx, func(what string, last error) {
		tell.Seen(last.Error())
		_ = r.Journal.Sample("waiting", Waiting{Label: r.Label, ID: s.ID, For: what, Seen: last.Error()}) // as with record
	})
	d := StepDone{ID: s.ID, Name: s.Name, Status: "done", Started: time.Now()}
	err := r.Journal.Write("step-started", StepTold{r.Label, d})
	if err == nil || s.Cleanup || s.Rollback { // what cannot be journalled is not done, but it is undone
		err = errors.Join(err, s.Run(ctx))
	}
	d.DurationSeconds = time.Since(d.Started).Seconds()
	tell.Done(err)
	switch {
	case errors.Is(err, ErrSkip):
		d.Status, d.Error = "skipped", err.Error()
		err = nil
	case err != nil:
		var late *LateError
		d.Status, d.Error, d.Late = "failed", err.Error(), errors.As(err, &late)
	}
	r.record(d)
	if err == nil {
		return failed
	}
	return errors.Join(failed, fmt.Errorf("step %s %s: %w", s.ID, s.Name, err))
}

// interruptedError says that a run ended before its end, though no step of it need have failed: what undoes things is not interrupted.
type interruptedError struct{ error }

// Unwrap gives what was said, and why.
func (e interruptedError) Unwrap() error { return e.error }

// leaveOut records a step that does not run. The first that an interrupt left out counts as failed: nothing else may tell of it.
func (r *Runner) leaveOut(s *Step, failed error) {
	d := StepDone{ID: s.ID, Name: s.Name, Status: "skipped", Error: "an earlier step failed"}
	r.mu.Lock()
	var cut interruptedError
	if errors.As(failed, &cut) && !r.cut {
		r.cut, d.Status, d.Error = true, "failed", cut.Error()
	}
	r.mu.Unlock()
	r.record(d)
}

func (r *Runner) record(d StepDone) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = append(r.done, d)
	_ = r.Journal.Write("step", StepTold{r.Label, d}) // the next write that matters will fail as well, and says so
}

// Done lists the steps that have ended.
func (r *Runner) Done() []StepDone {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]StepDone{}, r.done...)
}
