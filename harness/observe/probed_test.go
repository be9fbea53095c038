package observe

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestProbed(t *testing.T) {
	begun := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	event := func(name, kind, message string) *corev1.Event {
		return &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Reason: "Unhealthy", Message: message, Count: 3, FirstTimestamp: begun, LastTimestamp: metav1.NewTime(begun.Add(time.Second)),
			InvolvedObject: corev1.ObjectReference{Kind: kind, Namespace: "default", Name: "a", UID: "1"},
		}
	}
	client := fake.NewClientset(event("1", "Pod", "Liveness probe failed: Get \"http://10.0.0.1\": refused\n"), event("2", "Node", "Readiness probe failed: x"), event("3", "Pod", "unlike any"),
		event("4", "Pod", "(combined from similar events): Readiness probe failed: y"))
	got := ReadProbed(t.Context(), client)
	if got.Error != "" || len(got.Failures) != 2 || got.Time.IsZero() {
		t.Fatalf("%+v", got)
	}
	want := ProbeFailure{Pod: "default/a", UID: "1", Probe: "Liveness", Said: `Liveness probe failed: Get "http://10.0.0.1": refused`, Times: 3, First: begun.Time, Last: begun.Add(time.Second)}
	if got.Failures[0] != want {
		t.Errorf("%+v, want %+v", got.Failures[0], want)
	}
	want.Probe, want.Said, want.Combined = "Readiness", "Readiness probe failed: y", true
	if got.Failures[1] != want {
		t.Errorf("%+v, want %+v", got.Failures[1], want)
	}
	asked := client.Actions()[0].(clienttesting.ListAction).GetListRestrictions().Fields.String()
	if asked != "reason=Unhealthy" {
		t.Errorf("asked for %q", asked)
	}
}

// TestProbesUnread: who is not answered says so, and tells of no failure and of no success.
func TestProbesUnread(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("list", "events", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("forbidden") })
	got := readProbed(t.Context(), client, 10*time.Millisecond)
	if !strings.Contains(got.Error, "forbidden") || len(got.Failures) > 0 {
		t.Errorf("%+v", got)
	}
}
