// Package live is what somebody sees who looks on while a scenario runs: a fold of the run's events, and a pure function from that to text. It judges nothing
// and touches nothing.
package live

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// The kinds of events that are told beside a journal's.
const (
	Phase       = "phase"       // a Doing
	Interrupted = "interrupted" // who looks on has asked the run to end; without data
)

// Doing is something within a step that takes a while: programs that are fetched, a cluster that boots.
type Doing struct {
	What  string `json:"what"`
	Seen  string `json:"seen,omitempty"` // what it waits for
	Done  int    `json:"done,omitempty"`
	Total int    `json:"total,omitempty"` // 0: not known
	Ended bool   `json:"ended,omitempty"`
}

// Run is what a run has come to.
type Run struct {
	opening     experiment.Opening
	began       time.Time
	last        time.Time // of the newest event
	interrupted time.Time
	cells       []*cell
	doing       []phase
	receipts    []receipt
	ended       bool
	verdict     plan.Verdict
}

type phase struct {
	Doing
	began time.Time
}

type receipt struct {
	fault.Journalled
	since time.Time // it is in its state
}

// cell is one cluster of the run.
type cell struct {
	label string
	steps []*step // the top of the tree
	byID  map[string]*step
	seen  []observe.Observation // of members alone, in the order of time
	pulse experiment.Pulse

	tolerance plan.Tolerance // of all that was seen
	spare     int            // how many members more could be lost now
}

// step is a step with what became of it.
type step struct {
	plan.Planned
	children []*step
	status   string // of plan.StepDone; empty: its turn has not come
	began    time.Time
	ended    time.Time
	waits    string
	failed   string
}

// running is the status of a step that has begun and not ended.
const running = "running"

// See takes an event. What cannot be read is left out: whoever judges has the evidence.
func (r *Run) See(e plan.Entry) {
	if r.began.IsZero() {
		r.began = e.Time
	}
	r.last = e.Time
	switch e.Kind {
	case "run":
		r.opening, _ = read[experiment.Opening](e)
	case "plan":
		if o, ok := read[experiment.Outlined](e); ok {
			r.outline(o)
		}
	case "step-started", "step":
		if d, ok := read[plan.StepTold](e); ok {
			r.cell(d.Label).told(d.StepDone, e)
		}
	case "waiting":
		if w, ok := read[plan.Waiting](e); ok {
			r.cell(w.Label).step(w.ID).waits, _, _ = strings.Cut(w.Seen, "\n")
		}
	case "receipt":
		if j, ok := read[fault.Journalled](e); ok {
			r.receipt(j, e.Time)
		}
	case "observation":
		if o, ok := read[experiment.Observed](e); ok {
			r.cell(o.Label).observe(o.Observation)
		}
	case "pulse":
		if p, ok := read[experiment.Pulse](e); ok {
			r.cell(p.Label).pulse = p
		}
	case "ended":
		r.ended = true
	case "result":
		if res, ok := read[plan.Result](e); ok {
			r.verdict = res.Verdict
		}
	case Phase:
		if d, ok := read[Doing](e); ok {
			r.phase(d, e.Time)
		}
	case Interrupted:
		r.interrupted = e.Time
	}
}

func read[T any](e plan.Entry) (v T, ok bool) {
	err := json.Unmarshal(e.Data, &v)
	return v, err == nil
}

func (r *Run) cell(label string) *cell {
	for _, c := range r.cells {
		if c.label == label {
			return c
		}
	}
	c := &cell{label: label, byID: map[string]*step{}}
	r.cells = append(r.cells, c)
	return c
}

func (r *Run) outline(o experiment.Outlined) {
	c := r.cell(o.Label)
	for _, p := range o.Steps {
		s := c.step(p.ID)
		s.Planned = p
	}
}

// step finds a step, or makes one that no plan has told of, below the one that its id says.
func (c *cell) step(id string) *step {
	if s := c.byID[id]; s != nil {
		return s
	}
	s := &step{Planned: plan.Planned{ID: id}}
	c.byID[id] = s
	if i := strings.LastIndex(id, "."); i > 0 {
		above := c.step(id[:i])
		above.children = append(above.children, s)
	} else {
		c.steps = append(c.steps, s)
	}
	return s
}

func (c *cell) told(d plan.StepDone, e plan.Entry) {
	s := c.step(d.ID)
	s.Name, s.waits = d.Name, ""
	if e.Kind == "step-started" {
		s.status, s.began = running, e.Time
		return
	}
	s.status, s.ended = d.Status, e.Time
	s.failed, _, _ = strings.Cut(d.Error, "\n")
}

func (r *Run) receipt(j fault.Journalled, at time.Time) {
	i := slices.IndexFunc(r.receipts, func(o receipt) bool { return o.Receipt.ID == j.Receipt.ID })
	if i < 0 {
		r.receipts = append(r.receipts, receipt{j, at})
		return
	}
	if r.receipts[i].State != j.State {
		r.receipts[i].since = at
	}
	r.receipts[i].Journalled = j
}

// window is how many of the newest observations tell how it is now: one alone may be of a member that answered late.
const window = 4

func (c *cell) observe(o observe.Observation) {
	c.seen = append(c.seen, observe.Observation{Time: o.Time, Members: o.Members, Quorum: o.Quorum})
	c.tolerance = health.Tolerance(&health.Record{Observations: c.seen}, nil)
	c.spare = health.Tolerance(&health.Record{Observations: c.seen[max(0, len(c.seen)-window):]}, nil).Minimum
}

// state is a step's, or what its children's come to.
func (s *step) state() string {
	if len(s.children) == 0 || s.status != "" {
		return s.status
	}
	all := map[string]int{}
	steps := 0
	for _, c := range s.children {
		if is := c.state(); is != "" || !c.Rollback { // else there is nothing to roll back so far
			all[is]++
			steps++
		}
	}
	switch {
	case all[running] > 0:
		return running
	case all["failed"] > 0: // what has not begun by then is not reached
		return "failed"
	case all[""] > 0 && all[""] < steps:
		return running
	case all[""] == steps:
		return ""
	case all["skipped"] == steps:
		return "skipped"
	default:
		return "done"
	}
}

// span is when a step ran, or its children did.
func (s *step) span() (began, ended time.Time) {
	began, ended = s.began, s.ended
	for _, c := range s.children {
		b, e := c.span()
		if !b.IsZero() && (began.IsZero() || b.Before(began)) {
			began = b
		}
		if e.After(ended) {
			ended = e
		}
	}
	return began, ended
}

func (r *Run) phase(d Doing, at time.Time) {
	i := slices.IndexFunc(r.doing, func(p phase) bool { return p.What == d.What })
	switch {
	case d.Ended:
		r.doing = slices.DeleteFunc(r.doing, func(p phase) bool { return p.What == d.What })
	case i < 0:
		r.doing = append(r.doing, phase{d, at})
	default:
		r.doing[i].Doing = d
	}
}
