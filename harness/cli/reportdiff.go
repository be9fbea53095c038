package cli

import (
	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/reports"
)

func reportDiffCommand() *cobra.Command {
	noise := reports.Noise{Percent: 25, Seconds: 1}
	var asJSON bool
	c := &cobra.Command{
		Use: "diff BEFORE AFTER", Short: "Say in what one run is worse or better than another", Args: cobra.ExactArgs(2),
		Example: "  drydock report diff runs/monday runs/tuesday\n  drydock report diff runs/v1.35 runs/v1.36 --noise 50 --json",
		Long: `Diff judges two runs again, from their directories and by today's checks, and compares what came of them: verdicts, receipts, what could still have been lost,
how long endpoints were unavailable, how long faults took to be over and steps took to be done, what was not tested any more, versions and checksums.

Exit codes: 0 nothing is worse, 1 something is, 2 usage or environment error, 3 nothing is seen to be worse, and some of the evidence is missing.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if noise.Percent < 0 || noise.Seconds < 0 {
				return cluster.Usagef("--noise %g and --noise-seconds %g: neither can be negative", noise.Percent, noise.Seconds)
			}
			before, err := experiment.Judge(args[0])
			if err != nil {
				return err
			}
			after, err := experiment.Judge(args[1])
			if err != nil {
				return err
			}
			d := reports.Compare(before, after, noise)
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), d)
			} else {
				err = d.Text(cmd.OutOrStdout())
			}
			if code := exitOfCheck(d.Outcome()); code != exitGo && err == nil {
				return codeError{code}
			}
			return err
		},
	}
	c.Flags().Float64Var(&noise.Percent, "noise", noise.Percent, "per cent by which times differ anyway")
	c.Flags().Float64Var(&noise.Seconds, "noise-seconds", noise.Seconds, "seconds by which they do, whatever their length")
	c.Flags().BoolVar(&asJSON, "json", false, "print the differences as JSON")
	return c
}
