package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Role is what a machine is for.
type Role string

// The roles a machine can have.
const (
	ControlPlane Role = "control-plane"
	Worker       Role = "worker"
	Etcd         Role = "etcd"
)

// EtcdLayout says where the etcd members live.
type EtcdLayout string

// The layouts: on the control planes, on machines of their own, or nothing but etcd.
const (
	EtcdStacked  EtcdLayout = "stacked"
	EtcdExternal EtcdLayout = "external"
	EtcdOnly     EtcdLayout = "only"
)

// Timing chooses how quickly a cluster notices a loss.
type Timing string

// TimingFast shrinks leases, grace periods and tolerations together; TimingProduction keeps Kubernetes' defaults.
const (
	TimingFast       Timing = "fast"
	TimingProduction Timing = "production"
)

// Limits of a topology. An etcd cluster above seven members gains tolerance nobody uses and loses write speed.
const (
	MaxEtcdMembers = 7
	MaxWorkers     = 50
)

// Between them a quota is room for what clients of a scenario write, and no more than etcd suggests (its hardware recommendations).
const (
	MinEtcdQuota Size = 16 << 20
	MaxEtcdQuota Size = 8 << 30
	// A member writes its log in segments of 64 MiB, one of which it has ready before it is needed. What a lab keeps of a disk it keeps in memory.
	MinEtcdDisk Size = 256 << 20
	MaxEtcdDisk Size = 2 << 30
)

// Topology is the shape of a cluster: everything a provider has to know to make one.
type Topology struct {
	Name          string     `json:"name"`
	ControlPlanes int        `json:"controlPlanes"`
	Workers       int        `json:"workers"`
	Etcd          EtcdLayout `json:"etcd"`
	EtcdMembers   int        `json:"etcdMembers"`           // for stacked always ControlPlanes
	Version       string     `json:"version"`               // Kubernetes, vX.Y or vX.Y.Z; empty for etcd-only
	EtcdVersion   string     `json:"etcdVersion,omitempty"` // vX.Y or vX.Y.Z; empty for stacked: that of the version's kubeadm
	Timing        Timing     `json:"timing"`
	// EtcdQuota is the size at which members' databases are full (--quota-backend-bytes); 0: etcd's own, which is 2Gi.
	EtcdQuota Size `json:"etcdQuota,omitempty"`
	// EtcdDisk is the size of a disk that each member has of its own; 0: it is on its machine's.
	EtcdDisk Size `json:"etcdDisk,omitempty"`
	// EtcdFlags are what its members are started with besides, by the names of EtcdFlags.
	EtcdFlags map[string]string `json:"etcdFlags,omitempty"`
	// VMWorkers are how many of the workers, the last ones, have a kernel of their own.
	VMWorkers int `json:"vmWorkers,omitempty"`
	// Called are patterns of the machines' names by their role, "k8s-master-%d", numbered from 0. A role without one is called as Machines says.
	Called map[Role]string `json:"called,omitempty"`
	// Named are the machines one by one, of a cluster that was offered or is up. Of one that is asked for there are only the counts.
	Named []MachineSpec `json:"machines,omitempty"`
}

// MachineSpec is one machine of a topology before it exists.
type MachineSpec struct {
	Name string `json:"name"`
	Role Role   `json:"role"`
	VM   bool   `json:"vm,omitempty"` // it has a kernel of its own
}

// NamePattern is what clusters, machines, runs and scenarios may be called: one label of RFC 1123. Names become directories and host names.
const NamePattern = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"

// CheckName refuses what is no name; what says whose it would be.
func CheckName(what, name string) error {
	if len(validation.IsDNS1123Label(name)) == 0 {
		return nil
	}
	return Usagef("%s %q: a name is lower-case letters, digits and dashes between them, 63 at most (%s)", what, name, NamePattern)
}

