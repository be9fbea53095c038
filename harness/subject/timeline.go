package subject

import (
	"cmp"
	"fmt"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/plan"
)

// Timelines are the calls of each subject as its twin's log has them, by the twin's clock: each subject has a twin, and a clock, of its own.
func (e *Evidence) Timelines() []*plan.Timeline {
	var out []*plan.Timeline
	for i := range e.Subjects {
		s := &e.Subjects[i]
		t := CallTimeline(s.Subject.Name, fmt.Sprintf("the twin's of %s, %.3g times as fast as the wall's", s.Subject.Name, s.Factor), s.Calls, s.Faults)
		if t == nil {
			continue
		}
		if s.Begun.After(t.First) && s.Begun.Before(t.Last) {
			t.Began = s.Begun
		}
		out = append(out, t)
	}
	return out
}

// CallTimeline is a twin's call log over time, by the twin's clock, with the faults it had. Nil: nobody called.
func CallTimeline(label, clock string, calls []arm.Call, faults []azure.Fault) *plan.Timeline {
	if len(calls) == 0 {
		return nil
	}
	first, last := calls[0].Time, calls[len(calls)-1].Time
	t := &plan.Timeline{Label: label, Clock: clock, First: first, Began: first, Ended: last, Last: last}
	for _, f := range faults {
		w := plan.FaultWindow{ID: f.ID, Name: f.Describe(), Armed: f.Began, Recover: f.Ended}
		if f.For > 0 {
			w.Recover = f.Began.Add(f.For)
		}
		for _, c := range calls {
			if c.Fault == f.ID && f.ID != "" {
				w.Effective = c.Time
				break
			}
		}
		w.Cleared = w.Recover
		t.Faults = append(t.Faults, w)
	}
	var all []plan.ARMCall
	for _, c := range calls {
		x := c.Told()
		if c.Poll {
			x.Polled = cmp.Or(c.Polled, c.Operation)
		}
		all = append(all, x)
	}
	t.Groups = []plan.Lanes{plan.CallLanes(all)}
	return t
}
