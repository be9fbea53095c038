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

// scaled are the Deployments that are to be away while the budgets are waited for: the cluster-autoscaler, and the addons that have one of the images.
func (t throttled) scaled(ctx context.Context) ([]types.NamespacedName, error) {
	all, err := t.addons(ctx)
	out := []types.NamespacedName{{Namespace: metav1.NamespaceSystem, Name: autoscaler}}
	for _, a := range all {
		if name := (types.NamespacedName{Namespace: a.Namespace, Name: a.Name}); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out, err
}

// scaleDown takes them away, and writes on each how many there were. An addon manager would put them back at once, and is ended first.
func (t throttled) scaleDown(ctx context.Context) error {
	all, err := t.scaled(ctx)
	if err != nil {
		return err
	}
	for _, name := range t.Topology.ControlPlaneMachines() {
		if p, err := t.look(ctx, name); err == nil {
			if _, err := t.endManagers(ctx, p); err != nil {
				return err
			}
		}
	}
	there := 0
	for _, name := range all {
		found, err := t.toNone(ctx, name)
		if err != nil {
			return err
		}
		if found {
			there++
		}
	}
	if there == 0 {
		return fmt.Errorf("%w: the cluster has no %s, and no addon with one of the images", plan.ErrSkip, autoscaler)
	}
	return nil
}

// toNone scales one to 0, and waits until its pods are away. Those on control planes end by hand, as their kubelets are stopped.
func (t throttled) toNone(ctx context.Context, name types.NamespacedName) (found bool, _ error) {
	client := t.Target.Client.AppsV1().Deployments(name.Namespace)
	d, err := client.Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	if n := replicasOf(d); n > 0 { // else it was scaled down before, and what is written stays
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d"}},"spec":{"replicas":0}}`, replicasKept, n)
		if d, err = client.Patch(ctx, name.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			return true, fmt.Errorf("%s to 0: %w", name, err)
		}
		t.note("", "%s: %d to 0", name, n)
	}
	return true, cluster.Await(ctx, fmt.Sprintf("no pod of %s", name), cluster.Wait{For: addonWithin, Every: time.Second}, func(ctx context.Context) error {
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

// scaleUp gives a Deployment what it had; one that was made again has it already.
func (t throttled) scaleUp(ctx context.Context, name types.NamespacedName) error {
	client := t.Target.Client.AppsV1().Deployments(name.Namespace)
	d, err := client.Get(ctx, name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	kept, scaled := d.Annotations[replicasKept]
	if !scaled {
		return nil
	}
	n, err := strconv.ParseInt(kept, 10, 32)
	if err != nil {
		return fmt.Errorf("%s: annotation %s: %w", name, replicasKept, err)
	}
	was := replicasOf(d)
	now := max(int32(n), was) // somebody may have put it back since
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{replicasKept: nil}}, "spec": map[string]any{"replicas": now}})
	if err != nil {
		return err
	}
	if _, err := client.Patch(ctx, name.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("%s to %d: %w", name, now, err)
	}
	t.note("", "%s: %d to %d", name, was, now)
	return cluster.Await(ctx, name.String()+" again", cluster.Wait{For: addonWithin, Every: time.Second}, func(ctx context.Context) error {
		d, err := client.Get(ctx, name.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return rolledOut(d)
	})
}
