package remedy

import (
	"context"
	"errors"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"drydock.dev/drydock/harness/observe"
)

// What is scaled down has what it had again, also where the runbook's process died in between and looks anew.
func TestADeploymentThatIsScaledDownHasWhatItHadAgain(t *testing.T) {
	two, name := int32(2), types.NamespacedName{Namespace: "kube-system", Name: autoscaler}
	client := fake.NewClientset(&appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
		Spec:       appsv1.DeploymentSpec{Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}},
		Status:     appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2},
	})
	r, err := New(Spec{Runbook: "throttled-control-plane", Images: map[string]string{"ccm": "v2"}}, stacked(1))
	if err != nil {
		t.Fatal(err)
	}
	r.Target = &observe.Target{Client: client}
	is := func(replicas int32, kept string) {
		t.Helper()
		d, err := client.AppsV1().Deployments(name.Namespace).Get(t.Context(), name.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if replicasOf(d) != replicas || d.Annotations[replicasKept] != kept {
			t.Errorf("%d replicas, and %q is kept; want %d, %q", replicasOf(d), d.Annotations[replicasKept], replicas, kept)
		}
	}
	for range 2 {
		if found, err := (throttled{r}).toNone(t.Context(), name); !found || err != nil {
			t.Fatal(found, err)
		}
		is(0, "2")
	}
	for range 2 {
		if err := (throttled{r}).scaleUp(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		is(2, "")
	}
	name.Name = "nobody"
	found, err := (throttled{r}).toNone(t.Context(), name)
	if err := errors.Join(err, (throttled{r}).scaleUp(t.Context(), name)); found || err != nil {
		t.Errorf("one that is not there: %v, %v", found, err)
	}
}

// A Deployment that has its version is not deleted because nobody could read it just then: it would be away for nothing.
func TestAnAddonThatNobodyCanReadIsNotDeleted(t *testing.T) {
	one := int32(1)
	d := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "csi"}, Spec: appsv1.DeploymentSpec{Replicas: &one}}
	client := fake.NewClientset(&d)
	client.PrependReactor("get", "deployments", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewServiceUnavailable("it starts")
	})
	r, err := New(Spec{Runbook: "throttled-control-plane", Images: map[string]string{"ccm": "v2"}}, stacked(1))
	if err != nil {
		t.Fatal(err)
	}
	r.Target = &observe.Target{Client: client}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := (throttled{r}).reload(ctx, addon{Deployment: d}, true); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("%v", err)
	}
	for _, a := range client.Actions() {
		if a.GetVerb() == "delete" {
			t.Error("it was deleted")
		}
	}
}

// A process is ended by its name: a container that runs by a shell must not be the end of everybody's shells.
func TestAShellIsNobodysProgram(t *testing.T) {
	for want, c := range map[string]corev1.Container{
		"kube-addons":       {Image: "registry/kube-addon-manager:v9", Command: []string{"/opt/kube-addons", "-v"}},
		"addon-manager":     {Image: "registry:5000/addon-manager:v9", Command: []string{"/bin/bash", "-c", "exec /opt/kube-addons.sh"}},
		"addon-manager-env": {Image: "addon-manager-env", Command: []string{"/usr/bin/env", "bash"}},
		"ccm":               {Image: "a/ccm@sha256:00"},
	} {
		if got := programOf(c); got != want {
			t.Errorf("%v: %q; want %q", c.Command, got, want)
		}
	}
}
