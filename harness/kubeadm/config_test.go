package kubeadm

import (
	"errors"
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

func TestExternalEtcdIsNamed(t *testing.T) {
	raw, err := render(params{EtcdEndpoints: []string{"http://10.0.0.9:2379"}}, "cluster.yaml.tmpl")
	if err != nil || !strings.Contains(string(raw), "external:") || !strings.Contains(string(raw), "- http://10.0.0.9:2379") {
		t.Fatalf("%v\n%s", err, raw)
	}
}
