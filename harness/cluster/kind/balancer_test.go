package kind

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

// What kind 0.33 writes, less what Envoy wants to be told about TLS.
const backendsText = `
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: kube_apiservers
  connect_timeout: 0.25s
  health_checks:
  - timeout: 3s
    interval: 2s
    unhealthy_threshold: 2
    healthy_threshold: 1
    no_traffic_interval: 3s
    http_health_check:
      path: /healthz
  load_assignment:
    cluster_name: kube_apiservers
    endpoints:
    - lb_endpoints:
      - endpoint:
          address:
            socket_address:
              address: drydock-a-control-plane
              port_value: 6443
`

// furnished is a cluster of three control planes of which kind has made everything.
func furnished(t *testing.T, timing cluster.Timing, backends string) (*fake, error) {
	t.Helper()
	p, f := provider(t, map[string]answer{
		"container inspect":                         {out: `[{"State":{"Running":true},"NetworkSettings":{"Networks":{"drydock-a":{"IPAddress":"10.0.0.2"}}}}]`},
		"exec drydock-a-external-load-balancer cat": {out: backends},
		"run": {err: "no more of it is tried here", code: 1},
	})
	made := topology("a", 3, 0)
	made.Timing = timing
	var err error
	if made.Named, err = p.nodes(made); err != nil {
		t.Fatal(err)
	}
	err = newCluster(p, t.TempDir(), record{Topology: made}).furnish(t.Context())
	return f, err
}

const moved = "exec --interactive drydock-a-external-load-balancer sh"

func TestFastTimingHoldsForTheLoadBalancer(t *testing.T) {
	f, _ := furnished(t, cluster.TimingFast, backendsText)
	if !f.was(moved) {
		t.Fatalf("the load balancer keeps its connections to an API server that is not ready; docker was asked for %q", f.asked)
	}
	var got string
	for i, line := range f.asked {
		if !strings.HasPrefix(line, moved) {
			continue
		}
		got = f.input[i]
		if !strings.Contains(line, "kill") {
			t.Errorf("connections from before know nothing of it: %s", line)
		}
	}
	for _, want := range []string{
		"close_connections_on_host_health_failure: true", "path: /readyz", "  interval: 0.5s", "no_traffic_interval: 0.5s", "timeout: 1s", "unhealthy_threshold: 2", // the lab's
		"connect_timeout: 0.25s", "healthy_threshold: 1", "address: drydock-a-control-plane", "port_value: 6443\n", "'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster", // kind's
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestProductionHasTheLoadBalancerOfKind(t *testing.T) {
	if f, _ := furnished(t, cluster.TimingProduction, backendsText); f.was(moved) {
		t.Error("it was changed")
	}
}

func TestALoadBalancerThatIsNotUnderstood(t *testing.T) {
	for _, bad := range []string{"resources: []", "resources: 5", "a: [", strings.Replace(backendsText, "http_health_check", "tcp_health_check", 1)} {
		if f, err := furnished(t, cluster.TimingFast, bad); err == nil || !strings.Contains(err.Error(), backendsFile) || f.was(moved) {
			t.Errorf("%s: got %v; want an error that names %s, and nothing written", bad, err, backendsFile)
		}
	}
}
