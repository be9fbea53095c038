package observe

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
)

// lookFor is how long the parts of a Look may take that an observation has not.
const lookFor = 5 * time.Second

// podsLookFor is how long the pods may take in a Look: four lists, which a busy host does not answer within a second.
const podsLookFor = 3 * time.Second

// Look is an observation with what is too dear to read twice a second: a last write and what members hold after it, heartbeats of nodes and the
// boot ids of their machines. Whoever wants to know whether a cluster is whole looks; whoever watches it observes.
func (o *Observer) Look(ctx context.Context) Observation {
	ob := o.read(ctx, podsLookFor)
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { ob.Synced = o.synced(ctx, ob) })
	var heartbeats error
	if len(ob.Nodes) > 0 {
		wg.Go(func() { heartbeats = o.heartbeats(ctx, ob.Nodes) })
	}
	wg.Wait()
	ob.unread(PartHeartbeats, heartbeats)
	return ob
}

// synced makes the last write where there is somebody to take it: members that do not answer would only be waited for.
func (o *Observer) synced(ctx context.Context, ob Observation) *etcd.Synced {
	if ob.Quorum.Error != "" {
		return &etcd.Synced{Error: ob.Quorum.Error}
	}
	for _, m := range ob.Members {
		if m.Error != "" {
			return &etcd.Synced{Error: fmt.Sprintf("member on %s: %s", m.Machine, m.Error)}
		}
	}
	s := etcd.Synced{}
	if o.ReadOnly {
		s = o.members.Compared(ctx, lookFor)
	} else {
		s = o.members.Synced(ctx, lookFor)
	}
	return &s
}

// heartbeats fills in what the nodes' kubelets and machines say themselves. What cannot be read stays empty.
func (o *Observer) heartbeats(ctx context.Context, nodes []Node) error {
	leases, err := o.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	for i := range nodes {
		n := &nodes[i]
		n.Booted = o.booted(ctx, n.Name)
		if err != nil {
			continue
		}
		for _, l := range leases.Items {
			if l.Name == n.Name && l.Spec.RenewTime != nil && l.Spec.LeaseDurationSeconds != nil {
				n.Renewed = l.Spec.RenewTime.Time
				n.Expires = n.Renewed.Add(time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second)
			}
		}
	}
	return err
}

func (o *Observer) booted(ctx context.Context, machine string) string {
	m, err := o.cluster.Machine(machine)
	if err != nil {
		return ""
	}
	id, err := cluster.KernelBootID(ctx, m)
	if err != nil {
		return ""
	}
	return id
}

// AwaitSteady looks until judge has found nothing wrong for a steady time, and returns the last observation. The error says what judge found last.
// Every bad look begins the time anew: one good look is a blink.
func (o *Observer) AwaitSteady(ctx context.Context, what string, within, steady time.Duration, judge func(Observation) error) (last Observation, err error) {
	return AwaitSteady(ctx, o.Look, what, within, steady, judge)
}

// AwaitSteady is the Observer's, for whoever looks otherwise.
func AwaitSteady(ctx context.Context, look func(context.Context) Observation, what string, within, steady time.Duration, judge func(Observation) error) (last Observation, err error) {
	var since time.Time
	err = cluster.Await(ctx, fmt.Sprintf("%s for %s", what, steady), cluster.Wait{For: within, Every: Every}, func(ctx context.Context) error {
		ob := look(ctx)
		if last.Time.IsZero() || ctx.Err() == nil { // a reading cut short by our own time-out says nothing about the cluster
			last = ob
		}
		if err := judge(ob); err != nil {
			since = time.Time{}
			return err
		}
		if since.IsZero() {
			since = ob.Time
		}
		if so := time.Since(since); so < steady {
			return fmt.Errorf("well for %s only", so.Round(100*time.Millisecond))
		}
		return nil
	})
	return last, err
}
