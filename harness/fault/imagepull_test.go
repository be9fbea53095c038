package fault

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientset "k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"drydock.dev/drydock/harness/plan"
)

// A pull has failed where the kubelet says so, and only if another node's has not: who is held by another fault shows neither.
func TestAPullFailsWhereItIsKeptFrom(t *testing.T) {
	waiting := func(reason string) *corev1.ContainerStateWaiting {
		return &corev1.ContainerStateWaiting{Reason: reason}
	}
	for name, c := range map[string]struct {
		on      map[string]*corev1.ContainerStateWaiting // machine -> why its witness waits; nil: it runs
		besides []string
		seen    bool
		control bool // the error is of the control
	}{
		"nobody has asked":           {nil, nil, false, false},
		"it fails there only":        {map[string]*corev1.ContainerStateWaiting{"worker-1": waiting("ErrImagePull"), "worker-2": nil}, nil, true, false},
		"it is pulled":               {map[string]*corev1.ContainerStateWaiting{"worker-1": nil, "worker-2": nil}, nil, false, false},
		"it is being made":           {map[string]*corev1.ContainerStateWaiting{"worker-1": waiting("ContainerCreating"), "worker-2": nil}, nil, false, false},
		"it fails everywhere":        {map[string]*corev1.ContainerStateWaiting{"worker-1": waiting("ImagePullBackOff"), "worker-2": waiting("ErrImagePull")}, nil, false, true},
		"nobody else has asked":      {map[string]*corev1.ContainerStateWaiting{"worker-1": waiting("ErrImagePull")}, nil, false, true},
		"another fault holds him":    {map[string]*corev1.ContainerStateWaiting{"worker-1": waiting("ErrImagePull"), "worker-2": waiting("ContainerCreating")}, []string{"worker-2"}, true, false},
		"another fault holds others": {map[string]*corev1.ContainerStateWaiting{"worker-1": waiting("ErrImagePull"), "worker-2": waiting("ErrImagePull")}, []string{"worker-3"}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			client := clientset.NewClientset()
			for m, why := range c.on {
				p := witness(witnessOn(m))
				p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: why}}}
				if _, err := client.CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			out, err := (&imagePullFails{}).Effective(t.Context(), &Env{Cluster: planes{}, Client: client, besides: c.besides}, []string{"worker-1"})
			var control controlError
			if (err == nil) != c.seen || errors.As(err, &control) != c.control {
				t.Errorf("%v, %v", out, err)
			}
		})
	}
}

// What cannot be pulled before is not this fault's, and what was to be done during a step is not done after it: nothing is refused then, and nothing is left
// that undoing would wait for.
func TestPullsAreNotRefused(t *testing.T) {
	for name, c := range map[string]struct {
		state corev1.ContainerState // of every witness
		late  int                   // the question from which on it is too late
		says  string
	}{
		"they fail already": {corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "no route"}}, 9, "before it was injected: an image pulled on"},
		"it is too late":    {corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, 2, "the step is over"},
	} {
		t.Run(name, func(t *testing.T) {
			client := clientset.NewClientset()
			client.PrependReactor("create", "pods", func(a k8stesting.Action) (bool, runtime.Object, error) {
				if create, ok := a.(k8stesting.CreateAction); ok {
					if p, ok := create.GetObject().(*corev1.Pod); ok {
						p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: c.state}}
					}
				}
				return false, nil, nil
			})
			client.PrependReactor("delete-collection", "pods", func(a k8stesting.Action) (bool, runtime.Object, error) { // which a fake one leaves out
				for _, m := range (planes{}).Topology().KubernetesMachines() {
					_ = client.Tracker().Delete(a.GetResource(), a.GetNamespace(), witnessOn(m))
				}
				return true, nil, nil
			})
			g := scriptedGuard(t, &imagePullFails{})
			g.Spec = Spec{Kind: "imagePullFails", Target: "worker-1", Machines: []string{"worker-1"}}
			asked, e := 0, &Env{Cluster: planes{}, Client: client, Held: &Held{}}
			g.Due = func() error {
				if asked++; asked >= c.late {
					return errors.New("the step is over")
				}
				return nil
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := g.Inject(ctx, e)
			if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, plan.ErrSkip) != g.IsMissed() || g.IsMissed() != (asked == c.late) {
				t.Errorf("error %v, missed %t", err, g.IsMissed())
			}
			if err := errors.Join(g.Recover(ctx, e), g.AwaitRecovered(ctx, e)); err != nil {
				t.Errorf("undone: %v", err)
			}
			left, err := client.CoreV1().Pods(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
			if err != nil || len(left.Items) > 0 || len(e.Held.by) > 0 || !g.Receipt().Armed.IsZero() {
				t.Errorf("%d witnesses are left, held %v, receipt %+v, %v", len(left.Items), e.Held.by, g.Receipt(), err)
			}
		})
	}
}
