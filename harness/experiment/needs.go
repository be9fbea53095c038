package experiment

import (
	"fmt"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/subject/aksengine"
	"drydock.dev/drydock/harness/upgrade"
)

// Needs is what a scenario asks of whoever would run it.
type Needs struct {
	Clusters     []string             `json:"clusters"` // as topologies say it, one a cell of the matrix; none: it is run against the twin alone
	Machines     int                  `json:"machines"` // of the largest, which has so many control planes, workers and members of etcd
	Planes       int                  `json:"controlPlanes"`
	Workers      int                  `json:"workers"`
	Members      int                  `json:"etcdMembers"`
	Etcd         cluster.EtcdLayout   `json:"etcd"`         // only: no Kubernetes; empty: no cluster
	Capabilities []cluster.Capability `json:"capabilities"` // of machines
	Kernel       bool                 `json:"kernel"`       // machines with a kernel of their own
	Twin         bool                 `json:"twin"`         // of Azure Resource Manager
	Subjects     []string             `json:"subjects"`     // real clients and tools, that are built
}

// Needs tells what the scenario asks for. What a storm draws is what there is, so it needs none of it.
func (s *Scenario) Needs() (Needs, error) {
	n := Needs{Clusters: []string{}, Capabilities: []cluster.Capability{}, Twin: s.ofTwin() || s.Spec.Twin != nil, Subjects: s.subjects()}
	cells, err := s.Cells()
	if err != nil {
		return n, err
	}
	for _, c := range cells {
		n.Clusters = append(n.Clusters, c.Topology.String())
		t := c.Topology
		n.Machines, n.Planes, n.Workers, n.Members = max(n.Machines, len(t.Machines())), t.ControlPlanes, t.Workers, max(n.Members, t.EtcdMembers)
		n.Etcd, n.Kernel = t.Etcd, n.Kernel || t.VMWorkers > 0
	}
	var needed []cluster.Capability
	for _, st := range s.Spec.Steps {
		some, err := st.needs()
		if err != nil {
			return n, err
		}
		needed = append(needed, some...)
	}
	if n.Kernel {
		needed = append(needed, cluster.CanKernel)
	}
	if s.Spec.Twin != nil {
		needed = append(needed, cluster.CanScale)
	}
	for _, c := range cluster.Capabilities() { // in the order doctor has them
		if slices.Contains(needed, c) {
			n.Capabilities = append(n.Capabilities, c)
		}
	}
	return n, nil
}

// validateMembers refuses more members than any cell has machines for: whoever replaces one keeps their number, and a check that waits for more never passes.
func (s *Scenario) validateMembers(cells []Cell) error {
	most := 0
	for _, c := range cells {
		most = max(most, c.Topology.EtcdMembers)
	}
	for _, c := range s.Spec.Finally {
		if c.Params.Members > most {
			return fmt.Errorf("line %d: %s: members is %d, and the cluster has %d", c.line, c.Name, c.Params.Members, most)
		}
	}
	return nil
}

func (st Step) needs() (out []cluster.Capability, err error) {
	faults := make([]Fault, 0, len(st.Faults)+1)
	if st.Fault != nil {
		faults = append(faults, *st.Fault)
	}
	for _, p := range st.Faults {
		faults = append(faults, p.Fault)
	}
	for _, f := range faults {
		k, err := fault.Find(f.Kind)
		if err != nil {
			return nil, err
		}
		out = append(out, k.Needs...)
	}
	if st.Upgrade != nil {
		out = append(out, st.Upgrade.Needs()...)
	}
	return out, nil
}

// subjects are the real clients and tools that the scenario drives.
func (s *Scenario) subjects() []string {
	out := []string{}
	if a := s.Spec.ARM; a != nil {
		for _, sub := range a.Subjects {
			out = append(out, sub.Name)
		}
	}
	if c := s.Spec.CloudProvider; c != nil {
		out = append(out, c.Programs()...)
	}
	if s.Spec.AKSEngine != nil || slices.ContainsFunc(s.Spec.Steps, func(st Step) bool { return st.Upgrade != nil && st.Upgrade.Strategy == upgrade.AKSEngine }) {
		out = append(out, aksengine.Program)
	}
	return out
}

// String is what is needed, in a few words: machines as control planes + workers.
func (n Needs) String() string {
	var out []string
	switch n.Etcd {
	case cluster.EtcdOnly:
		out = append(out, fmt.Sprintf("%d etcd", n.Members))
	case cluster.EtcdExternal:
		out = append(out, fmt.Sprintf("%d+%d machines, %d etcd", n.Planes, n.Workers, n.Members))
	case cluster.EtcdStacked:
		out = append(out, fmt.Sprintf("%d+%d machines", n.Planes, n.Workers))
	}
	if len(n.Clusters) > 1 {
		out = append(out, fmt.Sprintf("%d clusters", len(n.Clusters)))
	}
	if n.Twin {
		out = append(out, "twin")
	}
	if n.Kernel {
		out = append(out, "VM")
	}
	return strings.Join(append(out, n.Subjects...), ", ")
}
