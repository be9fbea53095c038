package upgrade

import (
	"context"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

// tagged is a control plane whose static pods all have one tag.
type tagged struct {
	cluster.Machine
	tag string
}

func (tagged) Role() cluster.Role { return cluster.ControlPlane }
func (t tagged) ReadFile(context.Context, string) ([]byte, error) {
	return []byte("spec: {containers: [{image: 'registry.k8s.io/x:" + t.tag + "'}]}"), nil
}

// TestEtcdThatStayedIsNotThere: with force the upgrade goes on although the member is newer than what was asked for, also where Kubernetes has its version already.
func TestEtcdThatStayedIsNotThere(t *testing.T) {
	for _, from := range []string{"v1.34.4", "v1.35.4"} {
		m := &machineUpgrade{machine: "control-plane-1", from: from, version: "v1.35.4", Upgrade: &Upgrade{Spec: Spec{EtcdVersion: "v3.6.4", Force: true}, Topology: cluster.Topology{Etcd: cluster.EtcdStacked}}}
		if err := m.etcdMoved(t.Context(), tagged{tag: "3.6.5-0"}); err == nil {
			t.Errorf("from %s: etcd is at v3.6.5 and not at v3.6.4, and that is well", from)
		}
		if err := m.etcdMoved(t.Context(), tagged{tag: "3.6.4-0"}); err != nil {
			t.Errorf("from %s: %v", from, err)
		}
	}
}
