package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// The picture's measures, in pixels.
const (
	svgWidth  = 1200.0
	svgGutter = 210.0 // of the names
	svgPlot   = svgWidth - svgGutter - 10
	svgColumn = 2.0 // the narrowest that is drawn: of what is narrower the worst
	svgLetter = 6.7 // of a wide font, on average
	svgTick   = 110.0
	nothing   = 1e-9 // is drawn as nothing, and divides
)

// SVG writes the timeline as a picture without a script, for a summary that cannot have the page: the same lanes, of the same data, without those that the
// page folds away at first.
func SVG(w io.Writer, r *plan.Result) error {
	v := newView(r)
	style, err := joined([]string{"ink.css"})
	if err != nil {
		return err
	}
	p := &svg{data: v.pack(), y: 24}
	p.text(6, 16, "strong", strings.ToUpper(string(r.Verdict))+" "+r.Scenario)
	for i, t := range v.Timelines {
		p.cell(p.data.Cells[i], t)
	}
	if len(v.Timelines) == 0 {
		p.y += 16
		p.text(6, p.y, "faint", "Nothing was looked at: there is no timeline.")
	}
	p.y += 10
	about := strings.ToUpper(string(r.Verdict)) + " " + r.Scenario + ": " + v.Why
	_, err = fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 %g %g" width="%g" height="%g" font-family="system-ui, sans-serif" font-size="11">
<title>%s</title>
<style>%s%s</style>
<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse"><path d="M0 5L5 0" stroke="var(--page)" stroke-opacity=".5"/></pattern></defs>
<rect width="100%%" height="100%%" fill="var(--page)"/>
%s</svg>
`, svgWidth, math.Ceil(p.y), svgWidth, math.Ceil(p.y), escaped(about), style, svgStyle(), p.b.String())
	return err
}

// svgStyle gives every tone its colours.
func svgStyle() string {
	var b strings.Builder
	b.WriteString("text{fill:var(--text)}.faint{fill:var(--faint);font-size:10px}.strong{font-weight:700;font-size:13px}.head{font-weight:600}.halo{paint-order:stroke;stroke:var(--page);stroke-width:3px}.rule{fill:var(--rule)}.took{fill:var(--accent)}.line{fill:none;stroke:var(--accent)}.window{fill:var(--window)}.edge{fill:var(--fault)}.hatch{fill:url(#hatch)}\n")
	for _, t := range tones() {
		fmt.Fprintf(&b, ".%s{fill:var(--%s)}.on-%s{fill:var(--on-%s)}\n", t.Name, t.Name, t.Name, t.Name)
	}
	return b.String()
}

// svg is a picture while it is drawn.
type svg struct {
	b    strings.Builder
	data packed
	y    float64 // so far down it is drawn
	end  float64 // of the cell, in milliseconds
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}

func (p *svg) text(x, y float64, class, s string) {
	fmt.Fprintf(&p.b, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, class, escaped(s))
}

func (p *svg) rect(x, y, w, h float64, class string) {
	fmt.Fprintf(&p.b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"%s\"/>\n", x, y, w, h, class)
}

// toned is a rect of a tone; what is silent or was not seen is told from what is known without any colour.
func (p *svg) toned(x, y, w, h float64, tone int) {
	name := p.data.Tones[tone].Name
	p.rect(x, y, w, h, string(name))
	if name == plan.ToneSilent || name == plan.ToneUnseen {
		p.rect(x, y, w, h, "hatch")
	}
}

// fitted is as much of a text as there is room for; empty: nothing worth reading.
func fitted(s string, room float64) string {
	const least = 3
	n, r := int(room/svgLetter), []rune(s)
	switch {
	case len(r) <= n:
		return s
	case n <= least:
		return ""
	}
	return string(r[:n-1]) + "…"
}

// x is where a time is.
func (p *svg) x(ms float64) float64 {
	return svgGutter + svgPlot*min(1, max(0, ms/p.end))
}

func (p *svg) cell(c packedCell, t *plan.Timeline) {
	p.end = c.End
	if c.Label != "" {
		p.y += 18
		p.text(6, p.y, "strong", c.Label)
	}
	p.axis(t)
	top, folded := p.y, 0
	at := p.b.Len()
	for _, g := range c.Groups {
		if g.Folded {
			folded += len(g.Lanes)
			continue
		}
		p.y += 16
		p.text(6, p.y-4, "head", g.Name)
		p.rect(0, p.y, svgWidth, 0.5, "rule")
		for _, l := range g.Lanes {
			p.lane(l, strings.ReplaceAll(l.Name, orNothing(c.Prefix), "…"))
		}
	}
	lanes := p.b.String()
	p.b.Reset()
	p.b.WriteString(lanes[:at])
	p.windows(c, top) // behind the lanes, which have said by now how high it is
	p.b.WriteString(lanes[at:])
	if folded > 0 {
		p.y += 14
		p.text(6, p.y, "faint", fmt.Sprintf("%d more %s in report.html", folded, plural(folded, "lane is", "lanes are")))
	}
}

// orNothing is a text to look for: an empty one would be found everywhere.
func orNothing(s string) string {
	if s == "" {
		return "\x00"
	}
	return s
}

// axis is the time, by the clock and from the begin of the scenario.
func (p *svg) axis(t *plan.Timeline) {
	step := time.Second
	for _, s := range []time.Duration{2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400} {
		if float64(step.Milliseconds())*svgPlot/p.end < svgTick {
			step = s * time.Second
		}
	}
	for float64(step.Milliseconds())*svgPlot/p.end < svgTick { // evidence with a time that cannot be
		step *= 10
	}
	p.y += 28
	for at := time.Duration(0); float64(at.Milliseconds()) <= p.end-float64(step.Milliseconds())/3; at += step {
		x := p.x(float64(at.Milliseconds()))
		p.rect(x, p.y-26, 1, 26, "rule")
		p.text(x+4, p.y-16, "", t.Began.Add(at).Format("15:04:05"))
		p.text(x+4, p.y-4, "faint", offsetOf(t, t.Began.Add(at)))
	}
}

// windows shade the faults: lightly while one is on its way, more while it holds.
func (p *svg) windows(c packedCell, top float64) {
	or := func(ms *float64, otherwise float64) float64 {
		if ms == nil {
			return otherwise
		}
		return *ms
	}
	for _, f := range c.Faults {
		until := or(f.To, c.End)
		holds, undone := or(f.Effective, until), or(f.Recover, until)
		for _, w := range []struct{ from, to, shade float64 }{{f.From, holds, .1}, {holds, undone, .24}, {undone, until, .1}} {
			if x0, x1 := p.x(w.from), p.x(w.to); x1 > x0 {
				fmt.Fprintf(&p.b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"window\" fill-opacity=\"%g\"><title>%s</title></rect>\n", x0, top, x1-x0, p.y-top, w.shade, escaped(p.data.Strings[f.Name]))
			}
		}
		p.rect(p.x(f.From), top, 1, p.y-top, "edge")
		p.rect(p.x(until), top, 1, p.y-top, "edge")
	}
}

func (p *svg) lane(l packedLane, name string) {
	h := 14.0
	if l.Samples != nil || l.Points != nil || l.Level {
		h = 22
	}
	p.y++
	p.text(12, p.y+h/2+4, "", fitted(name, svgGutter-20))
	switch {
	case l.Samples != nil:
		p.samples(l, h)
	case l.Points != nil:
		p.points(l, h)
	default:
		p.spans(l, h)
	}
	for _, m := range l.Marks {
		if x := p.x(m[0]); m[0] >= 0 && m[0] <= p.end {
			fmt.Fprintf(&p.b, "<path d=\"M%.1f %.1fl4 5l-4 5l-4-5z\" class=\"%s\" stroke=\"var(--text)\"><title>%s</title></path>\n", x, p.y+h/2-5, p.data.Tones[int(m[1])].Name, escaped(p.data.Strings[int(m[2])]))
		}
	}
	p.y += h + 1
}

func svgColumns() int { return int(svgPlot/svgColumn) + 1 }

// columns are the worst of what is too narrow to be drawn, by where it is.
type columns map[int]int

func (p *svg) worse(c columns, ms float64, tone int) {
	at := int((p.x(ms) - svgGutter) / svgColumn)
	if was, there := c[at]; !there || p.data.Tones[was].Rank < p.data.Tones[tone].Rank {
		c[at] = tone
	}
}

// drawColumns draws those of a tone at once: a rect of each would make the picture five times as large.
func (p *svg) drawColumns(c columns, h float64) {
	paths := make([]strings.Builder, len(p.data.Tones))
	for at := range svgColumns() {
		if tone, there := c[at]; there {
			fmt.Fprintf(&paths[tone], "M%.0f %.0fh%.0fv%.0fh-%.0fz", svgGutter+float64(at)*svgColumn, p.y, svgColumn, h, svgColumn)
		}
	}
	for tone := range paths {
		if paths[tone].Len() > 0 {
			fmt.Fprintf(&p.b, "<path class=\"%s\" d=\"%s\"/>\n", p.data.Tones[tone].Name, paths[tone].String())
		}
	}
}

func (p *svg) spans(l packedLane, h float64) {
	narrow, top := columns{}, 1.0
	for _, s := range l.Spans {
		if len(s) > 5 {
			top = max(top, s[5])
		}
	}
	for _, s := range l.Spans {
		x0, x1, tone := p.x(s[0]), p.x(s[1]), int(s[2])
		switch {
		case s[1] < 0 || s[0] > p.end:
			continue
		case x1-x0 < svgColumn:
			p.worse(narrow, s[0], tone)
			continue
		}
		high := h
		if l.Level && len(s) > 5 && s[5] > 0 {
			high = max(3, h*s[5]/top)
		}
		p.toned(x0, p.y+h-high, x1-x0, high, tone)
		if label := fitted(p.data.Strings[int(s[3])], x1-x0-6); label != "" {
			p.text(x0+3, p.y+h-4, "on-"+string(p.data.Tones[tone].Name), label)
		}
	}
	p.drawColumns(narrow, h)
}

// samples are how long each try took, on a scale by tens from 1 ms to 10 s, and in their tone those that failed.
func (p *svg) samples(l packedLane, h float64) {
	const decades = 4
	failed, slowest, at, of := columns{}, map[int]float64{}, 0, 0
	for i, since := range l.Samples.At {
		at += since
		took := float64(l.Samples.Took[i]) / 10
		bad := of < len(l.Samples.Err) && l.Samples.Err[of][0] == i
		if bad {
			of++
		}
		for ms := max(0, float64(at)); ms <= float64(at)+took && ms <= p.end; ms += p.end * svgColumn / svgPlot {
			if bad {
				p.worse(failed, ms, l.Samples.Err[of-1][1])
			} else {
				x := int((p.x(ms) - svgGutter) / svgColumn)
				slowest[x] = max(slowest[x], took)
			}
		}
	}
	var path strings.Builder
	for x := range svgColumns() {
		if took, there := slowest[x]; there {
			high := max(1, h*min(1, math.Log10(max(took, 1.15))/decades))
			fmt.Fprintf(&path, "M%.0f %.1fh%.0fv-%.1fh-%.0fz", svgGutter+float64(x)*svgColumn, p.y+h, svgColumn, high, svgColumn)
		}
	}
	if path.Len() > 0 {
		fmt.Fprintf(&p.b, "<path class=\"took\" d=\"%s\"/>\n", path.String())
	}
	p.drawColumns(failed, h)
	for _, s := range l.Spans {
		if x0, x1 := p.x(s[0]), p.x(s[1]); s[1] >= 0 && s[0] <= p.end {
			p.rect(x0, p.y, max(svgColumn, x1-x0), 3, string(p.data.Tones[int(s[2])].Name))
			p.text(x0+3, p.y+14, "halo", fitted(p.data.Strings[int(s[3])], x1-x0-6))
		}
	}
}

// points are a line, its highest said beside it.
func (p *svg) points(l packedLane, h float64) {
	top := nothing
	for _, q := range l.Points {
		top = max(top, q[1])
	}
	var path strings.Builder
	pen, last := "M", -svgColumn
	for _, q := range l.Points {
		if x := p.x(q[0]); q[0] >= 0 && q[0] <= p.end && x-last >= svgColumn/2 {
			fmt.Fprintf(&path, "%s%.1f %.1f", pen, x, p.y+h-1-(h-3)*max(0, q[1])/top)
			pen, last = "L", x
		}
	}
	fmt.Fprintf(&p.b, "<path class=\"line\" d=\"%s\"/>\n", path.String())
	says := "none"
	if top > nothing {
		says = strings.TrimSpace(fmt.Sprintf("up to %.3g %s", top, l.Unit))
	}
	p.text(svgGutter+4, p.y+9, "faint", says)
}
