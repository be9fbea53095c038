package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"drydock.dev/drydock/harness/cluster/balancer"
)

// config is what a proxy does.
type config struct {
	Listen   string // HOST:PORT
	Backends []string
	Policy   balancer.Policy
}

// The parts of Envoy's configuration that kind and its provider here write, api-v3 of Envoy's documentation; whatever else stands there is left aside.
type (
	bootstrap struct {
		Dynamic struct {
			CDS source `json:"cds_config"`
			LDS source `json:"lds_config"`
		} `json:"dynamic_resources"`
	}
	source struct {
		Path struct {
			Path string `json:"path"`
		} `json:"path_config_source"`
	}
	discovery struct {
		Resources []resource `json:"resources"`
	}
	resource struct { // a Listener or a Cluster
		Address        address       `json:"address"`
		ConnectTimeout string        `json:"connect_timeout"`
		HealthChecks   []healthCheck `json:"health_checks"`
		CloseLost      bool          `json:"close_connections_on_host_health_failure"`
		Assignment     struct {
			Endpoints []struct {
				Hosts []struct {
					Endpoint struct {
						Address address `json:"address"`
					} `json:"endpoint"`
				} `json:"lb_endpoints"`
			} `json:"endpoints"`
		} `json:"load_assignment"`
	}
	address struct {
		Socket struct {
			Host string `json:"address"`
			Port int    `json:"port_value"`
		} `json:"socket_address"`
	}
	healthCheck struct {
		Timeout  string `json:"timeout"`
		Interval string `json:"interval"`
		Strikes  int    `json:"unhealthy_threshold"`
		HTTP     struct {
			Path string `json:"path"`
		} `json:"http_health_check"`
	}
)

func (a address) String() string {
	if a.Socket.Port == 0 {
		return ""
	}
	return net.JoinHostPort(a.Socket.Host, strconv.Itoa(a.Socket.Port))
}

// readBootstrap tells where clusters and listeners are described.
func readBootstrap(file string) (clusters, listeners string, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", "", err
	}
	var b bootstrap
	if err := yaml.Unmarshal(raw, &b); err != nil {
		return "", "", fmt.Errorf("%s: %w", file, err)
	}
	clusters, listeners = b.Dynamic.CDS.Path.Path, b.Dynamic.LDS.Path.Path
	if clusters == "" || listeners == "" {
		return "", "", fmt.Errorf("%s names no files with clusters and listeners", file)
	}
	return clusters, listeners, nil
}

// parse reads listeners and clusters; "resources: []" is a good configuration of nothing.
func parse(raw []byte) (config, error) {
	// What Envoy does of itself: a client is tried with one backend. And one that is lost keeps its connections, unless it is told to end them.
	c := config{Policy: balancer.Policy{Attempts: 1}}
	documents := yamlutil.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for {
		doc, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return c, fmt.Errorf("configuration: %w", err)
		}
		var d discovery
		if err := yaml.Unmarshal(doc, &d); err != nil {
			return c, fmt.Errorf("configuration: %w", err)
		}
		for _, r := range d.Resources {
			if err := c.add(r); err != nil {
				return c, fmt.Errorf("configuration: %w", err)
			}
		}
	}
}

func (c *config) add(r resource) (err error) {
	if listen := r.Address.String(); listen != "" {
		c.Listen = listen
		return nil
	}
	for _, e := range r.Assignment.Endpoints {
		for _, h := range e.Hosts {
			c.Backends = append(c.Backends, h.Endpoint.Address.String())
		}
	}
	if len(r.HealthChecks) != 1 {
		return fmt.Errorf("%d health checks, and one is understood", len(r.HealthChecks))
	}
	h := r.HealthChecks[0]
	c.Policy.Path, c.Policy.Strikes, c.Policy.DropLost = h.HTTP.Path, h.Strikes, r.CloseLost
	for field, text := range map[*time.Duration]string{&c.Policy.Dial: r.ConnectTimeout, &c.Policy.Every: h.Interval, &c.Policy.Timeout: h.Timeout} {
		if *field, err = time.ParseDuration(text); err != nil {
			return err
		}
	}
	if c.Policy.Every <= 0 || c.Policy.Strikes <= 0 {
		return fmt.Errorf("health check every %s, %d failures: both must be positive", c.Policy.Every, c.Policy.Strikes)
	}
	return nil
}
