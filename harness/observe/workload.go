package observe

import (
	"context"
	"fmt"
	"slices"
	"sync"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/podutils"
)

// WorkloadName is the Deployment, its PodDisruptionBudget and the value of its label app, in the namespace default.
const WorkloadName = "drydock-workload"

// WorkloadState is one reading of it.
type WorkloadState struct {
	Replicas           int      `json:"replicas"` // wanted
	Ready              int      `json:"ready"`    // ready and not being deleted
	On                 []string `json:"on"`       // the nodes that carry those
	NoBudget           bool     `json:"noBudget"` // an API server says that there is no PodDisruptionBudget
	MinAvailable       int      `json:"minAvailable"`
	DisruptionsAllowed int      `json:"disruptionsAllowed"`
	Waiting            *Pod     `json:"waiting,omitempty"` // the first that is not ready
}

// Spare is how many more replicas could have been lost without breaking the budget; negative when it was broken.
func (s WorkloadState) Spare() int { return s.Ready - s.MinAvailable }

// Unready says in words what of the workload is not as it should be yet, with the first of its pods that is not ready.
func (s *WorkloadState) Unready() string {
	if s == nil {
		return "no API server answered"
	}
	out := fmt.Sprintf("%d of %d replicas are ready, and its budget allows %d to be evicted", s.Ready, s.Replicas, s.DisruptionsAllowed)
	if p := s.Waiting; p != nil {
		out += fmt.Sprintf("; pod %s on %q is %s: %s", p.Name, p.Node, p.Phase, p.Waiting)
	}
	return out
}

// Workload reads a Deployment that answers HTTP requests, under a PodDisruptionBudget.
type Workload struct {
	replicas int // wanted
	client   kubernetes.Interface

	mu        sync.Mutex
	endpoints []string // as last seen: while no API server answers, a cluster goes on with what it knows
}

// NewWorkload reads the workload of so many wanted replicas.
func NewWorkload(client kubernetes.Interface, replicas int) *Workload {
	return &Workload{replicas: replicas, client: client}
}

// Endpoints are the addresses of the replicas that were ready when it was last observed.
func (w *Workload) Endpoints() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.endpoints
}

// Observe reads the pods and the budget; nil when no API server answered.
func (w *Workload) Observe(ctx context.Context) *WorkloadState {
	ctx, cancel := context.WithTimeout(ctx, For)
	defer cancel()
	pods, err := w.client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: "app=" + WorkloadName})
	if err != nil {
		return nil
	}
	budget, err := w.client.PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault).Get(ctx, WorkloadName, metav1.GetOptions{})
	s := &WorkloadState{Replicas: w.replicas, NoBudget: apierrors.IsNotFound(err)}
	if err != nil && !s.NoBudget {
		return nil
	}
	if !s.NoBudget {
		s.DisruptionsAllowed, s.MinAvailable = int(budget.Status.DisruptionsAllowed), minAvailable(budget, w.replicas)
	}
	var endpoints []string
	for i := range pods.Items {
		if p := &pods.Items[i]; p.DeletionTimestamp == nil && podutils.IsPodReady(p) {
			s.Ready++
			s.On = append(s.On, p.Spec.NodeName)
			endpoints = append(endpoints, p.Status.PodIP)
		}
		if s.Waiting == nil && !podutils.IsPodReady(&pods.Items[i]) {
			p := podOf(&pods.Items[i])
			s.Waiting = &p
		}
	}
	slices.Sort(s.On)
	s.On = slices.Compact(s.On)
	slices.Sort(endpoints)
	w.mu.Lock()
	w.endpoints = endpoints
	w.mu.Unlock()
	return s
}

// minAvailable is how many of the replicas a budget keeps; somebody may have written it in another way than we did.
func minAvailable(b *policyv1.PodDisruptionBudget, replicas int) int {
	scaled := func(v *intstr.IntOrString) int {
		n, err := intstr.GetScaledValueFromIntOrPercent(v, replicas, true)
		if err != nil {
			return 0
		}
		return n
	}
	switch {
	case b.Spec.MinAvailable != nil:
		return scaled(b.Spec.MinAvailable)
	case b.Spec.MaxUnavailable != nil:
		return replicas - scaled(b.Spec.MaxUnavailable)
	default:
		return 0
	}
}
