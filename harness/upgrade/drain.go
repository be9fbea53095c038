package upgrade

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/drain"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// CordonedBy is the annotation on a node that the upgrade has cordoned: a node somebody else cordoned stays so.
const CordonedBy = "drydock.dev/cordoned-by"

// helper is kubectl's drain: evictions through the API, so that PodDisruptionBudgets are honoured; pods of DaemonSets stay, emptyDir
// data goes. Pods that nobody would start again are not killed: that is a decision, and the drain fails on them.
func (m *machineUpgrade) helper(ctx context.Context) *drain.Helper {
	return &drain.Helper{
		Ctx: ctx, Client: m.Target.Client, GracePeriodSeconds: -1, IgnoreAllDaemonSets: true, DeleteEmptyDirData: true,
		Timeout: m.Spec.DrainTimeout, Out: io.Discard, ErrOut: io.Discard,
	}
}

// drain readies a machine for its upgrade. A control plane that carries no workload is not cordoned at all.
func (m *machineUpgrade) drain(ctx context.Context) error {
	if err := m.skipIfDone(ctx); err != nil {
		return err
	}
	if m.Topology.ControlPlanes > 0 && slices.Contains(m.Topology.ControlPlaneMachines(), m.machine) {
		list, errs := m.helper(ctx).GetPodsForDeletion(m.machine)
		if len(errs) == 0 && len(list.Pods()) == 0 {
			return fmt.Errorf("%w: %s carries no workload", plan.ErrSkip, m.machine)
		}
	}
	return m.evict(ctx)
}

// Evict cordons a machine's node and moves its pods away.
func (u *Upgrade) Evict(ctx context.Context, machine string) error {
	return (&machineUpgrade{Upgrade: u, machine: machine}).evict(ctx)
}

// Uncordon undoes the upgrade's own cordon of a machine's node; a skip when there is none.
func (u *Upgrade) Uncordon(ctx context.Context, machine string) error {
	return (&machineUpgrade{Upgrade: u, machine: machine}).uncordon(ctx)
}

// evict cordons the node and moves its pods away.
func (m *machineUpgrade) evict(ctx context.Context) error {
	if err := m.cordon(ctx); err != nil {
		return err
	}
	err := drain.RunNodeDrain(m.helper(ctx), m.machine)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("drain %s: %w%s", m.machine, err, blockers(ctx, m.Target.Client, m.machine))
}

// cordon marks the node unschedulable, and with whose doing; one that is so already is left alone.
func (m *machineUpgrade) cordon(ctx context.Context) error {
	return cluster.Await(ctx, "cordon "+m.machine, cluster.Wait{For: 30 * time.Second}, func(ctx context.Context) error {
		node, err := m.Target.Client.CoreV1().Nodes().Get(ctx, m.machine, metav1.GetOptions{})
		if err != nil || node.Spec.Unschedulable {
			return err
		}
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"upgrade"}},"spec":{"unschedulable":true}}`, CordonedBy)
		_, err = m.Target.Client.CoreV1().Nodes().Patch(ctx, m.machine, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	})
}

// uncordon undoes the upgrade's own cordon.
func (m *machineUpgrade) uncordon(ctx context.Context) error {
	skipped := false
	err := cluster.Await(ctx, "uncordon "+m.machine, cluster.Wait{For: 30 * time.Second}, func(ctx context.Context) error {
		node, err := m.Target.Client.CoreV1().Nodes().Get(ctx, m.machine, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if skipped = node.Annotations[CordonedBy] == ""; skipped {
			return nil
		}
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:null}},"spec":{"unschedulable":null}}`, CordonedBy)
		_, err = m.Target.Client.CoreV1().Nodes().Patch(ctx, m.machine, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	})
	if err == nil && skipped {
		return fmt.Errorf("%w: the upgrade has not cordoned %s", plan.ErrSkip, m.machine)
	}
	return err
}

// blockers names the budgets without headroom whose pods are still on the node.
func blockers(ctx context.Context, client kubernetes.Interface, machine string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + machine})
	if err != nil {
		return ""
	}
	budgets, err := client.PolicyV1().PodDisruptionBudgets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return ""
	}
	var out []string
	for i := range budgets.Items {
		b := &budgets.Items[i]
		if b.Status.DisruptionsAllowed > 0 {
			continue
		}
		var held []string
		for j := range pods.Items {
			if observe.Covers(b, &pods.Items[j]) {
				held = append(held, pods.Items[j].Name)
			}
		}
		if len(held) > 0 {
			out = append(out, fmt.Sprintf("PodDisruptionBudget %s/%s allows no disruption (%d of at least %d healthy) and holds %s",
				b.Namespace, b.Name, b.Status.CurrentHealthy, b.Status.DesiredHealthy, strings.Join(held, ", ")))
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "; " + strings.Join(out, "; ")
}
