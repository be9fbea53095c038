package observe

import (
	"context"
	"fmt"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
)

// ClientsNamespace holds all objects that the clients of a run make and write to. What happens to them is judged by what the clients saw.
const ClientsNamespace = "drydock-clients"

// Target is what is observed and used during a scenario.
type Target struct {
	Cluster  cluster.Cluster
	Etcd     *etcd.Access
	Members  *etcd.Watcher
	Config   *rest.Config         // nil for etcd-only
	Client   kubernetes.Interface // nil for etcd-only
	Workload *Workload            // nil: none was started
	Service  *Service             // nil: no workload of the user's own is used
}

// Open makes a target of a cluster, without a workload. What is opened lives as long as ctx; the caller closes Members.
func Open(ctx context.Context, c cluster.Cluster) (*Target, error) {
	t := &Target{Cluster: c}
	var err error
	if t.Etcd, err = etcd.Open(ctx, c); err != nil {
		return nil, err
	}
	if c.Topology().Kubernetes() {
		if t.Config, err = kubeadm.RESTConfig(ctx, c); err != nil {
			return nil, err
		}
		if t.Client, err = kubernetes.NewForConfig(t.Config); err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
	}
	t.Members, err = t.Etcd.Watch(ctx)
	return t, err
}
