package remedy

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/plan"
)

// aNode is worker-1's as its conditions say, well unless changed.
func aNode(change ...func(n *corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-1"}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse}, {Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	for _, c := range change {
		c(n)
	}
	return n
}

func unready(n *corev1.Node) {
	n.Status.Conditions[1].Status, n.Status.Conditions[1].Message = corev1.ConditionUnknown, "Kubelet stopped posting node status."
}

// The cause is told before what comes of it: who reads "not Ready" of a machine without power looks at its kubelet.
func TestWhatIsWrongWithANodeIsItsCause(t *testing.T) {
	well := nodeLook{machine: "worker-1", worker: true, there: true, node: aNode(), unit: "active", room: 1 << 40}
	for want, change := range map[string]func(l *nodeLook){
		"": func(*nodeLook) {},
		"there is no machine of that name; node worker-1 is not ready: Kubelet stopped": func(l *nodeLook) { l.there, l.node = false, aNode(unready) },
		"its machine is off":                                                          func(l *nodeLook) { l.off = true },
		"its machine is off; node worker-1 is not ready":                              func(l *nodeLook) { l.off, l.node = true, aNode(unready) },
		"its machine does not answer: timeout":                                        func(l *nodeLook) { l.silent = "timeout" },
		"a renewal of its kubelet's certificate was interrupted":                      func(l *nodeLook) { l.renewed = true },
		"its disk has nothing of a kubelet":                                           func(l *nodeLook) { l.blank, l.unwell = true, "refused" },
		"its kubelet does not serve (inactive): refused; the kubelet's last error: x": func(l *nodeLook) { l.unit, l.unwell, l.words = "inactive", "refused", "; the kubelet's last error: x" },
		"its kubelet's certificate ran out at 2026-01-02 03:04:05; node worker-1 is not r": func(l *nodeLook) {
			l.expired, l.unwell, l.node = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "refused", aNode(unready)
		},
		"DiskPressure: full": func(l *nodeLook) {
			l.node = aNode(func(n *corev1.Node) {
				n.Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue, Message: "full"}
			})
		},
		"node worker-1 is tainted node.kubernetes.io/unreachable": func(l *nodeLook) {
			l.node = aNode(func(n *corev1.Node) {
				n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute}}
			})
		},
		"it has no Node": func(l *nodeLook) { l.node = nil },
		"this runbook has cordoned it": func(l *nodeLook) {
			l.node = aNode(func(n *corev1.Node) {
				n.Spec.Unschedulable, n.Annotations = true, map[string]string{cordonedBy: byRecovery}
			})
		},
	} {
		l := well
		change(&l)
		if got := l.ill(); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%q; want %q", got, want)
		}
	}
	others := well
	others.node = aNode(func(n *corev1.Node) {
		n.Spec.Unschedulable, n.Annotations = true, map[string]string{cordonedBy: "upgrade"}
	})
	if got := others.ill(); got != "" {
		t.Errorf("a node that somebody else has cordoned is ill: %s", got)
	}
}

