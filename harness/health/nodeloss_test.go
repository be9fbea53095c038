package health

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// lostNode is what happens to worker-1 (or to all three workers) that lose power at 10 s, in seconds; forever: it does not happen.
type lostNode struct {
	all                                   bool
	unknown, tainted, withdrawn           float64
	evicted, replaced, back, ready, empty float64
	change                                func(o *observe.Observation, second float64)
}

// asItShould is the loss of one worker with fast timing for 40 s.
func asItShould(change ...func(l *lostNode)) lostNode {
	l := lostNode{unknown: 22, tainted: 22.5, withdrawn: forever, evicted: 32, replaced: 34, back: 50, ready: 52, empty: 53}
	for _, c := range change {
		c(&l)
	}
	return l
}

// tolerates is what admission adds with fast timing.
const tolerates = 10 * time.Second

// record tells the story as it is observed: nodes at every look, pods at every tenth.
func (l lostNode) record() (*Record, *Window) {
	r := &Record{Topology: cluster.Topology{ControlPlanes: 1, Workers: 3, Etcd: cluster.EtcdStacked, EtcdMembers: 1, Timing: cluster.TimingFast}}
	w := Window{ID: "4", Machines: []string{worker}, Began: at(10.1), Effective: at(10.6), Recover: at(l.back), Cleared: at(l.back + 1)}
	if l.all {
		w.Machines = r.Topology.WorkerMachines()
	}
	r.Windows = []Window{w}
	for i := range 161 {
		second := float64(i) / 2
		o := observe.Observation{Time: at(second), Workload: &observe.WorkloadState{Replicas: 3, Ready: 3, MinAvailable: 3}}
		o.Nodes = append(o.Nodes, observe.Node{Name: cp, Ready: true, Status: "True"})
		for _, m := range r.Topology.WorkerMachines() {
			o.Nodes = append(o.Nodes, l.node(m, slices.Contains(w.Machines, m), second))
		}
		if i%10 == 0 || i == 160 {
			l.pods(&o, second)
		}
		if l.change != nil {
			l.change(&o, second)
		}
		r.Observations = append(r.Observations, o)
	}
	r.Final, r.Observations = r.Observations[160], r.Observations[:160]
	return r, &r.Windows[0]
}

func (l lostNode) node(name string, lost bool, second float64) observe.Node {
	n := observe.Node{Name: name, Ready: true, Status: "True"}
	if !lost || second >= l.ready {
		return n
	}
	if second >= l.unknown {
		n.Ready, n.Status = false, "Unknown"
	}
	if second >= l.tainted && second < l.withdrawn {
		n.NoExecute = []observe.Taint{{Key: corev1.TaintNodeUnreachable, Added: at(l.tainted).Truncate(time.Second)}}
	}
	return n
}

func (l lostNode) pods(o *observe.Observation, second float64) {
	pod := func(name, uid, owner, node string, stays time.Duration) observe.Pod {
		return observe.Pod{Name: "default/" + name, UID: uid, Owner: owner, Node: node, Stays: stays, Phase: "Running", Ready: true}
	}
	ready := 3
	for i := 1; i <= 3; i++ {
		node := fmt.Sprintf("worker-%d", i)
		lost := l.all || i == 1
		for _, p := range []observe.Pod{
			pod(fmt.Sprintf("web-%d", i), fmt.Sprintf("web-%d", i), "ReplicaSet/web", node, tolerates), pod(fmt.Sprintf("db-%d", i), fmt.Sprintf("db-%d", i), "StatefulSet/db", node, tolerates),
			pod(fmt.Sprintf("bare-%d", i), fmt.Sprintf("bare-%d", i), "", node, tolerates), pod(fmt.Sprintf("agent-%d", i), fmt.Sprintf("agent-%d", i), "DaemonSet/agent", node, observe.StaysForEver),
		} {
			if lost && second >= l.unknown && second < l.ready {
				p.Ready = false
			}
			if lost && second >= l.evicted && p.Stays != observe.StaysForEver {
				if strings.HasPrefix(p.Owner, "ReplicaSet") {
					ready--
				}
				if second >= l.empty {
					if strings.HasPrefix(p.Owner, "StatefulSet") { // and made anew
						o.Pods = append(o.Pods, pod(fmt.Sprintf("db-%d", i), fmt.Sprintf("db-%d-b", i), "StatefulSet/db", node, tolerates))
					}
					continue
				}
				p.Deleted, p.Ending, p.Ready = at(l.evicted), true, false
			}
			o.Pods = append(o.Pods, p)
		}
	}
	if second >= l.replaced {
		ready++
		p := pod("web-4", "web-4", "ReplicaSet/web", "worker-2", tolerates)
		p.ReadySince = at(l.replaced)
		o.Pods = append(o.Pods, p)
	}
	o.Wanted = []observe.Wanted{{Name: "Deployment/default/web", Wanted: 3, Ready: ready}}
}

