package preflight

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// The arithmetic is Kubernetes' own. What pods may have of a node is its capacity less what is reserved for the kubelet and for the system and less the
// hard eviction threshold; the pods' cgroup holds them to that only where it is enforced, and to what is above the threshold as well
// (kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources). Below the threshold the kubelet evicts pods, those first that use more than they
// asked for; it looks every 10 s, and what grows faster is the kernel's to end
// (kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction, "node out of memory behavior").

// nodeMemory is what is known of a node's memory. Sizes are in bytes.
type nodeMemory struct {
	node                         string
	capacity, allocatable        int64
	kubelet                      *kubeletMemory // nil: it could not be asked
	onOOM, reboots               string         // vm.panic_on_oom and kernel.panic as they are now; empty: they could not be read
	pods, unlimited              int            // of its pods, those with a container that has no limit
	requests, limits, guaranteed int64
}

// kubeletMemory is what a kubelet says of its configuration.
type kubeletMemory struct {
	reserved int64 // for itself and for the system
	eviction int64 // memory.available below which it evicts at once; 0: never
	enforced bool  // pods have a cgroup of the size that is theirs
}

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

// runsOut says what becomes of the node when its memory runs out.
func (n nodeMemory) runsOut() string {
	if n.kubelet != nil && n.kubelet.enforced && n.kubelet.reserved > 0 {
		return "what its pods take beyond their part ends a process of theirs, in their own cgroup; " + n.kernel()
	}
	return n.kernel()
}

func (n nodeMemory) kernel() string {
	switch n.onOOM {
	case "":
		return "what its kernel does when memory runs out could not be read"
	case "0":
		return "when memory runs out the kernel ends one process of its choice (vm.panic_on_oom=0), first of pods without requests (oom_score_adj 1000), and nobody knows the node's state until all that it ran runs again"
	}
	then := "boots " + n.reboots + " s later (kernel.panic)"
	if n.reboots == "0" || n.reboots == "" {
		then = "stays as it is until somebody resets it (kernel.panic=0)"
	}
	return "when memory runs out the kernel panics (vm.panic_on_oom=" + n.onOOM + "): all its pods are gone at once, and the node " + then
}

// memoryAdvice warns of nodes whose memory may run out, and says of each what would come of it: while a machine is drained its pods move to the others, and
// what fits on paper by requests may be ended by limits.
func memoryAdvice(nodes []nodeMemory) []plan.Finding {
	var out []plan.Finding
	for _, n := range nodes {
		if f, short := n.short(); short {
			out = append(out, f)
		}
	}
	out = append(out, alike(nodes, func(n nodeMemory) (plan.Finding, bool) {
		bare := n.kubelet != nil && n.kubelet.reserved == 0
		return plan.Finding{
			What: "no memory is reserved for the kubelet and the system on %s", Why: "its pods may take what kubelet, runtime and sshd need: " + n.kernel(),
			Fix: fmt.Sprintf("kubeReserved and systemReserved in the kubelet's configuration: a managed node of %d MiB keeps %d MiB", n.capacity>>20, Reserved(n.capacity)>>20),
		}, bare
	})...)
	out = append(out, alike(nodes, func(n nodeMemory) (plan.Finding, bool) {
		return plan.Finding{
			What: "the kubelet evicts nothing for want of memory on %s", Why: "the kernel comes first: " + n.kernel(), Fix: "evictionHard: memory.available in the kubelet's configuration; its default is 100Mi",
		}, n.kubelet != nil && n.kubelet.eviction == 0
	})...)
	return append(out, alike(nodes, func(n nodeMemory) (plan.Finding, bool) {
		f := plan.Finding{
			What: "the kernel panics when memory runs out on %s (vm.panic_on_oom=" + n.onOOM + ", kernel.panic=" + n.reboots + ")",
			Why:  "every start of a kubelet makes that 0 and 10, those of this upgrade as well: the node would then lose one process of its kernel's choice instead",
			Fix:  "where it is wanted, set it after each start of the kubelet, as by a unit behind kubelet.service: a file in sysctl.d alone is undone",
		}
		if n.onOOM == "2" {
			f.Why = "it does so for a container that exceeds its own limit as well; and " + f.Why
		}
		return f, n.onOOM != "" && n.onOOM != "0"
	})...)
}

// alike makes one finding of those that say the same of several nodes. What has a place for their names.
func alike(nodes []nodeMemory, find func(n nodeMemory) (plan.Finding, bool)) []plan.Finding {
	names := map[plan.Finding][]string{}
	var order []plan.Finding
	for _, n := range nodes {
		f, found := find(n)
		if !found {
			continue
		}
		if names[f] == nil {
			order = append(order, f)
		}
		names[f] = append(names[f], n.node)
	}
	out := make([]plan.Finding, 0, len(order))
	for _, f := range order {
		all := names[f]
		f.Check, f.Severity, f.What = "memory", plan.Warning, fmt.Sprintf(f.What, strings.Join(all, ", "))
		out = append(out, f)
	}
	return out
}

