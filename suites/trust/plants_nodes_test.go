package trust

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
)

// Scenarios in which nodes are lost as planned; what is planted is what becomes of their pods.
const (
	losingNode = `
  cluster: {controlPlanes: 1, workers: 3, version: v1.35}
  workload: {replicas: 6, minAvailable: 6, kinds: [daemonSet, statefulSet, bare]}
  steps:
    - observe: 5s
    - fault: {machinePowerOff: {target: worker-1, for: 40s}}
      during: [nodeUnreachable, noEarlyEviction, podsEvicted, podsReplaced, noTwins, nodeReturns]
`
	// The control plane's node counts as one that is well, as kubeadm makes it.
	losingAll = `
  cluster: {controlPlanes: 1, workers: 3, version: v1.35}
  workload: {replicas: 6, minAvailable: 4, kinds: [daemonSet, statefulSet, bare]}
  steps:
    - observe: 5s
    - fault: {machinePowerOff: {target: workers, for: 40s, apart: 2500ms}}
      during: [nothingEvicted]
`
)

// evictions are done by somebody else than the controller whose they are.
func evictions() []plant {
	return []plant{
		{"a pod evicted before its toleration has ended", "noEarlyEviction", then(tainted, deleted("", `{}`, "pod %s on worker-1 was deleted"))},
		{"a DaemonSet's pod evicted", "noEarlyEviction", then(tainted, deleted("-daemonset", `{}`, "pod %s on worker-1 was deleted"))},
		{"a StatefulSet's pod made anew while the first may run", "noTwins", then(ending("-statefulset"), deleted("-statefulset", `{"gracePeriodSeconds":0}`, "pod %s, which was on worker-1, had a twin"))},
		{"a lost pod taken for ended", "podsEvicted", then(ending("-bare"), deleted("-bare", `{"gracePeriodSeconds":0}`, "pod %s on worker-1 was gone"))},
	}
}

// unevicted is what becomes of a node whose controller is gone when the tolerations end.
func unevicted() []plant {
	return []plant{{"no eviction", "podsEvicted", then(tainted, held("control-plane-1", observe.ControllerManager), none("was not deleted within"))}}
}

func allLost() []plant {
	return []plant{{"evictions while all workers are lost", "nothingEvicted", none("all 3 workers were lost")}}
}

// tainted waits until pods are going to be evicted from worker-1.
func tainted(ctx context.Context, p *planter) (string, error) {
	return "", cluster.Await(ctx, "worker-1 tainted", cluster.Wait{For: time.Minute, Every: 200 * time.Millisecond}, func(ctx context.Context) error {
		n, err := p.api.CoreV1().Nodes().Get(ctx, "worker-1", metav1.GetOptions{})
		if err == nil && !slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
			return t.Key == corev1.TaintNodeUnreachable && t.Effect == corev1.TaintEffectNoExecute
		}) {
			err = errors.New("it is not")
		}
		return err
	})
}

// lostPod is the workload's pod of a kind on worker-1.
func lostPod(ctx context.Context, p *planter, kind string) (*corev1.Pod, error) {
	pods, err := p.api.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: "app=" + observe.WorkloadName + kind})
	if err != nil {
		return nil, err
	}
	for i := range pods.Items {
		if pods.Items[i].Spec.NodeName == "worker-1" {
			return &pods.Items[i], nil
		}
	}
	return nil, fmt.Errorf("no pod of %s%s is on worker-1", observe.WorkloadName, kind)
}

// ending waits until it has been evicted, and a look has seen that.
func ending(kind string) planting {
	return then(func(ctx context.Context, p *planter) (string, error) {
		return "", cluster.Await(ctx, "a pod of "+kind+" evicted", cluster.Wait{For: time.Minute}, func(ctx context.Context) error {
			pod, err := lostPod(ctx, p, kind)
			if err == nil && pod.DeletionTimestamp == nil {
				err = errors.New(pod.Name + " is not")
			}
			return err
		})
	}, wait(observe.PodsEvery))
}

// deleted deletes it, and says by which words a check must name it.
func deleted(kind, how, says string) planting {
	return func(ctx context.Context, p *planter) (string, error) {
		pod, err := lostPod(ctx, p, kind)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf(says, pod.Namespace+"/"+pod.Name), p.call(ctx, "DELETE", "/api/v1/namespaces/default/pods/"+pod.Name, how)
	}
}
