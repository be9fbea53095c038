package load

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/podutils"

	"drydock.dev/drydock/harness/observe"
)

// Kind is what makes pods, besides the Deployment. Each kind has other rules for what becomes of a pod whose node is lost.
type Kind string

// The kinds there are. Whatever they are made by, there is one pod of each on every worker.
const (
	DaemonSet   Kind = "daemonSet"   // tolerates a lost node for ever
	StatefulSet Kind = "statefulSet" // is not made anew as long as the first may run
	Job         Kind = "job"         // ends by itself after a while, and the next one begins
	Bare        Kind = "bare"        // is made anew by nobody
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{DaemonSet, StatefulSet, Job, Bare} }

func (s WorkloadSpec) validateKinds() error {
	for i, k := range s.Kinds {
		switch {
		case !slices.Contains(Kinds(), k):
			return fmt.Errorf("kinds: %q is unknown; known: %s", k, strings.Trim(fmt.Sprint(Kinds()), "[]"))
		case slices.Contains(s.Kinds[:i], k):
			return fmt.Errorf("kinds: %q is there twice", k)
		case s.Replicas == 0:
			return fmt.Errorf("kinds: they run beside the Deployment, and replicas is 0")
		}
	}
	return nil
}

// jobTakes is how long each pod of the Job works: longer than a cluster must be well in one piece, which it is not while the next one begins.
const jobTakes = 30 * time.Second

// jobRounds is how many pods of it each worker sees: more than any run lasts for.
const jobRounds = 10_000

// app is the name of a kind's object and the label of its pods.
func (k Kind) app() string { return observe.WorkloadName + "-" + strings.ToLower(string(k)) }

// bare is the name of the pod that nobody makes anew, on a worker.
func bare(worker string) string { return Bare.app() + "-" + worker }

// startKinds creates what runs beside the Deployment; what is there already is taken over.
func (s WorkloadSpec) startKinds(ctx context.Context, client kubernetes.Interface, workers []string) error {
	for _, k := range s.Kinds {
		if err := s.start(ctx, k, client, workers); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("workload: %s: %w", k, err)
		}
	}
	return nil
}

func (s WorkloadSpec) start(ctx context.Context, k Kind, client kubernetes.Interface, workers []string) error {
	meta, selector := metav1.ObjectMeta{Name: k.app()}, &metav1.LabelSelector{MatchLabels: map[string]string{"app": k.app()}}
	template := s.podTemplate(k.app())
	switch k {
	case DaemonSet:
		_, err := client.AppsV1().DaemonSets(metav1.NamespaceDefault).Create(ctx, &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}}, metav1.CreateOptions{})
		return err
	case StatefulSet:
		n := int32(len(workers))
		template.Spec.TopologySpreadConstraints = spread(k.app(), corev1.DoNotSchedule)
		_, err := client.AppsV1().StatefulSets(metav1.NamespaceDefault).Create(ctx, &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{
			Replicas: &n, Selector: selector, Template: template, ServiceName: k.app(), PodManagementPolicy: appsv1.ParallelPodManagement,
		}}, metav1.CreateOptions{})
		return err
	case Job:
		n, rounds, retries := int32(len(workers)), int32(len(workers)*jobRounds), int32(math.MaxInt32)
		template.Spec.RestartPolicy = corev1.RestartPolicyNever
		template.Spec.Containers[0].Args = append(template.Spec.Containers[0].Args, "--for", jobTakes.String())
		template.Spec.TopologySpreadConstraints = spread(k.app(), corev1.ScheduleAnyway)
		_, err := client.BatchV1().Jobs(metav1.NamespaceDefault).Create(ctx, &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{
			Parallelism: &n, Completions: &rounds, BackoffLimit: &retries, Template: template,
		}}, metav1.CreateOptions{})
		return err
	case Bare:
		for _, w := range workers {
			spec := *template.Spec.DeepCopy()
			spec.NodeSelector = map[string]string{corev1.LabelHostname: w}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: bare(w), Labels: template.Labels}, Spec: spec}
			if _, err := client.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, pod, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
				return err
			}
		}
	}
	return nil
}

// kindsReady says of which kind a worker has no ready pod.
func (s WorkloadSpec) kindsReady(ctx context.Context, client kubernetes.Interface, workers []string) error {
	for _, k := range s.Kinds {
		pods, err := client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: "app=" + k.app()})
		if err != nil {
			return fmt.Errorf("workload: %s: %w", k, err)
		}
		for _, w := range workers {
			if !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return p.Spec.NodeName == w && podutils.IsPodReady(&p) }) {
				return fmt.Errorf("workload: no pod of the %s is ready on %s", k, w)
			}
		}
	}
	return nil
}

// goneKinds removes whatever of them there may be, on workers that the cluster has no more as well: nobody else removes a pod that is nobody's.
func goneKinds(ctx context.Context, client kubernetes.Interface, o metav1.DeleteOptions) []error {
	out := []error{
		gonePiece("the workload's DaemonSet", client.AppsV1().DaemonSets(metav1.NamespaceDefault).Delete(ctx, DaemonSet.app(), o)),
		gonePiece("the workload's Job", client.BatchV1().Jobs(metav1.NamespaceDefault).Delete(ctx, Job.app(), o)),
		gonePiece("the workload's StatefulSet", client.AppsV1().StatefulSets(metav1.NamespaceDefault).Delete(ctx, StatefulSet.app(), o)),
	}
	pods, err := client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: "app=" + Bare.app()})
	if err != nil {
		return append(out, fmt.Errorf("pods of the %s: %w", Bare, err))
	}
	for i := range pods.Items {
		name := pods.Items[i].Name
		out = append(out, gonePiece("pod "+name, client.CoreV1().Pods(metav1.NamespaceDefault).Delete(ctx, name, o)))
	}
	return out
}
