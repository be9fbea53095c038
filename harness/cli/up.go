package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/provider"
	"drydock.dev/drydock/harness/release"
)

const defaultName = "drydock"

func upCommand(o *options) *cobra.Command {
	t := cluster.Topology{}
	var etcd, timing string
	var apiPort int
	var noImage bool
	c := &cobra.Command{
		Use: "up", Short: "Make a cluster and leave it running", Args: cobra.NoArgs,
		Example: `  drydock up --control-planes 3 --workers 2
  drydock up --etcd only --etcd-members 5 --name five
  drydock up --etcd external --etcd-members 3`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t.Etcd, t.Timing = cluster.EtcdLayout(etcd), cluster.Timing(timing)
			if t.Etcd == cluster.EtcdOnly && !cmd.Flags().Changed("control-planes") {
				t.ControlPlanes = 0
			}
			full, warnings, err := release.CompleteTopology(t)
			if err != nil {
				return err
			}
			for _, w := range append(warnings, lab.Warnings()...) {
				printf(os.Stderr, "warning: %s\n", w)
			}
			l, err := o.lab()
			if err != nil {
				return err
			}
			p := l.Provider(full)
			p.Keep, p.APIPort, p.NoImage = true, apiPort, noImage
			up, err := p.Up(cmd.Context(), full)
			if err != nil {
				return err
			}
			return describeUp(cmd, up)
		},
	}
	f := c.Flags()
	f.StringVar(&t.Name, "name", defaultName, "name of the cluster")
	f.IntVar(&t.ControlPlanes, "control-planes", 1, "control planes: 1, 3 or 5")
	f.IntVar(&t.Workers, "workers", 0, "workers")
	f.StringVar(&etcd, "etcd", string(cluster.EtcdStacked), "stacked (on the control planes), external (own machines) or only (no Kubernetes)")
	f.IntVar(&t.EtcdMembers, "etcd-members", 0, "etcd members when not stacked, 1 to 7 (default 3)")
	f.StringVar(&t.Version, "version", "", "Kubernetes version, vX.Y or vX.Y.Z (default the oldest known: see drydock versions)")
	f.StringVar(&timing, "timing", string(cluster.TimingFast), "fast or production: how soon a loss is noticed")
	f.IntVar(&apiPort, "api-port", 0, "port on 127.0.0.1 for the API server (default: a free one)")
	f.BoolVar(&noImage, "no-image", false, "run kubeadm even where a saved cluster could be booted")
	_ = c.RegisterFlagCompletionFunc("etcd", cobra.FixedCompletions([]string{"stacked", "external", "only"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("timing", cobra.FixedCompletions([]string{"fast", "production"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// describeUp says how to use the new cluster.
func describeUp(cmd *cobra.Command, up cluster.Cluster) error {
	l, ok := up.(*lab.Lab)
	if !ok {
		return fmt.Errorf("up: %T is not a lab", up)
	}
	out, name := cmd.OutOrStdout(), l.Topology().Name
	printf(out, "Cluster %q is up: %s\n", name, l.Topology())
	if l.Topology().Kubernetes() {
		path, err := provider.Kubeconfig(cmd.Context(), l)
		if err != nil {
			return err
		}
		printf(out, "  export KUBECONFIG=%s     or: drydock kubectl get nodes --name %s\n", path, name)
	}
	printf(out, "  drydock shell %s --name %s\n  drydock down %s\n", l.Machines()[0].Name(), name, name)
	return nil
}

func downCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "down [NAME]", Short: "Remove a cluster", Args: cobra.MaximumNArgs(1), ValidArgsFunction: o.completeLabs,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := defaultName
			if len(args) > 0 {
				name = args[0]
			}
			dir, err := lab.Dir(o.stateDir, name)
			if err != nil {
				return err
			}
			if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
				printf(cmd.OutOrStdout(), "No cluster %q: nothing to do\n", name)
				return nil
			}
			if by, lives := plan.Living(filepath.Join(dir, upgradeDir)); lives {
				return cluster.Usagef("cluster %q is being upgraded by %s: wait for it, or stop it", name, by)
			}
			if !lab.Running(dir) {
				if err := lab.Discard(o.stateDir, name); err != nil {
					return err
				}
				printf(cmd.OutOrStdout(), "Cluster %q was not running; its directory is removed\n", name)
				return nil
			}
			l, err := o.attach(name)
			if err != nil {
				return err
			}
			done := o.progress.Phase("removing cluster %q", name)
			err = (&lab.Provider{StateDir: o.stateDir}).Down(cmd.Context(), l)
			done(err)
			return err
		},
	}
}

func (o *options) completeLabs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return lab.List(o.stateDir), cobra.ShellCompDirectiveNoFileComp
}

// attach finds the lab a command is about.
func (o *options) attach(name string) (*lab.Lab, error) {
	l, err := o.lab()
	if err != nil {
		return nil, err
	}
	return lab.Attach(l.StateDir, name, l.Store())
}
