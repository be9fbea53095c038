// Package reports turns the result of a run into files: report.json for machines, junit.xml for CI, report.md and
// report.html for people, and the summary on the console.
//
// The page is one file with everything in it. Its lanes are drawn on canvases by scripts of ours (page/): spans with words in them, faults shaded over all of
// them and the worst of each pixel are what it is about, and no chart of a library has them. vis-timeline makes an element of the document of every span and
// is slow from some thousands on; ECharts can draw them by a custom series and weighs a megabyte. Curves with numbers on their axes are uPlot's: 50 KB, no
// dependencies, drawn on canvas, and quick with 100,000 points. It is kept in page/uplot as the npm registry has it, its version and checksum in
// hack/page/package-lock.json; hack/page.sh gets it anew, and a test compares.
package reports

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// JSON writes report.json.
func JSON(w io.Writer, r *plan.Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Error   *junitMessage `xml:"error,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
}

// JUnit writes one test case a check and a receipt, and one for each thing that is missing. What is inconclusive is an error: CI must not take it for
// a pass.
func JUnit(w io.Writer, r *plan.Result) error {
	suite := struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     float64     `xml:"time,attr"`
		Stamp    string      `xml:"timestamp,attr"`
		Cases    []junitCase `xml:"testcase"`
	}{Name: r.Scenario, Time: r.DurationSeconds, Stamp: r.Started.UTC().Format(time.RFC3339)}
	add := func(c junitCase, v plan.Verdict, message string) {
		suite.Tests++
		switch v {
		case plan.Fail:
			suite.Failures++
			c.Failure = &junitMessage{message}
		case plan.Pass:
			c.Output = message
		case plan.Skipped:
			suite.Skipped++
			c.Skipped = &junitMessage{message}
		default:
			suite.Errors++
			c.Error = &junitMessage{"inconclusive: " + message}
		}
		suite.Cases = append(suite.Cases, c)
	}
	for _, c := range r.Checks {
		add(junitCase{Name: c.Name + " (" + c.When + ")", Class: r.Scenario + ".checks"}, c.Verdict, c.Message)
	}
	for _, rc := range r.Receipts {
		v := plan.Unknown
		if rc.State == plan.Confirmed {
			v = plan.Pass
		}
		add(junitCase{Name: rc.ID + " " + rc.Fault, Class: r.Scenario + ".receipts"}, v, rc.Says())
	}
	for _, s := range r.Steps {
		if s.Status == "failed" {
			add(junitCase{Name: s.ID + " " + s.Name, Class: r.Scenario + ".steps"}, plan.Unknown, s.Error)
		}
	}
	for _, p := range r.Probes {
		if p.Samples == 0 {
			add(junitCase{Name: p.Name, Class: r.Scenario + ".probes"}, plan.Unknown, "it took no sample")
		}
	}
	for i, g := range r.Gaps {
		add(junitCase{Name: fmt.Sprintf("evidence, gap %d", i+1), Class: r.Scenario + ".evidence"}, plan.Unknown, g)
	}
	if r.Verdict != plan.Go && suite.Failures+suite.Errors == 0 {
		add(junitCase{Name: "verdict", Class: r.Scenario}, plan.Unknown, strings.Join(r.Reasons, "; "))
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	return e.Encode(suite)
}

// Markdown writes report.md.
func Markdown(w io.Writer, r *plan.Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s\n\nProvider %s, seed %d, started %s, took %.0f s.\n", strings.ToUpper(string(r.Verdict)), r.Scenario, r.Provider, r.Seed,
		r.Started.Format(time.DateTime), r.DurationSeconds)
	for _, c := range r.Cluster {
		fmt.Fprintf(&b, "Cluster: %s.\n", c.Topology)
	}
	if len(r.Reasons) > 0 {
		b.WriteString("\n## Why\n\n")
		for _, why := range r.Reasons {
			fmt.Fprintf(&b, "- %s\n", oneLine(why))
		}
	}
	for _, t := range r.Tables {
		fmt.Fprintf(&b, "\n## %s\n\n| %s |\n%s|\n", t.Title, strings.Join(t.Columns, " | "), strings.Repeat("|---", len(t.Columns)))
		for _, row := range t.Rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
	}
	b.WriteString("\n## Receipts\n\n| step | fault | machines | state | evidence |\n|---|---|---|---|---|\n")
	for _, rc := range r.Receipts {
		var saw []string
		if rc.Event != nil {
			saw = append(saw, "upon "+rc.Event.Observer+": "+rc.Event.Saw)
		}
		for _, e := range rc.Evidence {
			saw = append(saw, e.Observer+": "+e.Saw)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", rc.ID, rc.Fault, strings.Join(rc.Machines, ", "), oneLine(rc.Says()), oneLine(strings.Join(saw, "; ")))
	}
	b.WriteString("\n## Checks\n\n| check | when | verdict | message |\n|---|---|---|---|\n")
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.Name, c.When, c.Verdict, oneLine(c.Message))
	}
	b.WriteString("\n## Probes\n\n| probe | samples | failures | longest gap | p50 | p99 |\n|---|---|---|---|---|---|\n")
	for _, p := range r.Probes {
		fmt.Fprintf(&b, "| %s | %d | %d | %.1f s | %.3f s | %.3f s |\n", p.Name, p.Samples, p.Failures, p.LongestGapSeconds, p.P50Seconds, p.P99Seconds)
	}
	fmt.Fprintf(&b, "\nTolerance: %s.\n", r.Tolerance)
	if r.Host != nil {
		fmt.Fprintf(&b, "\nHost: %s.\n", r.Host)
	}
	if len(r.Tolerance.Steps) > 0 {
		b.WriteString("\n## What more could have been lost, by step\n\n| step | what | members | API servers | replicas | seconds with nothing to spare |\n|---|---|---|---|---|---|\n")
		for _, s := range r.Tolerance.Steps {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.1f |\n", s.ID, s.Name, count(s.Members), count(s.APIServers), count(s.Replicas), s.SecondsAtZero)
		}
	}
	b.WriteString("\n## Steps\n\n| step | what | status | seconds |\n|---|---|---|---|\n")
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "| %s | %s | %s | %.1f |\n", s.ID, s.Name, strings.TrimSpace(s.Status+" "+oneLine(s.Error)), s.DurationSeconds)
	}
	for _, k := range r.Kept {
		fmt.Fprintf(&b, "\nEvidence: %s, %s. `drydock report DIR` judges from it again.\n", k.File, size(k.Bytes))
	}
	for _, n := range r.NotTested {
		fmt.Fprintf(&b, "\nNot tested: %s: %s.\n", n.What, n.Why)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func oneLine(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "\\|")
}

// Summary writes what a person wants to know at the end of a run.
func Summary(w io.Writer, r *plan.Result, paint func(color, s string) string) error {
	var b strings.Builder
	mark := map[string]string{"pass": paint("32", "✓"), "confirmed": paint("32", "✓"), "fail": paint("31", "✗"), "mismatch": paint("31", "✗"), "inconclusive": paint("33", "?"), "skipped": "–"}
	b.WriteString("\nReceipts\n")
	for _, rc := range r.Receipts {
		where := ""
		if len(rc.Machines) > 0 {
			where = " on " + strings.Join(rc.Machines, ", ")
		}
		fmt.Fprintf(&b, "  %s %s %s of %s%s: %s\n", mark[rc.State], rc.ID, rc.Fault, rc.Target, where, oneLine(rc.Says()))
	}
	b.WriteString("Checks\n")
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "  %s %-24s %-24s %s\n", mark[string(c.Verdict)], c.Name, c.When, oneLine(c.Message))
	}
	for _, t := range r.Tables {
		b.WriteString(t.Title + "\n")
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{t.Columns}, t.Rows...) {
			_, _ = fmt.Fprintln(w, "    "+strings.Join(row, "\t"))
		}
		_ = w.Flush()
	}
	if len(r.Probes) > 0 {
		b.WriteString("Probes\n")
	}
	for _, p := range r.Probes {
		fmt.Fprintf(&b, "    %-40s %5d samples %5d failures, longest gap %.1f s, p50 %.3f s, p99 %.3f s\n", p.Name, p.Samples, p.Failures, p.LongestGapSeconds, p.P50Seconds, p.P99Seconds)
	}
	if len(r.Cluster) > 0 {
		fmt.Fprintf(&b, "Tolerance: %s\n", r.Tolerance)
	}
	if r.Host != nil {
		fmt.Fprintf(&b, "Host: %s\n", r.Host)
	}
	for _, k := range r.Kept {
		fmt.Fprintf(&b, "Evidence: %s, %s\n", k.File, size(k.Bytes))
	}
	color := map[plan.Verdict]string{plan.Go: "32", plan.NoGo: "31"}[r.Verdict]
	if color == "" {
		color = "33"
	}
	for _, why := range r.Reasons {
		fmt.Fprintf(&b, "  because %s\n", oneLine(why))
	}
	fmt.Fprintf(&b, "%s %s (%.0f s, seed %d)\n", paint(color, strings.ToUpper(string(r.Verdict))), r.Scenario, r.DurationSeconds, r.Seed)
	_, err := io.WriteString(w, b.String())
	return err
}

func size(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d KiB", (bytes+1023)>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}

// count is a number that may not have been observed.
func count(n *int) string {
	if n == nil {
		return "–"
	}
	return strconv.Itoa(*n)
}
