package health

import (
	"fmt"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
)

// Settled says why the cluster is not whole: members that do not agree, API servers or nodes that are not ready.
func Settled(o observe.Observation, t cluster.Topology) error {
	if err := etcd.Agree(o.Members); err != nil {
		return err
	}
	if !t.Kubernetes() {
		return nil
	}
	for _, s := range o.APIServers {
		if s.Ready != "" {
			return fmt.Errorf("API server: %s", s.Ready)
		}
	}
	ready := 0
	for _, n := range o.Nodes {
		if !n.Ready {
			return fmt.Errorf("node %s is not ready", n.Name)
		}
		ready++
	}
	if want := t.ControlPlanes + t.Workers; ready != want {
		return fmt.Errorf("%d of %d nodes are ready", ready, want)
	}
	return nil
}

// isVersion reports whether a version is the wanted one, vX.Y or vX.Y.Z.
func isVersion(v, want string) bool { return v == want || strings.HasPrefix(v, want+".") }

// LeasesHeld says which component has no leader now: its lease is missing, empty or run out.
func LeasesHeld(o observe.Observation) error {
	held := map[string]bool{}
	for _, l := range o.Leases {
		held[l.Component] = l.Holder != "" && o.Time.Sub(l.Renewed) <= l.Duration
	}
	for _, name := range kubeadm.Leases() {
		if !held[name] {
			return fmt.Errorf("%s has no leader", name)
		}
	}
	return nil
}
