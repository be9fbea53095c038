package fault

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
)

func TestWhereEtcdCanBeFilled(t *testing.T) {
	for name, c := range map[string]struct {
		t    cluster.Topology
		says string // empty: it can
	}{
		"a small quota":    {cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3, EtcdQuota: 32 << 20}, ""},
		"etcd's own quota": {cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3}, "2Gi"},
		"a large quota":    {cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3, EtcdQuota: 1 << 30}, "128Mi"},
		"Kubernetes":       {cluster.Topology{ControlPlanes: 3, EtcdQuota: 32 << 20}.Complete(), "etcd: only"},
	} {
		_, err := NewSpec("etcdNoSpace", Leader, 0, Params{}, c.t, rand.New(rand.NewPCG(1, 1)))
		var usage *cluster.UsageError
		if c.says == "" && err != nil || c.says != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTightDatabases(t *testing.T) {
	const quota = 32 << 20
	for size, fine := range map[int64]bool{0: true, quota / 2: true, quota/2 + 1: false, quota: false} {
		err := tight([]etcd.Member{{Machine: "a"}, {Machine: "b", DBSize: size}}, quota)
		if (err == nil) != fine || err != nil && !strings.Contains(err.Error(), "member on b") {
			t.Errorf("%d: %v", size, err)
		}
	}
}
