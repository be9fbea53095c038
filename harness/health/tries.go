package health

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/load"
)

// try is a probe's try with the time it stands for: until the next one.
type try struct {
	load.Sample
	stands  time.Duration // without what was not seen
	unknown bool          // it failed and is no evidence, or it is excused
	excused bool          // it failed, and a fault or a step accounts for it
	quiet   bool          // nothing of the scenario was on the control plane then
}

func (t try) down() bool { return !t.Good() && !t.unknown }

// denied reports whether the failure can be nothing else: nobody listens, or the answer is that the request may not be made. A slow machine
// brings about neither.
func (t try) denied() bool {
	return t.Class == cluster.Refused || t.Class == cluster.Answered && (strings.Contains(t.Err, uncalledWebhook) ||
		t.Status >= 400 && t.Status < 500 && t.Status != http.StatusRequestTimeout && t.Status != http.StatusTooManyRequests)
}

// uncalledWebhook is how an API server says that it let a webhook decide which could not be asked: k8s.io/apiserver, admission/plugin/webhook. It
// answers 500 then, as it does while etcd elects; the one ends by itself and the other does not.
const uncalledWebhook = "failed calling webhook"

// erred reports whether an answer came that the server could not do it now.
func (t try) erred() bool { return t.Class == cluster.Answered && !t.denied() }

// tries are the samples with what is known of their time. excused and quiet may be nil: nothing is excused, all is quiet.
func tries(samples []load.Sample, blind Blind, excused, quiet func(from, to time.Time) bool) []try {
	out := make([]try, 0, len(samples))
	for i, s := range samples {
		next := s.End
		if i+1 < len(samples) {
			next = samples[i+1].Start
		}
		t := try{Sample: s, stands: max(0, next.Sub(s.Start)-blind.Unseen(s.Start, next)), quiet: quiet == nil || quiet(s.Start, s.End)}
		t.excused = !s.Good() && excused != nil && excused(s.Start, s.End)
		t.unknown = t.excused || !s.Good() && !blind.Evidence(s.Class, s.Start, s.End)
		out = append(out, t)
	}
	return out
}

// gap is a time in which all tries failed.
type gap struct {
	began  time.Time
	took   time.Duration
	tries  int
	quiet  bool // all of it
	denied part // of it: time is not what was wanting
	erred  part // of it
	last   load.Sample
}

// part of a gap is how long some of its tries stood for, and what the last of them said.
type part struct {
	took time.Duration
	said string
}

// gaps are the times without a success. What is unknown neither ends one nor makes it longer.
func gaps(ts []try) []gap {
	var out []gap
	open := false
	for _, t := range ts {
		switch {
		case t.unknown:
		case t.Good():
			open = false
		case !open:
			out = append(out, gap{began: t.Start, quiet: true})
			open = true
			fallthrough
		default:
			out[len(out)-1].add(t)
		}
	}
	return out
}

func (g *gap) add(t try) {
	g.took, g.tries, g.last, g.quiet = g.took+t.stands, g.tries+1, t.Sample, g.quiet && t.quiet
	switch {
	case t.denied():
		g.denied = part{g.denied.took + t.stands, t.Err}
	case t.erred():
		g.erred = part{g.erred.took + t.stands, t.Err}
	}
}

// dark is the longest time without a success of which not all was seen: what was cannot tell how long it really was. What is excused neither ends
// it nor makes it longer. quiet is whether all of it was.
func dark(ts []try) (since time.Time, took time.Duration, quiet bool) {
	var begun time.Time
	var full, visible time.Duration
	calm := true
	for i, t := range ts {
		switch {
		case t.Good():
			begun, full, visible, calm = time.Time{}, 0, 0, true
			continue
		case t.excused:
			continue
		case begun.IsZero():
			begun = t.Start
		}
		next := t.End
		if i+1 < len(ts) {
			next = ts[i+1].Start
		}
		full, calm = full+next.Sub(t.Start), calm && t.quiet
		if !t.unknown {
			visible += t.stands
		}
		if full > visible && full > took {
			since, took, quiet = begun, full, calm
		}
	}
	return since, took, quiet
}

func longest(gs []gap) gap {
	if len(gs) == 0 {
		return gap{}
	}
	return slices.MaxFunc(gs, func(a, b gap) int { return int(a.took - b.took) })
}

// besides is the share of the time beside the longest gap in which tries failed: one success now and then does not make something available. Few
// failures in a row count as tries, however long each took: a client takes its servers in turn, and of three of which one is frozen that one costs it two
// thirds of its time.
func besides(ts []try) float64 {
	var down, one, all time.Duration
	for _, g := range gaps(ts) {
		if g.tries <= few {
			g.took = min(g.took, time.Duration(g.tries)*tryEvery)
		}
		down += g.took
		one = max(one, g.took)
	}
	for _, t := range ts {
		if t.Good() {
			all += t.stands
		}
	}
	if all += down; all-one < 2*time.Second { // there is no rest to speak of
		return 0
	}
	return float64(down-one) / float64(all-one)
}

// tryEvery is what a try stands for where nothing takes long: the time between two of a probe.
const tryEvery = 200 * time.Millisecond

// lastOf is when the last try ended.
func lastOf(samples []load.Sample) time.Time {
	if len(samples) == 0 {
		return time.Time{}
	}
	return samples[len(samples)-1].End
}

// untried is the longest time in which nothing was tried, and when it began, without what was not seen. until is when the last try should have
// been.
func untried(samples []load.Sample, blind Blind, until time.Time) (time.Time, time.Duration) {
	var since time.Time
	var most time.Duration
	for i, s := range samples {
		next := until
		if i+1 < len(samples) {
			next = samples[i+1].Start
		}
		if d := next.Sub(s.End) - blind.Unseen(s.End, next); d > most {
			since, most = s.End, d
		}
	}
	return since, most
}

// quantile of the times the good tries took.
func quantile(samples []load.Sample, blind Blind, q float64) time.Duration {
	var took []time.Duration
	for _, s := range samples {
		if s.Good() && blind.Unseen(s.Start, s.End) == 0 {
			took = append(took, s.End.Sub(s.Start))
		}
	}
	return load.Quantile(took, q)
}
