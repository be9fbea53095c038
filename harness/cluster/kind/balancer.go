package kind

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"sigs.k8s.io/yaml"

	"drydock.dev/drydock/harness/cluster/balancer"
)

// backendsFile is where kind's load balancer has its API servers, an Envoy cluster (ProxyConfigPathCDS in pkg/cluster/internal/loadbalancer of kind 0.33).
// Envoy reads it again when another file is moved there.
const backendsFile = "/home/envoy/cds.yaml"

// hastenBalancer has kind's load balancer judge API servers as the lab's does: fast timing holds for it as well. As kind leaves it, whoever has a
// connection to an API server keeps it while that one's etcd is away, which an upgrade makes 20 s on every control plane. Half a minute's gap of an API
// that two other servers serve is no fault of the cluster's, and nodes that renew their leases there are given up after 12 s, in fast timing.
//
// Envoy takes the new cluster for new connections. Those there are, of every kubelet that has joined, stay in the old one, which nobody asks for health
// any more: they are ended with the process, which kind's command in the container starts again after a second.
func (c *Cluster) hastenBalancer(ctx context.Context) error {
	cli, name := c.provider.cli(), c.record.Balancer.Name
	was, err := cli.out(ctx, "exec", name, "cat", backendsFile)
	if err != nil {
		return err
	}
	will, err := judging([]byte(was), balancer.Quick())
	if err != nil {
		return fmt.Errorf("the load balancer %s: %s: %w", name, backendsFile, err)
	}
	_, err = cli.pipe(ctx, bytes.NewReader(will), "exec", "--interactive", name, "sh", "-ec",
		fmt.Sprintf(`cat >%[1]s.tmp; chmod 666 %[1]s.tmp; mv %[1]s.tmp %[1]s
for p in /proc/[0-9]*; do
  read -r name 2>/dev/null <$p/comm || continue
  if [ "$name" = envoy ]; then kill -KILL ${p#/proc/}; fi
done`, backendsFile))
	return err
}

// judging is an Envoy cluster that asks its backends, and ends connections to them, as a policy says; everything else stays kind's, and what is said of
// the fields is in api-v3 of Envoy's documentation (config.cluster.v3.Cluster, config.core.v3.HealthCheck).
func judging(raw []byte, p balancer.Policy) ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	changed := 0
	resources, _ := doc["resources"].([]any)
	for _, r := range resources {
		backends, _ := r.(map[string]any)
		checks, _ := backends["health_checks"].([]any)
		for _, c := range checks {
			check, _ := c.(map[string]any)
			http, ok := check["http_health_check"].(map[string]any)
			if !ok {
				continue
			}
			http["path"] = p.Path
			check["interval"], check["no_traffic_interval"], check["timeout"] = seconds(p.Every), seconds(p.Every), seconds(p.Timeout)
			check["unhealthy_threshold"] = p.Strikes
			backends["close_connections_on_host_health_failure"] = p.DropLost
			changed++
		}
	}
	if changed != 1 {
		return nil, fmt.Errorf("%d health checks over HTTP where kind 0.33 writes one: %q", changed, raw)
	}
	return yaml.Marshal(doc)
}

// seconds is a duration as protobuf's JSON has it.
func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}
