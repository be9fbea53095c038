package reports

import (
	"fmt"
	"io"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// Markdown writes report.md, for the summary of a CI job: what a reader wants at once, the picture of the timeline beside it, then all of it in tables.
func Markdown(w io.Writer, r *plan.Result) error {
	v := newView(r)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s\n\n**%s**\n", strings.ToUpper(string(r.Verdict)), r.Scenario, inMarkdown(v.Why))
	for _, more := range []string{v.Since, v.Said} {
		if more != "" {
			fmt.Fprintf(&b, "\n%s\n", inMarkdown(more))
		}
	}
	fmt.Fprintf(&b, "\nProvider %s, seed %d, started %s, took %.0f s.\n", r.Provider, r.Seed, r.Started.Format(time.DateTime), r.DurationSeconds)
	for _, c := range r.Cluster {
		fmt.Fprintf(&b, "Cluster: %s.\n", c.Topology)
	}
	if len(r.Timelines) > 0 {
		b.WriteString("\n![The timeline: steps, faults, machines, members, what could still be lost, and probes](timeline.svg)\n")
	}
	b.WriteString("\n| at a glance | | |\n|---|---|---|\n")
	for _, c := range v.Cards {
		fmt.Fprintf(&b, "| %s | **%s** | %s |\n", c.Title, inMarkdown(c.Big), inMarkdown(c.Text))
	}
	if r.Command != "" {
		fmt.Fprintf(&b, "\nAgain, with the same plan: `%s`\n", r.Command)
	}
	if len(r.Reasons) > 0 {
		b.WriteString("\n## Why\n\n")
		for _, why := range r.Reasons {
			fmt.Fprintf(&b, "- %s\n", inMarkdown(why))
		}
	}
	for _, t := range r.Tables {
		fmt.Fprintf(&b, "\n## %s\n\n| %s |\n%s|\n", t.Title, strings.Join(t.Columns, " | "), strings.Repeat("|---", len(t.Columns)))
		for _, row := range t.Rows {
			for _, cell := range row {
				fmt.Fprintf(&b, "| %s ", inMarkdown(cell))
			}
			b.WriteString("|\n")
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
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", rc.ID, rc.Fault, strings.Join(rc.Machines, ", "), inMarkdown(rc.Says()), inMarkdown(strings.Join(saw, "; ")))
	}
	b.WriteString("\n## Checks\n\n| check | when | verdict | message |\n|---|---|---|---|\n")
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.Name, c.When, c.Verdict, inMarkdown(c.Message))
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
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.1f |\n", s.ID, inMarkdown(s.Name), count(s.Members), count(s.APIServers), count(s.Replicas), s.SecondsAtZero)
		}
	}
	b.WriteString("\n## Steps\n\n| step | what | status | seconds |\n|---|---|---|---|\n")
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "| %s | %s | %s | %.1f |\n", s.ID, inMarkdown(s.Name), strings.TrimSpace(s.Status+" "+inMarkdown(s.Error)), s.DurationSeconds)
	}
	for _, k := range r.Kept {
		fmt.Fprintf(&b, "\nEvidence: %s, %s. `drydock report DIR` judges from it again.\n", k.File, size(k.Bytes))
	}
	for _, n := range r.NotTested {
		fmt.Fprintf(&b, "\nNot tested: %s: %s.\n", inMarkdown(n.What), inMarkdown(n.Why))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// inMarkdown is text that somebody else may have written: in one line, a cell of a table, and neither markup nor a link.
func inMarkdown(s string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "<", "&lt;", "[", `\[`).Replace(oneLine(s))
}
