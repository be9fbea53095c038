package observe

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"
	"k8s.io/kubectl/pkg/util/podutils"
)

// Pod is one pod as its object says.
type Pod struct {
	Name     string `json:"name"` // NAMESPACE/NAME
	Node     string `json:"node"` // empty: not scheduled
	Phase    string `json:"phase"`
	Ready    bool   `json:"ready"`
	Unready  string `json:"unready,omitempty"` // why it is not, in its kubelet's words
	Restarts int    `json:"restarts"`          // of all its containers
	Holds    int    `json:"holds,omitempty"`   // so many containers that have been started
	Waiting  string `json:"waiting,omitempty"` // why containers do not run: CONTAINER: REASON, joined by "; "
	Owner    string `json:"owner,omitempty"`   // KIND/NAME of its controller, Node/NAME of a static pod's mirror; empty: nobody's
	Ending   bool   `json:"ending,omitempty"`  // being deleted
	Done     bool   `json:"done,omitempty"`    // Succeeded or Failed and not to be started again

	UID string `json:"uid,omitempty"` // of a name that comes back tells one pod from the next
	// Times are whole seconds, by the clocks of those who wrote them.
	ReadySince time.Time `json:"readySince,omitzero"`
	Deleted    time.Time `json:"deleted,omitzero"` // when its deletion was asked for; it ends later
	// Stays is how long it stays on a node that is tainted unreachable:NoExecute; StaysForEver, or nothing: it is evicted at once.
	Stays time.Duration `json:"stays,omitempty"`
}

// StaysForEver is of a pod that is not evicted from an unreachable node, as those of DaemonSets are not.
const StaysForEver time.Duration = -1

// Wanted is a workload and how many pods it wants.
type Wanted struct {
	Name   string `json:"name"` // KIND/NAMESPACE/NAME
	Wanted int    `json:"wanted"`
	Ready  int    `json:"ready"` // pods of its selector, ready and not ending, counted here: its status is its controller's word, and that may be down
}

// pods reads all pods, and all Deployments, StatefulSets and DaemonSets. Both are nil when one of them could not be read, and the error says why: a
// cluster of kubeadm always has pods. The lists are consistent ones, which the watch cache answers.
func (o *Observer) pods(ctx context.Context, within time.Duration) ([]Pod, []Wanted, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	apps := o.client.AppsV1()
	var all workloads
	g.Go(func() (err error) {
		all.pods, err = o.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
		return err
	})
	g.Go(func() (err error) {
		all.deployments, err = apps.Deployments("").List(ctx, metav1.ListOptions{})
		return err
	})
	g.Go(func() (err error) { all.sets, err = apps.StatefulSets("").List(ctx, metav1.ListOptions{}); return err })
	g.Go(func() (err error) { all.daemons, err = apps.DaemonSets("").List(ctx, metav1.ListOptions{}); return err })
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	wanted, err := all.wanted()
	if err != nil {
		return nil, nil, err
	}
	out := make([]Pod, len(all.pods.Items))
	for i := range all.pods.Items {
		out[i] = podOf(&all.pods.Items[i])
	}
	return out, wanted, nil
}

// workloads are all pods and all that want some.
type workloads struct {
	pods        *corev1.PodList
	deployments *appsv1.DeploymentList
	sets        *appsv1.StatefulSetList
	daemons     *appsv1.DaemonSetList
}

func podOf(p *corev1.Pod) Pod {
	out := Pod{
		Name: p.Namespace + "/" + p.Name, Node: p.Spec.NodeName, Phase: string(p.Status.Phase), Ready: podutils.IsPodReady(p), Ending: p.DeletionTimestamp != nil,
		Done: p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed,
		UID:  string(p.UID), Deleted: deletionAsked(p), Stays: stays(p),
	}
	if c := metav1.GetControllerOf(p); c != nil {
		out.Owner = c.Kind + "/" + c.Name
	}
	var waiting []string
	for _, states := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, s := range states {
			out.Restarts += int(s.RestartCount)
			out.Holds++
			if s.State.Waiting != nil {
				waiting = append(waiting, s.Name+": "+s.State.Waiting.Reason)
			}
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		if s.State.Terminated != nil && !out.Done { // and is not started anew yet
			waiting = append(waiting, s.Name+": "+s.State.Terminated.Reason)
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			waiting = append(waiting, c.Reason+": "+c.Message)
		}
		switch {
		case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue:
			out.ReadySince = c.LastTransitionTime.Time
		case c.Type == corev1.PodReady && c.Reason != "":
			out.Unready = c.Reason + ": " + c.Message
		}
	}
	out.Waiting = strings.Join(waiting, "; ")
	return out
}

// deletionAsked is when a pod's deletion was asked for: the API server writes down when its grace period will be over (ObjectMeta.DeletionTimestamp).
func deletionAsked(p *corev1.Pod) time.Time {
	switch {
	case p.DeletionTimestamp == nil:
		return time.Time{}
	case p.DeletionGracePeriodSeconds == nil:
		return p.DeletionTimestamp.Time
	default:
		return p.DeletionTimestamp.Add(-time.Duration(*p.DeletionGracePeriodSeconds) * time.Second)
	}
}

// stays is by the first toleration that matches, as the taint eviction controller has it (GetMatchingTolerations and getMinTolerationTime of Kubernetes).
func stays(p *corev1.Pod) time.Duration {
	unreachable := corev1.Taint{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute}
	for i := range p.Spec.Tolerations {
		t := &p.Spec.Tolerations[i]
		switch {
		case !t.ToleratesTaint(klog.Background(), &unreachable, false):
		case t.TolerationSeconds == nil:
			return StaysForEver
		default:
			return max(0, time.Duration(*t.TolerationSeconds)*time.Second)
		}
	}
	return 0
}

func (w workloads) wanted() ([]Wanted, error) {
	var out []Wanted
	add := func(kind string, meta *metav1.ObjectMeta, want int, selector *metav1.LabelSelector) error {
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			return err
		}
		out = append(out, Wanted{Name: kind + "/" + meta.Namespace + "/" + meta.Name, Wanted: want, Ready: readyOf(w.pods.Items, meta.Namespace, s)})
		return nil
	}
	var errs []error
	for i := range w.deployments.Items {
		d := &w.deployments.Items[i]
		errs = append(errs, add("Deployment", &d.ObjectMeta, replicas(d.Spec.Replicas), d.Spec.Selector))
	}
	for i := range w.sets.Items {
		s := &w.sets.Items[i]
		errs = append(errs, add("StatefulSet", &s.ObjectMeta, replicas(s.Spec.Replicas), s.Spec.Selector))
	}
	for i := range w.daemons.Items {
		d := &w.daemons.Items[i]
		errs = append(errs, add("DaemonSet", &d.ObjectMeta, int(d.Status.DesiredNumberScheduled), d.Spec.Selector))
	}
	return out, errors.Join(errs...)
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
