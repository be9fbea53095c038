// Package machineinit is PID 1 of a lab machine: it builds the machine's root from its disk, configures its network,
// serves the process runtime, supervises its services and answers the host on its control socket.
package machineinit

import (
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Paths inside a machine.
const (
	BinDir    = "/opt/drydock/bin"      // on the machine's disk: links to the binaries of the versions it runs
	Releases  = "/opt/drydock/releases" // the cache of releases, read-only
	Program   = "/run/drydock-program"  // the drydock binary, read-only
	RunDir    = "/run/drydock"
	Socket    = RunDir + "/machine.sock" // of the service manager: systemctl asks it
	CRISocket = RunDir + "/cri.sock"
	LabSocket = RunDir + "/lab.sock" // what a machine may ask of its lab: route, and nothing else
	LogDir    = "/var/log/units"
	HeldDir   = "/var/lib/drydock/held"       // a file NAME keeps the program NAME from starting
	PullsHeld = "/var/lib/drydock/pulls-held" // while this file exists the process runtime pulls no image
	Path      = BinDir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// Ready is what a machine says when it serves its socket.
const Ready = "ready"

// Config is what a machine is told at power-on; its paths are those of the lab's root.
type Config struct {
	Name      string            `json:"name"`
	Role      cluster.Role      `json:"role"`
	Addr      string            `json:"addr"`
	Gateway   string            `json:"gateway"`
	PodNet    string            `json:"podNet"`
	BootID    string            `json:"bootID"`
	Disk      string            `json:"disk"`      // the machine's root
	LabSocket string            `json:"labSocket"` // where the lab answers this machine
	Program   string            `json:"program"`   // the drydock binary
	Releases  string            `json:"releases"`  // the release cache
	Hosts     map[string]string `json:"hosts"`
	TellSyncs bool              `json:"tellSyncs"` // what its programs fsync is told its lab, which waits for the listener
	// Of a machine with a kernel of its own:
	Kit       string `json:"kit,omitempty"`       // what it is made of
	Console   string `json:"console,omitempty"`   // the file that its serial console is appended to
	OwnKernel bool   `json:"ownKernel,omitempty"` // this is that machine: /proc/sys and the boot id are its own
}

// Panic is the last word of a machine whose kernel would have panicked.
type Panic struct {
	Reboot int `json:"reboot"` // seconds until it boots; 0: it stays as it is, less: at once
}

// Operations that others than the machine's owner on the host ask for by name.
const (
	Ping  = "ping"  // of a machine: it answers
	Route = "route" // of a lab
)

// RouteParams say that a pod range lies behind the machine that asks.
type RouteParams struct {
	CIDR string `json:"cidr"`
}

// ExecParams run a program; its standard streams are passed as files.
type ExecParams struct {
	Args []string `json:"args"`
	Env  []string `json:"env,omitempty"`
	TTY  bool     `json:"tty,omitempty"` // standard input is a terminal to become the controlling one
}

// ExecResult is how the program ended: its exit code, or -1 and the reason.
type ExecResult struct {
	Code   int    `json:"code"`
	Reason string `json:"reason,omitempty"`
}

// FileParams name a file and, to write it, what goes in.
type FileParams struct {
	Path string `json:"path"`
	Data []byte `json:"data,omitempty"`
	Mode uint32 `json:"mode,omitempty"`
}

// SignalParams name the processes to signal by their program's name.
type SignalParams struct {
	Process string `json:"process"`
	Signal  int    `json:"signal"`
}

// ClockParams say how far ahead a clock is to be.
type ClockParams struct {
	By time.Duration `json:"by"`
}

// UnitParams are one call of systemctl.
type UnitParams struct {
	Verb   string `json:"verb"`
	Name   string `json:"name"`
	Signal int    `json:"signal,omitempty"`
}
