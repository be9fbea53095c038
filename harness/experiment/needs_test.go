package experiment

import (
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/scenarios"
)

func TestNeeds(t *testing.T) {
	for name, c := range map[string]struct {
		says string
		can  []cluster.Capability
	}{
		"etcd-leader-crash":      {"3+0 machines", []cluster.Capability{cluster.CanKill}},
		"etcd-quorum-table":      {"7 etcd, 7 clusters", nil},
		"oom-panic-kernel":       {"1+3 machines, VM", []cluster.Capability{cluster.CanKernel, cluster.CanPanic}},
		"upgrade-surge":          {"1+2 machines", []cluster.Capability{cluster.CanInstall, cluster.CanScale}},
		"arm-throttled-provider": {"twin, legacy-v0.17.4, legacy-v0.18.2, cloud-provider-azure", nil},
		"aks-engine-upgrade":     {"twin, aks-engine", nil},
		"arm-throttled-addons":   {"twin, legacy-v0.17.4, cloud-provider-azure, kube-addon-manager", nil},
	} {
		n, err := loaded(t, name).Needs()
		if err != nil || !strings.Contains(n.String(), c.says) {
			t.Errorf("%s needs %q, %v; want %q", name, n, err, c.says)
		}
		for _, want := range c.can {
			if !slices.Contains(n.Capabilities, want) {
				t.Errorf("%s lacks %s among %v", name, want, n.Capabilities)
			}
		}
	}
	for _, name := range scenarios.Names() {
		if n, err := loaded(t, name).Needs(); err != nil || n.String() == "" {
			t.Errorf("%s needs %q: %v", name, n, err)
		}
	}
}
