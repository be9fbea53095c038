package aksengine

import (
	"context"
	"fmt"
	"path/filepath"

	"drydock.dev/drydock/harness/azure/standin"
)

// The strategies that a story may lay side by side: AKS Engine's own upgrade, and Drydock's by new machines.
const (
	ByAKSEngine = "aks-engine"
	ByReplace   = "replace"
)

// Strategies are their names.
func Strategies() []string { return []string{ByAKSEngine, ByReplace} }

// Upgrader upgrades the cluster of one cell, once for each command of a user's. That a command ends badly is no error: the cell's user goes on.
type Upgrader interface {
	Upgrade(ctx context.Context, kubeconfig, version string, flags ...string) (Ended, error)
}

// Strategy makes the upgraders of cells that are not AKS Engine's.
type Strategy interface {
	Upgrader(p Place) (Upgrader, error)
}

// Place is what an upgrader finds in its cell.
type Place struct {
	Model      Model            // the cluster, as it was deployed
	Ready      string           // file that says where the twin is
	Kubeconfig string           // file that leads to the stand-in
	Cluster    *standin.Cluster // the stand-in, for who looks at machines and not at what the API tells
	Dir        string           // for what it keeps
}

// readyFile is what a twin's is called, in the directory of its cell.
const readyFile = "ready.json"

// by is who upgrades in a cell.
func (r *Run) by(w *world, c Cell) (Upgrader, error) {
	switch {
	case c.Strategy == ByAKSEngine:
		return w.tool, nil
	case r.Replace == nil:
		return nil, fmt.Errorf("cell %s: nobody here upgrades by %s", c.Name, c.Strategy)
	}
	return r.Replace.Upgrader(Place{Model: r.Story.model(), Ready: filepath.Join(w.tool.Dir, readyFile), Kubeconfig: w.config, Cluster: w.cluster, Dir: w.tool.Dir})
}

// model is the cluster that every cell begins with.
func (s *Story) model() Model {
	return Model{Version: s.From, Masters: s.Masters, Agents: s.Agents, Pool: s.Pool}
}
