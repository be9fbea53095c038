package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

func (u *Upgrade) snapshotFile(version string) string {
	return filepath.Join(u.Dir, fmt.Sprintf("etcd-before-%s.db", version))
}

// snapshot saves etcd before a hop. One that is there already was saved before the hop began, and a later one would be of a half-upgraded
// cluster, so it is kept.
func (u *Upgrade) snapshot(ctx context.Context, version string) error {
	file := u.snapshotFile(version)
	err := etcd.CheckSnapshot(file)
	if err == nil {
		return fmt.Errorf("%w: %s was saved before", plan.ErrSkip, file)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
	}
	return u.Target.Etcd.Snapshot(ctx, u.Target.Members, file)
}

// The cluster autoscaler, where its own documentation puts it, and the annotation that remembers its replicas on the object itself.
const (
	autoscaler     = "cluster-autoscaler"
	PausedReplicas = "drydock.dev/paused-replicas"
)

// pauseAutoscaler scales the cluster autoscaler to nothing: a node list that changes under an upgrade breaks it.
func (u *Upgrade) pauseAutoscaler(ctx context.Context) error {
	return u.scaleAutoscaler(ctx, func(d *appsv1.Deployment) string {
		if d.Annotations[PausedReplicas] != "" || d.Spec.Replicas == nil || *d.Spec.Replicas == 0 {
			return ""
		}
		return fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d"}},"spec":{"replicas":0}}`, PausedReplicas, *d.Spec.Replicas)
	})
}

// resumeAutoscaler gives it its replicas back.
func (u *Upgrade) resumeAutoscaler(ctx context.Context) error {
	if u.Target == nil {
		return fmt.Errorf("%w: nothing was paused", plan.ErrSkip)
	}
	return u.scaleAutoscaler(ctx, func(d *appsv1.Deployment) string {
		n, err := strconv.Atoi(d.Annotations[PausedReplicas])
		if err != nil {
			return ""
		}
		return fmt.Sprintf(`{"metadata":{"annotations":{%q:null}},"spec":{"replicas":%d}}`, PausedReplicas, n)
	})
}

func (u *Upgrade) scaleAutoscaler(ctx context.Context, patch func(d *appsv1.Deployment) string) error {
	deployments := u.Target.Client.AppsV1().Deployments(metav1.NamespaceSystem)
	there := true
	err := cluster.Await(ctx, "scale the cluster autoscaler", cluster.Wait{For: 30 * time.Second}, func(ctx context.Context) error {
		d, err := deployments.Get(ctx, autoscaler, metav1.GetOptions{})
		if there = !apierrors.IsNotFound(err); !there {
			return nil
		}
		if err != nil {
			return err
		}
		if p := patch(d); p != "" {
			_, err = deployments.Patch(ctx, autoscaler, types.MergePatchType, []byte(p), metav1.PatchOptions{})
		}
		return err
	})
	if err == nil && !there {
		return fmt.Errorf("%w: the cluster has no %s", plan.ErrSkip, autoscaler)
	}
	return err
}

// command runs the user's own upgrade program. Its environment says what to do it to (docs: `drydock upgrade --help`).
func (u *Upgrade) command(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, u.Spec.Command[0], u.Spec.Command[1:]...)
	cmd.Env = append(append(os.Environ(), u.Env...),
		"DRYDOCK_CLUSTER="+u.Topology.Name, "DRYDOCK_FROM="+u.Path.From, "DRYDOCK_TO="+u.Spec.To, "DRYDOCK_PATH="+strings.Join(u.Path.Hops, ","),
		"DRYDOCK_CONTROL_PLANES="+strings.Join(u.Topology.ControlPlaneMachines(), ","), "DRYDOCK_WORKERS="+strings.Join(u.Topology.WorkerMachines(), ","))
	// A program that starts others must not keep us waiting for its grandchildren's output after it was stopped.
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if writeErr := os.WriteFile(filepath.Join(u.Dir, "command.log"), out, 0o600); writeErr != nil {
		err = errors.Join(err, writeErr)
	}
	if err != nil {
		const tail = 2000
		return fmt.Errorf("%s: %w:\n%s", strings.Join(u.Spec.Command, " "), err, out[max(0, len(out)-tail):])
	}
	return nil
}
