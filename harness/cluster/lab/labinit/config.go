// Package labinit is PID 1 of a lab: it builds the bridge the machines hang on, switches machines on and off, routes
// between their pod ranges and balances the API servers. It ends with its owner, and the kernel ends everything in it.
package labinit

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/wholefile"
)

// Addresses of a lab. Every lab has a network namespace of its own, so all labs use the same.
const (
	Gateway    = "10.77.0.1" // the lab itself: router, load balancer
	MachineNet = "10.77.0.0/16"
	PodNet     = "10.244.0.0/16"
	ServiceNet = "10.96.0.0/12"
	APIPort    = 6443
	bridge     = "br0"
)

// Files below a lab's state directory.
const (
	ConfigFile  = "lab.json"
	SocketFile  = "run/lab.sock"
	ProgramFile = "drydock" // the binary the lab runs: whatever is built meanwhile, it stays one program
	LogFile     = "lab.log"
)

// ConsoleFile is where a VM machine's serial console is kept, below the lab's state directory.
func ConsoleFile(machine string) string { return filepath.Join("logs", machine+".console") }

// Config is lab.json: what the lab is made of, written by the host before the lab starts and by the lab when machines come and go.
type Config struct {
	Topology cluster.Topology `json:"topology"`
	Machines []Machine        `json:"machines"`
	Releases string           `json:"releases"` // the cache of Kubernetes and etcd binaries, on the host
	Kit      string           `json:"kit"`      // the directory of what VM machines are made of, on the host; empty: there are none
	APIPort  int              `json:"apiPort"`  // the loopback port on the host, 0 for none
	Lacks    cluster.Lacks    `json:"lacks"`    // what the host's kernel does not let machines do
	Trace    Trace            `json:"trace"`    // written by the lab before it makes anything
}

// Trace is what a lab can be told by when it should have ended: the inode numbers of its namespaces, and the start of its PID 1 in
// clock ticks since the host's boot, because the kernel gives the number of a namespace that has ended to another (namespaces(7),
// proc_pid_stat(5)).
type Trace struct {
	PID   uint64 `json:"pid"`
	Net   uint64 `json:"net"`
	Mount uint64 `json:"mount"`
	Start uint64 `json:"start"`
}

// Machine is one machine of the lab.
type Machine struct {
	Name string       `json:"name"`
	Role cluster.Role `json:"role"`
	Addr string       `json:"addr"`
	Link string       `json:"link"` // its interface on the lab's side; at most 15 bytes
	VM   bool         `json:"vm,omitempty"`
}

// ReadConfig reads the lab.json of a lab's state directory.
func ReadConfig(dir string) (Config, error) {
	raw, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if err != nil {
		return Config{}, fmt.Errorf("lab: %w", err)
	}
	return ParseConfig(raw)
}

// ParseConfig reads the bytes of a lab.json.
func ParseConfig(raw []byte) (cfg Config, err error) {
	if err := json.Unmarshal(raw, &cfg); err != nil {
		return cfg, fmt.Errorf("lab: %s: %w", ConfigFile, err)
	}
	return cfg, nil
}

// Write replaces it at once: other processes read the machines from it.
func (c Config) Write(dir string) error {
	if err := wholefile.WriteJSON(filepath.Join(dir, ConfigFile), 0o600, c); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}

// Place gives a machine its address and its cable: one of the topology always the same, another the first that is free behind those.
func (c Config) Place(spec cluster.MachineSpec) (Machine, error) {
	if err := cluster.CheckName("machine", spec.Name); err != nil {
		return Machine{}, err
	}
	taken := map[string]bool{}
	for _, m := range c.Machines {
		if m.Name == spec.Name {
			return Machine{}, fmt.Errorf("there is a machine %q already", spec.Name)
		}
		taken[m.Addr] = true
	}
	own := c.Topology.Machines()
	for i := range MaxMachines {
		at := Machine{Name: spec.Name, Role: spec.Role, Addr: fmt.Sprintf("10.77.1.%d", i+1), Link: fmt.Sprintf("m%d", i+1), VM: spec.VM}
		if i < len(own) && own[i].Name == spec.Name {
			at.VM = own[i].VM // also when it is made again
		}
		if i < len(own) && own[i].Name == spec.Name || i >= len(own) && !taken[at.Addr] {
			return at, nil
		}
	}
	return Machine{}, fmt.Errorf("a lab has room for %d machines", MaxMachines)
}

// checkRange refuses what is not a pod range: a machine that asks for more would take other machines' traffic.
func checkRange(cidr string) error {
	got, err := netip.ParsePrefix(cidr)
	if err != nil {
		return err
	}
	pods := netip.MustParsePrefix(PodNet)
	if !pods.Contains(got.Addr()) || got.Bits() <= pods.Bits() {
		return fmt.Errorf("%s is not a part of the pods' network %s", cidr, pods)
	}
	return nil
}

// MaxMachines is how many addresses the lab's network has for machines.
const MaxMachines = 254

// CutParams say which packets between a machine and its peers are lost; no peers means everybody.
type CutParams struct {
	Name  string       `json:"name"`
	Way   cluster.Way  `json:"way"`
	Peers []netip.Addr `json:"peers,omitempty"`
}

// ShapeParams say what is to be wrong with a machine's links.
type ShapeParams struct {
	Name string `json:"name"`
	cluster.Shape
}

// UnshapeParams name one thing that is wrong with a machine's links.
type UnshapeParams struct {
	Name string          `json:"name"`
	What cluster.Shaping `json:"what"`
}

// MachineParams name a machine in a request.
type MachineParams struct {
	Name string `json:"name"`
}

// AddParams are a machine to add, with disks of data by the directories they are at.
type AddParams struct {
	cluster.MachineSpec
	Disks map[string]string `json:"disks,omitempty"`
}

// RemoveParams name a machine to remove, and the disks of data as which directories of it are kept.
type RemoveParams struct {
	Name string            `json:"name"`
	Keep map[string]string `json:"keep,omitempty"`
}

// SlowParams say how much longer it takes to fsync what is below directories of a machine; none: as long as it does.
type SlowParams struct {
	Name  string        `json:"name"`
	Delay time.Duration `json:"delay"`
	Dirs  []string      `json:"dirs"`
}

// FillParams say whether the disk that is mounted at a directory of a machine has no room.
type FillParams struct {
	Name string `json:"name"`
	Dir  string `json:"dir"`
	Full bool   `json:"full"`
}

// UnsyncedParams name directories of a machine.
type UnsyncedParams struct {
	Name string   `json:"name"`
	Dirs []string `json:"dirs"`
}
