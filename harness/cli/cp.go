package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/transfer"
)

func cpCommand(o *options) *cobra.Command {
	var name string
	var follow bool
	c := &cobra.Command{
		Use: "cp SRC DST", Short: "Copy files and directories between this host and a machine", Args: cobra.ExactArgs(2),
		Long: `Cp copies what MACHINE:PATH or PATH says to the other, by the rules of docker cp: into a directory that is there, and else to that name, whose directory
must be there. DIR/. is what is in a directory. Modes and times are kept; on a machine everything is root's. Links are copied as links, and those of a machine
that lead out of what is copied are left out, with a warning. A path of this host with a colon is written ./a:b.`,
		Example: `  drydock cp control-plane-1:/etc/kubernetes/manifests ./manifests
  drydock cp control-plane-1:/var/lib/kubelet/config.yaml .
  drydock cp ./mine.conf worker-1:/etc/
  drydock cp --name other ./dir/. etcd-1:/root`,
		RunE: func(cmd *cobra.Command, args []string) error {
			from, src := machinePath(args[0])
			to, dst := machinePath(args[1])
			if (from == "") == (to == "") {
				return cluster.Usagef("cp: one of %q and %q is MACHINE:PATH, and the other a path of this host", args[0], args[1])
			}
			if src == "" || dst == "" {
				return cluster.Usagef("cp: %q and %q: a path is missing", args[0], args[1])
			}
			l, err := o.attach(cmd.Context(), name)
			if err != nil {
				return err
			}
			m, err := l.Machine(from + to)
			if err != nil {
				return err
			}
			do := transfer.ToMachine
			if from != "" {
				do = transfer.FromMachine
			}
			return do(cmd.Context(), m, src, dst, transfer.Options{Follow: follow, Warn: func(format string, args ...any) {
				printf(os.Stderr, "warning: "+format+"\n", args...)
			}})
		},
	}
	c.Flags().StringVar(&name, "name", defaultName, "name of the cluster")
	c.Flags().BoolVarP(&follow, "follow-link", "L", false, "copy what links lead to, and not the links")
	machines := o.completeMachines(&name)
	c.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 1 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names, _ := machines(cmd, nil, typed)
		for i := range names {
			names[i] += ":/"
		}
		return names, cobra.ShellCompDirectiveNoSpace // and files of this host
	}
	return c
}

// machinePath takes MACHINE:PATH apart; of a path of this host the machine is empty.
func machinePath(arg string) (machine, path string) {
	name, rest, ok := strings.Cut(arg, ":")
	if !ok || strings.ContainsAny(name, "/.") || name == "" {
		return "", arg
	}
	return name, rest
}