// short: the node has promised, or allows, more than its pods may have.
func (n nodeMemory) short() (plan.Finding, bool) {
	over := max(n.limits, n.requests, n.guaranteed)
	if over <= n.allocatable {
		return plan.Finding{}, false
	}
	mib := func(b int64) string { return strconv.FormatInt(b>>20, 10) + " MiB" }
	parts := "the rest is reserved or below the eviction threshold"
	if n.kubelet != nil {
		parts = fmt.Sprintf("%s reserved, eviction below %s", mib(n.kubelet.reserved), mib(n.kubelet.eviction))
	}
	f := plan.Finding{
		Check: "memory", Severity: plan.Warning,
		What: fmt.Sprintf("the %d pods on %s may use %s by their limits (%d of them have none) and were promised %s, Guaranteed pods %s of it; of its %s they may have %s (%s)",
			n.pods, n.node, mib(n.limits), n.unlimited, mib(n.requests), mib(n.guaranteed), mib(n.capacity), mib(n.allocatable), parts),
		Why: "pods of drained machines move here; below the threshold the kubelet evicts pods, budgets or not, and what grows faster than it looks (every 10 s) is the kernel's: " + n.runsOut(),
		Fix: "lower the limits, or add a node for the time of the upgrade (workers: surge)",
	}
	if n.guaranteed > n.allocatable {
		f.Fix = "move Guaranteed pods elsewhere: they alone are above it, and nobody evicts them for using what they were promised"
	}
	return f, true
}

// memoryNow reads what the advice is made of. What a kubelet or a machine does not answer is left out of it.
func memoryNow(ctx context.Context, in *reading) ([]plan.Finding, error) {
	all := make([]nodeMemory, len(in.nodes))
	var g errgroup.Group
	for i := range in.nodes {
		g.Go(func() error {
			all[i] = in.memoryOf(ctx, &in.nodes[i])
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
	slices.SortFunc(all, func(a, b nodeMemory) int { return cmp.Compare(a.node, b.node) })
	return memoryAdvice(all), nil
}

// askFor is how long a kubelet may take to tell its configuration.
const askFor = 5 * time.Second

func (in *reading) memoryOf(ctx context.Context, node *corev1.Node) nodeMemory {
	n := podMemory(node, in.pods)
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	raw, err := in.Target.Client.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes", node.Name, "proxy/configz").DoRaw(ctx)
	if err == nil {
		n.kubelet = parseKubelet(raw, n.capacity)
	}
	if m, err := in.Target.Cluster.Machine(node.Name); err == nil {
		for file, value := range map[string]*string{cluster.PanicOnOOM: &n.onOOM, cluster.PanicReboots: &n.reboots} {
			if raw, err := m.ReadFile(ctx, file); err == nil {
				*value = strings.TrimSpace(string(raw))
			}
		}
	}
	return n
}

// podMemory sums what a node's pods asked for and may have.
func podMemory(node *corev1.Node, pods []corev1.Pod) nodeMemory {
	n := nodeMemory{node: node.Name, capacity: node.Status.Capacity.Memory().Value(), allocatable: node.Status.Allocatable.Memory().Value()}
	for i := range pods {
		p := &pods[i]
		if p.Spec.NodeName != node.Name || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		requests, limits := resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{}), resourcehelper.PodLimits(p, resourcehelper.PodResourcesOptions{})
		n.pods, n.requests, n.limits = n.pods+1, n.requests+requests.Memory().Value(), n.limits+limits.Memory().Value()
		if p.Status.QOSClass == corev1.PodQOSGuaranteed {
			n.guaranteed += limits.Memory().Value()
		}
		whole := p.Spec.Resources != nil && !p.Spec.Resources.Limits.Memory().IsZero() // the pod has a limit as one
		if !whole && slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool { return c.Resources.Limits.Memory().IsZero() }) {
			n.unlimited++
		}
	}
	return n
}

// parseKubelet reads the answer of a kubelet's /configz; nil: it is none.
func parseKubelet(raw []byte, capacity int64) *kubeletMemory {
	var said struct {
		Config *struct {
			Kube     map[string]string `json:"kubeReserved"`
			System   map[string]string `json:"systemReserved"`
			Eviction map[string]string `json:"evictionHard"`
			Enforce  []string          `json:"enforceNodeAllocatable"`
		} `json:"kubeletconfig"`
	}
	if json.Unmarshal(raw, &said) != nil || said.Config == nil {
		return nil
	}
	c := said.Config
	return &kubeletMemory{
		reserved: amount(c.Kube["memory"], capacity) + amount(c.System["memory"], capacity), eviction: amount(c.Eviction["memory.available"], capacity),
		enforced: slices.Contains(c.Enforce, "pods"),
	}
}

// amount reads a quantity, or a percentage of the capacity as thresholds may be; nothing is 0.
func amount(s string, capacity int64) int64 {
	if percent, ok := strings.CutSuffix(s, "%"); ok {
		p, err := strconv.ParseFloat(percent, 64)
		if err != nil {
			return 0
		}
		return int64(float64(capacity) * p / 100)
	}
	q, err := resource.ParseQuantity(s)
	if err != nil {
		return 0
	}
	return q.Value()
}
