package cli

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
)

// tailOfMany is how much of each log is shown where there are several and nobody has said how much, as kubectl does.
const tailOfMany = 10

type logFlags struct {
	name   string
	units  []string
	follow bool
	since  string
	tail   int
}

func logsCommand(o *options) *cobra.Command {
	f := logFlags{tail: -1}
	c := &cobra.Command{
		Use: "logs [MACHINE]", Short: "Show what services and containers of a machine, or of all machines, have written", Args: cobra.MaximumNArgs(1),
		Long: `Logs shows what the services of a machine and the containers on it have written, in the order in which they did: all of one log, or the last ten
lines of each of several. It works on a machine that is off as well, for its disk is there. A unit is a service (kubelet), a container of a static pod
(etcd, kube-apiserver), or another pod, with /CONTAINER where it has several.

Of a run that is over the logs are in its directory, below logs/.`,
		Example: `  drydock logs control-plane-1 -u kubelet --tail 50
  drydock logs -u etcd --since 5m
  drydock logs worker-1 -f
  drydock logs etcd-1 -u etcd --since 2026-11-22T15:04:05Z`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.logs(cmd, args, f) },
	}
	fl := c.Flags()
	fl.StringVar(&f.name, "name", defaultName, "name of the cluster")
	fl.StringSliceVarP(&f.units, "unit", "u", nil, "only of these services, containers or pods")
	fl.BoolVarP(&f.follow, "follow", "f", false, "go on with what is written, until interrupted")
	fl.StringVar(&f.since, "since", "", "only what was written since: 10m, or a time as in RFC 3339")
	fl.IntVar(&f.tail, "tail", -1, "so many of the last lines of each log; -1: all, of several logs 10")
	c.ValidArgsFunction = o.completeMachines(&f.name)
	programs := append(observe.ComponentsOf(cluster.ControlPlane), etcd.Program)
	_ = c.RegisterFlagCompletionFunc("unit", cobra.FixedCompletions(programs, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (o *options) logs(cmd *cobra.Command, machines []string, f logFlags) (err error) {
	since, err := sinceWhen(f.since, time.Now())
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	up, err := o.attach(ctx, f.name)
	if err != nil {
		return err
	}
	for _, m := range machines {
		if _, err := up.Machine(m); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "drydock-logs-")
	if err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := up.CollectLogs(ctx, dir, machines...); err != nil {
		return err
	}
	found, err := observe.CollectedLogs(dir, f.units...)
	if err != nil {
		return err
	}
	if f.tail < 0 && len(found) > 1 && !cmd.Flags().Changed("tail") {
		f.tail = tailOfMany
	}
	show := showLine(cmd, found)
	if f.follow {
		return followAll(ctx, up, found, since, f.tail, show)
	}
	lines, err := observe.ReadLogs(dir, found, since, f.tail)
	for _, l := range lines {
		show(l)
	}
	return err
}

// showLine prints lines, with where they are from if that is not clear.
func showLine(cmd *cobra.Command, of []*observe.Log) func(observe.LogLine) {
	out, width := cmd.OutOrStdout(), 0
	for _, l := range of {
		width = max(width, len(l.String()))
	}
	return func(l observe.LogLine) {
		if len(of) == 1 {
			printf(out, "%s\n", l.Text)
			return
		}
		printf(out, "%-*s | %s\n", width, l.Log, l.Text)
	}
}

// followAll follows every log until the context ends, or each has.
func followAll(ctx context.Context, up cluster.Cluster, logs []*observe.Log, since time.Time, tail int, show func(observe.LogLine)) error {
	var mu sync.Mutex
	var all errgroup.Group
	for _, l := range logs {
		m, err := up.Machine(l.Machine)
		if err != nil {
			continue // the lab's own, which nobody follows
		}
		all.Go(func() error {
			return l.Follow(ctx, m, since, tail, func(line observe.LogLine) {
				mu.Lock()
				defer mu.Unlock()
				show(line)
			})
		})
	}
	return all.Wait()
}

// sinceWhen reads an age or a time; the zero time of nothing.
func sinceWhen(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if age, err := time.ParseDuration(text); err == nil && age >= 0 {
		return now.Add(-age), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, cluster.Usagef("--since %q is neither an age, as 10m, nor a time, as %s", text, now.Format(time.RFC3339))
	}
	return at, nil
}
