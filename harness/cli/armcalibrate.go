package cli

import (
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/calibrate"
	"drydock.dev/drydock/harness/azure/proxy"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/cluster"
)

func armCalibrate() *cobra.Command {
	var policyOut, timingsOut, base string
	var asJSON bool
	c := &cobra.Command{
		Use: "calibrate RECORDING", Short: "Make a throttling policy and timings out of a recording of the real Resource Manager, and say what it could not tell", Args: cobra.ExactArgs(1),
		Example: `  drydock arm proxy --listen 127.0.0.1:8080 --ca-out ca.pem --record calls.jsonl        # before the real ones: clients do their work through it
  drydock arm calibrate calls.jsonl                                                     # look; nothing is written
  drydock arm calibrate calls.jsonl --policy-out mine.yaml --timings-out mine-timings.yaml
  drydock arm serve --policy mine.yaml --timings mine-timings.yaml --ca-out ca.pem --ready-file ready.json
  drydock arm calibrate calls.jsonl --base current --policy-out mine.yaml               # what it cannot tell is as the public cloud documents it`,
		Long: `Calibrate reads what drydock arm proxy --record wrote, reaches nothing, and changes no file but those it is told to write.

Budgets come from what answers say is left (x-ms-ratelimit-remaining-…), from 429 and their bodies, of each principal, region, subscription and resource
apart; a policy has one limit for all of them, so what they show is put together. The bounds of a refill hold whatever calls were under way at once, and the
roundest number between them is written. A budget that was neither met (429) nor seen to fill is not made into a limit: it is without one, or the limit of
--base stands if what was seen agrees. Durations come from the times that operations tell of themselves, or else from their first and last poll; Retry-After
and the form (Azure-AsyncOperation, Location) from the answers.

Each number is written with the number of samples it rests on, and what the recording could not tell is listed here and at the head of both files.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if policyOut != "" && policyOut == timingsOut {
				return cluster.Usagef("--policy-out and --timings-out are the same file: %s", policyOut)
			}
			for _, to := range []string{policyOut, timingsOut} {
				if sameFile(args[0], to) {
					return cluster.Usagef("%s is the recording itself: it would be lost", to)
				}
			}
			o := calibrate.Options{Types: azure.TypeNames()}
			if base != "" {
				p, err := throttle.LoadPolicy(base)
				if err != nil {
					return err
				}
				o.Base = p
			}
			recorded, err := proxy.ReadRecording(args[0])
			if err != nil {
				return err
			}
			r, err := calibrate.From(recorded, o)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			for _, f := range []struct{ path, content string }{{policyOut, r.PolicyYAML()}, {timingsOut, r.TimingsYAML()}} {
				if f.path == "" {
					continue
				}
				if err := os.WriteFile(f.path, []byte(f.content), 0o644); err != nil {
					return cluster.Usagef("%w", err)
				}
			}
			if r.Bare > 0 {
				printf(cmd.ErrOrStderr(), "warning: %s holds %d exchanges with a token in them (--keep-secrets): keep it to yourself. Nothing of them is in what is made of it.\n", args[0], r.Bare)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return printCalibration(cmd.OutOrStdout(), r)
		},
	}
	c.Flags().StringVar(&policyOut, "policy-out", "", "file to write the throttling policy to, for arm serve --policy")
	c.Flags().StringVar(&timingsOut, "timings-out", "", "file to write the timings to, for arm serve --timings")
	c.Flags().StringVar(&base, "base", "", "policy whose limits stand where the recording knows too little: a file, or "+strings.Join(throttle.Policies(), ", ")+" (default none: no limit there)")
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	_ = c.RegisterFlagCompletionFunc("base", cobra.FixedCompletions(throttle.Policies(), cobra.ShellCompDirectiveDefault))
	return c
}

// sameFile reports whether two names are of one file that is there.
func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// printCalibration says it for people: what was seen, what is written, and what is not known.
func printCalibration(out io.Writer, r *calibrate.Result) error {
	subscriptions, regions, principals := r.Owners()
	printf(out, "%d calls in %s, of %d principals, %d subscriptions, %d regions; %d exchanges beside them\n",
		r.Calls, r.Ended.Sub(r.Begun).Round(time.Second), principals, subscriptions, regions, r.Beside)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(r.Budgets) > 0 {
		printf(t, "\nBUDGET\tOF\tSAMPLES\t429\tLEAST LEFT\tHOLDS\tREFILL A SECOND\tRETRY-AFTER\n")
	}
	for _, b := range r.Budgets {
		printf(t, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", b.Name, whose(b, subscriptions, regions), b.Samples, b.Rejected, b.Least, holds(b.Measured), refill(b.Measured), between(b.RetryAfter))
	}
	if len(r.Limits) > 0 {
		printf(t, "\nLIMIT\tOF A\tSAMPLES\tWRITTEN\tFROM\n")
	}
	for _, w := range r.Limits {
		written := "none"
		if w.Is != nil {
			written = w.Is.String()
		}
		printf(t, "%s\t%s\t%d\t%s\t%s\n", w.Name, w.Scope, w.Samples, written, w.From)
	}
	if len(r.Operations) > 0 {
		printf(t, "\nOPERATIONS OF\tVERB\tSAMPLES\tSHORTEST\tMEDIAN\tLONGEST\tNOT COUNTED\n")
	}
	for _, l := range r.Operations {
		printf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%d\n", l.Type, l.Verb, l.Samples, secondsText(l.Min), secondsText(l.Median), secondsText(l.Max), l.Unfinished+l.Failed)
	}
	if len(r.Told) > 0 {
		printf(t, "\nTOLD OF\tWITH A\tRETRY-AFTER\tSAMPLES\tANOTHER\tNONE\n")
	}
	for _, d := range r.Told {
		printf(t, "%s\t%s\t%s\t%d\t%d\t%d\n", d.Type, d.What, secondsText(d.After), d.Samples, d.Otherwise, d.Silent)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(r.Unknown) > 0 {
		printf(out, "\nNot known:\n")
	}
	for _, g := range r.Unknown {
		printf(out, "  %s\n", g)
	}
	return nil
}

// whose tells a budget from others of its scope: what all have in common is not said.
func whose(b calibrate.Budget, subscriptions, regions int) string {
	parts := []string{b.Scope}
	if b.Of.Principal != "" {
		parts = append(parts, b.Of.Principal)
	}
	if b.Of.Resource != "" {
		parts = append(parts, path.Base(b.Of.Resource))
	}
	if subscriptions > 1 {
		parts = append(parts, b.Of.Subscription)
	}
	if regions > 1 {
		parts = append(parts, b.Of.Region)
	}
	return strings.Join(parts, " ")
}

func holds(m calibrate.Measured) string {
	if m.Exact {
		return fmt.Sprint(m.Most)
	}
	return fmt.Sprintf("%d or more", m.Most)
}

func refill(m calibrate.Measured) string {
	switch {
	case m.Window():
		return fmt.Sprintf("all at once, %d times", m.Steps)
	case m.High > 0:
		return fmt.Sprintf("%.3g to %.3g", m.Low, m.High)
	case m.Low > 0:
		return fmt.Sprintf("%.3g or more", m.Low)
	}
	return "not known"
}

func between(told []float64) string {
	switch {
	case len(told) < 2:
		return ""
	case told[0] == told[1]:
		return secondsText(told[0])
	}
	return secondsText(told[0]) + " to " + secondsText(told[1])
}

func secondsText(s float64) string { return fmt.Sprintf("%.4g s", s) }
