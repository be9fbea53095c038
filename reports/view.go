package reports

import (
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports/certificate"
)

// view is what the page is made of, beside the result itself.
type view struct {
	*plan.Result
	Style  template.CSS
	Script template.JS
	Data   template.JS
	Policy string // of what the page may load: nothing

	Why        string // the verdict in one sentence
	Since      string // when and on whom it is first to be seen; empty: the sentence says it, or nobody can
	Said       string // what a program wrote that has to do with it
	WhyAt      *plan.Place
	Whys       []why
	Cards      []card
	Tree       []node
	Made       []madeFault
	Recoveries []recovery
	Versions   []version

	Certificate *certificate.Certificate
}

// card is one figure that a reader wants at once.
type card struct {
	Title, Big, Text string
	At               *plan.Place
	Link             string // of the page
	Bad              bool
}

// madeFault is a receipt with how its time was spent.
type madeFault struct {
	plan.Receipt
	Split []piece
	At    *plan.Place
}

// recovery is what a runbook did, and how its time was spent.
type recovery struct {
	Name  string
	Split []piece
	At    *plan.Place
}

// piece is a part of a recovery.
type piece struct {
	Class, Name string
	Seconds     float64
	Percent     float64
}

// version is which versions a program was seen to have.
type version struct {
	Program string
	Seen    []versionSeen
	Changed bool
}

type versionSeen struct {
	Version, Offset string
	At              *plan.Place
}

func newView(r *plan.Result) *view {
	v := &view{Result: r, Tree: tree(r)}
	v.whys()
	v.faults()
	v.recoveries()
	v.versions()
	v.cards()
	v.bars()
	return v
}

// LogsOf are the lines of logs around a failure: they stand where it does.
func (v *view) LogsOf(kind string, id any) []plan.Excerpt {
	return slices.DeleteFunc(slices.Clone(v.Logs), func(x plan.Excerpt) bool { return x.Of != fmt.Sprint(kind, " ", id) })
}

// OtherLogs are those that stand nowhere else.
func (v *view) OtherLogs() []plan.Excerpt {
	return slices.DeleteFunc(slices.Clone(v.Logs), func(x plan.Excerpt) bool { return x.Of != "" })
}

// link is a place as the page's script takes it; empty: there is no timeline to show it on.
func (v *view) link(p *plan.Place) string {
	if p == nil || !slices.ContainsFunc(v.Timelines, func(t *plan.Timeline) bool { return t.Label == p.Cell }) {
		return ""
	}
	of := p.Of
	if of == nil {
		of = []string{}
	}
	raw, err := json.Marshal(map[string]any{"cell": p.Cell, "from": p.From.UnixMilli(), "to": p.To.UnixMilli(), "of": of})
	if err != nil {
		return ""
	}
	return string(raw)
}

// timeline is that of a cell; nil: nobody looked.
func (v *view) timeline(cell string) *plan.Timeline {
	for _, t := range v.Timelines {
		if t.Label == cell {
			return t
		}
	}
	return nil
}

// inScenario is a time as the page tells it: by the harness's clock and from the begin of the scenario on.
func inScenario(t *plan.Timeline, at time.Time) string {
	return fmt.Sprintf("%s (%s)", at.In(t.Began.Location()).Format("15:04:05"), offsetOf(t, at))
}

func offsetOf(t *plan.Timeline, at time.Time) string {
	d := at.Sub(t.Began).Round(100 * time.Millisecond)
	sign := "+"
	if d < 0 {
		d, sign = -d, "−"
	}
	if d < time.Minute {
		return fmt.Sprintf("%s%.1f s", sign, d.Seconds())
	}
	return fmt.Sprintf("%s%d:%04.1f", sign, int(d.Minutes()), (d % time.Minute).Seconds())
}

func (v *view) stepPlace(id string) *plan.Place {
	for _, n := range v.Tree {
		if n.ID == id && !n.Started.IsZero() {
			return &plan.Place{Cell: n.Cell, From: n.Started, To: n.Ended, Of: []string{"step"}}
		}
	}
	return nil
}