func TestCuttingAPowerThatCostsAQuorumIsRefusedWithTheSum(t *testing.T) {
	list, three := listed("a", "b", "c")
	alone, one := listed("a")
	of := func(change func(list []etcd.Listed, members []etcd.Member), more ...etcd.Listed) []plan.Finding {
		l, m := append(slices.Clone(list), more...), slices.Clone(three)
		change(l, m)
		return projectAway(etcd.Membership{Members: l}, m, "a")
	}
	none := func([]etcd.Listed, []etcd.Member) {}
	for name, c := range map[string]struct {
		found []plan.Finding
		says  string
	}{
		"of three":                     {of(none), ""},
		"another does not answer":      {of(func(_ []etcd.Listed, m []etcd.Member) { silent(m, 1) }), "while its machine boots 1 of 3 are well, a quorum is 2"},
		"its own does not answer":      {of(func(_ []etcd.Listed, m []etcd.Member) { silent(m, 0) }), ""},
		"the only one":                 {projectAway(etcd.Membership{Members: alone}, one, "a"), "0 of 1 are well, a quorum is 1"},
		"the only one, and is silent":  {projectAway(etcd.Membership{Members: alone}, silent(slices.Clone(one), 0), "a"), ""},
		"a fourth is on the list":      {of(none, etcd.Listed{ID: 9, Machine: "x"}), "while its machine boots 2 of 4 are well, a quorum is 3"},
		"a stranger is on the list":    {of(none, etcd.Listed{ID: 9, Name: "x"}), "2 of 4 are well, a quorum is 3"},
		"a learner is on the list":     {of(none, etcd.Listed{ID: 9, Machine: "x", Learner: true}), ""},
		"another is a learner":         {of(func(l []etcd.Listed, m []etcd.Member) { l[1].Learner, m[1].Learner = true, true }), "1 of 2 are well, a quorum is 2"},
		"another calls itself another": {of(func(_ []etcd.Listed, m []etcd.Member) { m[1].ID = 9 }), "1 of 3 are well, a quorum is 2"},
		"its own is not on the list":   {of(func(_ []etcd.Listed, m []etcd.Member) { m[0].ID = 9; silent(m, 1) }), ""},
		"nobody gives the list":        {projectAway(etcd.Membership{Error: "no leader"}, three, "a"), "nobody gives the list of members: no leader"},
		"and it is silent":             {projectAway(etcd.Membership{Error: "no leader"}, silent(slices.Clone(three), 0), "a"), ""},
	} {
		err := plan.Refusal("it", c.found)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
}

// The clause counts by the list too: those whom no machine of the cluster answers for are in the sum.
func TestTheSumWithoutAMemberIsOfTheList(t *testing.T) {
	list, three := listed("a", "b", "c")
	for want, l := range map[string]etcd.Membership{
		": without it 2 of 3 members are well, a quorum is 2": {Members: list},
		": without it 2 of 4 members are well, a quorum is 3": {Members: append(slices.Clone(list), etcd.Listed{ID: 9, Name: "x"})},
		": nobody gives the list of members: no leader":       {Error: "no leader"},
	} {
		if got := sumWithout(l, three, "a"); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}

func TestABudgetThatWouldBeBrokenForbidsToEndItsPods(t *testing.T) {
	pod := func(name string, ready corev1.ConditionStatus) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", Labels: map[string]string{"app": "web"}}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
		return p
	}
	budget := func(allowed int32) []policyv1.PodDisruptionBudget {
		b := policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop"}}
		b.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
		b.Status = policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed, CurrentHealthy: 3, DesiredHealthy: 3 - allowed}
		return []policyv1.PodDisruptionBudget{b}
	}
	two := []corev1.Pod{pod("a", corev1.ConditionTrue), pod("b", corev1.ConditionTrue)}
	for name, c := range map[string]struct {
		allowed int32
		pods    []corev1.Pod
		says    string
	}{
		"as many as it allows":     {2, two, ""},
		"more than it allows":      {1, two, "allows 1 disruptions (3 of at least 2 healthy), and 2 of its pods are ready on worker-1: a, b"},
		"none, of one not ready":   {0, []corev1.Pod{pod("a", corev1.ConditionFalse)}, ""},
		"none, and none is there":  {0, nil, ""},
		"one of the two is so yet": {0, []corev1.Pod{pod("a", corev1.ConditionFalse), two[1]}, "1 of its pods are ready on worker-1: b"},
	} {
		err := plan.Refusal("it", projectBudgets(budget(c.allowed), c.pods, "worker-1"))
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
}

func TestAMachineWithPodsThatNobodyMakesAnewIsNotGivenUp(t *testing.T) {
	pod := func(name string, change ...func(p *corev1.Pod)) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}
		for _, c := range change {
			c(&p)
		}
		return p
	}
	owned := func(kind string) func(p *corev1.Pod) {
		yes := true
		return func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: "x", Controller: &yes}}
		}
	}
	done := func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }
	if found := projectOrphans([]corev1.Pod{pod("a", owned("ReplicaSet")), pod("b", owned("Node")), pod("c", done)}, "w"); len(found) > 0 {
		t.Errorf("%v", found)
	}
	if found := projectOrphans([]corev1.Pod{pod("a", owned("ReplicaSet")), pod("d")}, "w"); len(found) != 1 || !strings.Contains(found[0].What, "on w run pods that nobody makes anew: shop/d") {
		t.Errorf("%v", found)
	}
}

