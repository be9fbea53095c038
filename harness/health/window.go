package health

import (
	"slices"
	"time"

	"drydock.dev/drydock/harness/observe"
)

// Window is a fault's time as checks need it.
type Window struct {
	ID        string
	Machines  []string
	Expected  bool      // the loss of quorum is what the scenario wants
	Upgrade   bool      // no fault but a step of an upgrade that restarts what runs on the machines
	Began     time.Time // from here on losses are the fault's
	Effective time.Time // zero when its effect was never seen
	Recover   time.Time // when undoing it began
	Cleared   time.Time // when all was seen to be as before; zero when it was not
	Refused   string    // why undoing it failed; empty when it did not
}

// settle is how long after a fault was seen to be over its late effects are still its own.
const settle = 3 * time.Second

func (r *Record) expected(t time.Time) bool {
	for _, w := range r.Windows {
		if w.Expected && w.covers(t) {
			return true
		}
	}
	return false
}

// replaceWithin is how long after a fault its lost pods may still be missing.
const replaceWithin = 30 * time.Second

func laterThan(t time.Time, d time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(d)
}

func (w Window) covers(t time.Time) bool {
	return !w.Began.IsZero() && t.After(w.Began.Add(-observe.For)) && (w.Cleared.IsZero() || t.Before(w.Cleared.Add(settle)))
}

// planned reports whether a fault accounts for the loss of a machine's member at a time: it was the fault's
// own, or the fault took the quorum and so everybody's health.
func (r *Record) planned(machine string, t time.Time) bool {
	for _, w := range r.Windows {
		if w.covers(t) && (w.Expected || slices.Contains(w.Machines, machine)) {
			return true
		}
	}
	return false
}
