package aksengine

import (
	"fmt"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/standin"
	"drydock.dev/drydock/harness/plan"
)

// Evidence is all that the verdict is made of. It is kept, so that the run can be judged again.
type Evidence struct {
	Story    *Story  `json:"story"`
	Deployed Command `json:"deployed"`
	Cells    []Told  `json:"cells"`
}

// Command is one that has ended, and what there was then.
type Command struct {
	Ended
	After After `json:"after"`
}

// Told is what is known of one cell.
type Told struct {
	Cell     Cell             `json:"cell"`
	Dir      string           `json:"dir"`            // with the tool's logs, below the run's
	Commands []Command        `json:"commands"`       // the upgrade, the same again, and with --force
	Changes  []standin.Change `json:"changes"`        // of the masters
	Faults   []azure.Fault    `json:"faults"`         // as they ended
	Calls    []arm.Call       `json:"calls"`          // the twin's log
	Lost     int              `json:"lost,omitempty"` // calls before the first of them, which the log had no room for
	Clock    *Reading         `json:"clock,omitempty"`
}

// Reading is what the clocks of the wall and of a twin said at a moment, and how many times as fast the twin's goes: commands and masters are told of by the
// one, calls by the other.
type Reading struct {
	Wall   time.Time `json:"wall"`
	Twin   time.Time `json:"twin"`
	Factor float64   `json:"factor"`
}

// wall is a time of the twin's by the wall's clock; none stays none.
func (r Reading) wall(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return r.Wall.Add(time.Duration(float64(t.Sub(r.Twin)) / r.Factor))
}

// judged is a cell with what was asked of all.
type judged struct {
	*Told
	story *Story
}

// lowest is how few masters were alive at some moment from one time to another, and for how long there was no quorum.
func (c judged) lowest(from, to time.Time) (alive int, without time.Duration) {
	alive, last := c.story.Masters, standin.Change{Alive: c.story.Masters, Quorum: true, Time: from}
	step := func(until time.Time) {
		if until.After(from) {
			alive = min(alive, last.Alive)
			if begun := last.Time; !last.Quorum {
				if begun.Before(from) {
					begun = from
				}
				without += until.Sub(begun)
			}
		}
	}
	for _, ch := range c.Changes {
		if ch.Members < c.story.Masters { // the cluster is being made
			continue
		}
		if ch.Time.After(to) {
			break
		}
		step(ch.Time)
		last = ch
	}
	step(to)
	return alive, without
}

// span is from the first command's beginning to the last one's end.
func (c judged) span() (from, to time.Time) {
	if len(c.Commands) == 0 {
		return from, to
	}
	last := c.Commands[len(c.Commands)-1]
	return c.Commands[0].Begun, last.Begun.Add(last.Took)
}

// receipt is the fault as the twin's call log has it.
func (c judged) receipt(n int) plan.Receipt {
	r := plan.Receipt{ID: fmt.Sprintf("cell-%02d", n+1), Fault: "arm " + c.Cell.armed().Describe(), Target: c.Cell.label(), Machines: []string{}, Evidence: []plan.Evidence{}, State: plan.NotInjected}
	if len(c.Faults) == 0 {
		r.Error = "never injected: it was not armed"
		return r
	}
	f := c.Faults[0]
	r.Armed, r.State = f.Began, plan.Mismatch
	r.Error = "no call was struck"
	if f.Struck == 0 {
		return r
	}
	var first arm.Call
	for _, call := range c.Calls {
		if call.Fault == f.ID {
			first = call
			break
		}
	}
	r.EffectiveAt, r.Error = first.Time, ""
	if first.Time.IsZero() { // an operation of a deployment's, which is no call
		r.EffectiveAt = f.Began
	}
	r.Evidence = append(r.Evidence, plan.Evidence{Time: r.EffectiveAt, Observer: "call log of the twin", Saw: strings.TrimSpace(fmt.Sprintf("%d struck: %s %s", f.Struck, first.Operation, first.Path))})
	if f.Ended.IsZero() {
		r.State, r.Error = plan.NotInjected, "its end was not seen"
		return r
	}
	r.State, r.ClearedAt = plan.Confirmed, f.Ended
	r.Evidence = append(r.Evidence, plan.Evidence{Time: f.Ended, Observer: "the twin", Saw: "it was armed no more while the commands after it ran"})
	return r
}
