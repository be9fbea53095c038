package kubeadm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
)

// stopWithin is how long a kubelet may take to end a static pod whose manifest is gone.
const stopWithin = 2 * time.Minute

// RestoreEtcd takes the whole of etcd back to a snapshot: all writes since are lost. Every API server and every member is stopped first, because
// a member that still ran would be of another cluster, and an API server would serve from its cache what no longer is. The data from before
// stays beside the new on each machine (etcd.ReplacedDir and a mark). After an interrupt a second call starts over.
// Source: etcd's "Disaster recovery" and Kubernetes' "Restoring an etcd cluster".
func RestoreEtcd(ctx context.Context, c cluster.Cluster, snapshot string) error {
	if err := etcd.CheckSnapshot(snapshot); err != nil {
		return err
	}
	data, err := os.ReadFile(snapshot)
	if err != nil {
		return fmt.Errorf("restore etcd: %w", err)
	}
	t := c.Topology()
	members, servers := t.EtcdMachines(), t.ControlPlaneMachines()
	stacked := t.Etcd == cluster.EtcdStacked
	sum := sha256.Sum256(data)
	mark := hex.EncodeToString(sum[:6])
	steps := []struct {
		what string
		on   []string
		do   func(ctx context.Context, m cluster.Machine) error
	}{
		{"stop the API servers", servers, func(ctx context.Context, m cluster.Machine) error { return stopPod(ctx, m, "kube-apiserver") }},
		{"stop the members", members, func(ctx context.Context, m cluster.Machine) error {
			if stacked {
				return stopPod(ctx, m, etcd.Program)
			}
			_, err := cluster.Shell(ctx, m, "systemctl stop etcd")
			return err
		}},
		{"restore", members, func(ctx context.Context, m cluster.Machine) error {
			return etcd.Restore(ctx, c, m, snapshot, members, mark)
		}},
		{"start the members", members, func(ctx context.Context, m cluster.Machine) error {
			if stacked {
				return startPod(ctx, m, etcd.Program)
			}
			_, err := cluster.Shell(ctx, m, "systemctl start etcd")
			return err
		}},
		{"start the API servers", servers, func(ctx context.Context, m cluster.Machine) error { return startPod(ctx, m, "kube-apiserver") }},
	}
	for _, s := range steps {
		if err := each(ctx, c, s.on, s.do); err != nil {
			return fmt.Errorf("restore etcd: %s: %w", s.what, err)
		}
	}
	return nil
}

// each does something on several machines at once. All are waited for, so that none is half-way when the error is told.
func each(ctx context.Context, c cluster.Cluster, machines []string, do func(context.Context, cluster.Machine) error) error {
	var g errgroup.Group
	for _, name := range machines {
		g.Go(func() error {
			m, err := c.Machine(name)
			if err != nil {
				return err
			}
			return do(ctx, m)
		})
	}
	return g.Wait()
}

// StopPods takes a static pod off machines, all at once. Idempotent; its kubelet must run.
func StopPods(ctx context.Context, c cluster.Cluster, machines []string, name string) error {
	return each(ctx, c, machines, func(ctx context.Context, m cluster.Machine) error { return stopPod(ctx, m, name) })
}

// StartPods gives it back; each kubelet does the rest. Idempotent.
func StartPods(ctx context.Context, c cluster.Cluster, machines []string, name string) error {
	return each(ctx, c, machines, func(ctx context.Context, m cluster.Machine) error { return startPod(ctx, m, name) })
}

// stopPod takes a static pod's manifest away and waits for its process to end, which takes an API server half a minute. To kill it would be quicker, and a
// kubelet that has not heard of the manifest's end yet would start it again behind our back.
func stopPod(ctx context.Context, m cluster.Machine, name string) error {
	file := name + ".yaml"
	_, err := cluster.Shell(ctx, m, fmt.Sprintf("mkdir -p %[1]s; if test -e %[2]s/%[3]s; then mv -f %[2]s/%[3]s %[1]s/%[3]s; fi", etcd.StoppedDir, ManifestDir, file))
	if err != nil {
		return err
	}
	f, err := cluster.As[cluster.Freezer](m)
	if err != nil {
		return err
	}
	return cluster.Await(ctx, fmt.Sprintf("the end of %s on %s", name, m.Name()), cluster.Wait{For: stopWithin}, func(ctx context.Context) error {
		state, err := f.State(ctx, name)
		if err == nil && state != "" {
			err = errors.New("it still runs")
		}
		return err
	})
}

// startPod gives the manifest back; its kubelet does the rest.
func startPod(ctx context.Context, m cluster.Machine, name string) error {
	_, err := cluster.Shell(ctx, m, fmt.Sprintf("if test -e %[1]s/%[3]s.yaml; then mv -f %[1]s/%[3]s.yaml %[2]s/%[3]s.yaml; fi; rmdir %[1]s 2>/dev/null || true", etcd.StoppedDir, ManifestDir, name))
	return err
}
