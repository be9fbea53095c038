package observe

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubectl/pkg/util/podutils"
)

// Pod is one pod as its object says.
type Pod struct {
	Name     string `json:"name"` // NAMESPACE/NAME
	Node     string `json:"node"` // empty: not scheduled
	Phase    string `json:"phase"`
	Ready    bool   `json:"ready"`
	Restarts int    `json:"restarts"`          // of all its containers
	Waiting  string `json:"waiting,omitempty"` // why containers do not run: CONTAINER: REASON, joined by "; "
	Owner    string `json:"owner,omitempty"`   // KIND/NAME of its controller, Node/NAME of a static pod's mirror; empty: nobody's
	Ending   bool   `json:"ending,omitempty"`  // being deleted
	Done     bool   `json:"done,omitempty"`    // Succeeded or Failed and not to be started again
}

// Wanted is a workload and how many pods it wants.
type Wanted struct {
	Name   string `json:"name"` // KIND/NAMESPACE/NAME
	Wanted int    `json:"wanted"`
	Ready  int    `json:"ready"` // pods of its selector, ready and not ending, counted here: its status is its controller's word, and that may be down
}

// pods reads all pods, and all Deployments, StatefulSets and DaemonSets. Both are nil when one of them could not be read: a cluster of kubeadm always has
// pods. The lists are consistent ones, which the watch cache answers.
func (o *Observer) pods(ctx context.Context) ([]Pod, []Wanted) {
	ctx, cancel := context.WithTimeout(ctx, For)
	defer cancel()
	list, err := o.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil
	}
	wanted, err := o.wanted(ctx, list.Items)
	if err != nil {
		return nil, nil
	}
	out := make([]Pod, len(list.Items))
	for i := range list.Items {
		out[i] = podOf(&list.Items[i])
	}
	return out, wanted
}

func podOf(p *corev1.Pod) Pod {
	out := Pod{
		Name: p.Namespace + "/" + p.Name, Node: p.Spec.NodeName, Phase: string(p.Status.Phase), Ready: podutils.IsPodReady(p), Ending: p.DeletionTimestamp != nil,
		Done: p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed,
	}
	if c := metav1.GetControllerOf(p); c != nil {
		out.Owner = c.Kind + "/" + c.Name
	}
	var waiting []string
	for _, states := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, s := range states {
			out.Restarts += int(s.RestartCount)
			if s.State.Waiting != nil {
				waiting = append(waiting, s.Name+": "+s.State.Waiting.Reason)
			}
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			waiting = append(waiting, c.Reason+": "+c.Message)
		}
	}
	out.Waiting = strings.Join(waiting, "; ")
	return out
}

func (o *Observer) wanted(ctx context.Context, pods []corev1.Pod) ([]Wanted, error) {
	var out []Wanted
	add := func(kind string, meta *metav1.ObjectMeta, want int, selector *metav1.LabelSelector) error {
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			return err
		}
		out = append(out, Wanted{Name: kind + "/" + meta.Namespace + "/" + meta.Name, Wanted: want, Ready: readyOf(pods, meta.Namespace, s)})
		return nil
	}
	apps := o.client.AppsV1()
	deployments, err := apps.Deployments("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		if err := add("Deployment", &d.ObjectMeta, replicas(d.Spec.Replicas), d.Spec.Selector); err != nil {
			return nil, err
		}
	}
	sets, err := apps.StatefulSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range sets.Items {
		s := &sets.Items[i]
		if err := add("StatefulSet", &s.ObjectMeta, replicas(s.Spec.Replicas), s.Spec.Selector); err != nil {
			return nil, err
		}
	}
	daemons, err := apps.DaemonSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range daemons.Items {
		d := &daemons.Items[i]
		if err := add("DaemonSet", &d.ObjectMeta, int(d.Status.DesiredNumberScheduled), d.Spec.Selector); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// replicas is what an absent number means.
func replicas(n *int32) int {
	if n == nil {
		return 1
	}
	return int(*n)
}

func readyOf(pods []corev1.Pod, namespace string, s labels.Selector) int {
	n := 0
	for i := range pods {
		if p := &pods[i]; p.Namespace == namespace && p.DeletionTimestamp == nil && podutils.IsPodReady(p) && s.Matches(labels.Set(p.Labels)) {
			n++
		}
	}
	return n
}
