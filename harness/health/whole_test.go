package health

import (
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// pairTopology is one control plane and one worker.
func pairTopology() cluster.Topology {
	return cluster.Topology{ControlPlanes: 1, Workers: 1, Etcd: cluster.EtcdStacked, EtcdMembers: 1, Version: "v1.35.4", Timing: cluster.TimingFast}
}

// well is a Look at it with nothing wrong.
func well() observe.Observation {
	o := observe.Observation{
		Time:       epoch,
		Members:    []etcd.Member{{Machine: "control-plane-1", ID: 1, Leader: 1, Term: 2}},
		Quorum:     etcd.Membership{Members: []etcd.Listed{{ID: 1, Machine: "control-plane-1"}}},
		Synced:     &etcd.Synced{Revision: 9, Applied: map[string]int64{"control-plane-1": 9}, Hashes: map[string]uint32{"control-plane-1": 7}},
		APIServers: []observe.ServerHealth{{Machine: "control-plane-1"}},
	}
	for _, name := range []string{observe.APIServer, observe.ControllerManager, observe.Scheduler, observe.Kubelet} {
		o.Components = append(o.Components, observe.Component{Name: name, Machine: "control-plane-1", Version: "v1.35.4"})
	}
	o.Components = append(o.Components, observe.Component{Name: observe.Kubelet, Machine: "worker-1", Version: "v1.35.4"})
	for _, m := range []string{"control-plane-1", "worker-1"} {
		o.Nodes = append(o.Nodes, observe.Node{Name: m, Ready: true, BootID: "b-" + m, Booted: "b-" + m, Version: "v1.35.4", Renewed: at(-1), Expires: at(3)})
	}
	o.Pods = []observe.Pod{{Name: "default/a", Node: "worker-1", Phase: "Running", Ready: true, Owner: "ReplicaSet/a"}}
	o.Wanted = []observe.Wanted{{Name: "Deployment/default/a", Wanted: 1, Ready: 1}}
	for _, name := range kubeadm.Leases() {
		o.Leases = append(o.Leases, observe.Lease{Component: name, Holder: "control-plane-1_x", Renewed: at(-1), Duration: 6 * time.Second})
	}
	return o
}

func TestWholeNamesWhatIsNot(t *testing.T) {
	if err := Whole(well(), Wanted{Topology: pairTopology(), Versions: map[string]string{"worker-1": "v1.35"}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*observe.Observation, *Wanted)
		says   string
	}{
		"no quorum though members answer": {func(o *observe.Observation, _ *Wanted) {
			o.Quorum = etcd.Membership{Error: "no linearizable read succeeded"}
		}, "no linearizable read"},
		"a stray member": {func(o *observe.Observation, _ *Wanted) {
			o.Quorum.Members = append(o.Quorum.Members, etcd.Listed{ID: 2, Name: "x"})
		}, "belongs to no machine"},
		"a learner":                       {func(o *observe.Observation, _ *Wanted) { o.Quorum.Members[0].Learner = true }, "learner"},
		"no member":                       {func(o *observe.Observation, _ *Wanted) { o.Quorum.Members = nil }, "has no member"},
		"a member that knows no leader":   {func(o *observe.Observation, _ *Wanted) { o.Members[0].Leader = 0 }, "knows no leader"},
		"an alarm":                        {func(o *observe.Observation, _ *Wanted) { o.Members[0].Alarms = []string{"NOSPACE"} }, "NOSPACE"},
		"no last write":                   {func(o *observe.Observation, _ *Wanted) { o.Synced = nil }, "no last write"},
		"a last write that failed":        {func(o *observe.Observation, _ *Wanted) { o.Synced = &etcd.Synced{Error: "a last write: timed out"} }, "a last write"},
		"a member that is behind":         {func(o *observe.Observation, _ *Wanted) { o.Synced.Applied["control-plane-1"] = 8 }, "revision 8 of 9"},
		"an API server that is not ready": {func(o *observe.Observation, _ *Wanted) { o.APIServers[0].Ready = "500" }, "API server: 500"},
		"an API server nobody saw":        {func(o *observe.Observation, _ *Wanted) { o.APIServers = nil }, "was not seen"},
		"a component that is silent":      {func(o *observe.Observation, _ *Wanted) { o.Components[2].Version = "" }, "kube-scheduler on control-plane-1 does not answer"},
		"a component that is ill":         {func(o *observe.Observation, _ *Wanted) { o.Components[1].Unhealthy = "500" }, "is not healthy: 500"},
		"a machine without components":    {func(o *observe.Observation, _ *Wanted) { o.Components = o.Components[:4] }, "no component of worker-1"},
		"another version":                 {func(_ *observe.Observation, w *Wanted) { w.Versions = map[string]string{"worker-1": "v1.36"} }, "instead of v1.36"},
		"a kubelet that reports the old": {func(o *observe.Observation, w *Wanted) {
			w.Versions = map[string]string{"worker-1": "v1.35"}
			o.Nodes[1].Version = "v1.34.4"
		}, "reports a kubelet"},
		"no leader":                  {func(o *observe.Observation, _ *Wanted) { o.Leases = o.Leases[:1] }, "has no leader"},
		"a lease nobody renews":      {func(o *observe.Observation, _ *Wanted) { o.Leases[0].Renewed = at(-30) }, "has no leader"},
		"a node that is not Ready":   {func(o *observe.Observation, _ *Wanted) { o.Nodes[1].Ready = false }, "worker-1 is not Ready"},
		"a node nobody saw":          {func(o *observe.Observation, _ *Wanted) { o.Nodes = o.Nodes[:1] }, "worker-1 was not seen"},
		"no heartbeat":               {func(o *observe.Observation, _ *Wanted) { o.Nodes[1].Expires = time.Time{} }, "no heartbeat"},
		"an old heartbeat":           {func(o *observe.Observation, _ *Wanted) { o.Nodes[1].Expires = at(-5) }, "old"},
		"a Ready of the boot before": {func(o *observe.Observation, _ *Wanted) { o.Nodes[1].BootID = "other" }, "a boot before this one"},
		"no pod read":                {func(o *observe.Observation, _ *Wanted) { o.Pods = nil }, "no pod was seen"},
		"a pending pod":              {func(o *observe.Observation, _ *Wanted) { o.Pods[0].Node, o.Pods[0].Ready = "", false }, "default/a is not scheduled"},
		"a crash loop": {func(o *observe.Observation, _ *Wanted) {
			o.Pods[0].Ready, o.Pods[0].Waiting = false, "serve: CrashLoopBackOff"
		}, "CrashLoopBackOff"},
		"a pod on its way":  {func(o *observe.Observation, _ *Wanted) { o.Pods[0].Ending = true }, "being deleted"},
		"a replica missing": {func(o *observe.Observation, _ *Wanted) { o.Wanted[0].Ready = 0 }, "0 of 1 replicas"},
	} {
		o, w := well(), Wanted{Topology: pairTopology()}
		c.change(&o, &w)
		if err := Whole(o, w); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	o := well()
	o.Pods[0].Ready, o.Wanted[0].Ready = false, 0
	if err := Whole(o, Wanted{Topology: pairTopology(), Ailing: Ailing(o)}); err != nil {
		t.Errorf("what was ill before: %v", err)
	}
	o.Nodes[1].Ready = false
	if err := Whole(o, Wanted{Topology: pairTopology(), Away: []string{"worker-1"}}); err != nil {
		t.Errorf("a machine somebody is at work on: %v", err)
	}
}

func TestSteadyComesFromTheTiming(t *testing.T) {
	fast, production := pairTopology(), pairTopology()
	production.Timing = cluster.TimingProduction
	if Steady(fast) >= Steady(production) || Steady(fast) < 2*time.Second {
		t.Errorf("%s, %s", Steady(fast), Steady(production))
	}
}

// TestALookThatWasNotTaken: what was not answered in time says nothing of the cluster, and what was answered does.
func TestALookThatWasNotTaken(t *testing.T) {
	lost := func(part string, f cluster.Failure) observe.Observation {
		o := well()
		switch part {
		case observe.PartNodes:
			o.Nodes = nil
		case observe.PartLeases:
			o.Leases = o.Leases[:1]
		case observe.PartPods:
			o.Pods, o.Wanted = nil, nil
		case observe.PartHeartbeats:
			o.Nodes[1].Renewed, o.Nodes[1].Expires = time.Time{}, time.Time{}
		}
		o.Unread = []observe.Unread{{What: part, Why: "why " + part, Failure: f}}
		return o
	}
	ill := well()
	ill.Pods[0].Ready = false
	frozen := lost(observe.PartNodes, cluster.Deadline)
	frozen.Components[0] = observe.Component{Name: observe.APIServer, Machine: "control-plane-1", Error: "deadline exceeded", Failure: cluster.Deadline}
	for _, part := range []string{observe.PartNodes, observe.PartLeases, observe.PartPods, observe.PartHeartbeats} {
		for _, c := range []struct {
			final, before observe.Observation
			want          plan.Verdict
			says          string
		}{
			{lost(part, cluster.Deadline), well(), plan.Unknown, "why " + part},
			{lost(part, cluster.Answered), well(), plan.Fail, "why " + part},
			{lost(observe.PartPods, cluster.Deadline), ill, plan.Fail, "last seen"},
			{frozen, well(), plan.Fail, "last seen"},
		} {
			r := &Record{Topology: pairTopology(), Observations: []observe.Observation{c.before}, Final: c.final}
			if err := Whole(c.final, Wanted{Topology: r.Topology}); err == nil {
				t.Errorf("%s: whole without it", part)
			} else {
				r.Unwhole = "not after 1m36s; last seen: " + err.Error()
			}
			if got := judge(t, "whole", r, nil, Params{}); got.Verdict != c.want || !strings.Contains(got.Message, c.says) {
				t.Errorf("%s, %s: %s (%s), want %s", part, c.final.Unread[0].Failure, got.Verdict, got.Message, c.want)
			}
		}
	}
}

func TestTheControlPlanesOwnPodsAreNeverForgiven(t *testing.T) {
	o := well()
	o.Pods = []observe.Pod{
		{Name: "kube-system/etcd-control-plane-1", Node: "control-plane-1", Phase: "Running", Owner: "Node/control-plane-1"},
		{Name: "default/theirs", Node: "worker-1", Phase: "Running", Owner: "ReplicaSet/theirs"},
	}
	if got := Ailing(o); !slices.Equal(got, []string{"default/theirs"}) {
		t.Errorf("%v", got)
	}
}
