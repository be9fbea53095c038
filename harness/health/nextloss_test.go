package health

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// TestNextLoss: what another step on the machine does to its pods is not the first one's.
func TestNextLoss(t *testing.T) {
	for name, c := range map[string]struct {
		loss  lostNode
		next  Window
		check string
		want  plan.Verdict
	}{
		"a short one, and a long one":          {asItShould(func(l *lostNode) { l.back, l.ready, l.evicted, l.empty = 26, 29, 60, 70 }), Window{Machines: []string{worker}, Began: at(35)}, "nothingEvicted", plan.Pass},
		"evicted between the two":              {asItShould(func(l *lostNode) { l.back, l.ready, l.evicted, l.empty = 26, 29, 33, 70 }), Window{Machines: []string{worker}, Began: at(35)}, "nothingEvicted", plan.Fail},
		"another machine's":                    {asItShould(func(l *lostNode) { l.back, l.ready, l.evicted, l.empty = 26, 29, 60, 70 }), Window{Machines: []string{"worker-2"}, Began: at(35)}, "nothingEvicted", plan.Fail},
		"a long one, and an upgrade":           {asItShould(with(podsOf(62, forever, "agent-1", nil))), Window{Machines: []string{worker}, Began: at(58), Upgrade: true}, "nodeReturns", plan.Pass},
		"a long one, and an upgrade of others": {asItShould(with(podsOf(62, forever, "agent-1", nil))), Window{Machines: []string{"worker-2"}, Began: at(58), Upgrade: true}, "nodeReturns", plan.Pass},
		"nobody saw by whom":                   {asItShould(with(podsOf(59, forever, "agent-1", nil))), Window{Machines: []string{worker}, Began: at(58), Upgrade: true}, "nodeReturns", plan.Unknown},
	} {
		r, w := c.loss.record()
		r.Windows = append(r.Windows, c.next)
		if got := judge(t, c.check, r, w, Params{}); got.Verdict != c.want {
			t.Errorf("%s: %s: %s", name, got.Verdict, got.Message)
		}
	}
}

// TestWhatARunbookMendsIsBackBeforeItHasEnded: its window lasts until the runbook has ended, and the machine is back long before.
func TestWhatARunbookMendsIsBackBeforeItHasEnded(t *testing.T) {
	for _, check := range []string{"nodeUnreachable", "noEarlyEviction", "podsEvicted", "podsReplaced", "nodeReturns"} {
		r, w := asItShould().record()
		w.Mending, w.Recover, w.Cleared = w.Recover, at(70), at(71)
		if got := judge(t, check, r, w, Params{}); got.Verdict != plan.Pass {
			t.Errorf("%s: %s: %s", check, got.Verdict, got.Message)
		}
		w.Mending = at(20) // before anybody had noticed: there was no loss to judge
		if got := judge(t, check, r, w, Params{}); got.Verdict == plan.Pass {
			t.Errorf("%s of a machine that was mended before it was noticed: %s: %s", check, got.Verdict, got.Message)
		}
	}
}

// TestWhoWasCutOffRanOn: a pod is Ready again as soon as its kubelet is heard, and only then told to end.
func TestWhoWasCutOffRanOn(t *testing.T) {
	r, w := asItShould(func(l *lostNode) { l.empty = 58 }, with(podsOf(54, 58, "db-1", func(p *observe.Pod) { p.Ready = true }))).record()
	for want, components := range map[plan.Verdict][]string{plan.Fail: nil, plan.Pass: {"etcd"}} {
		w.Components = components
		if got := judge(t, "nodeReturns", r, w, Params{}); got.Verdict != want {
			t.Errorf("%v: %s: %s", components, got.Verdict, got.Message)
		}
	}
}

// TestNoWorkersToLose: of a cluster of control planes only, one that is lost is not all workers.
func TestNoWorkersToLose(t *testing.T) {
	r, w := asItShould().record()
	r.Topology = cluster.Topology{ControlPlanes: 3, Etcd: cluster.EtcdStacked, EtcdMembers: 3, Timing: cluster.TimingFast}
	w.Machines = []string{cp}
	for i := range r.Observations {
		for j := range r.Observations[i].Nodes {
			n := &r.Observations[i].Nodes[j]
			n.Name = map[string]string{cp: worker, worker: cp}[n.Name]
		}
		for j := range r.Observations[i].Pods {
			if p := &r.Observations[i].Pods[j]; p.Node == worker {
				p.Node = cp
			}
		}
	}
	if got := judge(t, "nothingEvicted", r, w, Params{}); got.Verdict != plan.Unknown || !strings.Contains(got.Message, "longer than its toleration") {
		t.Errorf("%s: %s", got.Verdict, got.Message)
	}
}

// TestTaintsAreWithheld: of how many nodes, and who counts.
func TestTaintsAreWithheld(t *testing.T) {
	for _, c := range []struct {
		controls, workers, lost int
		labelled                bool
		want                    bool
	}{{1, 1, 1, false, false}, {1, 1, 1, true, true}, {1, 2, 2, false, false}, {1, 3, 3, false, true}, {3, 3, 3, false, false}, {3, 4, 3, true, true}, {1, 9, 5, false, false}} {
		r := &Record{Topology: cluster.Topology{ControlPlanes: c.controls, Workers: c.workers, Etcd: cluster.EtcdStacked, EtcdMembers: c.controls}, Before: facts(nil)}
		if c.labelled {
			r.Before.Objects = &observe.Objects{Items: fields{}}
			for _, m := range r.Topology.ControlPlaneMachines() {
				r.Before.Objects.Items["Node "+m] = map[string]string{"metadata.labels[" + labelExclude + "]": `"drydock"`}
			}
		}
		a := &absence{Record: r, w: &Window{Machines: r.Topology.WorkerMachines()[:c.lost]}}
		if why := a.withheld(); (why != "") != c.want {
			t.Errorf("%+v: %q", c, why)
		}
	}
}