// podsOf changes one pod from a second on, before another; without a change it is taken away.
func podsOf(begin, end float64, uid string, change func(p *observe.Pod)) func(*observe.Observation, float64) {
	return func(o *observe.Observation, second float64) {
		if second < begin || second >= end {
			return
		}
		for i := range o.Pods {
			if o.Pods[i].UID != uid {
				continue
			}
			if change == nil {
				o.Pods = slices.Delete(o.Pods, i, i+1)
				return
			}
			change(&o.Pods[i])
		}
	}
}

func with(change func(*observe.Observation, float64)) func(*lostNode) {
	return func(l *lostNode) { l.change = change }
}

// another is a pod of a name that is there already.
func another(begin, end float64, name, owner, node string) func(*observe.Observation, float64) {
	return func(o *observe.Observation, second float64) {
		if len(o.Pods) > 0 && second >= begin && second < end {
			o.Pods = append(o.Pods, observe.Pod{Name: name, UID: name + "-twin", Owner: owner, Node: node, Stays: tolerates})
		}
	}
}

func noNodes(o *observe.Observation, second float64) {
	if second >= 12 && second < 40 {
		o.Nodes = nil
	}
}

func noNodesLater(o *observe.Observation, second float64) {
	if second >= 24 && second < 40 {
		o.Nodes = nil
	}
}

func noPods(o *observe.Observation, second float64) {
	if second >= 12 && second < 45 {
		o.Pods = nil
	}
}

