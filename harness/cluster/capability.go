package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
)

// Capability is something a machine may be able to do beside what each must. Whether it can is known before bring-up (Offer), because a machine may
// have the methods and its kernel not what they need.
type Capability string

// The capabilities, each with its interface.
const (
	CanPower        Capability = "power"         // Power
	CanLoseUnsynced Capability = "lose-unsynced" // Forgetter
	CanLinks        Capability = "links"         // Links
	CanShape        Capability = "shape"         // Shaper
	CanFreeze       Capability = "freeze"        // Freezer
	CanPause        Capability = "pause"         // Pauser
	CanKill         Capability = "kill"          // Killer
	CanHoldStarts   Capability = "hold-starts"   // Killer, whose Hold is HeldStarts, also of one version
	CanDial         Capability = "dial"          // Dialer
	CanInstall      Capability = "install"       // Installer
	CanTerminal     Capability = "terminal"      // Terminal
	CanScale        Capability = "scale"         // Scaler, of the cluster
	CanKernel       Capability = "kernel"        // Topology.VMWorkers, of the provider
	CanPanic        Capability = "panic"         // Memory
	CanSlowDisk     Capability = "slow-disk"     // SlowDisk
	CanFillDisk     Capability = "fill-disk"     // Filler, of etcd's data directory
	CanLimitEtcd    Capability = "limit-etcd"    // of the cluster: its etcd is made with the topology's EtcdQuota
	CanKeepFiles    Capability = "keep-files"    // Keeper
	CanRefusePulls  Capability = "refuse-pulls"  // Puller
	CanSetClock     Capability = "set-clock"     // Clock
	CanLoseNames    Capability = "lose-names"    // Resolver
)

// Capabilities lists them all.
func Capabilities() []Capability {
	return []Capability{CanPower, CanLoseUnsynced, CanLinks, CanShape, CanFreeze, CanPause, CanKill, CanHoldStarts, CanDial, CanInstall, CanTerminal, CanScale, CanKernel, CanPanic, CanSlowDisk, CanFillDisk, CanLimitEtcd, CanKeepFiles, CanRefusePulls, CanSetClock, CanLoseNames}
}

// Lacks says of the capabilities that are missing why they are; what is not in it is there.
type Lacks map[Capability]string

// Why says which of the needs are missing and why; empty: none is.
func (l Lacks) Why(needs ...Capability) string {
	var out []string
	for _, c := range needs {
		if why, missing := l[c]; missing && !slices.Contains(out, string(c)+": "+why) {
			out = append(out, string(c)+": "+why)
		}
	}
	return strings.Join(out, "; ")
}

// Power is a machine's switch. Off is a power cut: nothing gets to flush or to say goodbye.
type Power interface {
	Off(ctx context.Context) error    // idempotent
	On(ctx context.Context) error     // idempotent; returns when the machine answers, not when its services do
	Reboot(ctx context.Context) error // Off, On
	// BootID tells one boot of the machine from another, by whatever does there: the kernel's boot id where each machine has one of its own.
	BootID(ctx context.Context) (string, error)
	// Powered reports whether the machine runs, seen from outside it.
	Powered(ctx context.Context) (bool, error)
}

// Forgetter is a machine whose power cut can lose what programs have written and not fsynced.
type Forgetter interface {
	// LoseUnsynced takes all that is below the directories for durable, and has the next Off lose what is written there from now on and not fsynced by
	// then, names included (fsync(2)). It is the machine's until then: a process that asked and was killed leaves it so. Off is an error where something
	// could not be followed.
	LoseUnsynced(ctx context.Context, dirs ...string) error
	// KeepUnsynced undoes it: the next Off loses nothing of what was written. Idempotent, also when the machine is off.
	KeepUnsynced(ctx context.Context) error
}

// SlowDisk is a machine whose disk can be slow to make durable what was written.
type SlowDisk interface {
	// SlowSync has each fsync and fdatasync of what is below the directories take so much longer from now on, whoever calls it, also after a boot. A second
	// one takes the place of the first.
	SlowSync(ctx context.Context, delay time.Duration, dirs ...string) error
	// HealSync undoes it: they take as long as they do. Idempotent, also when the machine is off.
	HealSync(ctx context.Context) error
}

