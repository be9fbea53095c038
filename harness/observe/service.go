package observe

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"drydock.dev/drydock/harness/cluster"
)

// Service reads where a Service of the user's own is served.
type Service struct {
	Namespace, Name string
	Path            string // of the requests to it

	client kubernetes.Interface
	port   string // its name in the EndpointSlices, where a Service with one port often has none

	mu        sync.Mutex
	endpoints []string
}

// FindService finds it with somebody behind it. A UsageError says that there is none, that nobody is behind it, or that it has several ports of which
// none is called http.
func FindService(ctx context.Context, client kubernetes.Interface, namespace, name string) (*Service, error) {
	svc, err := client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, cluster.Usagef("the cluster has no Service %s/%s", namespace, name)
	}
	if err != nil {
		return nil, fmt.Errorf("service %s/%s: %w", namespace, name, err)
	}
	s := &Service{Namespace: namespace, Name: name, client: client}
	ports := slices.DeleteFunc(slices.Clone(svc.Spec.Ports), func(p corev1.ServicePort) bool { return p.Protocol != corev1.ProtocolTCP && p.Protocol != "" })
	if i := slices.IndexFunc(ports, func(p corev1.ServicePort) bool { return p.Name == "http" }); i >= 0 {
		ports = ports[i : i+1]
	}
	if len(ports) != 1 {
		return nil, cluster.Usagef("service %s/%s has %d TCP ports: wanted is one, or one that is called http", namespace, name, len(ports))
	}
	s.port = ports[0].Name
	if err := s.Observe(ctx); err != nil {
		return nil, err
	}
	if len(s.Endpoints()) == 0 {
		return nil, cluster.Usagef("service %s/%s: nobody behind it is ready", namespace, name)
	}
	return s, nil
}

// Endpoints are the addresses, host:port, of those behind it that were ready when it was last observed.
func (s *Service) Endpoints() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endpoints
}

// Observe reads its EndpointSlices. On an error what was seen last stands: while no API server answers, a cluster goes on with what it knows.
func (s *Service) Observe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, For)
	defer cancel()
	slicesOf, err := s.client.DiscoveryV1().EndpointSlices(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + s.Name})
	if err != nil {
		return fmt.Errorf("endpoints of service %s/%s: %w", s.Namespace, s.Name, err)
	}
	var out []string
	for _, slice := range slicesOf.Items {
		for _, p := range slice.Ports {
			if ptr.Deref(p.Name, "") != s.port || p.Port == nil {
				continue
			}
			for _, e := range slice.Endpoints {
				if ready := ptr.Deref(e.Conditions.Ready, true); ready && len(e.Addresses) > 0 { // nil is to be taken for ready
					out = append(out, net.JoinHostPort(strings.TrimSpace(e.Addresses[0]), strconv.Itoa(int(*p.Port))))
				}
			}
		}
	}
	slices.Sort(out)
	s.mu.Lock()
	s.endpoints = slices.Compact(out)
	s.mu.Unlock()
	return nil
}