func TestNodeLoss(t *testing.T) {
	never := func(l *lostNode) { l.evicted, l.replaced, l.empty = forever, forever, forever }
	for name, c := range map[string]struct {
		loss  lostNode
		check string
		want  plan.Verdict
		says  string
	}{
		"noticed":                        {asItShould(), "nodeUnreachable", plan.Pass, "node worker-1 was Unknown 11.9s after the loss and tainted 500ms later"},
		"noticed too late":               {asItShould(func(l *lostNode) { l.unknown, l.tainted = 40, 40.5 }), "nodeUnreachable", plan.Fail, "worker-1 was Unknown only after 29.9s"},
		"noticed too soon":               {asItShould(func(l *lostNode) { l.unknown = 12 }), "nodeUnreachable", plan.Fail, "after 1.9s already, sooner than 4s"},
		"never noticed":                  {asItShould(func(l *lostNode) { l.unknown, l.tainted = forever, forever }), "nodeUnreachable", plan.Fail, "node worker-1 was never Unknown"},
		"back before it can be noticed":  {asItShould(func(l *lostNode) { l.unknown, l.tainted, l.back, l.ready = forever, forever, 18, 20 }, never), "nodeUnreachable", plan.Unknown, "too short"},
		"never tainted":                  {asItShould(func(l *lostNode) { l.tainted = forever }, never), "nodeUnreachable", plan.Fail, "node worker-1 was never tainted"},
		"tainted late":                   {asItShould(func(l *lostNode) { l.tainted = 40 }, never), "nodeUnreachable", plan.Fail, "was tainted only after 18s"},
		"tainted before it is Unknown":   {asItShould(func(l *lostNode) { l.tainted = 15 }, never), "nodeUnreachable", plan.Fail, "was not Unknown before"},
		"nobody looked when":             {asItShould(with(noNodes)), "nodeUnreachable", plan.Unknown, "when is not known"},
		"nobody looked at the node":      {asItShould(with(func(o *observe.Observation, _ float64) { o.Nodes = nil })), "nodeUnreachable", plan.Unknown, "nobody looked"},
		"nobody looked for a while":      {asItShould(with(noNodesLater)), "podsEvicted", plan.Pass, ""},
		"late or not, nobody looked":     {asItShould(func(l *lostNode) { l.unknown, l.tainted = 35, 35 }, with(noNodes)), "nodeUnreachable", plan.Unknown, "when is not known"},
		"not before its time":            {asItShould(), "noEarlyEviction", plan.Pass, "none of the 4 pods on worker-1"},
		"evicted early":                  {asItShould(func(l *lostNode) { l.evicted = 25 }), "noEarlyEviction", plan.Fail, "pod default/web-1 on worker-1 was deleted at 00:00:25.0, 3s after its node was tainted, and tolerates that for 10s"},
		"one of them early":              {asItShould(with(podsOf(25, 53, "db-1", func(p *observe.Pod) { p.Deleted = at(24) }))), "noEarlyEviction", plan.Fail, "pod default/db-1"},
		"a DaemonSet's pod evicted":      {asItShould(with(podsOf(35, 53, "agent-1", func(p *observe.Pod) { p.Deleted = at(34) }))), "noEarlyEviction", plan.Fail, "default/agent-1 on worker-1 was deleted at 00:00:34.0, and tolerates the taint for ever"},
		"deleted by hand before a taint": {asItShould(func(l *lostNode) { l.tainted, l.evicted = forever, 20 }), "noEarlyEviction", plan.Fail, "and its node was not tainted"},
		"gone, and nobody saw when":      {asItShould(with(podsOf(12, forever, "bare-1", nil))), "noEarlyEviction", plan.Fail, "default/bare-1 on worker-1 was gone at 00:00:15.0"},
		"no taint, no toleration":        {asItShould(func(l *lostNode) { l.tainted = forever }, never), "noEarlyEviction", plan.Unknown, "never tainted"},
		"pods not read":                  {asItShould(with(noPods)), "noEarlyEviction", plan.Unknown, "nobody looked at the pods from"},
		"evicted":                        {asItShould(), "podsEvicted", plan.Pass, "ReplicaSet 1, StatefulSet 1, nobody 1; the PodDisruptionBudget allowed 0 disruptions then"},
		"never evicted":                  {asItShould(never), "podsEvicted", plan.Fail, "pod default/web-1 on worker-1 was not deleted within 28s"},
		"one never evicted":              {asItShould(with(podsOf(32, 53, "web-1", func(p *observe.Pod) { p.Deleted = time.Time{} }))), "podsEvicted", plan.Fail, "pod default/web-1"},
		"evicted late":                   {asItShould(func(l *lostNode) { l.evicted = 45 }), "podsEvicted", plan.Fail, "was deleted 23s after its node was tainted, later than 15s"},
		"back before it is due":          {asItShould(func(l *lostNode) { l.back, l.ready = 27, 29 }, never), "podsEvicted", plan.Unknown, "too short"},
		"not Terminating but gone":       {asItShould(with(podsOf(40, forever, "db-1", nil))), "podsEvicted", plan.Fail, "default/db-1 on worker-1 was gone at 00:00:40.0, and nobody can have seen it end"},
		"nobody read the evictions":      {asItShould(with(noPods)), "podsEvicted", plan.Unknown, "nobody looked at the pods"},
		"replaced":                       {asItShould(), "podsReplaced", plan.Pass, "1 evicted pods of default/ReplicaSet/web were replaced on other machines, ready 2s after"},
		"never replaced":                 {asItShould(func(l *lostNode) { l.replaced, l.back, l.ready, l.empty = forever, 75, 77, 78 }), "podsReplaced", plan.Fail, "0 of 1 evicted pods of default/ReplicaSet/web were replaced"},
		"replaced, held too short":       {asItShould(func(l *lostNode) { l.replaced = forever }), "podsReplaced", plan.Unknown, "too short"},
		"replaced on the lost machine":   {asItShould(func(l *lostNode) { l.back, l.ready, l.empty = 75, 77, 78 }, with(podsOf(34, forever, "web-4", func(p *observe.Pod) { p.Node = worker }))), "podsReplaced", plan.Fail, "0 of 1"},
		"another one missing":            {asItShould(with(podsOf(34, forever, "web-2", func(p *observe.Pod) { p.Ready = false }))), "podsReplaced", plan.Pass, ""},
		"not at full strength": {asItShould(with(func(o *observe.Observation, second float64) {
			if second >= 40 && len(o.Wanted) > 0 {
				o.Wanted[0].Ready = 2
			}
		})), "podsReplaced", plan.Fail, "Deployment/default/web had 2 of 3 replicas ready"},
		"nothing was evicted to replace":   {asItShould(never), "podsReplaced", plan.Unknown, "no pod of a Deployment was evicted"},
		"no twin":                          {asItShould(), "noTwins", plan.Pass, "StatefulSet 1, nobody 1"},
		"a StatefulSet's twin":             {asItShould(with(another(40, 53, "default/db-1", "StatefulSet/db", "worker-2"))), "noTwins", plan.Fail, `pod default/db-1, which was on worker-1, had a twin on "worker-2" at 00:00:40.0`},
		"a bare one's twin":                {asItShould(with(another(40, 53, "default/bare-1", "", "worker-3"))), "noTwins", plan.Fail, "default/bare-1"},
		"made anew when it is back":        {asItShould(with(another(54, forever, "default/bare-1", "", "worker-3"))), "noTwins", plan.Pass, ""},
		"nobody had a reason for a twin":   {asItShould(never), "noTwins", plan.Unknown, "nobody had a reason"},
		"back, and empty":                  {asItShould(), "nodeReturns", plan.Pass, "node worker-1 is back, 3 evicted pods are gone, 1 that were not run on"},
		"back, and never Ready":            {asItShould(func(l *lostNode) { l.ready = forever }), "nodeReturns", plan.Fail, "node worker-1 is not Ready at the end"},
		"back, with an old pod":            {asItShould(func(l *lostNode) { l.empty = forever }), "nodeReturns", plan.Fail, "pod default/web-1 was evicted from worker-1, and is still there"},
		"an old pod runs on":               {asItShould(func(l *lostNode) { l.empty = 70 }, with(podsOf(54, forever, "db-1", func(p *observe.Pod) { p.Ready = true }))), "nodeReturns", plan.Fail, "pod default/db-1 was evicted from worker-1, and ran there again"},
		"what should have stayed is gone":  {asItShould(with(podsOf(54, forever, "agent-1", nil))), "nodeReturns", plan.Fail, "pod default/agent-1 was not evicted"},
		"the end was not read":             {asItShould(with(func(o *observe.Observation, s float64) { o.Pods = o.Pods[:len(o.Pods)*int(min(1, max(0, 79-s)))] })), "nodeReturns", plan.Unknown, "not read at the end"},
		"back with nothing evicted":        {asItShould(never), "nodeReturns", plan.Unknown, "has not come back empty of any"},
		"a short absence":                  {asItShould(never, func(l *lostNode) { l.back, l.ready = 26, 29 }), "nothingEvicted", plan.Pass, "node worker-1 was Unknown from 00:00:22.0 on, and was tainted at 00:00:22.5: all 4 pods are still there"},
		"short, and evicted":               {asItShould(func(l *lostNode) { l.evicted, l.back, l.ready = 25, 26, 29 }), "nothingEvicted", plan.Fail, "pod default/web-1 on worker-1 was deleted at 00:00:25.0, and its machine was away for less"},
		"short, and evicted on the return": {asItShould(func(l *lostNode) { l.evicted, l.back, l.ready = 40, 26, 29 }), "nothingEvicted", plan.Fail, "was deleted at 00:00:40.0"},
		"not so short":                     {asItShould(), "nothingEvicted", plan.Unknown, "the absence was longer than its toleration"},
		"too short to be noticed":          {asItShould(never, func(l *lostNode) { l.unknown, l.tainted, l.back, l.ready = forever, forever, 16, 18 }), "nothingEvicted", plan.Unknown, "never Unknown"},
		"all workers":                      {asItShould(never, func(l *lostNode) { l.all, l.withdrawn = true, 24 }), "nothingEvicted", plan.Pass, "node worker-3 was Unknown from 00:00:22.0 on, and its taint was withdrawn at 00:00:24.0"},
		"all workers, and evicted":         {asItShould(func(l *lostNode) { l.all = true }), "nothingEvicted", plan.Fail, "pod default/web-1 on worker-1 was deleted at 00:00:32.0, and all 3 workers were lost"},
		"all workers, for too short":       {asItShould(never, func(l *lostNode) { l.all, l.back, l.ready = true, 30, 33 }), "nothingEvicted", plan.Unknown, "was Unknown for 8s only"},
		"all workers, one pod gone":        {asItShould(never, func(l *lostNode) { l.all = true }, with(podsOf(54, forever, "db-3", nil))), "nothingEvicted", plan.Fail, "pod default/db-3 on worker-3"},
		"all workers, pods not read":       {asItShould(never, func(l *lostNode) { l.all = true }, with(noPods)), "nothingEvicted", plan.Unknown, "nobody looked at the pods"},
		"gone, perhaps early":              {asItShould(with(podsOf(32, forever, "bare-1", nil))), "noEarlyEviction", plan.Unknown, "default/bare-1 on worker-1 was last seen at 00:00:30.0 and gone at 00:00:35.0; its toleration ended at 00:00:32.0"},
		"gone soon before power was back":  {asItShould(func(l *lostNode) { l.back, l.ready, l.empty = 36, 38, 39 }, with(podsOf(35, forever, "bare-1", nil))), "podsEvicted", plan.Fail, "default/bare-1 on worker-1 was gone at 00:00:35.0, and nobody"},
		"early, when power was back":       {asItShould(func(l *lostNode) { l.back, l.ready, l.evicted, l.empty = 26, 40, 27, 39 }), "noEarlyEviction", plan.Fail, "default/web-1 on worker-1 was deleted at 00:00:27.0, 5s after"},
		"evicted, and nobody saw it":       {asItShould(func(l *lostNode) { l.back, l.ready, l.empty = 38, 39, 39.5 }, with(noPodsFrom(31, 39.5))), "podsEvicted", plan.Unknown, "too short"},
		"deleted before the loss":          {asItShould(never, func(l *lostNode) { l.back, l.ready = 26, 29 }, with(podsOf(12, 50, "web-1", func(p *observe.Pod) { p.Deleted, p.Ending, p.Ready = at(7), true, false }))), "noEarlyEviction", plan.Pass, "none of the 3 pods"},
		"deleted when it was back":         {asItShould(with(podsOf(60, forever, "agent-1", func(p *observe.Pod) { p.Deleted, p.Ending = at(57), true }))), "nodeReturns", plan.Fail, "default/agent-1 was not evicted from worker-1, and was deleted at 00:00:57.0, after that was back"},
		"late, and never gone":             {asItShould(func(l *lostNode) { l.back, l.ready, l.evicted, l.empty = 31, 40, 33, forever }), "nodeReturns", plan.Fail, "default/web-1 was evicted from worker-1, and is still there"},
		"late, and gone":                   {asItShould(func(l *lostNode) { l.back, l.ready, l.evicted, l.empty = 31, 40, 33, 42 }), "nodeReturns", plan.Pass, "3 evicted pods are gone, 1 that were not run on"},
		"its node is gone":                 {asItShould(with(nodeGone)), "nodeReturns", plan.Fail, "node worker-1 is gone at the end"},
		"one that is not due is missing": {asItShould(with(both(podsOf(0, forever, "web-3", func(p *observe.Pod) { p.Node, p.Stays = worker, time.Minute }), func(o *observe.Observation, second float64) {
			if second >= 22 && second < 52 && len(o.Wanted) > 0 {
				o.Wanted[0].Ready = 2
			}
		}))), "podsReplaced", plan.Pass, ""},
		"noticed sooner than it can be":    {asItShould(func(l *lostNode) { l.unknown, l.tainted = 14.5, 15 }), "nodeUnreachable", plan.Unknown, "sooner than 5s"},
		"so many that taints are withheld": {asItShould(never, func(l *lostNode) { l.all, l.tainted = true, forever }), "nodeUnreachable", plan.Unknown, "3 of 4 nodes"},
		"before the loss no pod was read":  {asItShould(with(podsBefore)), "podsEvicted", plan.Unknown, "the pods were not read before worker-1 was lost"},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := c.loss.record()
			if got := judge(t, c.check, r, w, Params{}); got.Verdict != c.want || !strings.Contains(got.Message, c.says) {
				t.Fatalf("%s: %s", got.Verdict, got.Message)
			}
		})
	}
}

