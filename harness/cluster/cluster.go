// Package cluster holds the nouns and contracts everything else stands on: topologies, machines, clusters, providers
// and the optional capabilities of a machine. It does nothing itself.
package cluster

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"time"
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
	// Exec runs a command to its end and reads its output to the end. A command that fails is an *ExecError. When the context ends the command is
	// killed and Exec returns, also where a child of the command that went on by itself still holds its output.
	Exec(ctx context.Context, cmd Command) (Result, error)
	// ReadFile reads a file of the machine; fs.ErrNotExist when there is none.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// WriteFile replaces a file atomically by rename and makes its directory.
	WriteFile(ctx context.Context, path string, data []byte, mode fs.FileMode) error
}

// All are a provider's own machines as everybody else sees them.
func All[M Machine](machines []M) []Machine {
	var out []Machine
	for _, m := range machines {
		out = append(out, m)
	}
	return out
}

// Find gives the machine of that name; a UsageError lists the known ones.
func Find[M Machine](machines []M, name string) (Machine, error) {
	var known []string
	for _, m := range machines {
		if m.Name() == name {
			return m, nil
		}
		known = append(known, m.Name())
	}
	return nil, Usagef("no machine %q; known: %s", name, strings.Join(known, ", "))
}

// Cluster is a set of machines that were brought up together, or found together.
type Cluster interface {
	// Topology is what the cluster was made or found to be. Its machines are named one by one (Topology.Named): all that belong to it, also one
	// that is away for the moment, and none that was added for a time.
	Topology() Topology
	// Profile is what its machines are like.
	Profile() Profile
	// Lacks are the capabilities its machines do not have, asked when it was brought up or attached to.
	Lacks() Lacks
	// Machines lists the machines there are now, those of the topology first and in its order.
	Machines() []Machine
	// Machine finds one by name; the error lists the known names.
	Machine(name string) (Machine, error)
	// Endpoint is the host:port of the load-balanced API server, as Dial takes it; empty for etcd-only.
	Endpoint() string
	// Dial connects from a place outside the machines that reaches their addresses.
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
	// Kubeconfig is the administrator's, for programs of this host; a UsageError for etcd-only.
	Kubeconfig(ctx context.Context) ([]byte, error)
	// Dir is this host's own directory of the cluster: it goes with the cluster, so that what is kept there never passes for another's by that name.
	Dir() string
	// CollectLogs copies the logs of these machines, or of all there are, to dir/MACHINE, of each so much as LogDir keeps; also from a half-broken cluster,
	// and of a machine that is off what its disk has.
	CollectLogs(ctx context.Context, dir string, machines ...string) error
	// Claim makes a cluster that was attached to this process's own until Release or Down; a second claim, of whatever process, is a UsageError that
	// says whose it is. A cluster that Up made is its maker's from the beginning.
	Claim(ctx context.Context) error
	// Release lets it go: it goes on without this process, and whoever comes may attach to it, claim it and remove it. Idempotent.
	Release(ctx context.Context) error
}

// Scaler is a cluster that machines can be added to and taken from while it runs. What they run is the caller's business.
type Scaler interface {
	// AddMachine makes a machine with an empty disk and powers it on. A machine of the topology gets its own address again.
	AddMachine(ctx context.Context, spec MachineSpec) (Machine, error)
	// RemoveMachine cuts a machine's power and drops its disk for good; idempotent.
	RemoveMachine(ctx context.Context, name string) error
}

// DataDisks is a Scaler whose machines may have disks of data, which outlive them. Each is a directory of its machine, and has a name of its own.
type DataDisks interface {
	// AddMachineWith is AddMachine of a machine with disks, by the directories they are at. One that was kept has what was on it, any other is empty.
	AddMachineWith(ctx context.Context, spec MachineSpec, disks map[string]string) (Machine, error)
	// RemoveMachineKeeping is RemoveMachine, but for what is below directories of the machine: that is kept, as the power cut has left it, as the disks of these
	// names, until a machine gets them, they are dropped, or the cluster goes; idempotent.
	RemoveMachineKeeping(ctx context.Context, name string, disks map[string]string) error
	// Disks lists those that were kept and that no machine has.
	Disks(ctx context.Context) ([]string, error)
	// DropDisk drops a disk that was kept and that no machine has; idempotent.
	DropDisk(ctx context.Context, disk string) error
}

// Reserved is a cluster that does not let everything be done to it.
type Reserved interface {
	// Allow refuses, with a UsageError, a plan that holds something that may not be done here. It is asked with all of it, before anything is done.
	Allow(acts []Act) error
	// Free refuses, with a UsageError that says whose it is, where somebody else has claimed it: what is seen of the cluster then is what he does.
	Free(ctx context.Context) error
}

// Act is something that a plan is to break.
type Act struct {
	Fault    string        // its kind
	Machines int           // that are broken at that time, by this and by what else is broken then
	Members  int           // of etcd that are away then
	For      time.Duration // how long it holds
}

// Host is a cluster whose machines can reach a program of this host.
type Host interface {
	// Listen opens a TCP listener at an address, of a free port, that the machines and their pods reach and this host's network does not; what connects there
	// comes to this process. It ends when it is closed, or with either.
	Listen(ctx context.Context) (net.Listener, error)
}

// Loader is a cluster whose machines' runtimes can be given images of one program each.
type Loader interface {
	// LoadImage has every machine's runtime know NAME:VERSION, whatever stands before the name, as an image that runs the program, a static binary of this
	// host. Idempotent.
	LoadImage(ctx context.Context, name, version, program string) error
}

// Metered is a cluster that tells what it takes of this host.
type Metered interface {
	Usage(ctx context.Context) (Usage, error)
}

// Usage is what a cluster's processes take.
type Usage struct {
	Processes int    `json:"processes"`
	PSS       uint64 `json:"pss"` // bytes, shared pages divided among their users
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
