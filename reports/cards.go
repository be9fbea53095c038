package reports

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// cards are the figures that a reader wants at once: where the margin was thinnest, what was longest away, what was done on purpose, what nobody saw, and
// what was not tested.
func (v *view) cards() {
	v.Cards = append(v.Cards, v.margin()...)
	if c, there := v.longest(); there {
		v.Cards = append(v.Cards, c)
	}
	if c, there := v.calls(); there {
		v.Cards = append(v.Cards, c)
	}
	v.Cards = append(v.Cards, v.budget()...)
	v.Cards = append(v.Cards, v.faultCard())
	if v.Host != nil {
		c := card{Title: "Seen by the harness", Big: "all of it", Text: v.Host.String(), Link: "host"}
		if v.Host.BlindSeconds > 0 {
			c.Big = fmt.Sprintf("but for %.1f s", v.Host.BlindSeconds)
		}
		v.Cards = append(v.Cards, c)
	}
	c := card{Title: "Not tested", Big: "nothing is named", Link: "not-tested", Text: "The scenario and its checks name nothing that a reader might take for tested."}
	if n := len(v.NotTested); n > 0 {
		var what []string
		for _, t := range v.NotTested[:min(n, 4)] {
			what = append(what, t.What)
		}
		c.Big, c.Text = fmt.Sprintf("%d %s", n, plural(n, "thing", "things")), strings.Join(what, "; ")
		if n > 4 {
			c.Text += "; …"
		}
	}
	v.Cards = append(v.Cards, c)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// low is the least that something had to spare.
type low struct {
	lane         string
	top          int // the most it ever had
	least        int
	lasted       time.Duration // at that, or below what is needed
	below        time.Duration // of it with fewer than are needed
	first, short plan.Span     // that was so, and with fewer than are needed
	in           *plan.Timeline
}

// lowOf sums a lane of levels up; nil: it was never seen. What is below nothing counts with nothing, as the tolerance does.
func lowOf(t *plan.Timeline, l plan.Lane) *low {
	var out *low
	for _, s := range l.Spans {
		if s.Tone == plan.ToneUnseen {
			continue
		}
		top := s.Value
		if out != nil {
			top = max(top, out.top)
			out.top = top
		}
		if value := max(s.Value, 0); out == nil || value < out.least {
			out = &low{lane: l.Name, least: value, first: s, in: t, top: top}
		} else if value > out.least {
			continue
		}
		out.lasted += s.To.Sub(s.From)
		if s.Value < 0 {
			if out.below == 0 {
				out.short = s
			}
			out.below += s.To.Sub(s.From)
		}
	}
	return out
}

// thinner reports whether there was less to spare: of what never had anything to spare, as the only member of etcd, that is no news; of two as low the one
// that was so for longer has less.
func (l *low) thinner(than *low) bool {
	switch {
	case than == nil:
		return true
	case (l.top > 0) != (than.top > 0):
		return l.top > 0
	case l.least != than.least:
		return l.least < than.least
	}
	return l.lasted > than.lasted
}

// lanes are those of a group in all timelines.
func (v *view) lanes(group string) iter.Seq2[*plan.Timeline, plan.Lane] {
	return func(yield func(*plan.Timeline, plan.Lane) bool) {
		for _, t := range v.Timelines {
			for _, g := range t.Groups {
				if g.Name != group {
					continue
				}
				for _, l := range g.Lanes {
					if !yield(t, l) {
						return
					}
				}
			}
		}
	}
}

// margin is where the least of anything could have been lost.
func (v *view) margin() []card {
	var worst *low
	for t, l := range v.lanes(plan.LanesSpare) {
		if own := lowOf(t, l); own != nil && own.thinner(worst) {
			worst = own
		}
	}
	if worst == nil {
		if v.Tolerance.Observations == 0 {
			return nil
		}
		return []card{{Title: "Thinnest margin", Big: fmt.Sprintf("%d members to spare", v.Tolerance.Minimum), Text: v.Tolerance.String(), Bad: v.Tolerance.Minimum <= 0}}
	}
	c := card{Title: "Thinnest margin", Big: fmt.Sprintf("%d %s", worst.least, worst.lane), Bad: worst.least <= 0}
	switch worst.least {
	case 0:
		c.Big = "no " + worst.lane
	case 1:
		c.Big = "1 " + strings.Replace(worst.lane, "s to spare", " to spare", 1)
	}
	c.Text = fmt.Sprintf("for %s in all, first at %s", seconds(worst.lasted.Seconds()), inScenario(worst.in, worst.first.From))
	if n := v.stepAt(worst.in.Label, worst.first.From); n != nil {
		c.Text += fmt.Sprintf(", in step %s %s", n.ID, n.Name)
	}
	if worst.below > 0 {
		c.Text += fmt.Sprintf("; for %s of it fewer than are needed, first at %s", seconds(worst.below.Seconds()), inScenario(worst.in, worst.short.From))
	}
	at := worst.first
	if worst.below > 0 {
		at = worst.short
	}
	c.At = &plan.Place{Cell: worst.in.Label, From: at.From, To: at.To, Of: []string{worst.lane}}
	return []card{c}
}

// calls are how many calls of a twin were throttled, and whose most of them.
func (v *view) calls() (card, bool) {
	all, throttled, most := 0, 0, 0
	var who string
	for t, l := range v.lanes(plan.LanesCalls) {
		n := 0
		for _, s := range l.Samples {
			if s.Tone == plan.ToneBad {
				n++
			}
		}
		if n > most {
			most, who = n, strings.TrimPrefix(t.Label+": "+l.Name, ": ")
		}
		all, throttled = all+len(l.Samples), throttled+n
	}
	c := card{Title: "Calls of Azure Resource Manager", Big: fmt.Sprintf("%d throttled", throttled), Text: fmt.Sprintf("of %d calls", all), Link: "measured"}
	if most > 0 {
		c.Text += fmt.Sprintf(", most of them, %d, of %s", most, who)
	}
	return c, all > 0
}

// budget is which of a twin's budgets came the nearest to its end, by its share.
func (v *view) budget() []card {
	least := 1.0
	var out []card
	for t, l := range v.lanes(plan.LanesCalls) {
		budget, is := strings.CutPrefix(l.Name, plan.LaneLeft)
		if !is || len(l.Points) == 0 || l.Points[0].V <= 0 {
			continue
		}
		full := l.Points[0].V
		for _, p := range l.Points {
			if share := p.V / full; share < least {
				least = share
				text := strings.TrimPrefix(fmt.Sprintf("%s: %s, %s", t.Label, budget, inScenario(t, p.At)), ": ")
				out = []card{{Title: "Thinnest budget", Big: fmt.Sprintf("%.0f of %.0f calls left", p.V, full), Text: text, Bad: p.V <= 0, At: &plan.Place{Cell: t.Label, From: p.At, To: p.At, Of: []string{l.Name}}}}
			}
		}
	}
	return out
}

// stepAt is the step that ran at a time: the innermost, and of several the one that began last.
func (v *view) stepAt(cell string, at time.Time) *node {
	var out *node
	for i := range v.Tree {
		n := &v.Tree[i]
		if n.Cell == cell && !n.Group && !n.Started.IsZero() && n.Status != "skipped" && !at.Before(n.Started) && !at.After(n.Ended) && (out == nil || n.Started.After(out.Started)) {
			out = n
		}
	}
	return out
}

// longest is the longest time in which a probe had no success. Of a stack of servers behind a balancer each one's own absence is no outage: those past it
// count only where there are no others.
func (v *view) longest() (card, bool) {
	var worst plan.Span
	var where string
	var in *plan.Timeline
	probes, besides := 0, ""
	for t, l := range v.lanes(plan.LanesProbes) {
		probes++
		if strings.Contains(l.Name, "past the balancer") {
			besides = "; of single servers, past the balancer, see the timeline"
			continue
		}
		for _, s := range l.Spans {
			if s.To.Sub(s.From) > worst.To.Sub(worst.From) {
				worst, where, in = s, l.Name, t
			}
		}
	}
	switch {
	case probes == 0:
		return card{}, false
	case in == nil:
		return card{Title: "Longest without an answer", Big: "none", Text: fmt.Sprintf("%d probes, and no outage of what stands behind them all", probes), Link: "probes"}, true
	}
	return card{
		Title: "Longest without an answer", Big: seconds(worst.To.Sub(worst.From).Seconds()), Text: where + ", from " + inScenario(in, worst.From) + besides,
		At: &plan.Place{Cell: in.Label, From: worst.From, To: worst.To, Of: []string{where}},
	}, true
}

func (v *view) faultCard() card {
	c := card{Title: "Done on purpose", Big: "no fault", Text: "Nothing was broken on purpose.", Link: "faults"}
	if len(v.Gaps) > 0 {
		c.Text = "Nothing was broken on purpose in what is left of the evidence."
	}
	var names, not []string // those that are not confirmed come first
	for _, rc := range v.Receipts {
		name := strings.TrimSuffix(strings.TrimSpace(rc.Fault+" on "+strings.Join(rc.Machines, ", ")), " on")
		if rc.State == plan.Confirmed {
			names = append(names, name)
		} else {
			not = append(not, name+" ("+rc.State+")")
		}
	}
	if n := len(v.Receipts); n > 0 {
		c.Big, c.Bad = fmt.Sprintf("%d of %d confirmed", n-len(not), n), len(not) > 0
		all := append(not, names...)
		if c.Text = strings.Join(all[:min(3, n)], "; "); n > 3 {
			c.Text += "; …"
		}
	}
	return c
}