// Filler is a machine with a disk of its own at a directory, which can be full while the machine's own, and this host's, are not.
type Filler interface {
	// FillDisk leaves no room there: whatever needs more fails with ENOSPC, and statfs says so, also after a boot. Idempotent; an error where there is no
	// such disk.
	FillDisk(ctx context.Context, dir string) error
	// FreeDisk gives it the room it had. Idempotent, also when the machine is off.
	FreeDisk(ctx context.Context, dir string) error
}

// Memory is a machine's memory, which can run out. What the machine's kernel does then its own files PanicOnOOM and PanicReboots say, which
// Machine.ReadFile reads and a shell on the machine writes: they are the machine's and not its host's, a boot sets them to the kernel's defaults, and
// every start of a kubelet to its own.
type Memory interface {
	// FillMemory has a program on the machine take memory until its kernel has none left to give. It returns once that has begun: whoever asked may not
	// hear of it, because the machine is gone. The program itself is the last that the kernel ends (oom_score_adj of proc(5)), and takes no more once
	// another was ended.
	FillMemory(ctx context.Context) error
	// FreeMemory ends that program; idempotent, and an error when the machine does not answer.
	FreeMemory(ctx context.Context) error
	// Console is what the machine's kernel has said since the machine was first switched on, read from outside the machine: also when it is off.
	Console(ctx context.Context) ([]byte, error)
}

// The files of a machine that say what its kernel does when memory runs out (Documentation/admin-guide/sysctl of Linux, vm.rst and kernel.rst).
const (
	PanicOnOOM   = "/proc/sys/vm/panic_on_oom" // 0: one process is chosen and ended; else the kernel panics
	PanicReboots = "/proc/sys/kernel/panic"    // seconds from a panic to a reboot; 0: there is none
)

// What a kernel says on its console when memory has run out (mm/oom_kill.c, kernel/panic.c).
const (
	SaysOOMKilled = "Out of memory: Killed process" // and " NUMBER (NAME) …"
	SaysPanic     = "Kernel panic - not syncing: Out of memory"
)

// Emulator is a machine that does some of what it can do in another way than its name says, so that its programs and peers see the same: receipts say so.
type Emulator interface {
	// Emulates says of these capabilities what really happens.
	Emulates() map[Capability]string
}

// Way is which packets of a link are lost, as the machine sees it whose link it is.
type Way string

// The ways of a cut.
const (
	BothWays Way = "both"
	Outbound Way = "out" // what it sends
	Inbound  Way = "in"  // what is sent to it
)

