package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/creack/pty"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/release"
)

func kubectlCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "kubectl [--name NAME] ARGS…", Short: "Run kubectl of the version the cluster runs against it",
		Example: "  drydock kubectl get nodes\n  drydock kubectl -n kube-system get pods\n  drydock kubectl --name other logs -n kube-system etcd-control-plane-1",
		Long: "Kubectl hands everything on but --name and Drydock's own flags before the first word that is no flag (a flag's value is one). What follows\n" +
			"a first -- is all kubectl's.",
		DisableFlagParsing: true, // everything but our own flags before the first word is kubectl's
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			o.progress = o.newProgress(os.Stderr)
			name, args, err := o.ownFlags(cmd, args)
			if err != nil {
				return err
			}
			l, err := o.attach(cmd.Context(), name)
			if err != nil {
				return err
			}
			path, err := cluster.KubeconfigFile(cmd.Context(), l)
			if err != nil {
				return err
			}
			program, err := o.kubectl(cmd.Context(), l)
			if err != nil {
				return err
			}
			// kubectl takes over: its streams, its signals and its exit code are the caller's.
			err = syscall.Exec(program, append([]string{"kubectl"}, args...), append(os.Environ(), "KUBECONFIG="+path))
			return fmt.Errorf("kubectl: %w", err)
		},
	}
}

// kubectl is the program of the version the API servers run now; of the one they began with while none answers, and of that as well
// where the cache has no other.
func (o *options) kubectl(ctx context.Context, l cluster.Cluster) (string, error) {
	at, err := o.host()
	if err != nil {
		return "", err
	}
	version := l.Topology().Version
	if running, err := kubeadm.ServerVersion(ctx, l); err == nil {
		version = running
	}
	v, err := release.Resolve(release.Kubernetes, version)
	if err != nil { // of somebody's own build, say
		v, err = release.Resolve(release.Kubernetes, l.Topology().Version)
	}
	if err != nil {
		return "", err
	}
	if err := at.Store().Ensure(ctx, v, "kubectl"); err != nil {
		return "", err
	}
	return at.Store().Path(release.Kubernetes, v.Version, "kubectl"), nil
}

// ownFlags takes Drydock's flags from before the first word: cobra hands even those before "kubectl" on unparsed. All else is kubectl's,
// in its order, and everything behind a first "--" or a first word is.
func (o *options) ownFlags(cmd *cobra.Command, args []string) (name string, rest []string, err error) {
	flags := pflag.NewFlagSet("kubectl", pflag.ContinueOnError)
	flags.AddFlagSet(cmd.Root().PersistentFlags())
	flags.StringVar(&name, "name", defaultName, "name of the cluster")
	var own []string
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if args[0] == "--" {
			args = args[1:]
			break
		}
		n := ownFlag(flags, args)
		own, rest, args = append(own, args[:n]...), append(rest, args[n:max(n, 1)]...), args[max(n, 1):]
	}
	if err := flags.Parse(own); err != nil {
		return "", nil, &cluster.UsageError{Err: err}
	}
	return name, append(rest, args...), nil
}

// ownFlag counts the words that the first flag and its value take, if it is one of the set; 0 if it is not.
func ownFlag(flags *pflag.FlagSet, args []string) int {
	word, _, hasValue := strings.Cut(args[0], "=")
	f := flags.Lookup(strings.TrimPrefix(word, "--"))
	if !strings.HasPrefix(word, "--") {
		if f = nil; len(word) == len("-q") {
			f = flags.ShorthandLookup(word[1:])
		}
	}
	switch {
	case f == nil:
		return 0
	case hasValue || f.NoOptDefVal != "" || len(args) == 1:
		return 1
	default:
		return 2
	}
}

func shellCommand(o *options) *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: "shell MACHINE [-- COMMAND…]", Short: "Open a shell on a machine, or run one command there",
		Example: "  drydock shell control-plane-1\n  drydock shell control-plane-1 -- journalctl -u kubelet -n 50\n  drydock shell etcd-1 --name five -- systemctl status etcd",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := o.attach(cmd.Context(), name)
			if err != nil {
				return err
			}
			m, err := l.Machine(args[0])
			if err != nil {
				return err
			}
			machine, err := cluster.As[cluster.Terminal](m)
			if err != nil {
				return err
			}
			command := args[1:]
			if len(command) == 0 {
				command = []string{"/bin/sh"}
			}
			code, err := shell(cmd.Context(), machine, command)
			if err != nil {
				return err
			}
			if code != 0 {
				return codeError{code}
			}
			return nil
		},
	}
	c.Flags().StringVar(&name, "name", defaultName, "name of the cluster")
	c.ValidArgsFunction = o.completeMachines(&name)
	return c
}

// completeMachines completes the names of a cluster's machines.
func (o *options) completeMachines(name *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		l, err := o.attach(cmd.Context(), *name)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, m := range l.Machines() {
			names = append(names, m.Name())
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// shell runs a command on the caller's streams. A terminal gets a pseudo-terminal of its own, because a
// terminal can control one session only, and the machine's processes are not in the caller's.
func shell(ctx context.Context, m cluster.Terminal, command []string) (int, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) || !term.IsTerminal(int(os.Stdout.Fd())) {
		return m.Shell(ctx, command, false, os.Stdin, os.Stdout, os.Stderr)
	}
	master, slave, err := pty.Open()
	if err != nil {
		return 0, fmt.Errorf("shell: terminal: %w", err)
	}
	defer func() { _ = master.Close() }()
	state, err := term.MakeRaw(in)
	if err != nil {
		return 0, fmt.Errorf("shell: terminal: %w", err)
	}
	defer func() { _ = term.Restore(in, state) }()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	go func() {
		for {
			_ = pty.InheritSize(os.Stdin, master)
			if _, ok := <-resized; !ok {
				return
			}
		}
	}()
	go func() { _, _ = copyFile(master, os.Stdin) }()
	copied := make(chan struct{})
	go func() { _, _ = copyFile(os.Stdout, master); close(copied) }()
	code, err := m.Shell(ctx, command, true, slave, slave, slave)
	err = errors.Join(err, slave.Close())
	<-copied // the last words of the shell
	return code, err
}

func copyFile(dst, src *os.File) (int64, error) { return dst.ReadFrom(src) }
