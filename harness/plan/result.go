package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Verdict is the answer of a check or a run. There are three, because no data is never a pass.
type Verdict string

// The verdicts of checks, and what a run makes of them.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Unknown      Verdict = "inconclusive"
	Skipped      Verdict = "skipped" // of a check: what it asks of did not come about. It lowers nothing, shows nothing, and is listed as not tested
	Go           Verdict = "go"
	NoGo         Verdict = "no-go"
	Inconclusive Verdict = "inconclusive"
)

// Schema names the shape of report.json; it changes when a field changes meaning.
const Schema = "drydock.dev/report/v1alpha1"

// Result is report.json.
type Result struct {
	Schema          string      `json:"schema"`
	Scenario        string      `json:"scenario"`
	Provider        string      `json:"provider"`
	Seed            int64       `json:"seed"`
	Verdict         Verdict     `json:"verdict"`
	Reasons         []string    `json:"reasons"` // why it is not go
	Started         time.Time   `json:"started"`
	DurationSeconds float64     `json:"durationSeconds"`
	Cluster         []Cluster   `json:"cluster"` // one a cell of the scenario's matrix
	Steps           []StepDone  `json:"steps"`
	Receipts        []Receipt   `json:"receipts"`
	Checks          []Check     `json:"checks"`
	Probes          []Probe     `json:"probes"`
	Tolerance       Tolerance   `json:"tolerance"`
	Host            *Host       `json:"host,omitempty"` // nil: not watched
	NotTested       []NotTested `json:"notTested"`
	Gaps            []string    `json:"gaps,omitempty"`   // of the evidence: what is missing or damaged. Each makes the run inconclusive
	Kept            []Kept      `json:"kept,omitempty"`   // the evidence, to judge again from
	Tables          []Table     `json:"tables,omitempty"` // what was measured, beyond the checks
	Plots           []Plot      `json:"plots,omitempty"`
	ARMCalls        []ARMCall   `json:"armCalls,omitempty"` // all that were made of the twin beside the cluster, in the order of time

	Fingerprints []Fingerprint `json:"fingerprints,omitempty"` // one a cell whose cluster was made; a run of before has not told
	Coverage     []Coverage    `json:"coverage,omitempty"`     // of steps by faults

	Command   string      `json:"-"` // by which the run can be made again
	Causes    []Cause     `json:"-"` // the reasons once more, each with whose it is
	Plan      []Planned   `json:"-"` // what was to be done; empty: the run's journal does not tell
	Timelines []*Timeline `json:"-"` // one a cell that was looked at
	Logs      []Excerpt   `json:"-"` // of what went wrong
	Pictures  []Picture   `json:"-"` // files of the run's directory that are made of its evidence, for people
}

// ARMCall is one call of Azure Resource Manager.
type ARMCall struct {
	Time      time.Time `json:"time"` // of the wall's clock
	Principal string    `json:"principal"`
	Operation string    `json:"operation"` // VERB type[/action]
	Path      string    `json:"path"`
	Status    int       `json:"status"`              // HTTP; 0: the connection was cut
	Polled    string    `json:"polled,omitempty"`    // of a poll: the operation it asks after
	Target    string    `json:"target,omitempty"`    // and the resource that works on
	Throttled string    `json:"throttled,omitempty"` // the budget that had nothing left
	Fault     string    `json:"fault,omitempty"`     // the fault that struck it
	Seconds   float64   `json:"seconds"`
	Left      []Left    `json:"-"` // of the budgets that it drew on
}

// Left is what a budget had left after a call.
type Left struct {
	Budget string // and whose it is, where not everybody's
	Left   int
	Of     int // when it is full
}

// Kept is a file of evidence.
type Kept struct {
	File  string `json:"file"` // relative to the run's directory
	Bytes int64  `json:"bytes"`
	Sum   string `json:"sha256,omitempty"`
}

// Table is what was measured, for people to compare.
type Table struct {
	Title   string     `json:"title"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// Plot is a few lines over a common axis.
type Plot struct {
	Title string `json:"title"`
	X     string `json:"x"` // what the axis is, with its unit
	Y     string `json:"y"`
	Lines []Line `json:"lines"`
}

// Line is one of them. Marks are points of it that matter.
type Line struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"`
	Marks  [][2]float64 `json:"marks,omitempty"`
}

// Cluster is what was tested.
type Cluster struct {
	Topology string            `json:"topology"`
	Versions map[string]string `json:"versions"`       // component -> version as the component itself says
	From     map[string]string `json:"from,omitempty"` // those that were others when it was looked at first
}

// StepDone is a step after the run.
type StepDone struct {
	ID              string    `json:"id"`
	Name            string    `json:"name"`
	Status          string    `json:"status"` // done, failed, skipped; expected: failed, as the plan wanted; unfinished: the run was cut off in it
	Started         time.Time `json:"started,omitzero"`
	DurationSeconds float64   `json:"durationSeconds"`
	Error           string    `json:"error,omitempty"` // or, of a skipped step, the reason
	Late            bool      `json:"late,omitempty"`  // of a failed step: lateness alone explains the error (LateError)
}

