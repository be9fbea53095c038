package experiment

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// doubt says why a receipt that calls itself confirmed is none: what it tells of was not seen, not in this order, or before it was done. A receipt is
// believed by what it holds, not by its word.
func doubt(r plan.Receipt) string {
	var effect, end bool
	for _, v := range r.Evidence {
		if v.Time.Before(r.Armed) {
			return fmt.Sprintf("what %s saw at %s is older than the injection at %s", v.Observer, v.Time.Format(time.TimeOnly), r.Armed.Format(time.TimeOnly))
		}
		effect = effect || !v.Time.After(r.EffectiveAt.Add(time.Second))
		end = end || !v.Time.Before(r.ClearedAt)
	}
	switch {
	case r.Armed.IsZero() || r.EffectiveAt.Before(r.Armed) || r.ClearedAt.Before(r.EffectiveAt):
		return "its times are not those of an injection, an effect and an end"
	case !effect:
		return "no evidence of its effect is kept"
	case !end:
		return "no evidence of its end is kept"
	}
	return ""
}

// backwards is how much earlier than the entry before it an entry may say it is: several write at a time, and a host's clock is corrected.
const backwards = time.Second

// disordered says which entry of a journal tells a time that cannot be: everything judged by times would be judged by that.
func disordered(entries []plan.Entry) string {
	for i, e := range entries {
		if i > 0 && entries[i-1].Time.Sub(e.Time) > backwards {
			return fmt.Sprintf("the journal's clock ran backwards: entry %q of %s follows %q of %s", e.Kind, e.Time.Format(time.DateTime), entries[i-1].Kind, entries[i-1].Time.Format(time.DateTime))
		}
	}
	return ""
}

// strange lists the windows that are not those of the receipts: what is excused is what was done, to whom and when, and nothing besides.
func (e *Evidence) strange() []string {
	var out []string
	for _, w := range e.Record.Windows {
		if w.Upgrade || w.Began.IsZero() {
			continue
		}
		own := slices.ContainsFunc(e.Planned, func(p PlannedFault) bool {
			return p.Step == w.ID && slices.ContainsFunc(e.Receipts, func(r plan.Receipt) bool {
				return r.ID == p.ID && slices.Equal(r.Machines, w.Machines) && r.Armed.Equal(w.Began) && r.EffectiveAt.Equal(w.Effective) && r.ClearedAt.Equal(w.Recover)
			})
		})
		if !own {
			out = append(out, fmt.Sprintf("what is excused as fault %s, on %s from %s on, is not what a receipt tells of", w.ID, strings.Join(w.Machines, ", "), w.Began.Format(time.TimeOnly)))
		}
	}
	return out
}
