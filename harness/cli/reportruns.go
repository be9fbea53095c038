package cli

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/reports/runs"
)

// runsOf finds the runs below a directory, or below that of all runs.
func (o *options) runsOf(args []string) (*runs.Shelf, error) {
	dir := filepath.Join(o.stateDir, "runs")
	if len(args) > 0 {
		dir = args[0]
	}
	s, err := runs.Open(dir, experiment.Judge)
	if err != nil {
		return nil, cluster.Usagef("%w: name a directory with runs in it, each in one of its own", err)
	}
	return s, nil
}

func reportTrend(o *options) *cobra.Command {
	var asJSON bool
	var html string
	c := &cobra.Command{
		Use: "trend [DIR]", Short: "How many runs went over time: verdicts, margins, and how often each check was red", Args: cobra.MaximumNArgs(1),
		Example: "  drydock report trend\n  drydock report trend ./nightly --html ./nightly/trend.html\n  drydock report trend ./nightly --json | jq '.scenarios[].checks[] | select(.flaky)'",
		Long: `Trend reads the reports of all runs below DIR (default: those of --state-dir), each scenario and provider for itself, and tells how their verdicts and
margins went, and of each check that was not always green how often it failed, with which seeds: a check that has passed as well as failed is flaky, and
where one seed did both it is not the plan that makes the difference. Of a run without a report what its journal shows is judged.

A run that goes on and one that cannot be read are named and count for nothing. It judges no run anew and writes nothing but the page that is asked for.

Exit codes: 0, and 2 where there is no such directory, or in it no run that can be read.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			shelf, err := o.runsOf(args)
			if err != nil {
				return err
			}
			all, err := shelf.List()
			if err != nil {
				return err
			}
			t := runs.TrendOf(all)
			if html != "" {
				if err := writeTrend(shelf, t, html); err != nil {
					return err
				}
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), t)
			} else {
				err = t.Print(cmd.OutOrStdout())
			}
			if err == nil && len(t.Scenarios) == 0 { // no data is no trend
				return cluster.Usagef("%s: no run that has ended can be read there (%d go on, %d are unreadable)", shelf.Root(), len(t.Running), len(t.Unreadable))
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print it for machines")
	c.Flags().StringVar(&html, "html", "", "file to write a page of it to, with a picture of each margin and links to the runs")
	return c
}

// writeTrend writes the page, with links to the runs as they are from there.
func writeTrend(shelf *runs.Shelf, t *runs.Trend, file string) error {
	here, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return fmt.Errorf("trend: %w", err)
	}
	there, err := filepath.Abs(shelf.Root())
	if err != nil {
		return fmt.Errorf("trend: %w", err)
	}
	from, err := filepath.Rel(here, there)
	if err != nil {
		return fmt.Errorf("trend: %w", err)
	}
	var page bytes.Buffer
	if err := t.HTML(&page, filepath.ToSlash(from)+"/"); err != nil {
		return err
	}
	if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
		return cluster.Usagef("trend: %w", err)
	}
	return nil
}

func reportServe(o *options) *cobra.Command {
	var port int
	c := &cobra.Command{
		Use: "serve [DIR]", Short: "A page on this machine that lists runs, and follows those that go on", Args: cobra.MaximumNArgs(1),
		Example: "  drydock report serve\n  drydock report serve ./nightly --port 8080",
		Long: `Serve lists the runs below DIR (default: those of --state-dir), newest first, with links to their reports, and how they went over time. A run that goes on
is followed: its step, the faults in place, and the last known state; its page is of what there is so far.

It answers on the loopback only, reads and never writes, and serves nothing but the reports of the runs that it lists. Ctrl-C ends it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			shelf, err := o.runsOf(args)
			if err != nil {
				return err
			}
			if port < 0 || port > 65535 {
				return cluster.Usagef("--port is %d; 0 (a free one) to 65535", port)
			}
			server, err := runs.NewServer(shelf)
			if err != nil {
				return err
			}
			l, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return cluster.Usagef("cannot listen (--port 0 chooses a free one): %w", err)
			}
			printf(cmd.OutOrStdout(), "http://%s/ lists the runs of %s; Ctrl-C ends it\n", l.Addr(), shelf.Root())
			return server.Serve(cmd.Context(), l)
		},
	}
	c.Flags().IntVar(&port, "port", 0, "of the loopback; 0 chooses a free one")
	return c
}
