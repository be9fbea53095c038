package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/creack/pty"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/provider"
	"drydock.dev/drydock/harness/release"
)

func kubectlCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "kubectl [--name NAME] ARGS…", Short: "Run kubectl of the cluster's version against it",
		Example:            "  drydock kubectl get nodes\n  drydock kubectl --name other logs -n kube-system etcd-control-plane-1",
		DisableFlagParsing: true, // everything but our own flags before the first word is kubectl's
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			o.progress = newProgress(os.Stderr, o.quiet)
			name, args, err := o.ownFlags(cmd, args)
			if err != nil {
				return err
			}
			l, err := o.attach(name)
			if err != nil {
				return err
			}
			path, err := provider.Kubeconfig(cmd.Context(), l)
			if err != nil {
				return err
			}
			v, err := release.Resolve(release.Kubernetes, l.Topology().Version)
			if err != nil {
				return err
			}
			at, err := o.lab()
			if err != nil {
				return err
			}
			program := at.Store().Path(release.Kubernetes, v.Version, "kubectl")
			// kubectl takes over: its streams, its signals and its exit code are the caller's.
			err = syscall.Exec(program, append([]string{"kubectl"}, args...), append(os.Environ(), "KUBECONFIG="+path))
			return fmt.Errorf("kubectl: %w", err)
		},
	}
}

// ownFlags takes Drydock's flags from before the first word: cobra hands even those before "kubectl" on unparsed.
func (o *options) ownFlags(cmd *cobra.Command, args []string) (name string, rest []string, err error) {
	own := pflag.NewFlagSet("kubectl", pflag.ContinueOnError)
	own.SetInterspersed(false)
	own.AddFlagSet(cmd.Root().PersistentFlags())
	own.StringVar(&name, "name", defaultName, "name of the cluster")
	if err := own.Parse(args); err != nil {
		return "", nil, cluster.Usagef("%w; kubectl's own flags follow its first word", err)
	}
	return name, own.Args(), nil
}

func shellCommand(o *options) *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: "shell MACHINE [-- COMMAND…]", Short: "Open a shell on a machine, or run one command there",
		Example: "  drydock shell control-plane-1\n  drydock shell control-plane-1 -- journalctl -u kubelet -n 50\n  drydock shell etcd-1 --name five -- systemctl status etcd",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := o.attach(name)
			if err != nil {
				return err
			}
			m, err := l.Machine(args[0])
			if err != nil {
				return err
			}
			machine, ok := m.(*lab.Machine)
			if !ok {
				return fmt.Errorf("%T has no shell", m)
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
	c.ValidArgsFunction = func(_ *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		l, err := o.attach(name)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, m := range l.Machines() {
			names = append(names, m.Name())
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return c
}

// shell runs a command on the caller's streams. A terminal gets a pseudo-terminal of its own, because a
// terminal can control one session only, and the machine's processes are not in the caller's.
func shell(ctx context.Context, m *lab.Machine, command []string) (int, error) {
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
