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

// Inherited is what the lab gives the process that is a machine, or holds one.
type Inherited struct {
	Config  Config
	Ready   *os.File          // it says Ready or what went wrong
	Control *net.UnixListener // for its owner on the host; no program of the machine sees that socket
}

// Inherit takes what the process was given, once.
func Inherit() (in Inherited, err error) {
	for _, fd := range []int{paramsFD, readyFD, controlFD, syncsFD, lastFD} { // inherited files would be passed on to every child, and a pipe would never end
		unix.CloseOnExec(fd)
	}
	in.Ready = os.NewFile(readyFD, "ready")
	if in.Config, err = readConfig(); err != nil {
		return in, err
	}
	owner, err := net.FileListener(os.NewFile(controlFD, "control"))
	if err != nil {
		return in, fmt.Errorf("machine: control socket: %w", err)
	}
	var ok bool
	if in.Control, ok = owner.(*net.UnixListener); !ok {
		return in, fmt.Errorf("machine: control socket: it is a %T", owner)
	}
	return in, nil
}

func readConfig() (cfg Config, err error) {
	unix.CloseOnExec(paramsFD)
	if err = json.NewDecoder(os.NewFile(paramsFD, "params")).Decode(&cfg); err != nil {
		err = fmt.Errorf("machine: parameters: %w", err)
	}
	return cfg, err
}

// Main runs the machine until it is powered off.
func Main(ctx context.Context) error {
	in, err := Inherit()
	if err == nil {
		err = boot(ctx, in.Config, Outside{Owner: func(h map[string]control.Handler) error {
			go func() { _ = control.Serve(in.Control, h) }()
			return nil
		}})
	}
	if err != nil {
		_, _ = io.WriteString(in.Ready, err.Error())
		return err
	}
	if _, err := io.WriteString(in.Ready, Ready); err != nil {
		return fmt.Errorf("machine: the lab is gone: %w", err)
	}
	_ = in.Ready.Close()
	<-ctx.Done()
	return nil
}

// Outside is how a machine is reached from outside, and reaches its lab.
type Outside struct {
	Lab   func() error                                    // has its lab asked on LabSocket; nil: that is the lab's own socket
	Owner func(handlers map[string]control.Handler) error // answers its owner
}

// Init runs the machine as the init of a kernel of its own, told its Config by the file that Main would be told by.
func Init(ctx context.Context, o Outside) error {
	cfg, err := readConfig()
	if err != nil {
		return err
	}
	if err := boot(ctx, cfg, o); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func boot(ctx context.Context, cfg Config, o Outside) error {
	booted := time.Now()
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
	if o.Lab != nil {
		if err := o.Lab(); err != nil {
			return err
		}
	}
	table := process.NewTable()
	go table.ReapOrphans(ctx)
	cri, err := runtime.New(runtime.Config{
		Socket: CRISocket, StateDir: "/var/lib/drydock/runtime", Releases: Releases, Program: Program, HeldDir: HeldDir, PullsHeld: PullsHeld,
		PodNet: cfg.PodNet, Table: table,
		MountDev: func(dev string) error { return MountDev("/dev", dev) }, MountProc: MountProc,
		Announce: func(ctx context.Context, cidr string) error {
			_, err := control.Call(ctx, LabSocket, Route, RouteParams{CIDR: cidr}, nil)
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
	m.memory = &exhauster{}
	if cfg.OwnKernel {
		m.clock = &clock{read: readClocks, set: setClock}
	} else {
		m.memory = &filler{table: table, runtime: cri, booted: booted, last: os.NewFile(lastFD, "last")}
	}
	if err := m.serve(); err != nil {
		return err
	}
	if err := o.Owner(m.handlers()); err != nil {
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

// serve answers the machine's own programs what systemctl asks.
func (m *machine) serve() error {
	inside, err := net.ListenUnix("unix", &net.UnixAddr{Name: Socket, Net: "unix"})
	if err != nil {
		return fmt.Errorf("machine: service manager's socket: %w", err)
	}
	go func() { _ = control.Serve(inside, map[string]control.Handler{"unit": control.Simple(m.unit)}) }()
	return nil
}