func TestANodeIsCleanWhenNothingOfBeforeIsLeft(t *testing.T) {
	pod := func(uid types.UID, change ...func(p *corev1.Pod)) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p-" + string(uid), Namespace: "shop", UID: uid}}
		for _, c := range change {
			c(&p)
		}
		return p
	}
	ending := func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Now()} }
	static := func(p *corev1.Pod) { p.Annotations = map[string]string{staticUID: "hash"} }
	pods := func(p ...corev1.Pod) []corev1.Pod { return p }
	for name, c := range map[string]struct {
		bound, running []corev1.Pod
		kept, want     string
	}{
		"all its own":               {pods(pod("a"), pod("m", static)), pods(pod("a"), pod("hash")), "directory a\ndirectory hash\nmount a\n", ""},
		"one is to go":              {pods(pod("a", ending)), pods(pod("a")), "directory a\n", "pod shop/p-a is to go and has not gone"},
		"one runs that was evicted": {nil, pods(pod("a")), "directory a\nmount a\n", "containers of pod shop/p-a run, which is the node's no more"},
		"a directory of one":        {pods(pod("b")), pods(pod("b")), "directory a\ndirectory b\nmount a\n", "a directory of pod a is there, which is the node's no more"},
		"a mount of one":            {nil, nil, "mount a\n", "a mount of pod a is there, which is the node's no more"},
		"nothing":                   {nil, nil, "", ""},
	} {
		if got := strings.Join(left(c.bound, c.running, c.kept), "; "); got != c.want {
			t.Errorf("%s: %q; want %q", name, got, c.want)
		}
	}
}

func TestReplacingIsAskedForByNameOnly(t *testing.T) {
	top := cluster.Topology{ControlPlanes: 1, Workers: 1, Etcd: cluster.EtcdStacked, EtcdMembers: 1}
	for want, s := range map[string]Spec{
		"the machine must be named": {Runbook: "recover-node", Replace: true},
		"it is of recover-node":     {Runbook: "replace-etcd-member", Replace: true, Machine: "control-plane-1"},
	} {
		if _, err := New(s, top); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	r, err := New(Spec{Runbook: "recover-node", Machine: "worker-1", Replace: true}, top)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.GoOn(Begun{Found: Diagnosis{Machine: "worker-1"}}); err == nil || !strings.Contains(err.Error(), "was begun without giving worker-1 up") {
		t.Errorf("one that only recovers is gone on with by one that removes: %v", err)
	}
	if r, err = New(Spec{Runbook: "recover-node"}, top); err != nil {
		t.Fatal(err)
	}
	if err := r.GoOn(Begun{Spec: Spec{Machine: "worker-1", Replace: true}, Found: Diagnosis{Machine: "worker-1"}}); err != nil || !r.Spec.Replace {
		t.Errorf("one that has given up goes on as one that has not: %v", err)
	}
}

// A new machine is one by its Node's own word: a boot alone is a reboot, and a disk alone one that was moved.
func TestANewMachineIsProvenByItsNode(t *testing.T) {
	of := func(boot, machine string) *corev1.Node {
		return aNode(func(n *corev1.Node) { n.Status.NodeInfo.BootID, n.Status.NodeInfo.MachineID = boot, machine })
	}
	for want, n := range map[string]*corev1.Node{
		"":                                     of("b2", "m2"),
		"reports boot b1, the old machine's":   of("b1", "m2"),
		"has machine id m1, the old machine's": of("b2", "m1"),
		"does not say which machine it is of":  of("b2", ""),
		"it has no Node":                       nil,
	} {
		var told []Note
		r := nodeRecovery{&Remedy{found: &Diagnosis{Was: kubeadm.Identity{BootID: "b1", MachineID: "m1"}}, Told: func(n Note) error { told = append(told, n); return nil }}}
		err := r.another(t.Context(), n)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
		if (len(told) == 1) != (want == "") {
			t.Errorf("%v: told %v", err, told)
		}
	}
}
