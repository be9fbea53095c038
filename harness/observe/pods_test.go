package observe

import (
	"reflect"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestPods(t *testing.T) {
	yes := true
	now := metav1.Now()
	pod := func(name string, ready corev1.ConditionStatus, change func(p *corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: name, Labels: map[string]string{"app": "a"},
				OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "a-1", Controller: &yes}},
			},
			Spec: corev1.PodSpec{NodeName: "worker-1"},
			Status: corev1.PodStatus{
				Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}},
				ContainerStatuses: []corev1.ContainerStatus{{Name: "c", RestartCount: 2}},
			},
		}
		if change != nil {
			change(p)
		}
		return p
	}
	two := int32(2)
	client := fake.NewClientset(
		pod("good", corev1.ConditionTrue, nil),
		pod("ending", corev1.ConditionTrue, func(p *corev1.Pod) { p.DeletionTimestamp, p.Finalizers = &now, []string{"example.com/wait"} }),
		pod("looping", corev1.ConditionFalse, func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}
		}),
		pod("nobodys", corev1.ConditionTrue, func(p *corev1.Pod) { p.Labels, p.OwnerReferences = nil, nil }),
		&appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"},
			Spec:       appsv1.DeploymentSpec{Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}},
			Status:     appsv1.DeploymentStatus{ReadyReplicas: 2},
		},
	)
	pods, wanted, err := (&Observer{client: client}).pods(t.Context(), For)
	if err != nil {
		t.Fatal(err)
	}
	want := []Pod{
		{Name: "default/ending", Node: "worker-1", Phase: "Running", Ready: true, Restarts: 2, Owner: "ReplicaSet/a-1", Ending: true},
		{Name: "default/good", Node: "worker-1", Phase: "Running", Ready: true, Restarts: 2, Owner: "ReplicaSet/a-1"},
		{Name: "default/looping", Node: "worker-1", Phase: "Running", Restarts: 2, Waiting: "c: CrashLoopBackOff", Owner: "ReplicaSet/a-1"},
		{Name: "default/nobodys", Node: "worker-1", Phase: "Running", Ready: true, Restarts: 2},
	}
	if !reflect.DeepEqual(pods, want) {
		t.Errorf("got %+v\nwant %+v", pods, want)
	}
	if want := []Wanted{{Name: "Deployment/default/a", Wanted: 2, Ready: 1}}; !reflect.DeepEqual(wanted, want) {
		t.Errorf("got %+v, want %+v: the status of the Deployment is not to be believed", wanted, want)
	}
}
