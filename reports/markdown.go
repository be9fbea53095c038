package reports

import (
	"fmt"
	"io"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

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
