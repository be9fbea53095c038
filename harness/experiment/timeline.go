package experiment

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Outlined is the journal's word of what a cell was going to do.
type Outlined struct {
	Label string         `json:"label,omitempty"`
	Steps []plan.Planned `json:"steps"`
}

// timeline is what the evidence shows over time; nil: nothing was looked at.
func (e *Evidence) timeline() *plan.Timeline {
	t := health.Timeline(&e.Record)
	if t == nil {
		return nil
	}
	faults(t, e.Receipts)
	if calls := plan.CallLanes(health.ARMCalls(&e.Record)); len(calls.Lanes) > 0 {
		at := slices.IndexFunc(t.Groups, func(g plan.Lanes) bool { return g.Name == plan.LanesProbes })
		t.Groups = slices.Insert(t.Groups, max(0, at), calls)
	}
	for i := range t.Faults {
		f := &t.Faults[i]
		for _, p := range e.Planned {
			if p.ID == f.ID {
				f.Name, f.Cleared = p.Name, cmp.Or(e.window(p.Step).Cleared, f.Cleared)
			}
		}
	}
	widen(t, e.Steps)
	if others := elsewhere(e.Upgrade, e.Steps); len(others.Lanes) > 0 {
		t.Groups = append([]plan.Lanes{others}, t.Groups...)
	}
	return t
}

// widen makes room for what was done before and after anybody looked.
func widen(t *plan.Timeline, steps []plan.StepDone) {
	for _, s := range steps {
		if s.Started.IsZero() {
			continue
		}
		if s.Started.Before(t.First) {
			t.First = s.Started
		}
		if s.Ended().After(t.Last) {
			t.Last = s.Ended()
		}
	}
}

// faults are the windows of receipts. When a fault was seen to be over is not in them.
func faults(t *plan.Timeline, receipts []plan.Receipt) {
	for _, r := range receipts {
		if r.Armed.IsZero() {
			continue
		}
		w := plan.FaultWindow{ID: r.ID, Name: strings.TrimSuffix(r.Fault+" of "+r.Target, " of "), Machines: r.Machines, Armed: r.Armed, Effective: r.EffectiveAt, Recover: r.ClearedAt}
		if r.State == plan.Confirmed { // then somebody saw its end; of a fault of machines its window says when
			w.Cleared = r.ClearedAt
		}
		t.Faults = append(t.Faults, w)
	}
}

// elsewhere are the steps that a process of its own did: as many lanes as went on at a time.
func elsewhere(all, own []plan.StepDone) plan.Lanes {
	g := plan.Lanes{Name: "Steps of the process that was started", About: "What a process of its own did, by its journal; red: it was killed in it, or failed."}
	rest := slices.DeleteFunc(slices.Clone(all), func(d plan.StepDone) bool {
		return d.Started.IsZero() || d.Status == "skipped" || slices.ContainsFunc(own, func(o plan.StepDone) bool { return o.ID == d.ID && o.Started.Equal(d.Started) })
	})
	slices.SortStableFunc(rest, func(a, b plan.StepDone) int { return a.Started.Compare(b.Started) })
	for _, d := range rest {
		s := plan.Span{From: d.Started, To: d.Ended(), Tone: plan.ToneOK, Label: d.Name, More: d.Status}
		switch d.Status {
		case "done":
		case "expected":
			s.Tone = plan.ToneWarn
		default:
			s.Tone = plan.ToneBad
		}
		i := slices.IndexFunc(g.Lanes, func(l plan.Lane) bool { return !l.Spans[len(l.Spans)-1].To.After(s.From) })
		if i < 0 {
			i = len(g.Lanes)
			g.Lanes = append(g.Lanes, plan.Lane{Name: "its steps", Of: []string{"step"}})
		}
		g.Lanes[i].Spans = append(g.Lanes[i].Spans, s)
	}
	return g
}

// remains are the parts of a cell's evidence that its journal has: of a run that was cut off there is nothing else. A step that had begun and not ended when
// the journal stops is unfinished.
func (j *chronicle) remains() *Evidence {
	e := &Evidence{}
	receipt, step := map[string]int{}, map[string]int{}
	for _, x := range j.entries {
		var s plan.StepDone
		var g fault.Journalled
		var o observe.Observation
		switch {
		case x.Kind == "step-started" && json.Unmarshal(x.Data, &s) == nil:
			s.Status, s.DurationSeconds, s.Error = "unfinished", j.last.Time.Sub(s.Started).Seconds(), "the journal stops while it ran"
			step[s.ID] = len(e.Steps)
			e.Steps = append(e.Steps, s)
		case x.Kind == "step" && json.Unmarshal(x.Data, &s) == nil:
			if i, begun := step[s.ID]; begun {
				e.Steps[i] = s
				continue
			}
			e.Steps = append(e.Steps, s)
		case x.Kind == "waiting": // the last word of a step that never ended is why
			var w plan.Waiting
			if json.Unmarshal(x.Data, &w) != nil {
				continue
			}
			if i, begun := step[w.ID]; begun && e.Steps[i].Status == "unfinished" {
				e.Steps[i].Error = "the journal stops while it ran; it waited for " + w.For + ", and saw last: " + w.Seen
			}
		case x.Kind == "receipt" && json.Unmarshal(x.Data, &g) == nil:
			if i, seen := receipt[g.Receipt.ID]; seen {
				e.Receipts[i] = g.Receipt
				continue
			}
			receipt[g.Receipt.ID] = len(e.Receipts)
			e.Receipts = append(e.Receipts, g.Receipt)
		case x.Kind == "observation" && json.Unmarshal(x.Data, &o) == nil:
			e.Record.Observations = append(e.Record.Observations, o)
		}
	}
	return e
}

// planOf is what the journal says that a cell was going to do; a run of before that has not said it.
func (j *chronicle) planOf(label string) []plan.Planned {
	for _, x := range j.entries {
		var o Outlined
		if x.Kind == "plan" && json.Unmarshal(x.Data, &o) == nil && o.Label == label {
			return o.Steps
		}
	}
	return nil
}

// stretch is a time around something.
type stretch struct{ from, to time.Time }

func (s stretch) has(t time.Time) bool { return !t.Before(s.from) && !t.After(s.to) }
