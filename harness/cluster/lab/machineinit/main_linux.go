package machineinit

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/process"
	"drydock.dev/drydock/harness/cluster/lab/runtime"
	"drydock.dev/drydock/harness/cluster/lab/unit"
)

// The files a machine inherits from the lab.
const (
	paramsFD = 3 // its Config
	readyFD  = 4 // it says Ready or what went wrong
)

// Main runs the machine until it is powered off.
func Main(ctx context.Context) error {
	for _, fd := range []int{paramsFD, readyFD} { // inherited files would be passed on to every child, and a pipe would never end
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
	var cfg Config
	if err := json.NewDecoder(os.NewFile(paramsFD, "params")).Decode(&cfg); err != nil {
		return fmt.Errorf("machine: parameters: %w", err)
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
		Socket: CRISocket, StateDir: "/var/lib/drydock/runtime", Releases: Releases, Program: "/run/drydock-program", Etcd: BinDir + "/etcd", HeldDir: HeldDir,
		PodNet: cfg.PodNet, Table: table,
		MountDev: MountDev, MountProc: MountProc,
		Announce: func(ctx context.Context, cidr string) error {
			_, err := control.Call(ctx, LabSocket, "route", map[string]string{"cidr": cidr, "via": cfg.Addr}, nil)
			return err
		},
	})
	if err != nil {
		return err
	}
	if err := cri.Start(ctx); err != nil {
		return err
	}
	units := &unit.Manager{Dir: unit.Dir, LogDir: LogDir, HeldDir: HeldDir, Env: environment(), Table: table}
	m := &machine{cfg: cfg, table: table, units: units, runtime: cri}
	l, err := listen()
	if err != nil {
		return err
	}
	go func() { _ = control.Serve(l, m.handlers()) }()
	if err := units.StartEnabled(); err != nil {
		// Like a real machine: a service that does not start leaves a machine that can be looked at.
		_, _ = fmt.Fprintln(os.Stderr, err)
	}
	return nil
}

func environment() []string {
	return []string{"PATH=" + Path, "HOME=/root", "LANG=C.UTF-8", "TERM=" + os.Getenv("TERM")}
}

func listen() (*net.UnixListener, error) {
	_ = os.Remove(Socket) // the run directory outlives a power cut
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: Socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("machine: control socket: %w", err)
	}
	return l, nil
}
