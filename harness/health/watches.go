package health

import (
	"fmt"
	"slices"
	"time"

	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

// What etcd promises a watcher (https://etcd.io/docs/v3.6/learning/api_guarantees/): events come in the order of their revisions, a revision whole
// and at once, none twice, none left out, none from before the revision that was asked for, and a notice of progress only when all before it was sent.

// watchOrdered judges the order of what each watcher was sent.
func watchOrdered(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	return r.watches("events", func(w load.Watch) (n int, wrong string) {
		var last, from int64
		for _, a := range w.Answers {
			if a.Kind == load.WatchOpened {
				from = a.From
			}
			answered := last
			for _, e := range a.Events {
				n++
				switch {
				case wrong != "":
				case e.Revision < from:
					wrong = fmt.Sprintf("was sent %s, and was opened from %d on", e, from)
				case e.Revision < last:
					wrong = fmt.Sprintf("went back in time: after revision %d it was sent %s", last, e)
				case e.Revision == answered:
					wrong = fmt.Sprintf("was sent revision %d in parts, or twice: %s came in an answer of its own", answered, e)
				}
				last = max(last, e.Revision)
			}
		}
		return n, wrong
	})
}

// watchUnique judges that no watcher was sent the same twice.
func watchUnique(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	return r.watches("events", func(w load.Watch) (int, string) {
		seen, twice, first := map[place]bool{}, 0, ""
		for _, e := range events(w) {
			if at := placeOf(e); !seen[at] {
				seen[at] = true
			} else if twice++; twice == 1 {
				first = e.String()
			}
		}
		if twice == 0 {
			return len(seen), ""
		}
		return len(seen), fmt.Sprintf("was sent %d events twice, %s first", twice, first)
	})
}

// watchBookmarks judges that nothing came after a notice that all before it had been sent.
func watchBookmarks(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	return r.watches("notices of progress", func(w load.Watch) (n int, wrong string) {
		var promised int64
		had := map[place]bool{} // what comes twice is watchUnique's
		for _, a := range w.Answers {
			switch a.Kind {
			case load.WatchOpened:
				promised = 0 // a member knows nothing of what another stream was told
			case load.WatchProgress:
				n++
				promised = max(promised, a.Revision)
			}
			for _, e := range a.Events {
				if wrong == "" && e.Revision <= promised && !had[placeOf(e)] {
					wrong = fmt.Sprintf("was told that it had all up to revision %d, and only then sent %s", promised, e)
				}
				had[placeOf(e)] = true
			}
		}
		return n, wrong
	})
}

// watches judges each watch by itself. how counts what the watch has of what it is judged by, and says what is wrong.
func (r *Record) watches(what string, how func(w load.Watch) (n int, wrong string)) (plan.Verdict, string) {
	if r.Watched == nil || len(r.Watched.Watches) == 0 {
		return plan.Unknown, "nobody watched"
	}
	var wrong, unclear []string
	all := 0
	for _, w := range r.Watched.Watches {
		n, why := how(w)
		all += n
		switch short := cutShort(w); {
		case why != "":
			wrong = append(wrong, fmt.Sprintf("%s %s", w, why))
		case short != "":
			unclear = append(unclear, fmt.Sprintf("%s %s", w, short))
		case n == 0:
			unclear = append(unclear, fmt.Sprintf("%s was sent no %s", w, what))
		}
	}
	return worst(wrong, unclear, []string{fmt.Sprintf("%d watches were sent %d %s", len(r.Watched.Watches), all, what)})
}

// place is where a change stands: a transaction changes several keys at one revision.
type place struct {
	revision int64
	key      string
}

func placeOf(e load.Event) place { return place{e.Revision, e.Key} }

func events(w load.Watch) []load.Event {
	var out []load.Event
	for _, a := range w.Answers {
		out = append(out, a.Events...)
	}
	return out
}

// known is a change that is known to have been made, and how.
type known struct {
	load.Event
	by string
}

// changes are all that are known to have been made, in the order of their revisions.
func changes(w *load.Watched) []known {
	there := map[place]bool{}
	var out []known
	add := func(e load.Event, by string) {
		if !there[placeOf(e)] {
			there[placeOf(e)] = true
			out = append(out, known{e, by})
		}
	}
	for _, e := range w.Acknowledged {
		add(e, "which was acknowledged")
	}
	for _, e := range w.Left {
		add(e, "which was there at the end")
	}
	for _, other := range w.Watches {
		for _, e := range events(other) {
			add(e, "which "+other.String()+" was sent")
		}
	}
	slices.SortStableFunc(out, func(a, b known) int { return int(a.Revision - b.Revision) })
	return out
}

// watchComplete holds what each watcher was sent against every change that is known to have been made.
func watchComplete(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if r.Watched == nil || len(r.Watched.Watches) == 0 {
		return plan.Unknown, "nobody watched"
	}
	made := changes(r.Watched)
	var wrong, unclear []string
	all := 0
	for _, w := range r.Watched.Watches {
		expected, missed := missing(w, made)
		all += expected
		switch why := cutShort(w); {
		case missed != "":
			wrong = append(wrong, fmt.Sprintf("%s %s", w, missed))
		case why != "":
			unclear = append(unclear, fmt.Sprintf("%s %s", w, why))
		}
	}
	if why := r.Watched.Error; why != "" {
		unclear = append(unclear, "what there is at the end is not known: "+why)
	}
	if all == 0 {
		unclear = append(unclear, "no change was made that any watcher had to be sent")
	}
	return worst(wrong, unclear, []string{fmt.Sprintf("%d watches were sent all of %d changes that each had to be", len(r.Watched.Watches), all)})
}

// cutShort says why nobody knows all that the watch would have been sent; empty: it was given the time.
func cutShort(w load.Watch) string {
	switch {
	case w.From == 0:
		return "was never opened"
	case !w.Streamed:
		return "had no stream when it ended: what came after its last event is not known"
	case w.Fence == 0:
		return "was ended without a last write to wait for: what was on its way is not known"
	}
	return ""
}

// missing counts the changes that the watch had to be sent, and says which it was not, or was sent as something else.
func missing(w load.Watch, made []known) (expected int, why string) {
	had, until := map[place]load.Event{}, int64(0)
	for _, e := range events(w) {
		had[placeOf(e)] = e
		until = max(until, e.Revision)
	}
	if cutShort(w) == "" {
		until = w.Fence
	}
	lost, first := 0, ""
	for _, k := range made {
		if w.From == 0 || !w.Of(k.Key) || k.Revision < w.From || k.Revision > until || compacted(w, k.Revision) {
			continue
		}
		expected++
		e, sent := had[placeOf(k.Event)]
		switch {
		case !sent:
			if lost++; lost == 1 {
				first = fmt.Sprintf("%s, %s", k, k.by)
			}
		case why == "" && (e.Deleted != k.Deleted || e.Sum != k.Sum && e.Sum != 0 && k.Sum != 0): // a sum of 0 is not known
			why = fmt.Sprintf("was sent %s, and that was %s with another value, %s", e, k, k.by)
		}
	}
	if lost > 0 {
		why = fmt.Sprintf("was never sent %d of %d changes: %s", lost, expected, first)
	}
	return expected, why
}

// compacted reports whether the watcher was told that the revision is gone, and had not come so far by itself.
func compacted(w load.Watch, revision int64) bool {
	var last int64
	for _, a := range w.Answers {
		if a.Kind == load.WatchCompacted && last < revision && revision < a.Revision {
			return true
		}
		for _, e := range a.Events {
			last = max(last, e.Revision)
		}
	}
	return false
}

// revisionMonotonic judges that what a quorum has said once stays said.
func revisionMonotonic(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	var last, n int64
	var when time.Time
	for _, o := range r.Observations { // one after the other, which the last look is not
		revision := o.Quorum.Revision
		if revision == 0 {
			continue
		}
		if revision < last {
			return plan.Fail, fmt.Sprintf("the revision went back: a linearizable read was answered at %d at %s, and at %d at %s", last, clock(when), revision, clock(o.Time))
		}
		last, when = revision, o.Time
		n++
	}
	if n < 2 {
		return plan.Unknown, fmt.Sprintf("%d linearizable reads told a revision, and two are needed to compare", n)
	}
	if why := r.silentAtEnd(when); why != "" {
		return plan.Unknown, why
	}
	return plan.Pass, fmt.Sprintf("%d linearizable reads, the last at revision %d", n, last)
}
