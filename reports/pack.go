package reports

import (
	"math"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// packed is the data of the page. Times are milliseconds from the begin of the cell's scenario on; texts are numbers in Strings.
type packed struct {
	Tones   []packedTone `json:"tones"` // spans and samples have their numbers
	Strings []string     `json:"strings"`
	Cells   []packedCell `json:"cells"`
	Plots   []plan.Plot  `json:"plots,omitempty"`
}

// packedTone is a tone, and how bad it is: where there is room for one alone, the worst is shown.
type packedTone struct {
	Name plan.Tone `json:"name"` // its colour is --NAME of the style sheet, and that of words on it --on-NAME
	Rank int       `json:"rank"`
}

func tones() []packedTone {
	return []packedTone{{plan.ToneOK, 1}, {plan.ToneLead, 2}, {plan.ToneWarn, 4}, {plan.ToneBad, 6}, {plan.ToneSilent, 5}, {plan.ToneUnseen, 0}, {plan.ToneFault, 3}, {plan.ToneQuiet, 0}}
}

type packedCell struct {
	Label  string        `json:"label"`
	T0     int64         `json:"t0"`   // milliseconds of Unix time
	Zone   int           `json:"zone"` // minutes the harness's clock is ahead of UTC
	From   float64       `json:"from"` // of the scenario: 0
	End    float64       `json:"end"`
	First  float64       `json:"first"` // of everything
	Last   float64       `json:"last"`
	Prefix string        `json:"prefix,omitempty"` // that the names of all machines have
	Faults []packedFault `json:"faults"`
	Groups []packedGroup `json:"groups"`
}

type packedFault struct {
	ID        string   `json:"id"`
	Name      int      `json:"name"`
	From      float64  `json:"from"`
	Effective *float64 `json:"effective,omitempty"`
	Recover   *float64 `json:"recover,omitempty"`
	To        *float64 `json:"to,omitempty"`
}

type packedGroup struct {
	Name   string       `json:"name"`
	About  string       `json:"about,omitempty"`
	Folded bool         `json:"folded,omitempty"`
	Lanes  []packedLane `json:"lanes"`
}

type packedLane struct {
	Name    string         `json:"name"`
	Of      []string       `json:"of,omitempty"`
	Unit    string         `json:"unit,omitempty"`
	Level   bool           `json:"level,omitempty"`
	Spans   [][]float64    `json:"spans,omitempty"` // from, to, tone, label, more, value
	Samples *packedSamples `json:"samples,omitempty"`
	Points  [][2]float64   `json:"points,omitempty"`
	Marks   [][3]float64   `json:"marks,omitempty"` // at, tone, label
	Thinned int            `json:"thinned,omitempty"`
}

// packedSamples are columns: when, as milliseconds from the one before; how long, in tenths of a millisecond; and which failed, with tone and error.
type packedSamples struct {
	At   []int    `json:"at"`
	Took []int    `json:"took"`
	Err  [][3]int `json:"err,omitempty"`
}

// What a page holds at most, so that it opens: of samples that succeeded (of the others all), of points, and of texts in bytes and each in runes.
const (
	samplesKept = 90_000
	textsKept   = 700_000
	textLength  = 300
	pointsKept  = 20_000
)

// thinned are the points of a line, or, where there are more than a page can show, the lowest and the highest of each few.
func thinned(all []plan.Point, few int) []plan.Point {
	if few < 3 {
		return all
	}
	var out []plan.Point
	for some := range slices.Chunk(all, few) {
		low, high := 0, 0
		for i, p := range some {
			if p.V < some[low].V {
				low = i
			}
			if p.V > some[high].V {
				high = i
			}
		}
		out = append(out, some[min(low, high)])
		if low != high {
			out = append(out, some[max(low, high)])
		}
	}
	return out
}

// packer collects the texts.
type packer struct {
	strings []string
	at      map[string]int
	bytes   int
	share   int // of how many successful samples one is kept
	few     int // of how many points two are kept
}

func (p *packer) text(s string) int {
	if r := []rune(s); len(r) > textLength {
		s = string(r[:textLength]) + "…"
	}
	if i, known := p.at[s]; known {
		return i
	}
	if p.bytes += len(s); p.bytes > textsKept && s != tooMuch {
		return p.text(tooMuch)
	}
	p.at[s] = len(p.strings)
	p.strings = append(p.strings, s)
	return p.at[s]
}

const tooMuch = "… (the page is full of texts; the evidence has this one)"

func (v *view) pack() packed {
	p := &packer{at: map[string]int{}}
	p.text("") // is 0
	total, points := 0, 0
	for _, t := range v.Timelines {
		for _, g := range t.Groups {
			for _, l := range g.Lanes {
				total, points = total+len(l.Samples), points+len(l.Points)
			}
		}
	}
	p.share, p.few = 1+total/samplesKept, 2*points/pointsKept
	out := packed{Tones: tones(), Cells: []packedCell{}, Plots: v.Plots}
	for _, t := range v.Timelines {
		out.Cells = append(out.Cells, p.cell(v, t))
	}
	out.Strings = p.strings
	return out
}

func (p *packer) cell(v *view, t *plan.Timeline) packedCell {
	_, zone := t.Began.Zone()
	c := packedCell{
		Label: t.Label, T0: t.Began.UnixMilli(), Zone: zone / 60, End: max(1, since(t, t.Ended)), First: min(0, since(t, t.First)), Last: max(1, since(t, t.Last), since(t, t.Ended)),
		Faults: []packedFault{}, Groups: []packedGroup{},
	}
	for _, f := range t.Faults {
		c.Faults = append(c.Faults, packedFault{ID: f.ID, Name: p.text(f.Name), From: since(t, f.Armed), Effective: maybe(t, f.Effective), Recover: maybe(t, f.Recover), To: maybe(t, f.Cleared)})
	}
	c.Prefix = prefix(t)
	for _, g := range append(v.ownLanes(t), t.Groups...) {
		pg := packedGroup{Name: g.Name, About: g.About, Folded: g.Folded, Lanes: []packedLane{}}
		for _, l := range g.Lanes {
			pg.Lanes = append(pg.Lanes, p.lane(t, l))
		}
		c.Groups = append(c.Groups, pg)
	}
	return c
}

// prefix is what the names of the machines begin with, where that is so long that nothing else would be seen of them: kind's have the cluster's name.
func prefix(t *plan.Timeline) string {
	const long = 16
	common, n := "", 0
	for _, g := range t.Groups {
		if g.Name != plan.LanesMachines {
			continue
		}
		for _, l := range g.Lanes {
			if n++; n == 1 {
				common = l.Name
			}
			for !strings.HasPrefix(l.Name, common) {
				common = common[:len(common)-1]
			}
		}
	}
	common = common[:strings.LastIndex(common, "-")+1]
	if n < 2 || len(common) < long {
		return ""
	}
	return common
}

// since is a time of the axis, to a tenth of a millisecond.
func since(t *plan.Timeline, at time.Time) float64 {
	return math.Round(float64(at.Sub(t.Began).Microseconds())/100) / 10
}

// thousandths rounds what has any, which no number has that JSON could not hold a thousand times.
func thousandths(v float64) float64 {
	const none = 1 << 53
	if math.Abs(v) > none {
		return v
	}
	return math.Round(v*1000) / 1000
}

func maybe(t *plan.Timeline, at time.Time) *float64 {
	if at.IsZero() {
		return nil
	}
	ms := since(t, at)
	return &ms
}

func tone(t plan.Tone) int {
	return max(0, slices.IndexFunc(tones(), func(known packedTone) bool { return known.Name == t }))
}

func (p *packer) lane(t *plan.Timeline, l plan.Lane) packedLane {
	out := packedLane{Name: l.Name, Of: l.Of, Unit: l.Unit, Level: l.Level}
	for _, s := range l.Spans {
		row := []float64{since(t, s.From), since(t, s.To), float64(tone(s.Tone)), float64(p.text(s.Label)), float64(p.text(s.More))}
		if s.Value != 0 {
			row = append(row, float64(s.Value))
		}
		out.Spans = append(out.Spans, row)
	}
	for _, m := range l.Marks {
		out.Marks = append(out.Marks, [3]float64{since(t, m.At), float64(tone(m.Tone)), float64(p.text(m.Label))})
	}
	for _, x := range thinned(l.Points, p.few) {
		out.Points = append(out.Points, [2]float64{math.Round(since(t, x.At)), thousandths(x.V)})
	}
	if len(l.Samples) > 0 {
		out.Samples, out.Thinned = p.samples(t, l.Samples)
	}
	return out
}

// samples keeps every failure, and of the successes, where there are too many for a page, the slowest of each few; it tells how many were left out.
func (p *packer) samples(t *plan.Timeline, all []plan.Sample) (*packedSamples, int) {
	out, last, left := &packedSamples{At: []int{}, Took: []int{}}, 0, 0
	var slowest *plan.Sample
	seen := 0
	add := func(s *plan.Sample) {
		at := int(math.Round(since(t, s.At)))
		if s.Err != "" || s.Tone != "" {
			out.Err = append(out.Err, [3]int{len(out.At), max(1, tone(s.Tone)), p.text(s.Err)})
		}
		out.At, out.Took = append(out.At, at-last), append(out.Took, int(s.Took.Microseconds()/100))
		last = at
	}
	flush := func() {
		if slowest != nil {
			add(slowest)
			left += seen - 1
		}
		slowest, seen = nil, 0
	}
	for i := range all {
		s := &all[i]
		if s.Err != "" {
			flush()
			add(s)
			continue
		}
		if seen++; slowest == nil || s.Took > slowest.Took {
			slowest = s
		}
		if seen >= p.share {
			flush()
		}
	}
	flush()
	return out, left
}

// ownLanes are those that the result has beside what was observed: the plan, and the faults.
func (v *view) ownLanes(t *plan.Timeline) []plan.Lanes {
	var out []plan.Lanes
	if g := v.planLanes(t); len(g.Lanes) > 0 {
		out = append(out, g)
	}
	g := plan.Lanes{Name: "Faults", About: "From injection to seen effect, held, and from undoing to seen end. Shaded over all lanes."}
	for _, f := range t.Faults {
		until := f.Cleared
		if until.IsZero() {
			until = t.Ended
		}
		spans := []plan.Span{}
		add := func(from, to time.Time, tone plan.Tone, label string) {
			if from.IsZero() {
				return
			}
			if to.IsZero() {
				to = until
			}
			if to.After(from) {
				spans = append(spans, plan.Span{From: from, To: to, Tone: tone, Label: label, More: strings.TrimSpace(f.Name + " on " + strings.Join(f.Machines, ", "))})
			}
		}
		effect, undo := f.Effective, f.Recover
		add(f.Armed, first(effect, undo, until), plan.ToneWarn, "taking effect: "+f.Name)
		add(effect, first(undo, until), plan.ToneFault, f.Name)
		if f.Cleared.IsZero() {
			add(undo, until, plan.ToneBad, "not seen to be over: "+f.Name)
		} else {
			add(undo, until, plan.ToneLead, "recovering from "+f.Name)
		}
		i := slices.IndexFunc(g.Lanes, func(l plan.Lane) bool {
			return len(spans) > 0 && !l.Spans[len(l.Spans)-1].To.After(spans[0].From)
		})
		switch {
		case len(spans) == 0:
		case i < 0:
			g.Lanes = append(g.Lanes, plan.Lane{Name: "faults", Of: slices.Concat([]string{f.ID}, f.Machines), Spans: spans})
		default:
			g.Lanes[i].Spans = append(g.Lanes[i].Spans, spans...)
			g.Lanes[i].Of = append(g.Lanes[i].Of, append([]string{f.ID}, f.Machines...)...)
		}
	}
	if len(g.Lanes) > 0 {
		out = append(out, g)
	}
	return out
}

// first is the first time that came.
func first(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
