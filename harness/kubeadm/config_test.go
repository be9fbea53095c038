package kubeadm

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"drydock.dev/drydock/harness/cluster"
)

func TestTemplatesAreYAMLAndTimingIsConsistent(t *testing.T) {
	for _, timing := range []cluster.Timing{cluster.TimingFast, cluster.TimingProduction} {
		p := params{Version: "v1.35.4", Endpoint: "10.0.0.1:6443", Fast: timing == cluster.TimingFast, Lease: Lease(timing), Name: "m", ControlPlane: true}
		raw, err := render(p, "init.yaml.tmpl", "cluster.yaml.tmpl")
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]map[string]any{}
		for d := yaml.NewDecoder(strings.NewReader(string(raw))); ; {
			var doc map[string]any
			if err := d.Decode(&doc); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", timing, err, raw)
			}
			kinds[doc["kind"].(string)] = doc
		}
		for _, k := range []string{"InitConfiguration", "ClusterConfiguration", "KubeletConfiguration"} {
			if kinds[k] == nil {
				t.Errorf("%s: no %s", timing, k)
			}
		}
		_, shrunk := kinds["KubeletConfiguration"]["nodeLeaseDurationSeconds"]
		if graced := strings.Contains(string(raw), "node-monitor-grace-period"); graced != shrunk || graced != p.Fast {
			t.Errorf("%s: grace period shrunk %v, kubelet's lease shrunk %v: nodes would flap", timing, graced, shrunk)
		}
		if l := p.Lease; l.Renew >= l.Duration || l.Retry >= l.Renew {
			t.Errorf("%s: %+v: client-go wants duration > renew > retry", timing, l)
		}
	}
}

// TestNodeLossIsAsConfigured: checks expect what clusters are made with.
func TestNodeLossIsAsConfigured(t *testing.T) {
	raw, err := render(params{Fast: true}, "cluster.yaml.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	n := NodeLoss(cluster.TimingFast)
	for _, want := range []string{
		fmt.Sprintf("node-monitor-grace-period, value: %s}", n.Grace), fmt.Sprintf("node-monitor-period, value: %s}", n.Monitor),
		fmt.Sprintf("default-unreachable-toleration-seconds, value: \"%.0f\"}", n.Toleration.Seconds()), fmt.Sprintf("nodeLeaseDurationSeconds: %.0f\n", n.Lease.Seconds()),
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %q in\n%s", want, raw)
		}
	}
	for _, timing := range []cluster.Timing{cluster.TimingFast, cluster.TimingProduction} {
		if n := NodeLoss(timing); n.Renew != n.Lease/4 || n.Grace < 5*n.Renew {
			t.Errorf("%s: %+v: healthy nodes would flap", timing, n)
		}
	}
}

func TestExternalEtcdIsNamed(t *testing.T) {
	raw, err := render(params{EtcdEndpoints: []string{"http://10.0.0.9:2379"}}, "cluster.yaml.tmpl")
	if err != nil || !strings.Contains(string(raw), "external:") || !strings.Contains(string(raw), "- http://10.0.0.9:2379") {
		t.Fatalf("%v\n%s", err, raw)
	}
}

// TestTheMembersAreOfTheVersionAskedFor: by the tag of their image, and without a flag that their release does not know.
func TestTheMembersAreOfTheVersionAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		top          cluster.Topology
		has, hasNone string
	}{
		"kubeadm's own":          {cluster.Topology{Version: "v1.35.4"}, "InitialCorruptCheck=false", "imageTag"},
		"before gates":           {cluster.Topology{Version: "v1.33.13"}, "", "\netcd:"},
		"named":                  {cluster.Topology{Version: "v1.33.13", EtcdVersion: "v3.6.4"}, "imageTag: 3.6.4-0\n    extraArgs:", ""},
		"named, before gates":    {cluster.Topology{Version: "v1.34.4", EtcdVersion: "v3.5.19"}, "imageTag: 3.5.19-0\n---", "feature-gates"},
		"production keeps a tag": {cluster.Topology{Version: "v1.35.4", EtcdVersion: "v3.6.4", Timing: cluster.TimingProduction}, "imageTag: 3.6.4-0\n---", "feature-gates"},
	} {
		c.top.ControlPlanes = 1
		raw, err := Cluster(c.top.Complete(), cluster.Profile{})
		if err != nil || !strings.Contains(string(raw), c.has) || c.hasNone != "" && strings.Contains(string(raw), c.hasNone) {
			t.Errorf("%s: %v\n%s", name, err, raw)
		}
	}
}
