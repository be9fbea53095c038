// Package cluster holds the nouns and contracts everything else stands on: topologies, machines, clusters, providers
// and the optional capabilities of a machine. It does nothing itself.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"strings"
)

// Command is a program to run on a machine.
type Command struct {
	Args  []string  // program and arguments; the program is looked up in the machine's PATH
	Env   []string  // KEY=VALUE, added to the machine's own
	Stdin io.Reader // nil: empty
}

// Result is what a command left: its standard output and standard error.
type Result struct{ Stdout, Stderr string }

// ExecError is a command that did not succeed, with enough to say why.
type ExecError struct {
	Machine string
	Args    []string
	Code    int // exit code; -1 when it was killed by a signal or never ran
	Result  Result
	Cause   error // nil when the command ran and exited
}

// Error names the command, the machine, the exit code and the tail of the output.
func (e *ExecError) Error() string {
	out := strings.TrimSpace(e.Result.Stdout + "\n" + e.Result.Stderr)
	const tail = 2000
	if len(out) > tail {
		out = "…" + out[len(out)-tail:]
	}
	s := fmt.Sprintf("%s: %q exited %d", e.Machine, strings.Join(e.Args, " "), e.Code)
	if e.Cause != nil {
		s += fmt.Sprintf(" (%v)", e.Cause)
	}
	if out != "" {
		s += ":\n" + out
	}
	return s
}

// Unwrap gives the cause.
func (e *ExecError) Unwrap() error { return e.Cause }

// Machine is one host of a cluster.
type Machine interface {
	Name() string
	Role() Role
	Addr() netip.Addr
	// Exec runs a command to its end. A command that fails is an *ExecError.
	Exec(ctx context.Context, cmd Command) (Result, error)
	// ReadFile reads a file of the machine; fs.ErrNotExist when there is none.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// WriteFile replaces a file atomically by rename and makes its directory.
	WriteFile(ctx context.Context, path string, data []byte, mode fs.FileMode) error
}

// Cluster is a set of machines that were brought up together.
type Cluster interface {
	Topology() Topology
	// Machines lists the machines in the topology's order.
	Machines() []Machine
	// Machine finds one by name; the error lists the known names.
	Machine(name string) (Machine, error)
	// Endpoint is the host:port of the load-balanced API server, as Dial takes it; empty for etcd-only.
	Endpoint() string
	// Dial connects from a place outside the machines that reaches their addresses.
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// Scaler is a cluster that machines can be added to and taken from while it runs. What they run is the caller's business.
type Scaler interface {
	// AddMachine makes a machine with an empty disk and powers it on. A machine of the topology gets its own address again.
	AddMachine(ctx context.Context, spec MachineSpec) (Machine, error)
	// RemoveMachine cuts a machine's power and drops its disk for good; idempotent.
	RemoveMachine(ctx context.Context, name string) error
}

// Provider makes clusters.
type Provider interface {
	// Up makes a cluster; on error nothing is left behind.
	Up(ctx context.Context, t Topology) (Cluster, error)
	// Down removes it; idempotent, and undoes only what Up did.
	Down(ctx context.Context, c Cluster) error
	// CollectLogs copies the machines' logs to dir/MACHINE; also from a half-broken cluster.
	CollectLogs(ctx context.Context, c Cluster, dir string) error
}

// Bootstrapper turns bare machines into a working cluster. A provider calls it from Up.
type Bootstrapper interface {
	// Key names everything that shapes the outcome besides the topology; equal keys may share a saved cluster.
	Key(t Topology) string
	// Bootstrap runs on bare machines that are powered on.
	Bootstrap(ctx context.Context, c Cluster) error
	// Ready returns when the cluster serves, on machines that booted from bootstrapped disks as well.
	Ready(ctx context.Context, c Cluster) error
}

// Progress is told of the phases of something slow; the returned function ends the phase.
type Progress interface {
	Phase(format string, args ...any) (done func(err error))
}

// Power is a machine's switch. Off is a power cut: nothing gets to flush or to say goodbye.
type Power interface {
	Off(ctx context.Context) error    // idempotent
	On(ctx context.Context) error     // idempotent; returns when the machine answers, not when its services do
	Reboot(ctx context.Context) error // Off, On
	// BootID is /proc/sys/kernel/random/boot_id as the machine's programs see it.
	BootID(ctx context.Context) (string, error)
	// Powered reports whether the machine runs, seen from outside it.
	Powered(ctx context.Context) (bool, error)
}

// Links are the machine's connections to its peers.
type Links interface {
	// Cut drops all packets from and to the peers; no peers means everybody.
	Cut(ctx context.Context, peers ...netip.Addr) error
	// HealLinks undoes every Cut; idempotent.
	HealLinks(ctx context.Context) error
	// Dropped counts the packets the cuts have dropped since they were made.
	Dropped(ctx context.Context) (uint64, error)
}

// Freezer stops a process without ending it: alive to the kernel, dead to its peers (SIGSTOP, SIGCONT).
type Freezer interface {
	Freeze(ctx context.Context, process string) error
	Thaw(ctx context.Context, process string) error // idempotent
	// State is the process's state letter of proc(5): R, S, D, T, ...; empty when there is none.
	State(ctx context.Context, process string) (string, error)
}

// Killer ends a process at once (SIGKILL), and can keep its supervisor from starting it again.
type Killer interface {
	Kill(ctx context.Context, process string) (killed int, err error)
	// Hold makes every start of the program fail until Release. It is kept on the machine's disk, so that it can be
	// undone by somebody who does not remember it. Whoever supervises the program goes on trying, as after any crash.
	// PROGRAM@VERSION holds one version only.
	Hold(ctx context.Context, process string) error
	Release(ctx context.Context, process string) error // idempotent
}

// Dialer connects from the machine itself, so that its loopback is reachable.
type Dialer interface {
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// ErrUnsupported is wrapped by As when a machine lacks a capability.
var ErrUnsupported = errors.New("not supported by this provider")

// As asks a machine for a capability.
func As[T any](m Machine) (T, error) {
	if c, ok := m.(T); ok {
		return c, nil
	}
	var zero T
	return zero, fmt.Errorf("machine %s: capability %T: %w", m.Name(), (*T)(nil), ErrUnsupported)
}

// UsageError marks a mistake of the caller: exit code 2, nothing was touched.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap gives the mistake itself.
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error {
	return &UsageError{Err: fmt.Errorf(format, args...)}
}

// Installer puts programs of a product's version ("kubernetes", "v1.35.4") on the machine's PATH, or all there are when none is named.
// It starts nothing.
type Installer interface {
	Install(ctx context.Context, product, version string, programs ...string) error
}
