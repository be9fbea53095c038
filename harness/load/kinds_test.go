package load

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// TestKindsGo: to the last, also of a worker that has left the cluster since.
func TestKindsGo(t *testing.T) {
	client, spec := fake.NewClientset(), WorkloadSpec{Replicas: 2, Kinds: Kinds()}
	if err := spec.startKinds(t.Context(), client, []string{"worker-1", "left"}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(goneKinds(t.Context(), client, metav1.DeleteOptions{})...); err == nil || !strings.Contains(err.Error(), "is being deleted") {
		t.Errorf("error %v", err)
	}
	if err := errors.Join(goneKinds(t.Context(), client, metav1.DeleteOptions{})...); err != nil {
		t.Error(err)
	}
	if pods, err := client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); err != nil || len(pods.Items) > 0 {
		t.Errorf("%v %+v", err, pods.Items)
	}
}

// TestKinds: a pod of each kind on each worker, and who starts a second time takes over what is there.
func TestKinds(t *testing.T) {
	client, workers := fake.NewClientset(), []string{"worker-1", "worker-2"}
	spec := WorkloadSpec{Replicas: 2, Kinds: Kinds()}
	for range 2 {
		if err := spec.startKinds(t.Context(), client, workers); err != nil {
			t.Fatal(err)
		}
	}
	set, err := client.AppsV1().StatefulSets(metav1.NamespaceDefault).Get(t.Context(), StatefulSet.app(), metav1.GetOptions{})
	if err != nil || *set.Spec.Replicas != 2 || set.Spec.Template.Spec.TopologySpreadConstraints[0].WhenUnsatisfiable != corev1.DoNotSchedule {
		t.Errorf("%v %+v", err, set)
	}
	if _, err := client.AppsV1().DaemonSets(metav1.NamespaceDefault).Get(t.Context(), DaemonSet.app(), metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	job, err := client.BatchV1().Jobs(metav1.NamespaceDefault).Get(t.Context(), Job.app(), metav1.GetOptions{})
	if err != nil || *job.Spec.Parallelism != 2 || *job.Spec.Completions < 1000 || strings.Join(job.Spec.Template.Spec.Containers[0].Args[3:], " ") != "--for 30s" {
		t.Errorf("%v %+v", err, job)
	}
	for _, w := range workers {
		p, err := client.CoreV1().Pods(metav1.NamespaceDefault).Get(t.Context(), bare(w), metav1.GetOptions{})
		if err != nil || p.Spec.NodeSelector[corev1.LabelHostname] != w || len(p.OwnerReferences) > 0 {
			t.Errorf("%v %+v", err, p)
		}
	}
	ready := func(kind Kind, node string) {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: string(kind) + node, Labels: map[string]string{"app": kind.app()}}, Spec: corev1.PodSpec{NodeName: node}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		if _, err := client.CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range Kinds() {
		ready(k, "worker-1")
	}
	if err := spec.kindsReady(t.Context(), client, workers[:1]); err != nil {
		t.Error(err)
	}
	if err := spec.kindsReady(t.Context(), client, workers); err == nil || !strings.Contains(err.Error(), "no pod of the daemonSet is ready on worker-2") {
		t.Errorf("error %v", err)
	}
}
