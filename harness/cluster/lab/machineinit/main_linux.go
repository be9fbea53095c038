package machineinit

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/process"
	"drydock.dev/drydock/harness/cluster/lab/runtime"
	"drydock.dev/drydock/harness/cluster/lab/unit"
	"drydock.dev/drydock/harness/cluster/lab/unsynced"
)

// The files a machine inherits from the lab.
const (
	paramsFD  = 3 // its Config
	readyFD   = 4 // it says Ready or what went wrong
	controlFD = 5 // the listener for its owner on the host; no program of the machine sees that socket
	syncsFD   = 6 // a socket where the lab takes the listener of unsynced.Tell
	lastFD    = 7 // it writes a Panic
)

// Main runs the machine until it is powered off.
func Main(ctx context.Context) error {
	for _, fd := range []int{paramsFD, readyFD, controlFD, syncsFD, lastFD} { // inherited files would be passed on to every child, and a pipe would never end
		unix.CloseOnExec(fd)
	}
	ready := os.NewFile(readyFD, "ready")
	if err := boot(ctx); err != nil {
		_, _ = io.WriteString(ready, err.Error())
		return err
	}
	if _, err := io.WriteString(ready, Ready); err != nil {
		return fmt.Errorf("machine: the lab is gone: %w", err)
	}
	_ = ready.Close()
	<-ctx.Done()
	return nil
}

func boot(ctx context.Context) error {
	booted := time.Now()
	var cfg Config
	if err := json.NewDecoder(os.NewFile(paramsFD, "params")).Decode(&cfg); err != nil {
		return fmt.Errorf("machine: parameters: %w", err)
	}
	if cfg.TellSyncs { // first: every program of the machine inherits it
		if err := unsynced.Tell(syncsFD); err != nil {
			return fmt.Errorf("machine: %w", err)
		}
	}
	if err := unix.Sethostname([]byte(cfg.Name)); err != nil {
		return fmt.Errorf("machine: hostname: %w", err)
	}
	if err := buildRoot(cfg); err != nil {
		return err
	}
	if err := configureNetwork(cfg); err != nil {
		return err
	}
	table := process.NewTable()
	go table.ReapOrphans(ctx)
	cri, err := runtime.New(runtime.Config{
		Socket: CRISocket, StateDir: "/var/lib/drydock/runtime", Releases: Releases, Program: Program, Etcd: BinDir + "/etcd", HeldDir: HeldDir, PullsHeld: PullsHeld,
		PodNet: cfg.PodNet, Table: table,
		MountDev: func(dev string) error { return MountDev("/dev", dev) }, MountProc: MountProc,
		Announce: func(ctx context.Context, cidr string) error {
			_, err := control.Call(ctx, LabSocket, "route", RouteParams{CIDR: cidr}, nil)
			return err
		},
	})
	if err != nil {
		return err
	}
	if err := cri.Start(ctx); err != nil {
		return err
	}
	units := &unit.Manager{Dir: unit.Dir, RunDir: unit.RunDir, LogDir: LogDir, HeldDir: HeldDir, Env: environment(), Table: table}
	m := &machine{cfg: cfg, table: table, units: units, runtime: cri}
	m.memory = &filler{table: table, runtime: cri, booted: booted, last: os.NewFile(lastFD, "last")}
	if err := m.serve(); err != nil {
		return err
	}
	if err := units.StartEnabled(); err != nil {
		// Like a real machine: a service that does not start leaves a machine that can be looked at.
		_, _ = fmt.Fprintln(os.Stderr, err)
	}
	return nil
}

func environment() []string {
	return []string{"PATH=" + Path, "HOME=/root", "LANG=C.UTF-8", "TERM=" + os.Getenv("TERM")}
}

// serve answers the machine's owner with everything, and the machine's own programs with what systemctl asks.
func (m *machine) serve() error {
	owner, err := net.FileListener(os.NewFile(controlFD, "control"))
	if err != nil {
		return fmt.Errorf("machine: control socket: %w", err)
	}
	outside, ok := owner.(*net.UnixListener)
	if !ok {
		return fmt.Errorf("machine: control socket: it is a %T", owner)
	}
	inside, err := net.ListenUnix("unix", &net.UnixAddr{Name: Socket, Net: "unix"})
	if err != nil {
		return fmt.Errorf("machine: service manager's socket: %w", err)
	}
	go func() { _ = control.Serve(outside, m.handlers()) }()
	go func() { _ = control.Serve(inside, map[string]control.Handler{"unit": control.Simple(m.unit)}) }()
	return nil
}