// Complete fills in what follows from the rest: the layout, the member count and the timing.
func (t Topology) Complete() Topology {
	if t.Etcd == "" {
		t.Etcd = EtcdStacked
	}
	if t.Etcd == EtcdStacked {
		t.EtcdMembers = t.ControlPlanes
	}
	if t.Etcd == EtcdExternal && t.EtcdMembers == 0 {
		t.EtcdMembers = 3
	}
	if t.Timing == "" {
		t.Timing = TimingFast
	}
	return t
}

// Validate says what is wrong with a completed topology, and warns of what is allowed but unwise.
func (t Topology) Validate() (warnings []string, err error) {
	var bad []string
	note := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	if err := CheckName("cluster", t.Name); err != nil {
		note("%v", err)
	}
	for _, count := range []struct {
		name        string
		value, most int
	}{{"controlPlanes", t.ControlPlanes, MaxEtcdMembers}, {"workers", t.Workers, MaxWorkers}, {"etcdMembers", t.EtcdMembers, MaxEtcdMembers}, {"vmWorkers", t.VMWorkers, t.Workers}} {
		switch {
		case count.value < 0:
			note("%s is %d; it cannot be negative", count.name, count.value)
		case count.value > count.most:
			note("%s is %d; at most %d", count.name, count.value, count.most)
		}
	}
	switch t.Etcd {
	case EtcdStacked, EtcdExternal:
		if t.ControlPlanes == 0 {
			note("controlPlanes is 0; a Kubernetes cluster needs at least 1 (or etcd: only)")
		}
	case EtcdOnly:
		if t.ControlPlanes > 0 || t.Workers > 0 {
			note("etcd: only takes no controlPlanes and no workers")
		}
	default:
		note("etcd is %q; known: %s, %s, %s", t.Etcd, EtcdStacked, EtcdExternal, EtcdOnly)
	}
	if t.Etcd != EtcdStacked && t.EtcdMembers == 0 {
		note("etcdMembers is 0; at least 1")
	}
	if t.EtcdQuota != 0 && (t.EtcdQuota < MinEtcdQuota || t.EtcdQuota > MaxEtcdQuota) {
		note("etcdQuota is %s; it is %s to %s", t.EtcdQuota, MinEtcdQuota, MaxEtcdQuota)
	}
	if t.EtcdQuota != 0 && t.Etcd != EtcdOnly {
		note("etcdQuota is for etcd: only, where nothing else needs room in it")
	}
	if t.EtcdDisk != 0 && (t.EtcdDisk < MinEtcdDisk || t.EtcdDisk > MaxEtcdDisk) {
		note("etcdDisk is %s; it is %s to %s", t.EtcdDisk, MinEtcdDisk, MaxEtcdDisk)
	}
	if t.EtcdDisk != 0 && t.Etcd != EtcdOnly {
		note("etcdDisk is for etcd: only")
	}
	bad = append(bad, t.checkEtcdFlags()...)
	if t.Timing != TimingFast && t.Timing != TimingProduction {
		note("timing is %q; known: %s, %s", t.Timing, TimingFast, TimingProduction)
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("topology: %s", strings.Join(bad, "; "))
	}
	if t.EtcdMembers%2 == 0 {
		warnings = append(warnings, fmt.Sprintf("%d etcd members tolerate the loss of %d, as many as %d do: an even member adds risk and no tolerance",
			t.EtcdMembers, Tolerance(t.EtcdMembers), t.EtcdMembers-1))
	}
	return warnings, nil
}

// Machines lists the machines of the topology in the order they are made: etcd, control planes, workers. Where none is named they are called as
// Called says, or as the lab calls them: control-plane-1 and so on.
func (t Topology) Machines() []MachineSpec {
	if len(t.Named) > 0 {
		return slices.Clone(t.Named)
	}
	var out []MachineSpec
	add := func(n int, r Role) {
		for i := range n {
			name := fmt.Sprintf("%s-%d", r, i+1)
			if t.Called[r] != "" {
				name = fmt.Sprintf(t.Called[r], i)
			}
			out = append(out, MachineSpec{Name: name, Role: r})
		}
	}
	if t.Etcd != EtcdStacked {
		add(t.EtcdMembers, Etcd)
	}
	add(t.ControlPlanes, ControlPlane)
	add(t.Workers, Worker)
	for i := range min(t.VMWorkers, t.Workers) {
		out[len(out)-1-i].VM = true
	}
	return out
}

