package release

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

func TestEtcdIsWhatKubeadmSays(t *testing.T) {
	s := &Store{Dir: t.TempDir()}
	kubeadm := s.Path(Kubernetes, "v1.35.4", "kubeadm")
	if err := os.MkdirAll(filepath.Dir(kubeadm), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ says, want, fails string }{
		"its own":         {"echo registry.k8s.io/coredns/coredns:v1.13.1; echo registry.k8s.io/etcd:3.6.6-0", "v3.6.6", ""},
		"a registry port": {"echo localhost:5000/k8s/etcd:3.5.24-0", "v3.5.24", ""},
		"none":            {"echo registry.k8s.io/etcd-backup:1.0", "", "names no image of etcd"},
		"an error":        {"echo unknown flag >&2; exit 1", "", "unknown flag"},
	} {
		t.Run(name, func(t *testing.T) {
			script := "#!/bin/sh\n[ \"$*\" = 'config images list --kubernetes-version v1.35.4' ] || exit 9\n" + c.says + "\n"
			if err := os.WriteFile(kubeadm, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			got, err := s.EtcdOf(t.Context(), "v1.35.4")
			if got != c.want || (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	if tag := EtcdTag("v3.5.19"); tag != "3.5.19-0" || EtcdTagged(tag) != "v3.5.19" {
		t.Errorf("the tag of v3.5.19 is %s, and that of %s", tag, EtcdTagged(tag))
	}
}

func TestStackedEtcdIsKubeadmsUnlessItIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		etcd        cluster.EtcdLayout
		asked, want string
	}{
		"stacked": {cluster.EtcdStacked, "", ""}, "stacked, named": {cluster.EtcdStacked, "v3.5.19", "v3.5.19"}, "external": {cluster.EtcdExternal, "", "v3.6.16"},
	} {
		got, _, err := CompleteTopology(cluster.Topology{Name: "a", ControlPlanes: 1, Etcd: c.etcd, EtcdVersion: c.asked})
		if err != nil || got.EtcdVersion != c.want {
			t.Errorf("%s: etcd %q, %v", name, got.EtcdVersion, err)
		}
	}
	if _, _, err := CompleteTopology(cluster.Topology{Name: "a", ControlPlanes: 1, EtcdVersion: "v9"}); err == nil {
		t.Error("an unknown one was taken")
	}
}
