package preflight

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/plan"
)

func TestReserved(t *testing.T) {
	const gib = 1 << 30
	for capacity, want := range map[int64]float64{4 * gib: 1, 8 * gib: 1.8, 16 * gib: 2.6, 128 * gib: 9.32, 228 * gib: 11.32} {
		if got := float64(Reserved(capacity)) / gib; got < want-0.01 || got > want+0.01 {
			t.Errorf("of %d GiB %.2f GiB are reserved, want %.2f", capacity/gib, got, want)
		}
	}
}

func TestMemoryAdvice(t *testing.T) {
	const mib = 1 << 20
	well := nodeMemory{
		node: "a", capacity: 4096 * mib, allocatable: 2972 * mib, onOOM: "0", reboots: "10", pods: 3, requests: 1000 * mib, limits: 2000 * mib, guaranteed: 500 * mib,
		kubelet: &kubeletMemory{reserved: 1024 * mib, eviction: 100 * mib, enforced: true},
	}
	type says struct{ what, why, fix string }
	for name, c := range map[string]struct {
		change func(n *nodeMemory)
		want   []says
	}{
		"well": {func(*nodeMemory) {}, nil},
		"limits above what is theirs, enforced": {func(n *nodeMemory) { n.limits, n.unlimited = 3000*mib, 1 }, []says{{
			"the 3 pods on a may use 3000 MiB by their limits (1 of them have none) and were promised 1000 MiB, Guaranteed pods 500 MiB of it; of its 4096 MiB they may have 2972 MiB (1024 MiB reserved, eviction below 100 MiB)",
			"in their own cgroup", "lower the limits",
		}}},
		"not enforced, the kernel chooses": {func(n *nodeMemory) { n.limits, n.kubelet.enforced = 3000*mib, false }, []says{{"may use 3000 MiB", "looks (every 10 s) is the kernel's: when memory runs out the kernel ends one process of its choice (vm.panic_on_oom=0)", ""}}},
		"not enforced, the kernel panics": {func(n *nodeMemory) { n.limits, n.kubelet.enforced, n.onOOM, n.reboots = 3000*mib, false, "1", "5" }, []says{
			{"may use 3000 MiB", "the kernel panics (vm.panic_on_oom=1): all its pods are gone at once, and the node boots 5 s later", ""},
			{"the kernel panics when memory runs out on a (vm.panic_on_oom=1, kernel.panic=5)", "every start of a kubelet makes that 0 and 10", "sysctl.d alone is undone"},
		}},
		"a panic that nothing ends":   {func(n *nodeMemory) { n.kubelet.reserved, n.onOOM, n.reboots = 0, "1", "0" }, []says{{"no memory is reserved", "stays as it is until somebody resets it", ""}, {"the kernel panics", "", ""}}},
		"a panic for a container":     {func(n *nodeMemory) { n.onOOM = "2" }, []says{{"the kernel panics", "for a container that exceeds its own limit as well", ""}}},
		"Guaranteed pods above it":    {func(n *nodeMemory) { n.guaranteed, n.limits = 3000*mib, 3000*mib }, []says{{"Guaranteed pods 3000 MiB of it", "", "move Guaranteed pods elsewhere"}}},
		"nothing reserved":            {func(n *nodeMemory) { n.kubelet.reserved = 0 }, []says{{"no memory is reserved for the kubelet and the system on a", "the kernel ends one process", "a managed node of 4096 MiB keeps 1023 MiB"}}},
		"no eviction":                 {func(n *nodeMemory) { n.kubelet.eviction = 0 }, []says{{"evicts nothing for want of memory on a", "", "evictionHard"}}},
		"the kubelet does not answer": {func(n *nodeMemory) { n.kubelet, n.onOOM, n.limits = nil, "", 3000*mib }, []says{{"the rest is reserved or below the eviction threshold", "could not be read", ""}}},
	} {
		n := well
		k := *well.kubelet
		n.kubelet = &k
		c.change(&n)
		found := memoryAdvice([]nodeMemory{n})
		if len(found) != len(c.want) {
			t.Errorf("%s: %d findings: %+v", name, len(found), found)
			continue
		}
		for i, f := range found {
			if w := c.want[i]; f.Check != "memory" || f.Severity != plan.Warning || !strings.Contains(f.What, w.what) || !strings.Contains(f.Why, w.why) || !strings.Contains(f.Fix, w.fix) {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
	other := well
	other.node, other.kubelet = "b", &kubeletMemory{eviction: mib}
	third := other
	third.node = "c"
	if found := memoryAdvice([]nodeMemory{well, other, third}); len(found) != 1 || !strings.HasSuffix(found[0].What, " on b, c") {
		t.Errorf("what is so on two nodes is told once: %+v", found)
	}
}

func TestWhatPodsMayUseIsSummed(t *testing.T) {
	pod := func(node, request, limit string, qos corev1.PodQOSClass, phase corev1.PodPhase) corev1.Pod {
		c := corev1.Container{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}}
		for list, q := range map[*corev1.ResourceList]string{&c.Resources.Requests: request, &c.Resources.Limits: limit} {
			if q != "" {
				(*list)[corev1.ResourceMemory] = resource.MustParse(q)
			}
		}
		return corev1.Pod{Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{c}}, Status: corev1.PodStatus{QOSClass: qos, Phase: phase}}
	}
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: corev1.NodeStatus{
		Capacity: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("4Gi")}, Allocatable: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("3Gi")},
	}}
	got := podMemory(&node, []corev1.Pod{
		pod("a", "1Gi", "1Gi", corev1.PodQOSGuaranteed, corev1.PodRunning), pod("a", "100Mi", "", corev1.PodQOSBurstable, corev1.PodRunning),
		pod("a", "", "", corev1.PodQOSBestEffort, corev1.PodPending), pod("a", "5Gi", "5Gi", corev1.PodQOSGuaranteed, corev1.PodSucceeded), pod("b", "5Gi", "5Gi", corev1.PodQOSGuaranteed, corev1.PodRunning),
	})
	want := nodeMemory{node: "a", capacity: 4 << 30, allocatable: 3 << 30, pods: 3, unlimited: 2, requests: 1124 << 20, limits: 1 << 30, guaranteed: 1 << 30}
	if got != want {
		t.Errorf("%+v", got)
	}
}

func TestAKubeletsConfigurationIsRead(t *testing.T) {
	got := parseKubelet([]byte(`{"kubeletconfig":{"kubeReserved":{"memory":"1Gi"},"systemReserved":{"memory":"512Mi","cpu":"100m"},"evictionHard":{"memory.available":"5%"},"enforceNodeAllocatable":["pods"]}}`), 4<<30)
	if got == nil || *got != (kubeletMemory{reserved: 1536 << 20, eviction: (4 << 30) / 20, enforced: true}) {
		t.Errorf("%+v", got)
	}
	if got := parseKubelet([]byte(`{"kubeletconfig":{"evictionHard":{"memory.available":"100Mi"},"enforceNodeAllocatable":["none"]}}`), 4<<30); got == nil || *got != (kubeletMemory{eviction: 100 << 20}) {
		t.Errorf("%+v", got)
	}
	for _, none := range []string{"", "404 page not found", "{}"} {
		if got := parseKubelet([]byte(none), 1); got != nil {
			t.Errorf("%q: %+v", none, got)
		}
	}
}