// Find is the machine that somebody means by a name: its own, or ROLE-N, which is the Nth of that role whatever it is called.
func (t Topology) Find(name string) (machine string, ok bool) {
	nth := map[Role]int{}
	for _, m := range t.Machines() {
		nth[m.Role]++
		if name == m.Name || name == fmt.Sprintf("%s-%d", m.Role, nth[m.Role]) {
			return m.Name, true
		}
	}
	return "", false
}

// MachineNames names all of them.
func (t Topology) MachineNames() []string {
	var out []string
	for _, m := range t.Machines() {
		out = append(out, m.Name)
	}
	return out
}

// EtcdMachines names the machines that carry an etcd member.
func (t Topology) EtcdMachines() []string {
	role := ControlPlane
	if t.Etcd != EtcdStacked {
		role = Etcd
	}
	return t.named(role)
}

// ControlPlaneMachines names the machines that carry an API server.
func (t Topology) ControlPlaneMachines() []string { return t.named(ControlPlane) }

func (t Topology) named(role Role) []string {
	var out []string
	for _, m := range t.Machines() {
		if m.Role == role {
			out = append(out, m.Name)
		}
	}
	return out
}

// Kubernetes reports whether the cluster has a Kubernetes control plane at all.
func (t Topology) Kubernetes() bool { return t.Etcd != EtcdOnly }

// RecoversWithin is how long the cluster may take to be whole again once nothing is wrong with its machines any more. A member that is a
// service is started again every second and elects within two; a static pod waits for its kubelet, whose back-off alone grows past 40 s.
func (t Topology) RecoversWithin() time.Duration {
	if t.Etcd == EtcdOnly {
		return 30 * time.Second
	}
	if t.VMWorkers > 0 {
		return 4 * time.Minute // a kernel boots, and a kubelet starts, on a processor that a program imitates
	}
	return 90 * time.Second
}

// String is the topology in a few words: "3+3 v1.35 (stacked etcd, fast)".
func (t Topology) String() string {
	if t.Etcd == EtcdOnly {
		quota := ""
		if t.EtcdQuota > 0 {
			quota = fmt.Sprintf(", quota %s", t.EtcdQuota)
		}
		if t.EtcdDisk > 0 {
			quota += fmt.Sprintf(", disks of %s", t.EtcdDisk)
		}
		if len(t.EtcdFlags) > 0 {
			quota += "," + t.EtcdArgs()
		}
		return fmt.Sprintf("etcd-only, %d members, etcd %s%s", t.EtcdMembers, t.EtcdVersion, quota)
	}
	etcd := strings.TrimSpace("stacked etcd " + t.EtcdVersion)
	if t.Etcd == EtcdExternal {
		etcd = fmt.Sprintf("%d external etcd", t.EtcdMembers)
	}
	if t.VMWorkers > 0 {
		etcd = fmt.Sprintf("%d of the workers with a kernel of its own, %s", t.VMWorkers, etcd)
	}
	return fmt.Sprintf("%d+%d %s (%s, %s timing)", t.ControlPlanes, t.Workers, t.Version, etcd, t.Timing)
}

// Quorum is the number of voting members that must agree: more than half (etcd FAQ, "What is failure tolerance?").
func Quorum(members int) int { return members/2 + 1 }

// Tolerance is how many of the members may be lost while a quorum remains.
func Tolerance(members int) int {
	if members == 0 {
		return 0
	}
	return members - Quorum(members)
}

// WorkerMachines names the workers.
func (t Topology) WorkerMachines() []string { return t.named(Worker) }

// KubernetesMachines names the machines that have a Node, control planes first.
func (t Topology) KubernetesMachines() []string {
	return append(t.ControlPlaneMachines(), t.WorkerMachines()...)
}

// IsVersion reports whether a version is the wanted one, vX.Y or vX.Y.Z.
func IsVersion(v, want string) bool { return v == want || strings.HasPrefix(v, want+".") }
