package scenarios

import (
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/release"
)

// defaultVersion is the Kubernetes minor a cluster has unless it says otherwise: the one upgrades start from.
const defaultVersion = "v1.35"

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
	etcdVersion, err := release.Resolve(release.Etcd, t.EtcdVersion)
	if err != nil {
		return t, nil, err
	}
	t.EtcdVersion = etcdVersion.Version
	if !t.Kubernetes() {
		t.Version = ""
		return t, warnings, nil
	}
	if t.Version == "" {
		t.Version = defaultVersion
	}
	v, err := release.Resolve(release.Kubernetes, t.Version)
	if err != nil {
		return t, nil, err
	}
	t.Version = v.Version
	return t, warnings, nil
}

// Bootstrapper chooses how bare machines become the cluster the topology describes.
func Bootstrapper(t cluster.Topology, p cluster.Progress) cluster.Bootstrapper {
	if !t.Kubernetes() {
		return etcd.Bootstrap{Progress: p}
	}
	return kubeadm.Bootstrap{Progress: p, Etcd: etcd.Bootstrap{Progress: p}}
}
