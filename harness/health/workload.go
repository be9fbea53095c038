package health

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/cluster"
)

// WorkloadName is the Deployment, its PodDisruptionBudget and the value of its label app, in the namespace default.
const WorkloadName = "drydock-workload"

const workloadPort = "8080"

// WorkloadSpec is the workload a scenario asks for.
type WorkloadSpec struct {
	Replicas     int32 `yaml:"replicas"`
	MinAvailable int32 `yaml:"minAvailable"` // of its PodDisruptionBudget
}

// WorkloadState is one reading of it.
type WorkloadState struct {
	Replicas           int `json:"replicas"` // wanted
	Ready              int `json:"ready"`    // ready and not being deleted
	MinAvailable       int `json:"minAvailable"`
	DisruptionsAllowed int `json:"disruptionsAllowed"`
}

// Spare is how many more replicas could have been lost without breaking the budget; negative when it was broken.
func (s WorkloadState) Spare() int { return s.Ready - s.MinAvailable }

// Workload is a Deployment that answers HTTP requests, under a PodDisruptionBudget.
type Workload struct {
	spec   WorkloadSpec
	client kubernetes.Interface
	http   *http.Client

	mu        sync.Mutex
	endpoints []string // as last seen: while no API server answers, a cluster goes on with what it knows
}

// workloadWithin is how long the replicas may take to become ready.
const workloadWithin = 2 * time.Minute

// StartWorkload creates the workload, or takes over the one an earlier start left, and returns when all replicas are ready.
func StartWorkload(ctx context.Context, c cluster.Cluster, client kubernetes.Interface, spec WorkloadSpec) (*Workload, error) {
	w := &Workload{spec: spec, client: client, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: c.Dial}}}
	_, err := client.AppsV1().Deployments(metav1.NamespaceDefault).Create(ctx, w.deployment(), metav1.CreateOptions{})
	if err == nil || apierrors.IsAlreadyExists(err) {
		_, err = client.PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault).Create(ctx, w.budget(), metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("workload: %w", err)
	}
	return w, cluster.Await(ctx, "the workload ready", cluster.Wait{For: workloadWithin}, func(ctx context.Context) error {
		s := w.observe(ctx)
		if s == nil || s.Ready < int(spec.Replicas) || s.DisruptionsAllowed != int(spec.Replicas-spec.MinAvailable) {
			return fmt.Errorf("of %d replicas: %+v", spec.Replicas, s)
		}
		return nil
	})
}

func (w *Workload) deployment() *appsv1.Deployment {
	labels := map[string]string{"app": WorkloadName}
	grace := int64(8)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: WorkloadName},
		Spec: appsv1.DeploymentSpec{
			Replicas: &w.spec.Replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				TerminationGracePeriodSeconds: &grace,
				TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{
					MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway,
					LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
				}},
				Containers: []corev1.Container{{
					Name: "serve", Image: "drydock/workload", Args: []string{"serve", "--listen", ":" + workloadPort},
					ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.Parse(workloadPort)}}},
					// Who still has the address serves it until everybody has heard: the usual answer to the race between endpoints and SIGTERM.
					Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 3}}},
				}},
			}},
		},
	}
}

func (w *Workload) budget() *policyv1.PodDisruptionBudget {
	least := intstr.FromInt32(w.spec.MinAvailable)
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: WorkloadName},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: &least, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": WorkloadName}},
		},
	}
}

// observe reads the pods and the budget; nil when no API server answered.
func (w *Workload) observe(ctx context.Context) *WorkloadState {
	ctx, cancel := context.WithTimeout(ctx, observeFor)
	defer cancel()
	pods, err := w.client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: "app=" + WorkloadName})
	if err != nil {
		return nil
	}
	budget, err := w.client.PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault).Get(ctx, WorkloadName, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	s := &WorkloadState{Replicas: int(w.spec.Replicas), DisruptionsAllowed: int(budget.Status.DisruptionsAllowed)}
	if budget.Spec.MinAvailable != nil { // somebody may have relaxed it
		s.MinAvailable = budget.Spec.MinAvailable.IntValue()
	}
	var endpoints []string
	for i := range pods.Items {
		if p := &pods.Items[i]; p.DeletionTimestamp == nil && PodReady(p) {
			s.Ready++
			endpoints = append(endpoints, p.Status.PodIP)
		}
	}
	slices.Sort(endpoints)
	w.mu.Lock()
	w.endpoints = endpoints
	w.mu.Unlock()
	return s
}

// PodReady reports whether a pod's Ready condition is true.
func PodReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// request asks the nth of the known endpoints, as a Service would in turn; there is no second try.
func (w *Workload) request(ctx context.Context, n int) error {
	w.mu.Lock()
	endpoints := w.endpoints
	w.mu.Unlock()
	if len(endpoints) == 0 {
		return fmt.Errorf("the workload has no ready replica")
	}
	url := "http://" + net.JoinHostPort(endpoints[n%len(endpoints)], workloadPort)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("workload: %s", resp.Status)
	}
	return nil
}

// probes try the workload all through a scenario.
func (w *Workload) probes() []*Prober {
	return []*Prober{{Name: ProbeWorkload, try: w.request}}
}
