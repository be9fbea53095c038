package cli

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"drydock.dev/drydock/harness/azure/enclose"
)

// insideCommands run within a lab; the lab starts them, people do not.
func insideCommands() []*cobra.Command {
	run := func(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error { return do(cmd.Context(), args) }
	}
	return []*cobra.Command{
		{Use: "lab-init DIR", Hidden: true, Args: cobra.ExactArgs(1), RunE: run(labInit)},
		{Use: "lab-try", Hidden: true, Args: cobra.NoArgs, RunE: run(labTry)},
		{Use: "machine-init", Hidden: true, Args: cobra.NoArgs, RunE: run(machineInit)},
		{Use: "fill-memory BYTES", Hidden: true, Args: cobra.ExactArgs(1), RunE: run(fillMemory)},
		{Use: "vm-host", Hidden: true, Args: cobra.NoArgs, RunE: run(vmHost)},
		{Use: "vm-guest", Hidden: true, Args: cobra.NoArgs, RunE: run(vmGuest)},
		{Use: "vm-machine", Hidden: true, Args: cobra.NoArgs, RunE: run(vmMachine)},
		{Use: innerCommand, Hidden: true, Args: cobra.NoArgs, RunE: run(func(context.Context, []string) error { return enclose.Inside() })},
		{Use: "container-init", Hidden: true, Args: cobra.NoArgs, RunE: run(containerInit)},
	}
}

// served is what the program inside the drydock/workload image answers.
type served struct {
	addr             string
	after, failAfter time.Duration
	lasts            time.Duration
	once             string
}

// workloadCommand is the program inside the drydock/workload image.
func workloadCommand() *cobra.Command {
	c := &cobra.Command{Use: "workload", Hidden: true, Short: "The program inside the drydock/workload image"}
	var s served
	serve := &cobra.Command{
		Use: "serve", Short: "Answer HTTP requests with the pod's name", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context()) },
	}
	version := false
	serve.Flags().StringVar(&s.addr, "listen", ":8080", "address to serve on")
	serve.Flags().DurationVar(&s.after, "after", 0, "how long to take until then")
	serve.Flags().DurationVar(&s.failAfter, "fail-after", 0, "how long from then on to answer 200 and not 503; 0: always")
	serve.Flags().DurationVar(&s.lasts, "for", 0, "how long from then on to answer before it ends, as done; 0: until it is stopped")
	serve.Flags().StringVar(&s.once, "once", "", "file that says that one has failed, and none should again")
	pause := &cobra.Command{
		Use: "pause", Short: "Hold a pod's namespaces until stopped", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				printf(cmd.OutOrStdout(), "pause of drydock\n")
				return nil
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			<-ctx.Done()
			return nil
		},
	}
	// `kubeadm upgrade` proves that Pods run by a Job whose container is `pause -v`.
	pause.Flags().BoolVarP(&version, "version", "v", false, "say what this is and end")
	c.AddCommand(serve, pause)
	return c
}

// systemctl is the `systemctl` of a lab machine: the same words as everywhere.
func systemctl(ctx context.Context, args []string, out io.Writer) (code int, err error) {
	verb, names, signalNumber, quiet := "", []string{}, int(syscall.SIGTERM), false
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-s" && i+1 < len(args):
			i++
			signalNumber = signalOf(args[i])
		case strings.HasPrefix(a, "--signal="):
			signalNumber = signalOf(strings.TrimPrefix(a, "--signal="))
		case a == "--quiet" || a == "-q":
			quiet = true
		case strings.HasPrefix(a, "-"): // --no-pager, --now and the like change nothing here
		case verb == "":
			verb = a
		default:
			names = append(names, a)
		}
	}
	if verb == "daemon-reload" {
		return 0, nil
	}
	if verb == "" || len(names) == 0 {
		return 1, fmt.Errorf("usage: systemctl start|stop|restart|kill|enable|disable|is-active|is-enabled|status|daemon-reload UNIT…")
	}
	for _, n := range names {
		c, err := systemctlOne(ctx, verb, n, signalNumber, quiet, out)
		if err != nil {
			return 1, err
		}
		code = max(code, c)
	}
	return code, nil
}

func signalOf(name string) int {
	if n, err := strconv.Atoi(name); err == nil {
		return n
	}
	known := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM,
		"STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT, "QUIT": syscall.SIGQUIT, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2}
	return int(known[strings.TrimPrefix(strings.ToUpper(name), "SIG")])
}
