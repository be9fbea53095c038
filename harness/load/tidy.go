package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
)

// etcdPrefix is below which everything that a run writes straight to etcd is.
const etcdPrefix = "/drydock/"

// tidyWithin is how long what a run has put into a cluster may take to be gone: pods end within their grace period, a namespace is emptied first.
const tidyWithin = 2 * time.Minute

// Tidy removes from a cluster what a load has put there, the workload among it, and returns when it is gone. The load must have been stopped.
func Tidy(ctx context.Context, t *observe.Target) error {
	err := tidyEtcd(ctx, t)
	if t.Client == nil {
		return err
	}
	return errors.Join(err, cluster.Await(ctx, "the end of all that the run has made", cluster.Wait{For: tidyWithin, Every: time.Second}, func(ctx context.Context) error {
		foreground := metav1.DeletePropagationForeground
		o := metav1.DeleteOptions{PropagationPolicy: &foreground}
		return errors.Join(append(goneKinds(ctx, t, o),
			gonePiece("namespace "+observe.ClientsNamespace, t.Client.CoreV1().Namespaces().Delete(ctx, observe.ClientsNamespace, o)),
			gonePiece("the workload", t.Client.AppsV1().Deployments(metav1.NamespaceDefault).Delete(ctx, observe.WorkloadName, o)),
			gonePiece("the workload's budget", t.Client.PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault).Delete(ctx, observe.WorkloadName, o)))...)
	}))
}

// gonePiece makes of the answer to a DELETE whether the thing is gone: only who is told that there is none knows.
func gonePiece(what string, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	default:
		return fmt.Errorf("%s is being deleted", what)
	}
}

func tidyEtcd(ctx context.Context, t *observe.Target) error {
	c, err := t.Etcd.Client(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	if _, err := c.Delete(ctx, etcdPrefix, clientv3.WithPrefix()); err != nil {
		return fmt.Errorf("remove what was written to etcd: %w", err)
	}
	return nil
}
