package trust

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubectl/pkg/util/podutils"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
)

// ownPod is a pod on worker-1 that no controller has, like one of the workload's but for what is more of its spec, and of its program's arguments.
func ownPod(name, spec, args string) planting {
	return api("POST", "/api/v1/namespaces/default/pods", fmt.Sprintf(`{"metadata":{"name":%q},"spec":{"nodeName":"worker-1",%s"containers":[{"name":"serve","image":"drydock/workload",
		"imagePullPolicy":"IfNotPresent","args":["serve","--listen",":8080"%s],"readinessProbe":{"periodSeconds":1,"httpGet":{"port":8080}}}]}}`, name, spec, args), "")
}

// gated says whether a pod passes its readiness gate, and leaves to its kubelet what it says of the pod.
func gated(name, word, culprit string) planting {
	return func(ctx context.Context, p *planter) (string, error) {
		gate := fmt.Appendf(nil, `{"status":{"conditions":[{"type":"example.com/planted","status":%q}]}}`, word) // one of the list, by its type
		return culprit, cluster.Await(ctx, "the readiness gate of pod "+name, cluster.Wait{For: seconds}, func(ctx context.Context) error {
			_, err := p.api.CoreV1().Pods(metav1.NamespaceDefault).Patch(ctx, name, types.StrategicMergePatchType, gate, metav1.PatchOptions{}, "status")
			return err
		})
	}
}

// readiness waits until a pod is Ready, or is not.
func readiness(name string, want bool) planting {
	return func(ctx context.Context, p *planter) (string, error) {
		return "", cluster.Await(ctx, fmt.Sprintf("Ready of pod %s %t", name, want), cluster.Wait{For: seconds}, func(ctx context.Context) error {
			pod, err := p.api.CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
			if err == nil && podutils.IsPodReady(pod) != want {
				err = errors.New("it is not so")
			}
			return err
		})
	}
}

// unreadyPod has a pod Ready until looks have seen it so, and then not for a moment, while its program answers its probe.
func unreadyPod(name string) planting {
	return then(ownPod(name, `"readinessGates":[{"conditionType":"example.com/planted"}],`, ""), gated(name, "True", ""), readiness(name, true), wait(2*observe.PodsEvery),
		gated(name, "False", ""), readiness(name, false), gated(name, "True", "pod default/"+name+" on worker-1 was Ready"))
}

// endingPod has a program end by itself and be started anew, until looks have seen that; a cluster with such a pod is not well.
func endingPod(name string) planting {
	return then(ownPod(name, "", `,"--for","5s"`), readiness(name, true), readiness(name, false), readiness(name, true), wait(2*observe.PodsEvery),
		api("DELETE", "/api/v1/namespaces/default/pods/"+name, "", "the containers of pod default/"+name+" on worker-1 were started anew"))
}
