package observe

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"drydock.dev/drydock/harness/cluster"
)

// TestFindService: it goes by the one port there is, or the one called http, to those that are ready; all else is the caller's mistake.
func TestFindService(t *testing.T) {
	at := metav1.ObjectMeta{Namespace: "web", Name: "shop"}
	service := func(ports ...string) *corev1.Service {
		s := &corev1.Service{ObjectMeta: at}
		for i, name := range ports {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: name, Port: int32(80 + i)})
		}
		return s
	}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: at, Ports: []discoveryv1.EndpointPort{
		{Name: ptr.To(""), Port: ptr.To(int32(8080))}, {Name: ptr.To("http"), Port: ptr.To(int32(8081))}, {Name: ptr.To("metrics"), Port: ptr.To(int32(9090))},
	}, Endpoints: []discoveryv1.Endpoint{
		{Addresses: []string{"10.0.0.2"}}, {Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}},
		{Addresses: []string{"10.0.0.3"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}},
	}}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: "shop"}
	for name, tc := range map[string]struct {
		service *corev1.Service
		slice   *discoveryv1.EndpointSlice
		want    []string
		says    string
	}{
		"one port":           {service(""), slice, []string{"10.0.0.1:8080", "10.0.0.2:8080"}, ""},
		"one is called http": {service("metrics", "http"), slice, []string{"10.0.0.1:8081", "10.0.0.2:8081"}, ""},
		"several":            {service("metrics", "grpc"), slice, nil, "has 2 TCP ports"},
		"nobody behind it":   {service(""), &discoveryv1.EndpointSlice{ObjectMeta: at}, nil, "nobody behind it is ready"},
		"none":               {&corev1.Service{}, slice, nil, "has no Service web/shop"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := FindService(t.Context(), fake.NewClientset(tc.service, tc.slice), "web", "shop")
			var usage *cluster.UsageError
			switch {
			case tc.says == "" && err != nil:
				t.Fatal(err)
			case tc.says != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), tc.says)):
				t.Fatalf("want a UsageError with %q, got %v", tc.says, err)
			case tc.says == "" && !slices.Equal(s.Endpoints(), tc.want):
				t.Errorf("want %v, got %v", tc.want, s.Endpoints())
			}
		})
	}
}
