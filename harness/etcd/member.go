package etcd

import (
	"context"
	"fmt"

	"drydock.dev/drydock/harness/cluster"
)

// Program is etcd's process name.
const Program = "etcd"

// manifest is a member's static pod, where kubeadm made it; otherwise it is the systemd unit etcd.
const manifest = "/etc/kubernetes/manifests/etcd.yaml"

// StoppedDir is where manifests lie while their static pods are to be down; the kubelet does not look there.
const StoppedDir = "/etc/kubernetes/drydock-stopped"

// Start has a member's supervisor run it where somebody has stopped it: a unit is started, a static pod's kubelet needs no telling. Idempotent.
func Start(ctx context.Context, m cluster.Machine) error {
	_, err := cluster.Shell(ctx, m, "test -e "+manifest+" || systemctl start "+Program)
	return err
}

// Wipe removes a held member's data.
func Wipe(ctx context.Context, m cluster.Machine) error {
	_, err := cluster.Shell(ctx, m, "rm -rf "+DataDir+"/member")
	return err
}

// Wiped says why a member's data is not gone.
func Wiped(ctx context.Context, m cluster.Machine) error {
	if _, err := cluster.Shell(ctx, m, "test ! -e "+DataDir+"/member"); err != nil {
		return fmt.Errorf("%s still has %s/member: %w", m.Name(), DataDir, err)
	}
	return nil
}
