package health

import (
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// restartedKubelet is a record of a kubelet that was restarted at 10 s, looked at every half second for 40 s; change alters what is seen.
func restartedKubelet(change func(o *observe.Observation, second float64)) (*Record, *Window) {
	r := &Record{Topology: cluster.Topology{ControlPlanes: 1, Workers: 1, Etcd: cluster.EtcdStacked, EtcdMembers: 1, Timing: cluster.TimingFast}}
	w := Window{ID: "4", Machines: []string{worker}, Components: []string{observe.Kubelet}, Began: at(10), Effective: at(11), Recover: at(20), Cleared: at(21)}
	for i := range 81 {
		second := float64(i) / 2
		o := observe.Observation{Time: at(second), Nodes: []observe.Node{{Name: cp, Ready: true}, {Name: worker, Ready: true}}}
		if i%10 == 0 {
			o.Pods = []observe.Pod{{Name: "default/a", Node: worker, UID: "a", Ready: true, Restarts: 1}, {Name: "default/b", Node: cp, UID: "b", Ready: true}}
		}
		if change != nil {
			change(&o, second)
		}
		r.Observations = append(r.Observations, o)
	}
	r.Windows = []Window{w}
	return r, &w
}

func TestUndisturbed(t *testing.T) {
	pods := func(f func(p *observe.Pod)) func(o *observe.Observation, second float64) {
		return func(o *observe.Observation, second float64) {
			if second > 12 && len(o.Pods) > 0 {
				f(&o.Pods[0])
			}
		}
	}
	for name, c := range map[string]struct {
		change      func(o *observe.Observation, second float64)
		node, runOn plan.Verdict
	}{
		"as it should": {nil, plan.Pass, plan.Pass},
		"the node was not Ready for a moment": {func(o *observe.Observation, second float64) {
			o.Nodes[1].Ready = second != 13
		}, plan.Fail, plan.Pass},
		"it was tainted": {func(o *observe.Observation, second float64) {
			if second == 30 {
				o.Nodes[1].NoExecute = []observe.Taint{{Key: "node.kubernetes.io/not-ready"}}
			}
		}, plan.Fail, plan.Pass},
		"nobody looked": {func(o *observe.Observation, second float64) {
			if second > 9 && second < 30 {
				o.Nodes = nil
			}
		}, plan.Unknown, plan.Pass},
		"another node was not Ready": {func(o *observe.Observation, second float64) { o.Nodes[0].Ready = second < 12 }, plan.Pass, plan.Pass},
		"a container started anew":   {pods(func(p *observe.Pod) { p.Restarts = 2 }), plan.Pass, plan.Fail},
		"another pod of its name":    {pods(func(p *observe.Pod) { p.UID = "c" }), plan.Pass, plan.Fail},
		"it is being deleted":        {pods(func(p *observe.Pod) { p.Ending = true }), plan.Pass, plan.Fail},
		"it is not ready":            {pods(func(p *observe.Pod) { p.Ready = false }), plan.Pass, plan.Fail},
		"another node's pod was replaced": {func(o *observe.Observation, second float64) {
			if second > 12 && len(o.Pods) > 0 {
				o.Pods[1].UID = "c"
			}
		}, plan.Pass, plan.Pass},
		"the pods were not read afterwards": {func(o *observe.Observation, second float64) {
			if second > 12 {
				o.Pods = nil
			}
		}, plan.Pass, plan.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := restartedKubelet(c.change)
			if v, why := nodeStaysReady(r, w, Params{}); v != c.node {
				t.Errorf("nodeStaysReady: %s: %s", v, why)
			}
			if v, why := podsRunOn(r, w, Params{}); v != c.runOn {
				t.Errorf("podsRunOn: %s: %s", v, why)
			}
		})
	}
}

// Of machines that have no pods none can run on.
func TestNoPodsRunOn(t *testing.T) {
	r, w := restartedKubelet(nil)
	r.Topology = cluster.Topology{ControlPlanes: 1, Workers: 1, Etcd: cluster.EtcdExternal, EtcdMembers: 1, Timing: cluster.TimingFast}
	w.Machines = r.Topology.EtcdMachines()
	if v, why := podsRunOn(r, w, Params{}); v != plan.Unknown {
		t.Errorf("%s: %s", v, why)
	}
}

// A fault that leaves API servers, members and kubelets alone excuses no node, no request and no replica.
func TestExcusesOfOneComponent(t *testing.T) {
	for component, excused := range map[string]bool{observe.Scheduler: false, observe.ControllerManager: false, observe.Kubelet: true, observe.APIServer: true} {
		r := &Record{Topology: cluster.Topology{ControlPlanes: 3, Etcd: cluster.EtcdStacked, EtcdMembers: 3, Timing: cluster.TimingFast}}
		r.Windows = []Window{{Machines: []string{"control-plane-1"}, Components: []string{component}, Began: at(1), Cleared: at(30)}}
		if r.excusedNode("control-plane-1", at(10)) != excused {
			t.Errorf("the node of a machine whose %s is away: excused %v", component, !excused)
		}
		c := newClients(r, Params{})
		if quiet := component != observe.APIServer; c.quiet(at(10), at(10).Add(time.Second)) != quiet {
			t.Errorf("requests while a %s is away: quiet %v", component, !quiet)
		}
		if r.replicasLost(observe.Observation{Time: at(10)}, map[string]bool{"control-plane-1": true}) != excused {
			t.Errorf("replicas on a machine whose %s is away: excused %v", component, !excused)
		}
	}
}
