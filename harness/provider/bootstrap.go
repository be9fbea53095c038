package provider

import (
	"context"
	"errors"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
)

// bootstrapper chooses how bare machines become the cluster the topology describes.
func bootstrapper(t cluster.Topology, p cluster.Progress) lab.Bootstrapper {
	if !t.Kubernetes() {
		return whole{etcd.Bootstrap{Progress: p}, p}
	}
	return whole{kubeadm.Bootstrap{Progress: p, Etcd: etcd.Bootstrap{Progress: p}}, p}
}

// maker makes a cluster of bare machines.
type maker interface {
	Key(c cluster.Cluster) string
	Bootstrap(ctx context.Context, c cluster.Cluster) error
}

// whole is a maker whose clusters are ready when they are what every scenario calls whole.
type whole struct {
	maker
	progress cluster.Progress
}

// readyWithin is how long a whole cluster may take to serve after its machines are on.
const readyWithin = 5 * time.Minute

// Ready returns when the cluster is whole. One look is enough here: what falls again after its bring-up is judged by whatever uses the cluster.
func (w whole) Ready(ctx context.Context, c cluster.Cluster) (err error) {
	done := w.progress.Phase("cluster whole")
	defer func() { done(err) }()
	target, err := observe.Open(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Members.Close()) }()
	observer, err := observe.NewObserver(target)
	if err != nil {
		return err
	}
	wanted := health.Wanted{Topology: c.Topology()}
	_, err = observer.AwaitSteady(ctx, "the cluster whole", readyWithin, 0, func(o observe.Observation) error { return health.Whole(o, wanted) })
	return err
}
