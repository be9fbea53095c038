package health

import (
	"fmt"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// Remedy is what a runbook did in a run.
type Remedy struct {
	Runbook string    `json:"runbook"`
	Wanted  string    `json:"wanted,omitempty"` // refused or failed, which its own step judges
	Fault   string    `json:"fault,omitempty"`  // that it was to mend; empty: none was made for it
	Broken  time.Time `json:"broken,omitzero"`  // when that was injected
	Seen    time.Time `json:"seen,omitzero"`    // when it was seen to be effective
	// Unheeded is how long it then held before anybody came.
	Unheeded time.Duration   `json:"unheeded,omitempty"`
	Mended   time.Time       `json:"mended,omitzero"` // when somebody other than the runbook saw it over
	Steps    []plan.StepDone `json:"steps"`           // the runbook's, of whichever process, in the order of time
	Idle     bool            `json:"idle,omitempty"`  // every step that mends had a reason not to: the others looked, and let go of what they held meanwhile
	Error    string          `json:"error,omitempty"` // why it did not end well
	Cut      bool            `json:"cut,omitempty"`   // the run was interrupted: how it would have ended nobody knows
	// Images are the versions that it was to give images of a name, and Notes what its steps saw and did that a reader should know.
	Images map[string]string `json:"images,omitempty"`
	Notes  []Note            `json:"notes,omitempty"`
}

// Note is something that a step of a runbook saw or did.
type Note struct {
	Time    time.Time `json:"time"`
	Machine string    `json:"machine,omitempty"` // it is about
	What    string    `json:"what"`
}

// Remedied is the check that every run with a runbook makes.
const Remedied = "remedied"

// remedied judges whether each runbook has done what it is for.
func remedied(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	verdict, made := plan.Pass, 0
	var says []string
	for _, m := range r.Remedies {
		if m.Wanted != "" {
			continue
		}
		made++
		v, why := m.judge()
		if v == plan.Fail || verdict == plan.Pass {
			verdict = v
		}
		says = append(says, m.Runbook+": "+why)
	}
	if made == 0 {
		return plan.Skipped, "every runbook was to be refused or to fail, which its step judges"
	}
	return verdict, strings.Join(says, "; ")
}

func (m Remedy) judge() (plan.Verdict, string) {
	acted := false // of evidence of before idle was told it is known only of the two steps that all have
	for _, s := range m.Steps {
		acted = acted || s.Status == "done" && !strings.HasSuffix(s.Name, "/diagnose") && !strings.HasSuffix(s.Name, "/gate")
	}
	acted = acted && !m.Idle
	switch {
	case m.Cut:
		return plan.Unknown, "the run was interrupted"
	case m.Error != "":
		return plan.Fail, "it did not end well: " + m.Error
	case len(m.Steps) == 0:
		return plan.Unknown, "its turn did not come"
	case m.Fault == "" && !acted:
		return plan.Unknown, "it found nothing to do"
	case m.Fault == "":
		return plan.Pass, "it ended well"
	case m.Seen.IsZero():
		return plan.Unknown, m.Fault + " was not seen to be effective: there was nothing to mend"
	case m.Mended.IsZero():
		return plan.Fail, m.Fault + " was not seen to be over when it had ended"
	case !acted:
		return plan.Unknown, "it found nothing to do, and " + m.Fault + " was over all the same"
	}
	return plan.Pass, fmt.Sprintf("it mended %s, %s after that was injected", m.Fault, round(m.Mended.Sub(m.Broken)))
}

// Recoveries is a table of how long each recovery took, in its four parts: until somebody saw the fault and came, until the runbook had diagnosed, until its last
// act, and until the cluster was whole again.
func Recoveries(r *Record) []plan.Table {
	t := plan.Table{Title: "Recovery by runbooks", Columns: []string{"runbook", "fault", "detect", "decide", "act", "converge", "all"}}
	for _, m := range r.Remedies {
		row, from, missed := []string{m.Runbook, m.Fault}, m.Broken, m.Broken.IsZero()
		for _, p := range m.phases() {
			missed = missed || p.to.IsZero()
			row = append(row, round(p.to.Sub(from)).String())
			from = p.to
		}
		if !missed {
			t.Rows = append(t.Rows, append(row, round(from.Sub(m.Broken)).String()))
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []plan.Table{t}
}

// RunbookNotes is what the runbooks told, in the order of time.
func RunbookNotes(r *Record) []plan.Table {
	t := plan.Table{Title: "What runbooks saw and did", Columns: []string{"time", "runbook", "machine", "what"}}
	for _, m := range r.Remedies {
		for _, n := range m.Notes {
			t.Rows = append(t.Rows, []string{n.Time.Format(time.TimeOnly), m.Runbook, n.Machine, strings.TrimSpace(n.What)})
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []plan.Table{t}
}
