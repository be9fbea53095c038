// Package reports turns the result of a run into files: report.json for machines, junit.xml for CI, report.md with timeline.svg for the summary of a CI job,
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
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"drydock.dev/drydock/harness/plan"
)

// JSON writes report.json.
func JSON(w io.Writer, r *plan.Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
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

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
