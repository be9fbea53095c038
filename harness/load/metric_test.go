package load

import (
	"context"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
)

// off is a cluster of one member that is not running.
type off struct{ cluster.Cluster }

func (off) Topology() cluster.Topology {
	return cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 1}
}
func (off) Machine(string) (cluster.Machine, error) { return offMachine{}, nil }

type offMachine struct{ cluster.Machine }

func (offMachine) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, syscall.ECONNREFUSED
}

// TestAMetricIsWaitedForAsLongAsItSays: and a minute where it does not say.
func TestAMetricIsWaitedForAsLongAsItSays(t *testing.T) {
	for want, within := range map[time.Duration]time.Duration{75 * time.Second: 75 * time.Second, 5 * time.Second: 5 * time.Second, time.Minute: 0} {
		synctest.Test(t, func(t *testing.T) {
			access, err := etcd.Open(t.Context(), off{})
			if err != nil {
				t.Fatal(err)
			}
			s, begun := newScript(&observe.Target{Cluster: off{}, Etcd: access}), time.Now()
			_, err = s.send(t.Context(), Traffic{Metric: &Metric{Name: "m"}, Through: "etcd-1", Within: within})
			if took := time.Since(begun).Round(time.Second); err == nil || took != want {
				t.Errorf("within %s: %s, %v", within, took, err)
			}
		})
	}
}