func noPodsFrom(begin, end float64) func(*observe.Observation, float64) {
	return func(o *observe.Observation, second float64) {
		if second >= begin && second < end {
			o.Pods = nil
		}
	}
}

func nodeGone(o *observe.Observation, second float64) {
	if second >= 60 {
		o.Nodes = slices.DeleteFunc(o.Nodes, func(n observe.Node) bool { return n.Name == worker })
	}
}

func both(all ...func(*observe.Observation, float64)) func(*observe.Observation, float64) {
	return func(o *observe.Observation, second float64) {
		for _, f := range all {
			f(o, second)
		}
	}
}

func podsBefore(o *observe.Observation, second float64) {
	if second < 12 {
		o.Pods = nil
	}
}

// TestNodeLossNothingInjected: a null test has the observations of a quiet run and no effect.
func TestNodeLossNothingInjected(t *testing.T) {
	r, _ := asItShould(func(l *lostNode) { l.unknown, l.tainted, l.evicted, l.replaced = forever, forever, forever, forever }).record()
	for _, check := range []string{"nodeUnreachable", "noEarlyEviction", "podsEvicted", "podsReplaced", "noTwins", "nodeReturns", "nothingEvicted"} {
		if got := judge(t, check, r, &Window{ID: "4"}, Params{}); got.Verdict != plan.Unknown {
			t.Errorf("%s: %s: %s", check, got.Verdict, got.Message)
		}
	}
}

