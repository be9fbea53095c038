package plan

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// CallLanes are calls of Azure Resource Manager as lanes: of each principal what it asked, how it asked after operations, and how much of both; and
// what the budgets had left that came the nearest to their ends.
func CallLanes(calls []ARMCall) Lanes {
	g := Lanes{Name: LanesCalls, About: "Every call of the twin's log, and how long it took by the wall's clock. Red: throttled, and by which policy. Amber: struck by a fault, or answered with another error. A bar is a time in which nothing but throttled calls went on."}
	at := map[string]int{}
	for _, c := range calls {
		who := cmp.Or(c.Principal, "nobody who could be read")
		if c.Polled != "" {
			who += ", polls"
		}
		i, there := at[who]
		if !there {
			i = len(g.Lanes)
			at[who] = i
			g.Lanes = append(g.Lanes, Lane{Name: who, Of: []string{c.Principal}})
		}
		g.Lanes[i].Samples = append(g.Lanes[i].Samples, c.sample())
	}
	for i := range g.Lanes {
		l := &g.Lanes[i]
		slices.SortStableFunc(l.Samples, func(a, b Sample) int { return a.At.Compare(b.At) })
		l.Spans = throttledSpans(l.Samples)
	}
	for _, l := range g.Lanes {
		g.Lanes = append(g.Lanes, Lane{Name: l.Name + ", a minute", Of: l.Of, Unit: "calls a minute", Points: rate(l.Samples)})
	}
	g.Lanes = append(g.Lanes, budgetLanes(calls)...)
	return g
}

// budgetsShown is how many budgets have a lane at most. One that was never half empty has none, but where all are so: then the lowest.
const budgetsShown = 6

// budgetLanes are what answers said is left of budgets, the emptiest first, with a mark where one had nothing left.
func budgetLanes(calls []ARMCall) []Lane {
	type budget struct {
		lane  Lane
		least float64 // share
		empty bool    // at the last call
	}
	by, order := map[string]*budget{}, []*budget{}
	for _, c := range calls {
		for _, l := range c.Left {
			b := by[l.Budget]
			if b == nil {
				b = &budget{lane: Lane{Name: LaneLeft + l.Budget, Of: []string{c.Principal, "budget"}, Unit: fmt.Sprintf("calls of %d", l.Of)}, least: 1}
				by[l.Budget], order = b, append(order, b)
				b.lane.Points = append(b.lane.Points, Point{At: c.Time, V: float64(l.Of)}) // nobody had drawn on it
			}
			b.lane.Points = append(b.lane.Points, Point{At: c.Time, V: float64(l.Left)})
			if b.least = min(b.least, float64(l.Left)/float64(max(1, l.Of))); l.Left == 0 && !b.empty {
				b.lane.Marks = append(b.lane.Marks, Mark{At: c.Time, Tone: ToneBad, Label: "nothing left of " + l.Budget})
			}
			b.empty = l.Left == 0
		}
	}
	slices.SortStableFunc(order, func(a, b *budget) int { return cmp.Compare(a.least, b.least) })
	var out []Lane
	for i, b := range order[:min(budgetsShown, len(order))] {
		if i == 0 || b.least <= 0.5 {
			out = append(out, b.lane)
		}
	}
	return out
}

func (c ARMCall) sample() Sample {
	s := Sample{At: c.Time, Took: time.Duration(c.Seconds * float64(time.Second))}
	what := c.Operation
	if c.Polled != "" {
		what += ", asking after " + c.Polled
	}
	switch {
	case c.Throttled != "":
		s.Err, s.Tone = fmt.Sprintf("429 by %s: %s", c.Throttled, what), ToneBad
	case c.Fault != "" && c.Status == http.StatusTooManyRequests:
		s.Err, s.Tone = fmt.Sprintf("429 by fault %s: %s", c.Fault, what), ToneBad
	case c.Fault != "":
		s.Err, s.Tone = fmt.Sprintf("%d by fault %s: %s", c.Status, c.Fault, what), ToneWarn
	case c.Status == 0:
		s.Err, s.Tone = "cut: "+what, ToneWarn
	case c.Status >= http.StatusBadRequest:
		s.Err, s.Tone = fmt.Sprintf("%d: %s", c.Status, what), ToneWarn
	}
	return s
}

// throttledSpans are the times from the first of several throttled calls to the last, with none that passed between them.
func throttledSpans(samples []Sample) []Span {
	var out []Span
	n := 0
	for _, s := range samples {
		switch {
		case s.Tone != ToneBad:
			n = 0
		case n == 0:
			n = 1
			out = append(out, Span{From: s.At, To: s.At, Tone: ToneBad, More: s.Err})
		default:
			n++
			last := &out[len(out)-1]
			last.To, last.Label = s.At, fmt.Sprintf("%d throttled", n)
		}
	}
	return slices.DeleteFunc(out, func(s Span) bool { return !s.To.After(s.From) })
}

// rate is how many calls there were in the minute before each, and when that had gone by.
func rate(samples []Sample) []Point {
	var out []Point
	from := 0
	for i, s := range samples {
		for s.At.Sub(samples[from].At) > time.Minute {
			from++
		}
		if i > 0 && s.At.Sub(samples[i-1].At) > time.Minute {
			out = append(out, Point{At: samples[i-1].At.Add(time.Minute)}, Point{At: s.At})
		}
		out = append(out, Point{At: s.At, V: float64(i - from + 1)})
	}
	return out
}
