package runs

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"text/tabwriter"

	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/reports"
)

//go:embed page
var files embed.FS

// listed is how many verdicts a line of the console has.
const listed = 24

func mark(v plan.Verdict) string {
	switch v {
	case plan.Go:
		return "✓"
	case plan.NoGo:
		return "✗"
	default:
		return "?"
	}
}

// line is one figure of a scenario's runs over time; nil where nobody has measured it.
type line struct {
	Name   string
	unit   string
	values []*float64
	runs   []Past
}

// lines are how the margins went.
func (s Scenario) lines() []line {
	spare, zero, gap, took := line{Name: "Least members to spare"}, line{Name: "With nothing to spare", unit: " s"}, line{Name: "Longest gap of a probe", unit: " s"}, line{Name: "Duration", unit: " s"}
	for _, p := range s.Runs {
		var n *float64
		if p.LeastToSpare != nil {
			least := float64(*p.LeastToSpare)
			n = &least
		}
		spare.values, zero.values = append(spare.values, n), append(zero.values, p.SecondsAtZero)
		gap.values, took.values = append(gap.values, p.LongestGapSeconds), append(took.values, &p.DurationSeconds)
	}
	out := []line{spare, zero, gap, took}
	for i := range out {
		out[i].runs = s.Runs
	}
	return out
}

// Last is the newest figure.
func (l line) Last() string {
	if n := len(l.values); n > 0 && l.values[n-1] != nil {
		return fmt.Sprintf("%.3g%s", *l.values[n-1], l.unit)
	}
	return "not measured"
}

// top is the highest of them, and not nothing.
func (l line) top() float64 {
	top := 1e-9
	for _, v := range l.values {
		if v != nil {
			top = max(top, *v)
		}
	}
	return top
}

// Picture is the line, with a dot a run in the colour of its verdict.
func (l line) Picture() template.HTML {
	const high, step = 30.0, 12.0
	var path, dots, words strings.Builder
	pen := "M"
	for i, v := range l.values {
		if v == nil {
			pen = "M"
			words.WriteString("not measured, ")
			continue
		}
		x, y := step*(float64(i)+0.5), 2+(high-4)*(1-max(0, *v)/l.top())
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, x, y)
		fmt.Fprintf(&dots, `<circle cx="%.1f" cy="%.1f" r="2" class="%s"/>`, x, y, template.HTMLEscapeString(string(l.runs[i].Verdict)))
		fmt.Fprintf(&words, "%.3g, ", *v)
		pen = "L"
	}
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %g %g" preserveAspectRatio="xMinYMid meet" role="img" aria-label="%s over %d runs: %s"><path d="%s"/>%s</svg>`, //nolint:gosec // of numbers, and of a verdict that is escaped
		max(step*float64(len(l.values)), step*10), high, l.Name, len(l.values), strings.TrimSuffix(words.String(), ", "), path.String(), dots.String()))
}

// Spark is the line in letters, of the last runs.
func (l line) Spark() string {
	levels := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range l.values[max(0, len(l.values)-listed):] {
		if v == nil {
			b.WriteRune('·')
			continue
		}
		b.WriteRune(levels[int(max(0, *v)/l.top()*float64(len(levels)-1)+0.5)])
	}
	return b.String()
}

// Print writes a table for people: a line a scenario, then what was red in it, and what counts for nothing.
func (t *Trend) Print(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }
	if len(t.Scenarios) > 0 {
		say("SCENARIO\tPROVIDER\tRUNS\tGO\tNO-GO\tINCONCLUSIVE\tVERDICTS\tTO SPARE\tLONGEST GAP\n")
	}
	for _, s := range t.Scenarios {
		var verdicts strings.Builder
		for _, p := range s.Runs[max(0, len(s.Runs)-listed):] {
			verdicts.WriteString(mark(p.Verdict))
		}
		lines := s.lines()
		say("%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s %s\t%s %s\n", s.Scenario, s.Provider, len(s.Runs), s.Go, s.NoGo, s.Inconclusive, verdicts.String(), lines[0].Spark(), lines[0].Last(), lines[2].Spark(), lines[2].Last())
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for _, s := range t.Scenarios {
		for _, c := range s.Checks {
			say("%s on %s: %s %s\n", s.Scenario, s.Provider, c.Check, c.Says())
		}
	}
	for _, name := range t.Running {
		say("%s: it runs still, and counts for nothing yet\n", name)
	}
	for _, u := range t.Unreadable {
		say("%s: it cannot be read, and counts for nothing: %s\n", u.Run, u.Why)
	}
	return out.Flush()
}

// HTML writes the page; from is what a link to a run begins with, for whoever opens it.
func (t *Trend) HTML(w io.Writer, from string) error {
	return page(w, "trend.html.tmpl", template.FuncMap{
		"href": func(p Past) string {
			if p.href == "" {
				return ""
			}
			return from + p.href
		},
		"lines": Scenario.lines, "mark": mark, "seeds": numbers, "percent": func(r float64) string { return fmt.Sprintf("%.0f %%", 100*r) },
	}, map[string]any{"Scenarios": t.Scenarios, "Running": t.Running, "Unreadable": t.Unreadable})
}

// page writes one of the pages, in the colours of the reports.
func page(w io.Writer, name string, functions template.FuncMap, data map[string]any) error {
	style, err := reports.Style()
	if err != nil {
		return err
	}
	own, err := files.ReadFile("page/runs.css")
	if err != nil {
		return fmt.Errorf("runs: %w", err)
	}
	t, err := template.New(name).Funcs(functions).ParseFS(files, "page/"+name)
	if err != nil {
		return fmt.Errorf("runs: %w", err)
	}
	data["Style"] = template.CSS(style + string(own)) //nolint:gosec // embedded
	return t.Execute(w, data)
}
