package health

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

// movesWithin is how long a leader that cannot lead may go on to be taken for one: two election time-outs, and an election in which votes were split.
const movesWithin = 2 * electionGap

// etcdLeaderMoves asks the members that the fault is not on: one of them leads in the place of the one it is on, and stays so. What a member with the fault
// says of itself may be old.
func etcdLeaderMoves(r *Record, w *Window, p Params) (plan.Verdict, string) {
	limit := cmp.Or(p.MaxGap, movesWithin)
	led, now := "", "" // before the fault, and at the last look
	var since, last time.Time
	for _, o := range r.Observations {
		if !o.Time.Before(w.Recover) {
			break
		}
		before := !o.Time.After(w.Began)
		for _, m := range o.Members {
			switch {
			case !m.IsLeader():
			case before:
				led = m.Machine
			case !slices.Contains(w.Machines, m.Machine) && m.Machine != now:
				now, since = m.Machine, o.Time
			}
		}
		if !before && slices.ContainsFunc(o.Members, func(m etcd.Member) bool { return m.Error == "" && !slices.Contains(w.Machines, m.Machine) }) {
			last = o.Time
		}
	}
	until := since // the new leader was seen, or else somebody who could have led
	if now == "" {
		until = last
	}
	unseen := r.Blind().Unseen(w.Began, until)
	switch {
	case led == "":
		return plan.Unknown, "who led before the fault was not seen"
	case !slices.Contains(w.Machines, led):
		return plan.Unknown, fmt.Sprintf("the fault is not on %s, which led", led)
	case now == "" && last.Sub(w.Began) <= limit:
		return plan.Unknown, fmt.Sprintf("the members without the fault were last seen %s after it began, and have %s", last.Sub(w.Began).Round(100*time.Millisecond), limit)
	case until.Sub(w.Began) > limit && until.Sub(w.Began)-unseen <= limit:
		return plan.Unknown, fmt.Sprintf("%s after the fault began nobody was seen to lead in the place of %s within %s, and for %s of it the harness was stalled",
			until.Sub(w.Began).Round(100*time.Millisecond), led, limit, unseen.Round(100*time.Millisecond))
	case now == "":
		return plan.Fail, fmt.Sprintf("none of the members without the fault led in the place of %s until %s", led, clock(last))
	case since.Sub(w.Began) > limit:
		return plan.Fail, fmt.Sprintf("the member on %s led in the place of %s only %s after the fault began, above %s", now, led, since.Sub(w.Began).Round(100*time.Millisecond), limit)
	}
	return plan.Pass, fmt.Sprintf("the member on %s led in the place of %s, seen %s after the fault began", now, led, since.Sub(w.Began).Round(100*time.Millisecond))
}