// TestNodeLossMeasured: what was expected and what was measured, side by side.
func TestNodeLossMeasured(t *testing.T) {
	r, _ := asItShould().record()
	tables := NodeLosses(r)
	if len(tables) != 1 {
		t.Fatalf("%d tables", len(tables))
	}
	var got []string
	for _, row := range tables[0].Rows {
		got = append(got, strings.Join(row, " | "))
	}
	want := []string{
		"Ready is Unknown | the loss | 10s to 14s | 11.9s", "tainted unreachable:NoExecute | Unknown | at once | 500ms", "pods evicted | the taint | 10s | 10s (3 of 3 pods)",
		"pods that tolerate it for ever evicted | the taint | never | never (1 pods)", "replacements ready, ReplicaSet/web | the eviction | 0s to 30s | 2s",
		"at full strength again, ReplicaSet/web | the loss | 20s to 54s | 23.9s",
		"node Ready and untainted again | power was back | – | 2s", "evicted pods gone | power was back | – | 5s",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestAControlPlaneIsNoLostWorker: who notices may be lost with it, so no times are expected.
func TestAControlPlaneIsNoLostWorker(t *testing.T) {
	r, w := asItShould().record()
	w.Machines = []string{cp}
	for _, o := range r.Observations {
		if o.Time.After(at(22)) && o.Time.Before(at(50)) {
			o.Nodes[0].Ready, o.Nodes[0].Status = false, "Unknown"
		}
	}
	if tables := NodeLosses(r); len(tables) > 0 {
		t.Errorf("%+v", tables)
	}
}

// TestSeveralAreLostOneAfterAnother: the last may have been lost when the effect was seen.
func TestSeveralAreLostOneAfterAnother(t *testing.T) {
	for effective, want := range map[float64]plan.Verdict{10.6: plan.Fail, 22: plan.Pass} {
		r, w := asItShould(func(l *lostNode) { l.all, l.unknown, l.tainted = true, 31, 31.5 }).record()
		w.Effective = at(effective)
		if got := judge(t, "nodeUnreachable", r, w, Params{}); got.Verdict != want {
			t.Errorf("seen at %g s: %s: %s", effective, got.Verdict, got.Message)
		}
	}
}

// TestABarePodMayBeLost: nobody makes it anew, so objects are not as they were; that is the fault's only if it was evicted as it should be.
func TestABarePodMayBeLost(t *testing.T) {
	for name, c := range map[string]struct {
		loss lostNode
		want bool
	}{
		"evicted":       {asItShould(), true},
		"evicted early": {asItShould(func(l *lostNode) { l.evicted = 25 }), false},
		"not evicted":   {asItShould(with(podsOf(54, forever, "bare-1", nil)), func(l *lostNode) { l.evicted = forever }), false},
	} {
		r, _ := c.loss.record()
		if got := r.evictedWith("default/bare-1"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if r.evictedWith("default/bare-2") || r.evictedWith("default/db-1") {
			t.Errorf("%s: another machine's pod, or one that is made anew", name)
		}
	}
}
