package remedy

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

// controlled is a cluster whose controllers, scheduler, watches and kubelets act at once, but for those that are silent.
func controlled(silent string) *fake.Clientset {
	c := fake.NewClientset()
	beat := time.Now()
	c.PrependReactor("get", "leases", func(a k8stesting.Action) (bool, runtime.Object, error) {
		name := a.(k8stesting.GetAction).GetName()
		if silent != name {
			beat = beat.Add(time.Second)
		}
		at := metav1.NewMicroTime(beat)
		if silent == name {
			at = metav1.NewMicroTime(time.Unix(1, 0))
		}
		return true, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: coordinationv1.LeaseSpec{RenewTime: &at}}, nil
	})
	c.PrependReactor("create", "namespaces", func(a k8stesting.Action) (bool, runtime.Object, error) {
		ns := a.(k8stesting.CreateAction).GetObject().(*corev1.Namespace)
		if silent != "service accounts" {
			_ = c.Tracker().Add(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: ns.Name}})
		}
		return false, nil, nil
	})
	act := func(a k8stesting.Action) (bool, runtime.Object, error) {
		d := a.(k8stesting.CreateAction).GetObject().(*appsv1.Deployment) // an update has the same
		if silent == "deployments" || silent == "scaling" && *d.Spec.Replicas > 1 {
			return false, nil, nil
		}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pod-%d", *d.Spec.Replicas), Namespace: a.GetNamespace()}}
		if silent != "scheduler" {
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
		}
		_ = c.Tracker().Add(pod)
		return false, nil, nil
	}
	c.PrependReactor("create", "deployments", act)
	c.PrependReactor("update", "deployments", act)
	if silent == "namespaces" {
		c.PrependReactor("delete", "namespaces", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, nil })
	}
	return c
}

func TestThatKubernetesGoesOnIsSeenByEachWhoHasTo(t *testing.T) {
	for silent, says := range map[string]string{
		"nobody": "", "service accounts": "controller of service accounts", "deployments": "controllers of Deployments", "scaling": "there are 1 pods",
		"scheduler": "it has not looked at pod", "worker-1": "that of worker-1 is from", "namespaces": "its controller has not removed it",
	} {
		p := proof{client: controlled(silent), nodes: []string{"control-plane-1", "worker-1"}, namespace: "drydock-proof", within: 300 * time.Millisecond, every: 5 * time.Millisecond}
		err := p.see(context.Background())
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s silent: %v; want %q", silent, err, says)
		}
	}
}
