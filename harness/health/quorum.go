package health

import (
	"fmt"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

func etcdQuorum(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Observations) == 0 {
		return plan.Unknown, "nothing was observed"
	}
	for _, o := range r.Observations {
		if o.Margin() < 0 && !r.expected(o.Time) {
			return plan.Fail, fmt.Sprintf("at %s only %d of %d members answered, a quorum is %d", clock(o.Time), o.Reachable(), len(o.Members), cluster.Quorum(len(o.Members)))
		}
	}
	if why := r.sparse(); why != "" {
		return plan.Unknown, why
	}
	return plan.Pass, fmt.Sprintf("held at %d observations", len(r.Observations))
}

// onlyPlannedLosses looks for members that did not answer twice running, and for processes that started anew.
func onlyPlannedLosses(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Observations) < 2 {
		return plan.Unknown, r.sparse()
	}
	missed, started, known := map[string]int{}, map[string]time.Time{}, map[string]bool{}
	for _, o := range r.Observations {
		for _, m := range o.Members {
			if m.Error != "" {
				missed[m.Machine]++
				if missed[m.Machine] >= 2 && !r.planned(m.Machine, o.Time) {
					return plan.Fail, fmt.Sprintf("the member on %s was lost at %s and no fault of the scenario did it: %s", m.Machine, clock(o.Time), m.Error)
				}
				continue
			}
			missed[m.Machine] = 0
			if m.Started.IsZero() {
				continue
			}
			known[m.Machine] = true
			if before := started[m.Machine]; !before.IsZero() && m.Started.Sub(before) > time.Second && !r.excused(m.Machine, etcd.Program, m.Started) {
				return plan.Fail, fmt.Sprintf("the member on %s was restarted at %s and no fault of the scenario did it", m.Machine, clock(m.Started))
			}
			started[m.Machine] = m.Started
		}
	}
	for _, m := range r.Topology.EtcdMachines() {
		if !known[m] {
			return plan.Unknown, fmt.Sprintf("the member on %s never told when it started", m)
		}
	}
	if why := r.sparse(); why != "" {
		return plan.Unknown, why
	}
	return plan.Pass, fmt.Sprintf("%d observations, every loss accounted for", len(r.Observations))
}

func etcdHealthy(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	if len(r.Final.Members) == 0 {
		return plan.Unknown, "nothing was observed at the end"
	}
	if err := etcd.Agree(r.Final.Members); err != nil {
		return plan.Fail, err.Error()
	}
	want := p.Members
	if want == 0 {
		want = r.Topology.EtcdMembers
	}
	if len(r.Final.Members) != want {
		return plan.Fail, fmt.Sprintf("%d members instead of %d", len(r.Final.Members), want)
	}
	return plan.Pass, fmt.Sprintf("all %d members follow one leader", want)
}

func hashesEqual(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if r.HashError != "" || len(r.Hashes) == 0 {
		return plan.Unknown, "hashes were not read: " + r.HashError
	}
	values := map[uint32]bool{}
	for _, h := range r.Hashes {
		values[h] = true
	}
	if len(values) > 1 {
		return plan.Fail, fmt.Sprintf("members hold different data: %v", r.Hashes)
	}
	return plan.Pass, fmt.Sprintf("%d members hold the same data", len(r.Hashes))
}

func nodesReady(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Final.Nodes) == 0 {
		return plan.Unknown, "no node was seen at the end"
	}
	if r.FinalError != "" {
		return plan.Fail, r.FinalError
	}
	return plan.Pass, fmt.Sprintf("%d nodes and %d API servers are ready", len(r.Final.Nodes), len(r.Final.APIServers))
}
