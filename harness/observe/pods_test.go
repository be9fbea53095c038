package observe

import (
	"reflect"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestPods(t *testing.T) {
	yes := true
	now, grace := metav1.Now(), int64(8)
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
		pod("ending", corev1.ConditionTrue, func(p *corev1.Pod) {
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds, p.Finalizers = &now, &grace, []string{"example.com/wait"}
		}),
		pod("looping", corev1.ConditionFalse, func(p *corev1.Pod) {
			p.Status.Conditions[0].Reason, p.Status.Conditions[0].Message = "ContainersNotReady", "containers with unready status: [c]"
			p.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}
		}),
		pod("ended", corev1.ConditionFalse, func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State.Terminated = &corev1.ContainerStateTerminated{Reason: "Completed"}
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
		{Name: "default/ended", Node: "worker-1", Phase: "Running", Restarts: 2, Holds: 1, Waiting: "c: Completed", Owner: "ReplicaSet/a-1"},
		{Name: "default/ending", Node: "worker-1", Phase: "Running", Ready: true, Restarts: 2, Holds: 1, Owner: "ReplicaSet/a-1", Ending: true, Deleted: now.Add(-8 * time.Second)},
		{Name: "default/good", Node: "worker-1", Phase: "Running", Ready: true, Restarts: 2, Holds: 1, Owner: "ReplicaSet/a-1"},
		{Name: "default/looping", Node: "worker-1", Phase: "Running", Restarts: 2, Holds: 1, Unready: "ContainersNotReady: containers with unready status: [c]", Waiting: "c: CrashLoopBackOff", Owner: "ReplicaSet/a-1"},
		{Name: "default/nobodys", Node: "worker-1", Phase: "Running", Ready: true, Restarts: 2, Holds: 1},
	}
	if !reflect.DeepEqual(pods, want) {
		t.Errorf("got %+v\nwant %+v", pods, want)
	}
	if want := []Wanted{{Name: "Deployment/default/a", Wanted: 2, Ready: 1}}; !reflect.DeepEqual(wanted, want) {
		t.Errorf("got %+v, want %+v: the status of the Deployment is not to be believed", wanted, want)
	}
}

// TestStays: as the taint eviction controller reads tolerations, and as the DaemonSet controller and admission write them.
func TestStays(t *testing.T) {
	seconds := func(n int64) *int64 { return &n }
	const key, effect = corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute
	for name, c := range map[string]struct {
		tolerations []corev1.Toleration
		want        time.Duration
	}{
		"none":              {nil, 0},
		"by admission":      {[]corev1.Toleration{{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: effect, TolerationSeconds: seconds(3)}, {Key: key, Operator: corev1.TolerationOpExists, Effect: effect, TolerationSeconds: seconds(300)}}, 300 * time.Second},
		"of a DaemonSet":    {[]corev1.Toleration{{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}}, StaysForEver},
		"of everything":     {[]corev1.Toleration{{Operator: corev1.TolerationOpExists}}, StaysForEver},
		"the first of two":  {[]corev1.Toleration{{Operator: corev1.TolerationOpExists}, {Key: key, Operator: corev1.TolerationOpExists, TolerationSeconds: seconds(5)}}, StaysForEver},
		"of another effect": {[]corev1.Toleration{{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}, 0},
		"no time at all":    {[]corev1.Toleration{{Key: key, Operator: corev1.TolerationOpExists, Effect: effect, TolerationSeconds: seconds(-1)}}, 0},
	} {
		if got := stays(&corev1.Pod{Spec: corev1.PodSpec{Tolerations: c.tolerations}}); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestNodeOf(t *testing.T) {
	now := metav1.Now()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1"}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
	n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoSchedule, TimeAdded: &now}, {Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute, TimeAdded: &now}}
	want := Node{Name: "worker-1", Status: "Unknown", NoExecute: []Taint{{Key: corev1.TaintNodeUnreachable, Added: now.Time}}}
	if got := nodeOf(n); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
