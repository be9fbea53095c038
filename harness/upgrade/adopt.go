package upgrade

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Adopt has kubeadm bring to the version what it keeps of the cluster, by `upgrade apply` on a control plane that runs it already: its ConfigMaps, its
// bindings, kube-proxy and CoreDNS. New machines in the place of the old ones change none of that, and the next join or upgrade goes by it. Cluster API
// does so too when it replaces control planes. A cluster that kubeadm has not made is left as it is.
func (u *Upgrade) Adopt(ctx context.Context, version string) error {
	at, err := u.keptByKubeadm(ctx)
	if err != nil {
		return err
	}
	switch at {
	case "":
		return fmt.Errorf("%w: kubeadm keeps nothing of this cluster", plan.ErrSkip)
	case version:
		return fmt.Errorf("%w: what kubeadm keeps of the cluster is at %s", plan.ErrSkip, version)
	}
	m, err := u.Target.Cluster.Machine(u.Topology.ControlPlaneMachines()[0])
	if err != nil {
		return err
	}
	if err := kubeadm.Upgrade(ctx, u.Target.Cluster, m, version, true); err != nil {
		return err
	}
	if err := kubeadm.RemoveBackups(ctx, m); err != nil {
		return err
	}
	wanted := u.Wanted(version, u.Topology.ControlPlaneMachines()...)
	_, err = u.Observer.AwaitSteady(ctx, "the cluster whole after kubeadm's upgrade apply", u.Spec.MachineTimeout, health.Steady(u.Topology), func(o observe.Observation) error {
		return health.Whole(o, wanted)
	})
	return err
}

// keptByKubeadm is the version that kubeadm says the cluster has, through whatever API server answers; empty: it keeps none.
func (u *Upgrade) keptByKubeadm(ctx context.Context) (at string, err error) {
	err = cluster.Await(ctx, "read kubeadm-config", cluster.Wait{For: 30 * time.Second}, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if at, err = kubeadm.ClusterVersion(ctx, u.Target.Client); apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
	return at, err
}
