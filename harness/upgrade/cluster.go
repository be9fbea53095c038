package upgrade

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

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

// commandGrace is how long the user's program may take to end when it is asked to.
const commandGrace = 30 * time.Second

// command runs the user's own upgrade program. Its environment says what to do it to (docs: `drydock upgrade --help`).
func (u *Upgrade) command(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, u.Spec.Command[0], u.Spec.Command[1:]...)
	cmd.Env = append(append(os.Environ(), u.Env...),
		"DRYDOCK_CLUSTER="+u.Topology.Name, "DRYDOCK_FROM="+u.Path.From, "DRYDOCK_TO="+u.Spec.To, "DRYDOCK_PATH="+strings.Join(u.Path.Hops, ","),
		"DRYDOCK_CONTROL_PLANES="+strings.Join(u.Topology.ControlPlaneMachines(), ","), "DRYDOCK_WORKERS="+strings.Join(u.Topology.WorkerMachines(), ","))
	// An upgrade that is killed leaves machines half-way: it is asked to end, and killed when it does not. Nor must a program that starts others
	// keep us waiting for its grandchildren's output.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = commandGrace
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