func (v *view) faultPlace(id string) *plan.Place {
	for _, t := range v.Timelines {
		for _, f := range t.Faults {
			if f.ID == id && !f.Armed.IsZero() {
				return &plan.Place{Cell: t.Label, From: f.Armed, To: first(f.Cleared, t.Ended), Of: append([]string{f.ID}, f.Machines...)}
			}
		}
	}
	return nil
}

// faults splits the time of each up: until it was seen, while it was held, and until its end was seen.
func (v *view) faults() {
	for _, rc := range v.Receipts {
		m := madeFault{Receipt: rc, At: v.faultPlace(rc.ID)}
		var over time.Time
		for _, t := range v.Timelines {
			for _, f := range t.Faults {
				if f.ID == rc.ID {
					over = f.Cleared
				}
			}
		}
		m.Split = split([]string{"effect", "held", "undo"}, []string{"until seen", "held", "until over"}, rc.Armed, rc.EffectiveAt, rc.ClearedAt, over)
		v.Made = append(v.Made, m)
	}
}

// recoveries are the lanes of the runbooks, in figures.
func (v *view) recoveries() {
	for _, t := range v.Timelines {
		for _, g := range t.Groups {
			if g.Name != plan.LanesRemedies {
				continue
			}
			for _, l := range g.Lanes {
				if len(l.Spans) == 0 {
					continue
				}
				r := recovery{Name: l.Name, At: &plan.Place{Cell: t.Label, From: l.Spans[0].From, To: l.Spans[len(l.Spans)-1].To, Of: l.Of}}
				all := r.At.To.Sub(r.At.From).Seconds()
				for _, s := range l.Spans {
					took := s.To.Sub(s.From).Seconds()
					r.Split = append(r.Split, piece{Class: s.Label, Name: s.Label, Seconds: took, Percent: 100 * took / max(all, 0.001)})
				}
				v.Recoveries = append(v.Recoveries, r)
			}
		}
	}
}

// split are the pieces between times; from one that never came on there is none.
func split(classes, names []string, times ...time.Time) []piece {
	var out []piece
	all := 0.0
	for i := range names {
		if times[i].IsZero() || times[i+1].IsZero() {
			break
		}
		p := piece{Class: classes[i], Name: names[i], Seconds: max(0, times[i+1].Sub(times[i]).Seconds())}
		all += p.Seconds
		out = append(out, p)
	}
	for i := range out {
		if all > 0 {
			out[i].Percent = 100 * out[i].Seconds / all
		}
	}
	return out
}

// versions are what the lanes of versions say, each change once.
func (v *view) versions() {
	for _, t := range v.Timelines {
		for _, g := range t.Groups {
			if g.Name != plan.LanesVersions {
				continue
			}
			for _, l := range g.Lanes {
				row := version{Program: strings.TrimPrefix(t.Label+": "+l.Name, ": ")}
				for _, s := range l.Spans {
					if !strings.HasPrefix(s.Label, "v") || len(row.Seen) > 0 && row.Seen[len(row.Seen)-1].Version == s.Label {
						continue
					}
					row.Seen = append(row.Seen, versionSeen{s.Label, inScenario(t, s.From), &plan.Place{Cell: t.Label, From: s.From, To: s.From, Of: l.Of}})
				}
				row.Changed = len(row.Seen) > 1
				if len(row.Seen) > 0 {
					v.Versions = append(v.Versions, row)
				}
			}
		}
	}
}

// bars lays the steps out over the whole run.
func (v *view) bars() {
	var begin, end time.Time
	for _, n := range v.Tree {
		if n.Started.IsZero() {
			continue
		}
		if begin.IsZero() || n.Started.Before(begin) {
			begin = n.Started
		}
		if n.Ended.After(end) {
			end = n.Ended
		}
	}
	whole := end.Sub(begin).Seconds()
	for i := range v.Tree {
		n := &v.Tree[i]
		if n.Started.IsZero() || whole <= 0 {
			continue
		}
		n.Left, n.Width = 100*n.Started.Sub(begin).Seconds()/whole, 100*n.Ended.Sub(n.Started).Seconds()/whole
		if t := v.timeline(n.Cell); t != nil && t.Clock == "" {
			n.Offset = offsetOf(t, n.Started)
		}
	}
}
