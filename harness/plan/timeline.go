package plan

import (
	"time"
)

// Timeline is what went on in one cell of a run, over one axis of time, for people to look at. Nothing is judged by it and it is no part of report.json: it
// is made of the evidence whenever somebody wants to see it.
type Timeline struct {
	Label  string
	Clock  string    // whose, where it is not the harness's
	First  time.Time // of everything that is told of, making the cluster among it
	Began  time.Time // of the scenario: from here on it was looked
	Ended  time.Time // of the scenario
	Last   time.Time // of everything, taking the cluster down among it
	Faults []FaultWindow
	Groups []Lanes
}

// FaultWindow is the time of a fault. What has not come is zero.
type FaultWindow struct {
	ID        string // of its receipt
	Name      string
	Machines  []string
	Armed     time.Time
	Effective time.Time // its effect was seen
	Recover   time.Time // undoing it began
	Cleared   time.Time // its end was seen
}

// Lanes are some that belong together.
type Lanes struct {
	Name   string
	About  string // what they show, and how to read it
	Folded bool   // of little interest at first
	Lanes  []Lane
}

// Groups of lanes that a report looks into.
const (
	LanesMachines = "Machines"              // whose lanes are named after them
	LanesCalls    = "ARM calls"             // whose samples are calls
	LaneLeft      = "left of "              // begins the names of lanes of a budget, whose first point is what it has when it is full
	LanesSpare    = "To spare"              // levels: how many more of each could have been lost
	LanesProbes   = "Probes"                // whose spans are times without a success
	LanesVersions = "Programs and versions" // whose spans are labelled with versions
	LanesRemedies = "Recovery by runbooks"  // whose spans are the parts of a recovery
)

// Lane is one thing over time. It has spans, or samples, or points, and maybe marks.
type Lane struct {
	Name    string
	Of      []string // the machine, the program: words by which a check's message may name it
	Unit    string   // of points
	Level   bool     // the spans' values are a line: how many there are
	Spans   []Span   // in order and apart
	Samples []Sample
	Points  []Point
	Marks   []Mark
}

// Tone is how well something is, for the eye. What it is in words stands beside it.
type Tone string

// The tones.
const (
	ToneOK     Tone = "ok"
	ToneLead   Tone = "lead"   // well, and the one that leads
	ToneWarn   Tone = "warn"   // there, and not as it should be
	ToneBad    Tone = "bad"    // it says no, or is known to be gone
	ToneSilent Tone = "silent" // it gives no answer, for whatever reason
	ToneUnseen Tone = "unseen" // nobody looked, or could have seen
	ToneFault  Tone = "fault"  // done on purpose
	ToneQuiet  Tone = "quiet"  // of no weight
)

// Span is a time in which something stayed as it was.
type Span struct {
	From, To time.Time
	Tone     Tone
	Label    string // what it was, in few words
	More     string // the same in more of them: an error, a revision
	Value    int    // of a level
}

// Sample is one try of somebody who tries again and again.
type Sample struct {
	At   time.Time
	Took time.Duration
	Err  string // empty: it succeeded
	Tone Tone   // of one that did not
}

// Point is a number at a time.
type Point struct {
	At time.Time
	V  float64
}

// Mark is an instant that matters.
type Mark struct {
	At    time.Time
	Tone  Tone
	Label string
}

// Place is where something is to be seen on the timeline: a time, and the lanes that the words name.
type Place struct {
	Cell     string
	From, To time.Time
	Of       []string
}

// Cause is one reason of a verdict, and whose.
type Cause struct {
	Verdict Verdict // that it makes by itself
	Of      string  // CauseStep, CauseFault and the like, and an id
	Why     string
}

// Planned is a step of a plan, or a group of them, whether it was come to or not.
type Planned struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	About string `json:"about,omitempty"`
	Group bool   `json:"group,omitempty"`
	// Rollback: its turn comes only when a step before it in its group has failed.
	Rollback bool `json:"rollback,omitempty"`
}

// Outline lists the steps of a plan, groups before what is in them.
func (p *Plan) Outline() []Planned {
	out := []Planned{}
	p.Walk(func(s *Step) {
		out = append(out, Planned{ID: s.ID, Name: s.Name, About: s.About, Group: s.Run == nil, Rollback: s.Rollback})
	})
	return out
}

// Excerpt is what is kept of a log that has to do with what went wrong.
type Excerpt struct {
	Of    string // CauseStep, CauseCheck and an id; empty: nothing in particular
	File  string // below the run's directory, or the program and its machine
	About string // which lines these are
	Lines []string
}

// Runs gathers what was seen again and again into spans: whatever was the same from one look to the next is one. A look stands for the time to the next.
type Runs struct {
	Spans []Span
	Blank time.Duration // so long after a look nobody knows any more; 0: for ever
	last  time.Time
}

// See adds a look. Tone, label and value make the difference; what is said in more words is that of the first look.
func (r *Runs) See(at time.Time, s Span) {
	n := len(r.Spans)
	if n > 0 && r.Blank > 0 && at.Sub(r.last) > r.Blank {
		r.Spans[n-1].To = r.last.Add(r.Blank)
		r.Spans = append(r.Spans, Span{From: r.Spans[n-1].To, To: at, Tone: ToneUnseen, Label: "not looked at"})
		n++
	}
	if n > 0 && !at.After(r.Spans[n-1].From) { // the clock was set back: nothing is drawn twice
		return
	}
	r.last = at
	if n > 0 {
		last := &r.Spans[n-1]
		last.To = at
		if last.Tone == s.Tone && last.Label == s.Label && last.Value == s.Value {
			return
		}
	}
	s.From, s.To = at, at
	r.Spans = append(r.Spans, s)
}

// End gives the spans, of which the last lasts until then.
func (r *Runs) End(at time.Time) []Span {
	if n := len(r.Spans); n > 0 {
		if r.Blank > 0 && at.Sub(r.last) > r.Blank {
			at = r.last.Add(r.Blank)
		}
		if at.After(r.Spans[n-1].To) {
			r.Spans[n-1].To = at
		}
	}
	return r.Spans
}
