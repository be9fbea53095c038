package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/harness/upgrade/policy"
)

func versionsCommand(o *options) *cobra.Command {
	var from string
	c := &cobra.Command{
		Use: "versions", Short: "List the Kubernetes and etcd versions known and what of them is cached, or what a version can be upgraded to", Args: cobra.NoArgs,
		Example: "  drydock versions\n  drydock versions --from v1.35",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from != "" {
				return showTargets(cmd, from)
			}
			at, err := o.host()
			if err != nil {
				return err
			}
			store := at.Store()
			printf(cmd.OutOrStdout(), "%-12s %-10s %s\n", "PRODUCT", "VERSION", "CACHED")
			for _, product := range []string{release.Kubernetes, release.Etcd} {
				all, err := store.Known(product)
				if err != nil {
					return err
				}
				for _, v := range all {
					missing := store.Missing(v, v.Programs...)
					cached := fmt.Sprintf("%d of %d programs", len(v.Programs)-len(missing), len(v.Programs))
					if product == release.Kubernetes && len(store.Missing(v, "kubeadm")) == 0 {
						etcd, err := store.EtcdOf(cmd.Context(), v.Version)
						if err != nil {
							return err
						}
						cached += "; kubeadm runs etcd " + etcd
					}
					printf(cmd.OutOrStdout(), "%-12s %-10s %s\n", product, v.Version, cached)
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&from, "from", "", "list what this Kubernetes version can be upgraded to, and by which path")
	return c
}

// showTargets lists the paths the policy allows. The version itself need not be known: any release can be asked about.
func showTargets(cmd *cobra.Command, from string) error {
	if v, err := release.Resolve(release.Kubernetes, from); err == nil {
		from = v.Version
	}
	if v, err := release.Resolve(release.Etcd, from); err == nil {
		return cluster.Usagef("--from: %s is a release of etcd, and paths are listed for Kubernetes; drydock upgrade --strategy etcd --to VERSION --plan tells that of etcd", v.Version)
	}
	known, err := policy.KnownVersions(release.Kubernetes)
	if err != nil {
		return err
	}
	paths, err := policy.Targets(from, known)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if len(paths) == 0 {
		printf(out, "%s can be upgraded to none of the known versions: %s\n", from, strings.Join(known, ", "))
		return nil
	}
	printf(out, "%-10s %-6s %s\n", "TARGET", "HOPS", "PATH")
	for _, p := range paths {
		printf(out, "%-10s %-6d %s\n", p.Hops[len(p.Hops)-1], len(p.Hops), p)
	}
	return nil
}
