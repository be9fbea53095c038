package release

import (
	"context"

	"drydock.dev/drydock/harness/cluster"
)

// DefaultVersion is the Kubernetes minor a cluster has unless it says otherwise: the one upgrades start from.
const DefaultVersion = "v1.35"

// CompleteTopology fills in what was left out, resolves the versions and says what is wrong or unwise.
func CompleteTopology(t cluster.Topology) (cluster.Topology, []string, error) {
	t = t.Complete()
	if t.Etcd == cluster.EtcdOnly && t.EtcdMembers == 0 {
		t.EtcdMembers = 3
	}
	warnings, err := t.Validate()
	if err != nil {
		return t, nil, &cluster.UsageError{Err: err}
	}
	if t.EtcdVersion != "" || t.Etcd != cluster.EtcdStacked { // a stacked one that names none has that of its kubeadm
		v, err := Resolve(Etcd, t.EtcdVersion)
		if err != nil {
			return t, nil, err
		}
		t.EtcdVersion = v.Version
	}
	if !t.Kubernetes() {
		t.Version = ""
		return t, warnings, nil
	}
	if t.Version == "" {
		t.Version = DefaultVersion
	}
	v, err := Resolve(Kubernetes, t.Version)
	if err != nil {
		return t, nil, err
	}
	t.Version = v.Version
	return t, warnings, nil
}

// ProvideFor has a provider get the programs that a complete topology's machines begin with, and no others.
func ProvideFor(ctx context.Context, p cluster.Provider, t cluster.Topology) error {
	if t.EtcdVersion != "" {
		if err := p.Provide(ctx, Etcd, t.EtcdVersion); err != nil {
			return err
		}
	}
	if !t.Kubernetes() {
		return nil
	}
	return p.Provide(ctx, Kubernetes, t.Version)
}
