package remedy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// scaleDown takes the cluster-autoscaler away, and writes on it how many there were. Those on control planes end by hand, as their kubelets are stopped.
func (t throttled) scaleDown(ctx context.Context) error {
	client := t.Target.Client.AppsV1().Deployments(metav1.NamespaceSystem)
	d, err := client.Get(ctx, autoscaler, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: the cluster has none", plan.ErrSkip)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", autoscaler, err)
	}
	if n := replicasOf(d); n > 0 { // else it was scaled down before, and what is written stays
		for _, name := range t.Topology.ControlPlaneMachines() { // or an addon manager would put it back at once
			if p, err := t.look(ctx, name); err == nil {
				if _, err := t.endManagers(ctx, p); err != nil {
					return err
				}
			}
		}
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d"}},"spec":{"replicas":0}}`, replicasKept, n)
		if d, err = client.Patch(ctx, autoscaler, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("%s to 0: %w", autoscaler, err)
		}
		t.note("", "%s: %d to 0", autoscaler, n)
	}
	return cluster.Await(ctx, "no pod of "+autoscaler, cluster.Wait{For: addonWithin, Every: time.Second}, func(ctx context.Context) error {
		pods, err := t.podsOf(ctx, d)
		if err != nil {
			return err
		}
		for i := range pods {
			if !slices.Contains(t.Topology.ControlPlaneMachines(), pods[i].Spec.NodeName) {
				return fmt.Errorf("%s on %s is there", pods[i].Name, pods[i].Spec.NodeName)
			}
			if err := t.endPod(ctx, &pods[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// endManagers ends the addon managers of a machine.
func (t throttled) endManagers(ctx context.Context, p controlPlane) ([]string, error) {
	p.components = nil
	return t.end(ctx, p)
}

// endPod ends the processes of a pod on a machine whose kubelet does not.
func (t throttled) endPod(ctx context.Context, pod *corev1.Pod) error {
	m, err := t.Target.Cluster.Machine(pod.Spec.NodeName)
	if err != nil {
		return err
	}
	k, err := cluster.As[cluster.Killer](m)
	if err != nil {
		return err
	}
	for _, c := range pod.Spec.Containers {
		if _, err := k.Kill(ctx, programOf(c)); err != nil {
			return err
		}
	}
	return nil
}

func (t throttled) podsOf(ctx context.Context, d *appsv1.Deployment) ([]corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("deployment %s/%s: %w", d.Namespace, d.Name, err)
	}
	pods, err := t.Target.Client.CoreV1().Pods(d.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, fmt.Errorf("pods of deployment %s/%s: %w", d.Namespace, d.Name, err)
	}
	return pods.Items, nil
}

func replicasOf(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// rolledOut is what `kubectl rollout status` waits for.
func rolledOut(d *appsv1.Deployment) error {
	want := replicasOf(d)
	s := d.Status
	if s.ObservedGeneration < d.Generation || s.UpdatedReplicas < want || s.Replicas > s.UpdatedReplicas || s.AvailableReplicas < want {
		return fmt.Errorf("%d of %d replicas are new, %d available, %d there", s.UpdatedReplicas, want, s.AvailableReplicas, s.Replicas)
	}
	return nil
}

// scaleUp gives the cluster-autoscaler what it had; one that was made again has it already.
func (t throttled) scaleUp(ctx context.Context) error {
	client := t.Target.Client.AppsV1().Deployments(metav1.NamespaceSystem)
	d, err := client.Get(ctx, autoscaler, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", autoscaler, err)
	}
	kept, scaled := d.Annotations[replicasKept]
	if !scaled {
		return nil
	}
	n, err := strconv.ParseInt(kept, 10, 32)
	if err != nil {
		return fmt.Errorf("%s: annotation %s: %w", autoscaler, replicasKept, err)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{replicasKept: nil}}, "spec": map[string]any{"replicas": max(n, int64(replicasOf(d)))}})
	if err != nil {
		return err
	}
	if _, err := client.Patch(ctx, autoscaler, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("%s to %d: %w", autoscaler, n, err)
	}
	t.note("", "%s: 0 to %d", autoscaler, n)
	return cluster.Await(ctx, autoscaler+" again", cluster.Wait{For: addonWithin, Every: time.Second}, func(ctx context.Context) error {
		d, err := client.Get(ctx, autoscaler, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return rolledOut(d)
	})
}
