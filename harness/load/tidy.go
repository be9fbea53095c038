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

// Underway is how long a write that nobody waits for any more may still be on its way in etcd with default timing: ServerConfig.ReqTimeout is 5 s and
// two election timeouts.
const Underway = 7 * time.Second

// Tidy removes from a cluster what a load has put there, the workload among it, and returns when it is gone and nothing has come for a while, which is
// Underway for a load that was killed. The load must have ended.
func Tidy(ctx context.Context, t *observe.Target, quiet time.Duration) error {
	err := tidyEtcd(ctx, t, quiet)
	if t.Client == nil {
		return err
	}
	return errors.Join(err, cluster.Await(ctx, "the end of all that the run has made", cluster.Wait{For: tidyWithin, Every: time.Second}, func(ctx context.Context) error {
		foreground := metav1.DeletePropagationForeground
		o := metav1.DeleteOptions{PropagationPolicy: &foreground}
		return errors.Join(append(goneKinds(ctx, t.Client, o),
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

// askedWithin is how long one member may take to delete: one that is down holds nothing of a run's, and is not waited for.
const askedWithin = 3 * time.Second

// tidyEtcd deletes what a run wrote straight to etcd, through every member and until nothing has come for a while: a member that was cut off may have
// taken a write before, which it hands to the leader when it is let in again, after the first that deleted.
func tidyEtcd(ctx context.Context, t *observe.Target, quiet time.Duration) error {
	var clients []*clientv3.Client
	defer func() {
		for _, c := range clients {
			_ = c.Close()
		}
	}()
	for _, m := range t.Etcd.Machines() {
		c, err := t.Etcd.Client(ctx, m)
		if err != nil {
			return err
		}
		clients = append(clients, c)
	}
	last := time.Now() // when something was there
	return cluster.Await(ctx, "what was written to etcd to be removed", cluster.Wait{For: readWithin + quiet, Every: 500 * time.Millisecond}, func(ctx context.Context) error {
		deleted, err := deleteAll(ctx, clients)
		if err != nil || deleted > 0 {
			last = time.Now()
		}
		if rest := quiet - time.Since(last); err == nil && (deleted > 0 || rest > 0) {
			err = fmt.Errorf("%d keys are deleted; writes that were on their way could come for %s", deleted, max(rest, 0).Round(time.Second))
		}
		return err
	})
}

// deleteAll deletes through all members that answer, of which there must be one.
func deleteAll(ctx context.Context, clients []*clientv3.Client) (deleted int64, err error) {
	var errs []error
	for _, c := range clients {
		ctx, cancel := context.WithTimeout(ctx, askedWithin)
		r, err := c.Delete(ctx, etcdPrefix, clientv3.WithPrefix())
		cancel()
		if err != nil {
			errs = append(errs, fmt.Errorf("%v: %w", c.Endpoints(), err))
			continue
		}
		deleted += r.Deleted
	}
	if len(errs) == len(clients) {
		return 0, errors.Join(errs...)
	}
	return deleted, nil
}