// Links are the machine's connections to its peers.
type Links interface {
	// Cut drops the IP packets that go that way between the machine and the peers; no peers means everybody.
	Cut(ctx context.Context, way Way, peers ...netip.Addr) error
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

// Pauser stops all that runs on a machine, and lets it go on where it was: what a hypervisor does that is out of processor time. The machine's kernel goes
// on: connections are accepted, and nothing is answered. It can be looked at meanwhile, and a power cut ends it.
type Pauser interface {
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error // idempotent, also of a machine that was off since
	// Paused reports whether all of it is stopped.
	Paused(ctx context.Context) (bool, error)
}

// Holding is how a program is kept from running.
type Holding string

// The ways of holding.
const (
	// HeldStarts: every start of the program fails, and whoever supervises it goes on trying, as after any crash.
	HeldStarts Holding = "every start of it fails"
	// HeldAway: whoever supervises it was told to leave it, as by taking a static pod's manifest away. Nobody tries to start it.
	HeldAway Holding = "its supervisor was told to leave it"
)

// Killer ends a process at once (SIGKILL), and can keep it from running again.
type Killer interface {
	Kill(ctx context.Context, process string) (killed int, err error)
	// Hold keeps the program down until Release, and says how. It is kept on the machine's disk, so that it can be undone by somebody who does not
	// remember it. PROGRAM@VERSION holds one version only, which needs HeldStarts.
	Hold(ctx context.Context, process string) (Holding, error)
	Release(ctx context.Context, process string) error // idempotent
}

// Keeper replaces a file for a time.
type Keeper interface {
	// Replace puts other data in the place of a file, which is kept beside it as it was; a second time that stays the one from before the first.
	Replace(ctx context.Context, path string, data []byte) error
	// PutBack undoes it; idempotent. What somebody else has put there meanwhile, as who renews certificates does, is the newer and stays.
	PutBack(ctx context.Context, path string) error
}

// Puller is a machine whose container runtime can be kept from pulling images. What containers there run by is there.
type Puller interface {
	RefusePulls(ctx context.Context) error
	AllowPulls(ctx context.Context) error // idempotent
}

// Clock is a machine's clock (CLOCK_REALTIME), which is its own: whoever sets it sets nobody else's.
type Clock interface {
	// SkewClock sets it ahead of what it would be by so much, or back by a negative one, whatever an earlier call made of it.
	SkewClock(ctx context.Context, by time.Duration) error
	// RightClock sets it to what it was before the first of these, and the time that has passed since by a clock that nobody can set (CLOCK_BOOTTIME).
	// Idempotent; a boot does so too.
	RightClock(ctx context.Context) error
}

// Resolver is a machine whose questions to DNS servers can be lost, those of its pods as well.
type Resolver interface {
	// LoseNames drops what pods and programs of the machine ask of port 53, of whomever, over UDP and TCP. What others ask of servers on it gets through.
	LoseNames(ctx context.Context) error // idempotent
	FindNames(ctx context.Context) error // idempotent
	// LostQueries counts the packets dropped since.
	LostQueries(ctx context.Context) (uint64, error)
}

// Dialer connects from the machine itself, so that its loopback is reachable. What only such a connection could tell of a machine without one is
// unknown: neither well nor lost.
type Dialer interface {
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// Installer puts programs of a product's version ("kubernetes", "v1.35.4") on the machine's PATH, or all there are when none is named. Of
// Kubernetes the images come with them: when it returns, the machine's runtime has those that the version's kubeadm asks for. It starts nothing.
type Installer interface {
	Install(ctx context.Context, product, version string, programs ...string) error
}

// Terminal runs a command on the caller's own streams (stdin, stdout, stderr); with tty the first is a terminal to become the controlling one. It
// returns the exit code.
type Terminal interface {
	Shell(ctx context.Context, args []string, tty bool, streams ...*os.File) (code int, err error)
}

// Means are what machines of a provider have, wherever it runs. What a host, a kernel or an inventory takes away besides is told by Offer.
type Means struct {
	Layouts  []EtcdLayout          // of etcd in the clusters it gives
	Never    Lacks                 // what no machine can, and why
	Only     Lacks                 // what only some machines can, and why the others cannot
	Emulated map[Capability]string // what machines do in another way than its name says (Emulator)
}

// Why says what of a cluster with etcd in such a place, whose machines must have the capabilities, there never is; empty: nothing.
func (m Means) Why(etcd EtcdLayout, needs ...Capability) string {
	if !slices.Contains(m.Layouts, etcd) {
		return fmt.Sprintf("etcd is %s", etcd)
	}
	return m.Never.Why(needs...)
}

// Limited is a machine, or a cluster, that has the methods of more capabilities than it can use.
type Limited interface {
	Lacks() Lacks
}

// ErrUnsupported is wrapped by As when a machine lacks a capability.
var ErrUnsupported = errors.New("not supported by this provider")

// As asks a machine for a capability: its interface, of a machine that can use it.
func As[T any](m Machine) (T, error) {
	var zero T
	c, ok := m.(T)
	if !ok {
		return zero, fmt.Errorf("machine %s: capability %T: %w", m.Name(), (*T)(nil), ErrUnsupported)
	}
	if l, limited := m.(Limited); limited {
		if why := l.Lacks().Why(capabilityOf[T]()); why != "" {
			return zero, fmt.Errorf("machine %s: %w: %s", m.Name(), ErrUnsupported, why)
		}
	}
	return c, nil
}

func capabilityOf[T any]() Capability {
	switch any((*T)(nil)).(type) {
	case *Power:
		return CanPower
	case *Forgetter:
		return CanLoseUnsynced
	case *Links:
		return CanLinks
	case *Memory:
		return CanPanic
	case *SlowDisk:
		return CanSlowDisk
	case *Shaper:
		return CanShape
	case *Filler:
		return CanFillDisk
	case *Freezer:
		return CanFreeze
	case *Pauser:
		return CanPause
	case *Killer:
		return CanKill
	case *Keeper:
		return CanKeepFiles
	case *Puller:
		return CanRefusePulls
	case *Clock:
		return CanSetClock
	case *Resolver:
		return CanLoseNames
	case *Dialer:
		return CanDial
	case *Installer:
		return CanInstall
	case *Terminal:
		return CanTerminal
	default:
		return "" // of a provider's own type
	}
}