// Ended is when the step ended.
func (d StepDone) Ended() time.Time {
	return d.Started.Add(time.Duration(d.DurationSeconds * float64(time.Second)))
}

// The states of a receipt.
const (
	Confirmed   = "confirmed"    // armed, seen to be effective, seen to be cleared
	Mismatch    = "mismatch"     // injected, and the effect was not seen
	NotInjected = "inconclusive" // not injected, or its end was not seen
)

// Receipt is what a fault leaves behind.
type Receipt struct {
	ID          string     `json:"id"` // the step's
	Fault       string     `json:"fault"`
	Target      string     `json:"target"`
	Machines    []string   `json:"machines"`
	State       string     `json:"state"`
	Evidence    []Evidence `json:"evidence"`
	Armed       time.Time  `json:"armed,omitzero"`
	EffectiveAt time.Time  `json:"effective,omitzero"`
	ClearedAt   time.Time  `json:"cleared,omitzero"`
	Error       string     `json:"error,omitempty"`
	Event       *Evidence  `json:"event,omitempty"`    // what it waited for, and when that came
	Emulated    []string   `json:"emulated,omitempty"` // MACHINE: what really happened there instead of what the fault is called
}

// Says is the receipt's state in words.
func (r Receipt) Says() string {
	out := strings.TrimSpace(r.State + " " + r.Error)
	if len(r.Emulated) > 0 {
		out += " (emulated)"
	}
	return out
}

// Evidence is one observation of a fault's effect or of its end, from somewhere other than the injector.
type Evidence struct {
	Time     time.Time `json:"time"`
	Observer string    `json:"observer"`
	Saw      string    `json:"saw"`
}

// Check is a judged check.
type Check struct {
	Name    string  `json:"name"`
	When    string  `json:"when"` // always, finally, or the id of the step it watched
	Verdict Verdict `json:"verdict"`
	Message string  `json:"message"`
	Place   *Place  `json:"-"` // where it is to be seen; nil: nowhere in particular
}

// Probe sums up a sampler that ran all through the scenario.
type Probe struct {
	Name              string  `json:"name"`
	Samples           int     `json:"samples"`
	Failures          int     `json:"failures"`
	LongestGapSeconds float64 `json:"longestGapSeconds"` // between two successes, or from a success to the end
	P50Seconds        float64 `json:"p50Seconds"`        // of the successes
	P99Seconds        float64 `json:"p99Seconds"`
}

// Tolerance is how many more etcd members could have been lost: the least at any observation, and for how long it was nothing.
type Tolerance struct {
	Observations   int             `json:"observations"` // without any the rest says nothing
	Minimum        int             `json:"minimum"`      // of what is known: who answered late is not known to have been lost
	SecondsAtZero  float64         `json:"secondsAtZero"`
	SecondsUnknown float64         `json:"secondsUnknown,omitempty"` // in which it would have been nothing, had they been
	Steps          []StepTolerance `json:"steps,omitempty"`          // of an upgrade
}

// StepTolerance is how many more of each kind could have been lost while a step ran: the least at any observation. A kind that was not
// observed is missing. SecondsAtZero is how long at least one of them was nothing.
type StepTolerance struct {
	ID            string  `json:"id"`
	Name          string  `json:"name"`
	Members       *int    `json:"members,omitempty"`
	APIServers    *int    `json:"apiServers,omitempty"`
	Replicas      *int    `json:"replicas,omitempty"`
	SecondsAtZero float64 `json:"secondsAtZero"`
}

// String is the tolerance in a sentence.
func (t Tolerance) String() string {
	if t.Observations == 0 {
		return "nobody looked at etcd"
	}
	out := fmt.Sprintf("at the least %d more members could have been lost; for %.1f s none", t.Minimum, t.SecondsAtZero)
	if t.SecondsUnknown > 0 {
		out += fmt.Sprintf("; for %.1f s nobody can say, answers came late", t.SecondsUnknown)
	}
	return out
}

// Picture is a file that shows some of the evidence.
type Picture struct {
	File string // relative to the run's directory
	Page []byte
}

// NotTested is something a reader might take for tested.
type NotTested struct {
	What string `json:"what"`
	Why  string `json:"why"`
	Said string `json:"said,omitempty"` // by whom, where it does not follow from the evidence: SaidByScenario
}

// WhileStalled is what the harness did not see because it had no processor or no disk: its host's doing, and not the run's.
const WhileStalled = "what went on while the harness was stalled"

// SaidByScenario is whoever wrote the scenario.
const SaidByScenario = "scenario"

