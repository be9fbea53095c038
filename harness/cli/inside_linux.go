package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/labinit"
	"drydock.dev/drydock/harness/cluster/lab/machineinit"
	"drydock.dev/drydock/harness/cluster/lab/memory"
	"drydock.dev/drydock/harness/cluster/lab/runtime"
	"drydock.dev/drydock/harness/cluster/lab/unit"
	"drydock.dev/drydock/harness/cluster/lab/vm"
)

func labInit(ctx context.Context, args []string) error {
	return labinit.Main(ctx, args[0])
}

func labTry(context.Context, []string) error { return labinit.Try(os.Stdout) }

func machineInit(ctx context.Context, _ []string) error {
	return machineinit.Main(ctx)
}

func fillMemory(ctx context.Context, args []string) error {
	bytes, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return fmt.Errorf("fill-memory: %w", err)
	}
	return memory.Fill(ctx, bytes)
}

func vmHost(ctx context.Context, _ []string) error { return vm.Host(ctx) }

func vmGuest(context.Context, []string) error { return vm.Guest() }

func vmMachine(ctx context.Context, _ []string) error { return vm.Machine(ctx) }

func containerInit(context.Context, []string) error {
	dev := func(to string) error { return machineinit.MountDev("/dev", to) }
	return runtime.ContainerInit(dev, machineinit.MountProc, machineinit.Pivot)
}

func systemctlOne(ctx context.Context, verb, name string, sig int, quiet bool, out io.Writer) (int, error) {
	ask := verb
	if verb == "is-active" || verb == "is-enabled" {
		ask = "status"
	}
	var st unit.Status
	_, err := control.Call(ctx, machineinit.Socket, "unit", machineinit.UnitParams{Verb: ask, Name: name, Signal: sig}, &st)
	if err != nil {
		if strings.Contains(err.Error(), unit.ErrNotFound.Error()) {
			const noSuchUnit = 4 // systemctl(1), "Exit status"
			return noSuchUnit, fmt.Errorf("unit %s could not be found", name)
		}
		return 1, err
	}
	const inactive = 3 // systemctl(1), "Exit status"
	code, word := 0, ""
	switch verb {
	case "is-active":
		word = st.State
		if st.State != "active" {
			code = inactive
		}
	case "is-enabled":
		word = "enabled"
		if !st.Enabled {
			code, word = 1, "disabled"
		}
	case "status":
		word = fmt.Sprintf("● %s.service - %s\n   Active: %s since %s\n Main PID: %d\n Restarts: %d %s",
			st.Name, st.Description, st.State, st.Since.Format(time.DateTime), st.PID, st.Restarts, st.Last)
		if st.State != "active" {
			code = inactive
		}
	}
	if word != "" && !quiet {
		_, _ = fmt.Fprintln(out, word)
	}
	return code, nil
}

// journalctl shows a service's log: journalctl -u UNIT [-f] [-n LINES|all].
func journalctl(ctx context.Context, args []string) error {
	tail := []string{"-n", "+1"}
	name := ""
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-u" && i+1 < len(args):
			i++
			name = strings.TrimSuffix(args[i], ".service")
		case strings.HasPrefix(a, "--unit="):
			name = strings.TrimSuffix(strings.TrimPrefix(a, "--unit="), ".service")
		case a == "-n" && i+1 < len(args):
			i++
			if tail[1] = args[i]; tail[1] == "all" {
				tail[1] = "+1"
			}
		case a == "-f":
			tail = append(tail, "-f")
		}
	}
	if name == "" {
		return errors.New("usage: journalctl -u UNIT [-f] [-n LINES]")
	}
	cmd := exec.CommandContext(ctx, "tail", append(tail, unit.LogPath(machineinit.LogDir, name))...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// run answers with the pod's host name, and under /resolve with what its DNS servers say, until it is asked to stop or has done what it is there for, then finishes
// what it has begun. It listens after a while, as a program does that has much to load.
func (s served) run(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(s.after):
	}
	if s.lasts > 0 {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, s.lasts)
		defer done()
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	fails := s.fails()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		if fails() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = fmt.Fprintln(w, host)
	})
	mux.HandleFunc("/resolve", resolve)
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: mux}
	go func() {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(drain)
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("workload: %w", err)
	}
	return nil
}

// fails reports whether it is time to fail. Who does says so to the next, which does not.
func (s served) fails() func() bool {
	if _, err := os.Stat(s.once); s.failAfter == 0 || s.once != "" && err == nil {
		return func() bool { return false }
	}
	from := time.Now().Add(s.failAfter)
	return func() bool {
		if time.Now().Before(from) {
			return false
		}
		return s.once == "" || os.WriteFile(s.once, nil, 0o600) == nil
	}
}

// resolveWithin is how long the pod's DNS servers may take to answer, over a link that is well.
const resolveWithin = 2 * time.Second

// resolve answers what a name is, asked over udp or tcp of the servers that the pod was given: 504 when none answers, 502 when one says that there is no such.
func resolve(w http.ResponseWriter, r *http.Request) {
	name, over := r.FormValue("name"), r.FormValue("over")
	if name == "" || over != "udp" && over != "tcp" {
		http.Error(w, "usage: /resolve?name=NAME&over=udp|tcp", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), resolveWithin)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, over, addr)
	}}
	addrs, err := resolver.LookupHost(ctx, name)
	var lookup *net.DNSError
	switch {
	case err == nil:
		_, _ = fmt.Fprintln(w, strings.Join(addrs, " "))
	case ctx.Err() != nil || errors.As(err, &lookup) && lookup.IsTimeout:
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
	default:
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}
