package experiment

import (
	"context"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// Watching is the scenario of a look at a cluster that is up: time passes, and the checks that need nobody who writes are made.
func Watching(ctx context.Context, p cluster.Provider, name string, d time.Duration) (*Scenario, error) {
	if d <= 0 {
		return nil, cluster.Usagef("observe for %s: it must be longer than that", d)
	}
	up, err := p.Attach(ctx, name)
	if err != nil {
		return nil, err
	}
	t := up.Topology()
	return &Scenario{
		Metadata: Metadata{Name: "observe", About: "cluster " + name + " is looked at; nothing is broken and nothing written"},
		Spec: Spec{
			Cluster: Cluster{ControlPlanes: t.ControlPlanes, Workers: t.Workers, Etcd: string(t.Etcd), EtcdMembers: t.EtcdMembers},
			Steps:   []Step{{Observe: d}},
			Not: []string{
				"writes: nothing is written, so whether a write would be acknowledged and kept is not known",
				"faults: nothing is broken, so what the cluster would stand is not known",
			},
		},
	}, nil
}
