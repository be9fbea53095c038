package preflight

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"drydock.dev/drydock/harness/upgrade/policy"
)

// evictionThreshold is the memory a managed node keeps free before it evicts pods (memory.available of AKS and GKE nodes).
var evictionThreshold = resource.MustParse("750Mi") //nolint:gochecknoglobals // a constant quantity

// Reserved is the memory a managed node keeps for its system: 25 % of the first 4 GiB, 20 % of the next 4, 10 % of the
// next 8, 6 % of the next 112 and 2 % of what is above (AKS' "resource reservations"), in bytes.
func Reserved(capacity int64) int64 {
	const gib = 1 << 30
	var reserved int64
	for _, band := range []struct{ size, percent int64 }{{4 * gib, 25}, {4 * gib, 20}, {8 * gib, 10}, {112 * gib, 6}, {1 << 62, 2}} {
		part := min(capacity, band.size)
		reserved += part / 100 * band.percent
		if capacity -= part; capacity == 0 {
			break
		}
	}
	return reserved
}

// memoryBudget warns of nodes whose pods may use more than the node has left: while a machine is drained its pods move to the others, and what
// fits on paper by requests may be killed by limits.
func memoryBudget(nodes []corev1.Node, pods []corev1.Pod) []policy.Finding {
	limits := map[string]int64{}
	for i := range pods {
		p := &pods[i]
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, c := range p.Spec.Containers {
			limits[p.Spec.NodeName] += c.Resources.Limits.Memory().Value()
		}
	}
	var out []policy.Finding
	for i := range nodes {
		n := &nodes[i]
		capacity := n.Status.Capacity.Memory().Value()
		usable := capacity - Reserved(capacity) - evictionThreshold.Value()
		if limits[n.Name] <= usable {
			continue
		}
		out = append(out, policy.Finding{
			Check: "memory budget", Severity: policy.Warning,
			What: fmt.Sprintf("pods on %s may use %d MiB, and %d of its %d MiB are left for pods", n.Name, limits[n.Name]>>20, max(usable, 0)>>20, capacity>>20),
			Why:  "pods of drained machines move here; above the eviction threshold the kubelet kills pods, budgets or not",
			Fix:  "lower the limits, or add a node for the time of the upgrade (workers: surge)",
		})
	}
	return out
}
