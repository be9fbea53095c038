// Package machineinit is PID 1 of a lab machine: it builds the machine's root from its disk, configures its network,
// serves the process runtime, supervises its services and answers the host on its control socket.
package machineinit

import "drydock.dev/drydock/harness/cluster"

// Paths inside a machine.
const (
	BinDir    = "/opt/drydock/bin"      // on the machine's disk: links to the binaries of the versions it runs
	Releases  = "/opt/drydock/releases" // the cache of releases, read-only
	RunDir    = "/run/drydock"
	Socket    = RunDir + "/machine.sock"
	CRISocket = RunDir + "/cri.sock"
	LabSocket = "/run/drydock-lab/lab.sock"
	LogDir    = "/var/log/units"
	HeldDir   = "/var/lib/drydock/held" // a file NAME keeps the program NAME from starting
	Path      = BinDir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// Ready is what a machine says when it serves its socket.
const Ready = "ready"

// Config is what a machine is told at power-on.
type Config struct {
	Name     string            `json:"name"`
	Role     cluster.Role      `json:"role"`
	Addr     string            `json:"addr"`
	Gateway  string            `json:"gateway"`
	PodNet   string            `json:"podNet"`
	BootID   string            `json:"bootID"`
	Disk     string            `json:"disk"`     // host path of the machine's root
	Run      string            `json:"run"`      // host path of the directory with its sockets
	LabRun   string            `json:"labRun"`   // host path of the directory with the lab's socket
	Program  string            `json:"program"`  // host path of the drydock binary
	Releases string            `json:"releases"` // host path of the release cache
	Hosts    map[string]string `json:"hosts"`
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

// CutParams name the peers to cut off; none means everybody.
type CutParams struct {
	Peers []string `json:"peers,omitempty"`
}

// UnitParams are one call of systemctl.
type UnitParams struct {
	Verb   string `json:"verb"`
	Name   string `json:"name"`
	Signal int    `json:"signal,omitempty"`
}
