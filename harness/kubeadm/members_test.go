package kubeadm

import (
	"context"
	"errors"
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

// home is a cluster of one control plane.
type home struct{ cluster.Cluster }

func (home) Topology() cluster.Topology {
	return cluster.Topology{Etcd: cluster.EtcdStacked, ControlPlanes: 1}
}
func (home) Profile() cluster.Profile { return cluster.Profile{Programs: "/usr/bin"} }

// tools is a control plane of which is known what it answers when it is asked for etcd on its PATH.
type tools struct {
	cluster.Machine
	answer string
	err    error
}

func (m tools) Role() cluster.Role { return cluster.ControlPlane }
func (m tools) Exec(context.Context, cluster.Command) (cluster.Result, error) {
	return cluster.Result{Stdout: m.answer}, m.err
}

var errManifest = errors.New("its manifest was asked for")

func (m tools) ReadFile(context.Context, string) ([]byte, error) { return nil, errManifest }

// TestToolsOfEtcdFollow: where somebody has put them there, they are to be of the member's own release; a machine that does not answer has not said that nobody has.
func TestToolsOfEtcdFollow(t *testing.T) {
	silent := &cluster.ExecError{Machine: "control-plane-1", Code: -1, Cause: context.DeadlineExceeded}
	for name, c := range map[string]struct {
		machine tools
		want    error
	}{
		"nobody has put them there": {tools{}, nil},
		"they are there":            {tools{answer: "/usr/bin/etcd\n"}, errManifest},
		"no answer":                 {tools{err: silent}, silent},
	} {
		if err := FollowEtcd(t.Context(), home{}, c.machine); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
