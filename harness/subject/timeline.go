package subject

import (
	"cmp"
	"fmt"

	"drydock.dev/drydock/harness/plan"
)

// Timelines are the calls of each subject as its twin's log has them, by the twin's clock: each subject has a twin, and a clock, of its own.
func (e *Evidence) Timelines() []*plan.Timeline {
	var out []*plan.Timeline
	for i := range e.Subjects {
		if t := e.Subjects[i].timeline(); t != nil {
			out = append(out, t)
		}
	}
	return out
}

func (s *Told) timeline() *plan.Timeline {
	if len(s.Calls) == 0 {
		return nil
	}
	first, last := s.Calls[0].Time, s.Calls[len(s.Calls)-1].Time
	t := &plan.Timeline{Label: s.Subject.Name, Clock: fmt.Sprintf("the twin's of %s, %.3g times as fast as the wall's", s.Subject.Name, s.Factor), First: first, Began: s.Begun, Ended: last, Last: last}
	if t.Began.IsZero() || t.Began.After(last) {
		t.Began = first
	}
	for _, f := range s.Faults {
		w := plan.FaultWindow{ID: f.ID, Name: f.Describe(), Armed: f.Began, Recover: f.Ended}
		if f.For > 0 {
			w.Recover = f.Began.Add(f.For)
		}
		for _, c := range s.Calls {
			if c.Fault == f.ID && f.ID != "" {
				w.Effective = c.Time
				break
			}
		}
		w.Cleared = w.Recover
		t.Faults = append(t.Faults, w)
	}
	var calls []plan.ARMCall
	for _, c := range s.Calls {
		calls = append(calls, plan.ARMCall{Time: c.Time, Principal: c.Principal, Operation: c.Operation, Status: c.Status, Throttled: c.Throttled, Fault: c.Fault, Seconds: c.Seconds})
		if c.Poll {
			calls[len(calls)-1].Polled = cmp.Or(c.Polled, c.Operation)
		}
	}
	t.Groups = []plan.Lanes{plan.CallLanes(calls)}
	return t
}
