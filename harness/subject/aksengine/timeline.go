package aksengine

import (
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/subject"
)

// Timelines are the calls of each cell as its twin's log has them.
func (e *Evidence) Timelines() []*plan.Timeline {
	var out []*plan.Timeline
	for _, c := range e.Cells {
		if t := subject.CallTimeline(c.Cell.label(), "the twin's of this cell", c.Calls, c.Faults); t != nil {
			out = append(out, t)
		}
	}
	return out
}
