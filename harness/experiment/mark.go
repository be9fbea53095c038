package experiment

import (
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
)

// What every worker carries during a run, so that there is something to lose.
const (
	markKey = "example.com/marked" // of a label and of a harmless taint
	noteKey = "example.com/note"   // of an annotation
)

// excludeKey is a label of nodes that the node life cycle controller leaves out when it asks whether all nodes are lost, whatever its value (pkg/controller/
// nodelifecycle of Kubernetes); excludeValue says who put it there.
const (
	excludeKey   = "node.kubernetes.io/exclude-disruption"
	excludeValue = "drydock"
)

// mark puts it on every worker.
func (c *cellRun) mark(ctx context.Context) error {
	taint := corev1.Taint{Key: markKey, Value: "yes", Effect: corev1.TaintEffectPreferNoSchedule}
	t := c.topology()
	if c.scenario.Spec.Cluster.ExcludeDisruption {
		if err := eachNode(ctx, c.target, t.ControlPlaneMachines(), "mark", func(n *corev1.Node) {
			if _, there := n.Labels[excludeKey]; !there {
				metav1.SetMetaDataLabel(&n.ObjectMeta, excludeKey, excludeValue)
			}
		}); err != nil {
			return err
		}
	}
	return eachNode(ctx, c.target, t.WorkerMachines(), "mark", func(n *corev1.Node) {
		metav1.SetMetaDataLabel(&n.ObjectMeta, markKey, "yes")
		metav1.SetMetaDataAnnotation(&n.ObjectMeta, noteKey, "kept")
		if !slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) }) {
			n.Spec.Taints = append(n.Spec.Taints, taint)
		}
	})
}

// unmark takes it away again. A worker that is gone has nothing to be taken away.
func (c *cellRun) unmark(ctx context.Context, t *observe.Target) error {
	if t.Client == nil {
		return nil
	}
	return eachNode(ctx, t, c.topology().KubernetesMachines(), "take the mark from", func(n *corev1.Node) {
		if n.Labels[excludeKey] == excludeValue {
			delete(n.Labels, excludeKey)
		}
		delete(n.Labels, markKey)
		delete(n.Annotations, noteKey)
		n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == markKey })
	})
}

// eachNode changes the Node of every machine that has one, whatever else changes it meanwhile.
func eachNode(ctx context.Context, t *observe.Target, machines []string, verb string, change func(n *corev1.Node)) error {
	nodes := t.Client.CoreV1().Nodes()
	var errs []error
	for _, m := range machines {
		errs = append(errs, cluster.Await(ctx, verb+" node "+m, cluster.Wait{For: 30 * time.Second}, func(ctx context.Context) error {
			n, err := nodes.Get(ctx, m, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			if err != nil {
				return err
			}
			change(n)
			_, err = nodes.Update(ctx, n, metav1.UpdateOptions{})
			return err
		}))
	}
	return errors.Join(errs...)
}
