package cli

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
)

func statusCommand(o *options) *cobra.Command {
	usage := false
	c := &cobra.Command{
		Use: "status [NAME]", Short: "Show the running clusters, their machines and members", Args: cobra.MaximumNArgs(1), ValidArgsFunction: o.completeClusters,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := o.open()
			if err != nil {
				return err
			}
			names, err := p.List(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) > 0 {
				names = args
			}
			if len(names) == 0 {
				printf(cmd.OutOrStdout(), "No clusters are running. Make one with: drydock up\n")
			}
			for _, name := range names {
				if err := o.status(cmd, p, name, usage); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&usage, "usage", false, "show the memory the cluster takes; reading it takes a moment")
	return c
}

func (o *options) status(cmd *cobra.Command, p cluster.Provider, name string, usage bool) error {
	l, err := p.Attach(cmd.Context(), name)
	if err != nil {
		return err
	}
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	t, kubelets := l.Topology(), map[string]string{}
	if t.Kubernetes() { // what runs now: an upgrade may have been there
		if running, err := kubeadm.ServerVersion(ctx, l); err == nil {
			t.Version = running
		}
		kubelets, _ = kubeadm.KubeletVersions(ctx, l) // no answer: a dash
	}
	printf(out, "%s: %s\n", name, t)
	if at := server(ctx, l); at != "" {
		printf(out, "API server: %s\n", at)
	}
	if metered, ok := l.(cluster.Metered); ok && usage {
		u, err := metered.Usage(ctx)
		if err != nil {
			return err
		}
		printf(out, "Memory: %d MiB in %d processes (shared pages divided among their users)\n", u.PSS>>20, u.Processes)
	}
	members := map[string]etcd.Member{}
	if all, err := observeMembers(ctx, l); err == nil {
		for _, m := range all {
			members[m.Machine] = m
		}
	}
	printf(out, "%-18s %-14s %-12s %-6s %-10s %s\n", "MACHINE", "ROLE", "ADDRESS", "POWER", "KUBELET", "ETCD")
	for _, m := range l.Machines() {
		printf(out, "%-18s %-14s %-12s %-6s %-10s %s\n", m.Name(), m.Role(), m.Addr(), power(ctx, m), cmp.Or(kubelets[m.Name()], "-"), memberWord(members, m.Name()))
	}
	return nil
}

// server is where this host finds the API server, as the cluster's kubeconfig says.
func server(ctx context.Context, c cluster.Cluster) string {
	raw, err := c.Kubeconfig(ctx)
	if err != nil {
		return ""
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(raw)
	if err != nil {
		return ""
	}
	return cfg.Host
}

func observeMembers(ctx context.Context, l cluster.Cluster) ([]etcd.Member, error) {
	_, w, err := etcd.Watch(ctx, l)
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Close() }()
	return w.Members(ctx, 2*time.Second), nil
}

func power(ctx context.Context, m cluster.Machine) string {
	p, err := cluster.As[cluster.Power](m)
	if err != nil {
		return "?"
	}
	on, err := p.Powered(ctx)
	switch {
	case err != nil:
		return "?"
	case on:
		return "on"
	default:
		return "off"
	}
}

func memberWord(members map[string]etcd.Member, machine string) string {
	m, ok := members[machine]
	switch {
	case !ok:
		return "-"
	case m.Error != "":
		return "unreachable"
	case m.IsLeader():
		return "leader, v" + m.Version
	case m.Learner:
		return "learner, v" + m.Version
	default:
		return "follower, v" + m.Version
	}
}
