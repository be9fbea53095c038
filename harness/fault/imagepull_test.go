package fault

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes/fake"
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
