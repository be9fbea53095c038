package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster/balancer"
)

// What kind v0.33 writes, less what Envoy wants to be told about TLS.
const (
	clustersText = `
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: kube_apiservers
  connect_timeout: 0.25s
  type: STRICT_DNS
  lb_policy: ROUND_ROBIN
  health_checks:
  - timeout: 3s
    interval: 2s
    unhealthy_threshold: 2
    healthy_threshold: 1
    http_health_check:
      path: /healthz
  load_assignment:
    cluster_name: kube_apiservers
    endpoints:
    - lb_endpoints:
      - endpoint:
          address:
            socket_address:
              address: k-control-plane
              port_value: 6443
      - endpoint:
          address:
            socket_address:
              address: k-control-plane2
              port_value: 6443
`
	listenersText = `
resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: listener_apiserver
  address:
    socket_address:
      address: "0.0.0.0"
      port_value: 6443
`
	nothing = "resources: []"
)

func TestParse(t *testing.T) {
	got, err := parse([]byte(clustersText + "\n---\n" + listenersText))
	want := config{
		Listen: "0.0.0.0:6443", Backends: []string{"k-control-plane:6443", "k-control-plane2:6443"},
		Policy: balancer.Policy{Path: "/healthz", Every: 2 * time.Second, Timeout: 3 * time.Second, Strikes: 2, Dial: 250 * time.Millisecond, Attempts: 1},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got, err := parse([]byte(strings.Replace(clustersText, "  type:", "  close_connections_on_host_health_failure: true\n  type:", 1))); err != nil || !got.Policy.DropLost {
		t.Fatalf("got %+v, %v; connections to a backend that is lost are to be closed", got, err)
	}
	if got, err := parse([]byte(nothing + "\n---\n" + nothing)); err != nil || got.Listen != "" || len(got.Backends) > 0 {
		t.Fatalf("got %+v, %v of nothing", got, err)
	}
	for _, bad := range []string{"resources: 5", strings.Replace(clustersText, "interval: 2s", "interval: often", 1), strings.Replace(clustersText, "unhealthy_threshold: 2", "", 1)} {
		if got, err := parse([]byte(bad)); err == nil {
			t.Errorf("got %+v of %s", got, bad)
		}
	}
}

func TestBootstrap(t *testing.T) {
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	for text, good := range map[string]bool{
		"dynamic_resources: {cds_config: {path_config_source: {path: /c}}, lds_config: {path_config_source: {path: /l}}}": true,
		"dynamic_resources: {cds_config: {path_config_source: {path: /c}}}":                                               false,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		clusters, listeners, err := readBootstrap(file)
		if good != (err == nil) || good && (clusters != "/c" || listeners != "/l") {
			t.Errorf("%s: got %q, %q, %v", text, clusters, listeners, err)
		}
	}
}

// A configuration that is replaced is taken over, one that cannot be read is not.
func TestReplacedWhileItRuns(t *testing.T) {
	p := &proxy{}
	port := freePort(t)
	for _, name := range []string{"a", "b"} {
		clusters := strings.NewReplacer("k-control-plane2", "127.0.0.1", "k-control-plane", "127.0.0.1", "6443", portOf(t, greeter(t, name))).Replace(clustersText)
		if err := p.configure(t.Context(), []byte(clusters+"\n---\n"+strings.NewReplacer("0.0.0.0", "127.0.0.1", "6443", port).Replace(listenersText))); err != nil {
			t.Fatal(err)
		}
		if got := greeting(t, port); got != name {
			t.Fatalf("%q answered, and %s is configured", got, name)
		}
	}
	if err := p.configure(t.Context(), []byte("resources: 5")); err == nil {
		t.Fatal("no error of a bad configuration")
	}
	if got := greeting(t, port); got != "b" {
		t.Fatalf("%q answered after a bad configuration", got)
	}
}

func greeter(t *testing.T, name string) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, name)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func greeting(t *testing.T, port string) string {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return portOf(t, l.Addr().String())
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
