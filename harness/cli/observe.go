package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
)

func observeCommand(o *options) *cobra.Command {
	f := runFlags{seed: 1, readOnly: true}
	d := 30 * time.Second
	c := &cobra.Command{
		Use: "observe [NAME]", Short: "Look at a cluster that is up for a time, and judge it; nothing is broken and nothing written", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: o.completeClusters,
		Example:           "  drydock observe --for 2m\n  drydock observe shop-staging --provider staging --inventory staging.yaml",
		Long: `Observe reads: every etcd member, API server, component, node and pod, twice a second, and at the end what all members hold. It needs no claim and no
name typed. Exit codes are those of run.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				f.on = args[0]
			}
			opts, err := o.runOptions(f, "")
			if err != nil {
				return err
			}
			if f.on = opts.On; f.on == "" {
				if f.on, err = onlyOne(cmd.Context(), opts.Provider); err != nil {
					return err
				}
			}
			s, err := experiment.Watching(cmd.Context(), opts.Provider, f.on, d)
			if err != nil {
				return err
			}
			code, err := o.run(cmd, s, f, false)
			if err == nil && code != exitGo {
				err = codeError{code}
			}
			return err
		},
	}
	fl := c.Flags()
	fl.DurationVar(&d, "for", d, "how long to look")
	fl.StringVar(&f.out, "out", "", "directory for journal and reports (default below --state-dir)")
	fl.BoolVar(&f.json, "json", false, "print report.json on standard output")
	return c
}

// onlyOne is the name of the cluster that is up, where there is one.
func onlyOne(ctx context.Context, p cluster.Provider) (string, error) {
	names, err := p.List(ctx)
	if err != nil {
		return "", err
	}
	if len(names) != 1 {
		return "", cluster.Usagef("observe needs the name of one of the clusters that are up (%s)", strings.Join(names, ", "))
	}
	return names[0], nil
}
