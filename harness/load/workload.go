package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
)

const workloadPort = "8080"

// failed is the file by which a container tells the next of its pod that it has failed.
const failed = "/state/failed"

// WorkloadSpec is the workload a scenario asks for: one that Drydock deploys, or one that is there.
type WorkloadSpec struct {
	Existing     *Existing `yaml:"existing"`
	Replicas     int32     `yaml:"replicas"`
	MinAvailable int32     `yaml:"minAvailable"` // of its PodDisruptionBudget
	Kinds        []Kind    `yaml:"kinds"`        // what runs beside the Deployment, one pod on each worker
	Probes       Probes    `yaml:"probes"`
	// StartsAfter is how long each container takes from its start until it answers, as programs do that load much; 0: it answers at once.
	StartsAfter time.Duration `yaml:"startsAfter"`
	// FailsAfter is how long after that the first container of each pod begins to answer 503, until it is started anew; 0: none does.
	FailsAfter time.Duration `yaml:"failsAfter"`
}

// Validate says what is wrong with it.
func (s WorkloadSpec) Validate() error {
	if s.Replicas < 0 || s.MinAvailable < 0 || s.MinAvailable > s.Replicas {
		return fmt.Errorf("%d replicas of which %d must be available: want 0 ≤ minAvailable ≤ replicas", s.Replicas, s.MinAvailable)
	}
	if s.Existing == nil {
		return errors.Join(s.validateKinds(), s.validateProbes())
	}
	if s.Replicas > 0 || len(s.Kinds) > 0 || s.ofContainers() {
		return errors.New("existing and replicas, kinds, probes, startsAfter or failsAfter exclude each other: one workload is used")
	}
	if err := s.Existing.Validate(); err != nil {
		return fmt.Errorf("existing: %w", err)
	}
	return nil
}

// BudgetOnly reports whether it says nothing but how many replicas must be available.
func (s WorkloadSpec) BudgetOnly() bool {
	return s.Existing == nil && s.Replicas == 0 && len(s.Kinds) == 0 && !s.ofContainers()
}

// workloadWithin is how long the replicas may take to become ready: of a machine whose processor a program imitates, minutes.
const workloadWithin = 5 * time.Minute

// StartWorkload creates the workload, or takes over the one an earlier start left, and returns when all replicas are ready, and a pod of each kind
// besides on each of the workers.
func StartWorkload(ctx context.Context, client kubernetes.Interface, spec WorkloadSpec, workers []string) (*observe.Workload, error) {
	w := observe.NewWorkload(client, int(spec.Replicas))
	_, err := client.AppsV1().Deployments(metav1.NamespaceDefault).Create(ctx, spec.deployment(), metav1.CreateOptions{})
	if err == nil || apierrors.IsAlreadyExists(err) {
		_, err = client.PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault).Create(ctx, spec.budget(), metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("workload: %w", err)
	}
	if err := spec.startKinds(ctx, client, workers); err != nil {
		return nil, err
	}
	return w, cluster.Await(ctx, "the workload ready", cluster.Wait{For: workloadWithin}, func(ctx context.Context) error {
		s := w.Observe(ctx)
		if s == nil || s.Ready < int(spec.Replicas) || s.DisruptionsAllowed != int(spec.Replicas-spec.MinAvailable) {
			return errors.New(s.Unready())
		}
		return spec.kindsReady(ctx, client, workers)
	})
}

func (s WorkloadSpec) deployment() *appsv1.Deployment {
	labels := map[string]string{"app": observe.WorkloadName}
	template := s.podTemplate(observe.WorkloadName)
	template.Spec.TopologySpreadConstraints = spread(observe.WorkloadName, corev1.ScheduleAnyway)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: observe.WorkloadName},
		Spec:       appsv1.DeploymentSpec{Replicas: &s.Replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template},
	}
}

// spread puts the pods of a label on different nodes.
func spread(app string, otherwise corev1.UnsatisfiableConstraintAction) []corev1.TopologySpreadConstraint {
	return []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: otherwise, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
	}}
}

// podTemplate is a pod that answers HTTP requests.
func (s WorkloadSpec) podTemplate(app string) corev1.PodTemplateSpec {
	grace := int64(8)
	args := []string{"serve", "--listen", ":" + workloadPort}
	if s.StartsAfter > 0 {
		args = append(args, "--after", s.StartsAfter.String())
	}
	var volumes []corev1.Volume
	var mounts []corev1.VolumeMount
	if s.FailsAfter > 0 { // the next container of the pod finds there that one has failed
		args = append(args, "--fail-after", s.FailsAfter.String(), "--once", failed)
		volumes = []corev1.Volume{{Name: "state", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		mounts = []corev1.VolumeMount{{Name: "state", MountPath: path.Dir(failed)}}
	}
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}}, Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: &grace, Volumes: volumes,
		Containers: []corev1.Container{{
			// The provider has put it there: no registry knows it.
			Name: "serve", Image: "drydock/workload", ImagePullPolicy: corev1.PullIfNotPresent, Args: args, VolumeMounts: mounts,
			ReadinessProbe: s.Probes.readiness(), LivenessProbe: s.Probes.liveness(), StartupProbe: s.startup(),
			// Who still has the address serves it until everybody has heard: the usual answer to the race between endpoints and SIGTERM.
			Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 3}}},
		}},
	}}
}

func (s WorkloadSpec) budget() *policyv1.PodDisruptionBudget {
	least := intstr.FromInt32(s.MinAvailable)
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: observe.WorkloadName},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: &least, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": observe.WorkloadName}},
		},
	}
}

// workloadRequest asks the nth of the known endpoints, as a Service would in turn; there is no second try.
func workloadRequest(c cluster.Cluster, w *observe.Workload) func(ctx context.Context, n int) error {
	get := getOnce(c)
	return func(ctx context.Context, n int) error {
		endpoints := w.Endpoints()
		if len(endpoints) == 0 {
			return fmt.Errorf("the workload has no ready replica")
		}
		return get(ctx, "http://"+net.JoinHostPort(endpoints[n%len(endpoints)], workloadPort))
	}
}

// getOnce makes requests over new connections and follows no redirects: an answer that is one, or a success, is served.
func getOnce(c cluster.Cluster) func(ctx context.Context, url string) error {
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: c.Dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, url string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("workload: %w", err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("workload: %w", err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("workload: %s", resp.Status)
		}
		return nil
	}
}
