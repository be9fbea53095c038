package staging

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/wholefile"
)

// plot is what was found of a cluster: its shape, and where its machines are. It is kept, so that a cluster whose API server is down can be
// attached to and healed.
type plot struct {
	Server   string           `json:"server"` // by which the kubeconfig knows it; empty for etcd-only
	Topology cluster.Topology `json:"topology"`
	Places   []place          `json:"places"`
}

// place is where a machine is.
type place struct {
	cluster.MachineSpec
	Address string `json:"address"`
	Login   string `json:"login"`
	Host    Host   `json:"-"` // the inventory's word, always of today
}

// complete orders the machines as a topology does, and counts them.
func (p *plot) complete() {
	order := []cluster.Role{cluster.Etcd, cluster.ControlPlane, cluster.Worker}
	slices.SortStableFunc(p.Places, func(a, b place) int {
		if a.Role != b.Role {
			return slices.Index(order, a.Role) - slices.Index(order, b.Role)
		}
		return strings.Compare(a.Name, b.Name)
	})
	t := &p.Topology
	t.Named, t.ControlPlanes, t.Workers, t.EtcdMembers = nil, 0, 0, 0
	for _, l := range p.Places {
		t.Named = append(t.Named, l.MachineSpec)
	}
	t.ControlPlanes, t.Workers, t.EtcdMembers = len(t.ControlPlaneMachines()), len(t.WorkerMachines()), len(t.EtcdMachines())
}

const plotFile = "found.json"

// keep writes what was found into the cluster's directory.
func (p *plot) keep(stateDir string) error {
	dir := Dir(stateDir, p.Topology.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cluster.Usagef("the state directory %s cannot be written (choose another with --state-dir): %w", stateDir, err)
	}
	if err := wholefile.WriteJSON(filepath.Join(dir, plotFile), 0o600, p); err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	return nil
}

// remembered is what was found, another time, behind the API server that does not answer now.
func remembered(stateDir, server string, inv *Inventory) *plot {
	files, _ := filepath.Glob(filepath.Join(Dir(stateDir, "*"), plotFile)) // the pattern is ours
	for _, f := range files {
		raw, err := os.ReadFile(f)
		var p plot
		if err != nil || json.Unmarshal(raw, &p) != nil || p.Server != server || server == "" {
			continue
		}
		for i := range p.Places {
			p.Places[i].Host = inv.host(p.Places[i].Name)
		}
		return &p
	}
	return nil
}

// Dir is where what goes with a cluster is kept on this host.
func Dir(stateDir, name string) string { return filepath.Join(stateDir, "staging", name) }
