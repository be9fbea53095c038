package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
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
			if o.provider == "lab" {
				warnings = append(warnings, lab.Warnings()...)
			}
			for _, w := range warnings {
				printf(os.Stderr, "warning: %s\n", w)
			}
			h, err := o.host()
			if err != nil {
				return err
			}
			h.APIPort, h.NoImage = apiPort, noImage
			p, err := h.Open(o.provider)
			if err != nil {
				return err
			}
			up, err := p.Up(cmd.Context(), full)
			if err != nil {
				return err
			}
			if err := up.Release(cmd.Context()); err != nil { // from here on it outlives this process
				return errors.Join(err, p.Down(context.WithoutCancel(cmd.Context()), full.Name))
			}
			return describeUp(cmd.Context(), cmd.OutOrStdout(), up)
		},
	}
	f := c.Flags()
	f.StringVar(&t.Name, "name", defaultName, "name of the cluster")
	f.IntVar(&t.ControlPlanes, "control-planes", 1, "control planes: 1, 3 or 5")
	f.IntVar(&t.Workers, "workers", 0, "workers")
	f.IntVar(&t.VMWorkers, "vm-workers", 0, "how many of the workers have a kernel of their own, in QEMU")
	f.StringVar(&etcd, "etcd", string(cluster.EtcdStacked), "stacked (on the control planes), external (own machines) or only (no Kubernetes)")
	f.IntVar(&t.EtcdMembers, "etcd-members", 0, "etcd members when not stacked, 1 to 7 (default 3)")
	f.Var(&t.EtcdQuota, "etcd-quota", "size at which etcd's database is full, with --etcd only (default etcd's own, 2Gi)")
	f.Var(&t.EtcdDisk, "etcd-disk", "size of a disk that each member has of its own in memory, with --etcd only (default none: the machine's)")
	f.StringVar(&t.Version, "version", "", "Kubernetes version, vX.Y or vX.Y.Z (default "+release.DefaultVersion+": see drydock versions)")
	f.StringVar(&t.EtcdVersion, "etcd-version", "", "etcd version, vX.Y.Z (default that of the Kubernetes version's kubeadm, and the newest known where etcd is on machines of its own)")
	f.StringVar(&timing, "timing", string(cluster.TimingFast), "fast or production: how soon a loss is noticed")
	f.IntVar(&apiPort, "api-port", 0, "port on 127.0.0.1 for the API server (default: a free one)")
	f.BoolVar(&noImage, "no-image", false, "run kubeadm even where a saved cluster could be booted")
	_ = c.RegisterFlagCompletionFunc("etcd", cobra.FixedCompletions([]string{"stacked", "external", "only"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("timing", cobra.FixedCompletions([]string{"fast", "production"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// describeUp says how to use the new cluster.
func describeUp(ctx context.Context, out io.Writer, up cluster.Cluster) error {
	t := up.Topology()
	printf(out, "Cluster %q is up: %s\n", t.Name, t)
	if t.Kubernetes() {
		path, err := cluster.KubeconfigFile(ctx, up)
		if err != nil {
			return err
		}
		printf(out, "  export KUBECONFIG=%s     or: drydock kubectl get nodes --name %s\n", path, t.Name)
	}
	printf(out, "  drydock shell %s --name %s\n  drydock down %s\n", up.Machines()[0].Name(), t.Name, t.Name)
	return nil
}

func downCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "down [NAME]", Short: "Remove a cluster", Args: cobra.MaximumNArgs(1), ValidArgsFunction: o.completeClusters,
		Example: "  drydock down\n  drydock down mine --provider kind",
		RunE: func(cmd *cobra.Command, args []string) error {
			name := defaultName
			if len(args) > 0 {
				name = args[0]
			}
			p, err := o.open()
			if err != nil {
				return err
			}
			running, err := p.List(cmd.Context())
			if err != nil {
				return err
			}
			if !slices.Contains(running, name) { // there may be what a dead one has left
				err := p.Down(cmd.Context(), name)
				if err == nil {
					printf(cmd.OutOrStdout(), "No cluster %q is running, and nothing of one is left\n", name)
				}
				return err
			}
			done := o.progress.Phase("removing cluster %q", name)
			err = p.Down(cmd.Context(), name)
			done(err)
			return err
		},
	}
}

func (o *options) completeClusters(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	p, err := o.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names, err := p.List(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
