// Package cli is the drydock command: one file a subcommand. It parses, calls and prints; what it calls decides.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/provider"
)

// Exit codes of every command (DESIGN.md section 5).
const (
	exitGo           = 0
	exitNoGo         = 1
	exitUsage        = 2
	exitInconclusive = 3
)

// options are the flags every command has.
type options struct {
	stateDir string
	cacheDir string
	binDir   string
	provider string
	quiet    bool
	noColor  bool
	progress *progress

	inventory string // of staging
	typed     string // the name of the cluster that is staging
}

// codeError carries an exit code that is not a failure to explain.
type codeError struct{ code int }

func (e codeError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// Main runs the command line and returns the exit code. Called by the name systemctl or journalctl, it is that.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)   // the first interrupt undoes what was done; a second one ends the program at once, and heal does the rest
	klog.SetLogger(logr.Discard()) // client-go's own words about connections that we break on purpose
	switch filepath.Base(args[0]) {
	case "systemctl":
		code, err := systemctl(ctx, args[1:], os.Stdout)
		return said(code, err)
	case "journalctl":
		return said(0, journalctl(ctx, args[1:]))
	}
	root := newRoot()
	root.SetArgs(args[1:])
	return exitCode(root.ExecuteContext(ctx), os.Stderr)
}

// exitCode is that of an error, after all of it that is to be explained was printed.
func exitCode(err error, to io.Writer) int {
	if rest := unexplained(err); rest != nil {
		printf(to, "drydock: %v\n", rest)
	}
	var code codeError
	switch {
	case err == nil:
		return exitGo
	case errors.As(err, &code):
		return code.code
	default:
		return exitUsage
	}
}

// unexplained leaves the exit codes out of an error that others may be joined to, however deep. One without any is whole.
func unexplained(err error) error {
	var code codeError
	if !errors.As(err, &code) {
		return err
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return unexplained(errors.Unwrap(err))
	}
	var rest []error
	for _, e := range joined.Unwrap() {
		rest = append(rest, unexplained(e))
	}
	return errors.Join(rest...)
}

// said prints an error; an answer's own exit code stands, and an error's is never 0.
func said(code int, err error) int {
	if err == nil {
		return code
	}
	_, _ = fmt.Fprintln(os.Stderr, err)
	return max(code, 1)
}

func newRoot() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "drydock",
		Short: "Stage an upgrade or a repair on a cluster that can be thrown away, break things on purpose, and answer GO or NO-GO",
		Long: `Drydock makes a real Kubernetes cluster on this machine, breaks it at named points while real clients
write and read, and answers GO, NO-GO or INCONCLUSIVE with evidence.

Exit codes of run: 0 GO, 1 NO-GO, 2 usage or environment error, 3 INCONCLUSIVE.`,
		Example: `  drydock scenarios                      # what there is to run
  drydock run etcd-leader-crash          # run one and judge it
  drydock up --control-planes 3          # make a cluster to play with
  drydock kubectl get nodes              # look at it
  drydock down                           # remove it`,
		SilenceErrors: true, SilenceUsage: true, Version: builtAs(),
	}
	f := root.PersistentFlags()
	f.StringVar(&o.stateDir, "state-dir", envOr("DRYDOCK_STATE_DIR", provider.DefaultDir("XDG_STATE_HOME", ".local/state")), "where labs and runs are kept, or $DRYDOCK_STATE_DIR")
	f.StringVar(&o.cacheDir, "cache-dir", envOr("DRYDOCK_CACHE_DIR", provider.DefaultDir("XDG_CACHE_HOME", ".cache")), "where binaries and saved clusters are kept, or $DRYDOCK_CACHE_DIR")
	f.StringVar(&o.binDir, "bin-dir", "", "directory with your own kube-apiserver, kubelet, etcd, …")
	f.StringVar(&o.provider, "provider", envOr("DRYDOCK_PROVIDER", provider.Names()[0]), "where clusters come from: "+strings.Join(provider.Names(), ", ")+", or $DRYDOCK_PROVIDER")
	_ = root.RegisterFlagCompletionFunc("provider", cobra.FixedCompletions(provider.Names(), cobra.ShellCompDirectiveNoFileComp))
	f.StringVar(&o.inventory, "inventory", os.Getenv("DRYDOCK_INVENTORY"), "of staging: file that says how the cluster is reached and what may be done to it, or $DRYDOCK_INVENTORY")
	f.StringVar(&o.typed, "i-know-this-is-staging", "", "of staging: the cluster's own name, typed by whoever may have it broken")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress on standard error")
	f.BoolVar(&o.noColor, "no-color", false, "no colours on a terminal, as with $NO_COLOR")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		o.progress = o.newProgress(os.Stderr)
		return nil
	}
	root.AddCommand(runCommand(o), planCommand(o), museumCommand(o), scenariosCommand(), initCommand(), reportCommand(o), healCommand(o), observeCommand(o), pruneCommand(o), upgradeCommand(o), preflightCommand(o), remedyCommand(o), doctorCommand(o))
	root.AddCommand(upCommand(o), downCommand(o), statusCommand(o), shellCommand(o), logsCommand(o), cpCommand(o), kubectlCommand(o), faultCommand(o), machineCommand(o), versionsCommand(o), fetchCommand(o), armCommand(o), workloadCommand())
	root.AddCommand(insideCommands()...)
	root.AddCommand(manCommand())
	addShells(root)
	onlyGroups(root)
	return root
}

// builtAs is the release that go install or hack/release.sh has built; of any other build, that it is none.
func builtAs() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	return info.Main.Version + " " + info.GoVersion
}

// onlyGroups has commands that only group others refuse what is none of them: cobra would show its help for one that is not there, and end well.
func onlyGroups(root *cobra.Command) {
	for _, c := range root.Commands() {
		if !c.Runnable() {
			c.Args, c.RunE = cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
		onlyGroups(c)
	}
}

// envOr is a default from the environment: that is how a user's upgrade program finds the clusters its own parent has made.
func envOr(env, or string) string {
	if v := os.Getenv(env); v != "" {
		return v
	}
	return or
}

// host is where providers find and keep things.
func (o *options) host() (provider.Host, error) {
	program, err := os.Executable()
	if err != nil {
		return provider.Host{}, fmt.Errorf("where is this program? %w", err)
	}
	h := provider.Host{Program: program, Progress: o.progress, Typed: o.typed}
	for _, d := range []struct {
		from string
		to   *string
	}{{o.stateDir, &h.StateDir}, {o.cacheDir, &h.CacheDir}, {o.binDir, &h.BinDir}, {o.inventory, &h.Inventory}} {
		if d.from == "" {
			continue
		}
		if *d.to, err = filepath.Abs(d.from); err != nil { // a lab's processes have another working directory
			return h, fmt.Errorf("%s: %w", d.from, err)
		}
	}
	return h, nil
}

// open is the provider that was asked for.
func (o *options) open() (cluster.Provider, error) {
	h, err := o.host()
	if err != nil {
		return nil, err
	}
	return h.Open(o.provider)
}

// attach finds the cluster a command is about.
func (o *options) attach(ctx context.Context, name string) (cluster.Cluster, error) {
	p, err := o.open()
	if err != nil {
		return nil, err
	}
	return p.Attach(ctx, name)
}

func printf(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// printJSON writes what machines read.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