// Judge makes the run's verdict of its parts: a failed check is no-go, and anything unconfirmed is inconclusive. A run
// without checks has shown nothing.
func (r *Result) Judge() {
	r.Verdict, r.Causes = Go, nil
	made := 0
	for _, s := range r.Steps {
		if s.Status == "failed" {
			r.worse(Inconclusive, CauseStep+s.ID, "step "+s.ID+" "+s.Name+" failed: "+s.Error)
		}
	}
	for _, rc := range r.Receipts {
		if rc.State != Confirmed {
			r.worse(Inconclusive, CauseFault+rc.ID, "fault "+rc.ID+" "+rc.Fault+" is "+rc.State+": "+rc.Error)
		}
		for _, how := range rc.Emulated {
			r.untested(NotTested{What: rc.Fault + " for real", Why: "emulated on " + how})
		}
	}
	for i, c := range r.Checks {
		made++
		of := CauseCheck + strconv.Itoa(i+1)
		switch c.Verdict {
		case Fail:
			r.worse(NoGo, of, c.Name+" ("+c.When+"): "+c.Message)
		case Pass:
		case Skipped:
			made--
			r.untested(NotTested{What: c.Name + " (" + c.When + ")", Why: c.Message})
		default:
			r.worse(Inconclusive, of, c.Name+" ("+c.When+"): "+c.Message)
		}
	}
	for _, p := range r.Probes {
		if p.Samples == 0 {
			r.worse(Inconclusive, CauseProbe+p.Name, "probe "+p.Name+" took no sample")
		}
	}
	for _, g := range r.Gaps {
		r.worse(Inconclusive, CauseEvidence, g)
	}
	if made == 0 {
		r.worse(Inconclusive, CauseEvidence, "no check was made")
	}
}

// Whose a cause is: a step by its id, a fault by that of its receipt, a check by its number in the result, a probe by its name, or what is missing of the
// evidence.
const (
	CauseStep     = "step "
	CauseFault    = "fault "
	CauseCheck    = "check "
	CauseProbe    = "probe "
	CauseEvidence = "evidence"
)

// untested adds something that was not tested, once.
func (r *Result) untested(n NotTested) {
	if !slices.Contains(r.NotTested, n) {
		r.NotTested = append(r.NotTested, n)
	}
}

func (r *Result) worse(v Verdict, of, why string) {
	if r.Verdict == Go || v == NoGo {
		r.Verdict = v
	}
	r.Reasons, r.Causes = append(r.Reasons, why), append(r.Causes, Cause{v, of, why})
}

// Merge adds the parts of one cell of a matrix.
func (r *Result) Merge(label string, cell *Result) {
	in := func(s string) string {
		if label == "" {
			return s
		}
		return label + "/" + s
	}
	r.Cluster = append(r.Cluster, cell.Cluster...)
	for _, s := range cell.Steps {
		s.ID = in(s.ID)
		r.Steps = append(r.Steps, s)
	}
	r.Receipts = append(r.Receipts, cell.Receipts...) // their ids have the label already: the journal is shared
	for _, x := range cell.Logs {
		switch kind, id, _ := strings.Cut(x.Of, " "); kind + " " {
		case CauseStep:
			x.Of = CauseStep + in(id)
		case CauseCheck:
			n, _ := strconv.Atoi(id)
			x.Of = CauseCheck + strconv.Itoa(len(r.Checks)+n)
		}
		r.Logs = append(r.Logs, x)
	}
	for _, c := range cell.Checks {
		c.When = in(c.When)
		if c.Place != nil {
			at := *c.Place
			at.Cell, c.Place = label, &at
		}
		r.Checks = append(r.Checks, c)
	}
	for _, p := range cell.Probes {
		p.Name = in(p.Name)
		r.Probes = append(r.Probes, p)
	}
	for _, g := range cell.Gaps {
		r.Gaps = append(r.Gaps, strings.TrimPrefix(label+": "+g, ": "))
	}
	for _, n := range cell.NotTested {
		n.What = in(n.What)
		r.untested(n)
	}
	for _, p := range cell.Plan {
		p.ID = in(p.ID)
		r.Plan = append(r.Plan, p)
	}
	for _, t := range cell.Timelines {
		t.Label = strings.Trim(label+"/"+t.Label, "/")
		r.Timelines = append(r.Timelines, t)
	}
	r.Kept, r.Pictures = append(r.Kept, cell.Kept...), append(r.Pictures, cell.Pictures...)
	r.Fingerprints, r.Coverage = append(r.Fingerprints, cell.Fingerprints...), append(r.Coverage, cell.Coverage...)
	r.Tables, r.Plots, r.ARMCalls = append(r.Tables, cell.Tables...), append(r.Plots, cell.Plots...), append(r.ARMCalls, cell.ARMCalls...)
	if seen := cell.Tolerance.Observations; seen > 0 && (r.Tolerance.Observations == 0 || cell.Tolerance.Minimum < r.Tolerance.Minimum) {
		r.Tolerance.Minimum = cell.Tolerance.Minimum
	}
	r.Tolerance.Observations += cell.Tolerance.Observations
	r.Host = r.Host.merge(cell.Host)
	r.Tolerance.SecondsAtZero += cell.Tolerance.SecondsAtZero
	r.Tolerance.SecondsUnknown += cell.Tolerance.SecondsUnknown
	for _, s := range cell.Tolerance.Steps {
		s.ID = in(s.ID)
		r.Tolerance.Steps = append(r.Tolerance.Steps, s)
	}
}
