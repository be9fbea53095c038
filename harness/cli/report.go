package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/reports"
)

func reportCommand(o *options) *cobra.Command {
	var learn string
	c := &cobra.Command{
		Use: "report DIR", Short: "Judge a run again from its evidence, by today's checks, and write its reports anew", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if learn != "" {
				return learnObjects(args[0], learn)
			}
			res, err := experiment.Judge(args[0])
			if err != nil {
				return err
			}
			if err := reports.Write(args[0], res); err != nil {
				return err
			}
			if err := reports.Summary(cmd.OutOrStdout(), res, o.progress.paintFor(os.Stdout)); err != nil {
				return err
			}
			if code := exitOf(res.Verdict); code != exitGo {
				return codeError{code}
			}
			return nil
		},
	}
	c.Flags().StringVar(&learn, "learn-objects", "", "write what the clean upgrade of this run has changed in the cluster's objects, for fixtures/objects/FROM-TO.yaml, and judge nothing")
	return c
}

// learnObjects writes a file anew: what it held was learned of another run.
func learnObjects(dir, file string) error {
	learned, err := experiment.Learn(dir)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, learned, 0o644); err != nil {
		return fmt.Errorf("learn: %w", err)
	}
	return nil
}
