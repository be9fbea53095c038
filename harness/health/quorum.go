package health

import (
	"fmt"
	"time"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

// wholeAtEnd: Whole held for its steady time after the last step.
func wholeAtEnd(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	switch {
	case r.Final.Time.IsZero():
		return plan.Unknown, "nothing was looked at, at the end"
	case r.Unwhole != "":
		return plan.Fail, r.Unwhole
	default:
		return plan.Pass, fmt.Sprintf("whole at the end, for %s", Steady(r.Topology))
	}
}

// electionGap is how long a quorum may be unable to confirm a read while nobody is lost: a leader's end is noticed after an election time-out (1 s by
// default, up to twice that), the election takes a moment, and a reader looks every half second.
const electionGap = 5 * time.Second

// etcdQuorum looks at linearizable reads: a member that merely answers proves no quorum. A single look that failed is no loss; a time without any that
// succeeded is.
func etcdQuorum(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	limit := p.MaxGap
	if limit == 0 {
		limit = electionGap
	}
	blind, good, longest := r.Blind(), 0, time.Duration(0)
	var since time.Time // of the last confirmed read
	for _, o := range r.Observations {
		if since.IsZero() || o.Quorum.Error == "" || r.expected(o.Time) {
			if o.Quorum.Error == "" {
				good++
			}
			since = o.Time
			continue
		}
		gap := o.Time.Sub(since) - blind.Unseen(since, o.Time)
		longest = max(longest, gap)
		if gap > limit {
			return plan.Fail, fmt.Sprintf("from %s to %s no quorum confirmed a read, above %s: %s", clock(since), clock(o.Time), limit, o.Quorum.Error)
		}
	}
	if good == 0 {
		return plan.Unknown, fmt.Sprintf("no quorum confirmed a read at any of %d observations", len(r.Observations))
	}
	if unseen := blind.Longest(r.Observations[0].Time, r.Observations[len(r.Observations)-1].Time); unseen > limit {
		return plan.Unknown, fmt.Sprintf("for %s nothing was seen, above %s: the harness was stalled", unseen.Round(100*time.Millisecond), limit)
	}
	if why := r.sparse(); why != "" {
		return plan.Unknown, why
	}
	return plan.Pass, fmt.Sprintf("confirmed at %d of %d observations, longest gap %s", good, len(r.Observations), longest.Round(100*time.Millisecond))
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
	if r.Final.Quorum.Error != "" {
		return plan.Fail, r.Final.Quorum.Error
	}
	if err := etcd.Exact(r.Final.Quorum.Members, r.Topology.EtcdMachines()); err != nil {
		return plan.Fail, err.Error()
	}
	want := p.Members
	if want == 0 {
		want = r.Topology.EtcdMembers
	}
	if len(r.Final.Quorum.Members) != want {
		return plan.Fail, fmt.Sprintf("%d members instead of %d", len(r.Final.Quorum.Members), want)
	}
	return plan.Pass, fmt.Sprintf("all %d members follow one leader", want)
}

func hashesEqual(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	switch {
	case r.Final.Synced == nil:
		return plan.Unknown, "no last write was made, and nothing compared"
	case r.Final.Synced.Error != "":
		return plan.Unknown, r.Final.Synced.Error
	}
	if err := r.Final.Synced.Equal(r.Topology.EtcdMachines()); err != nil {
		return plan.Fail, err.Error()
	}
	return plan.Pass, fmt.Sprintf("%d members hold the same data at revision %d", len(r.Final.Synced.Hashes), r.Final.Synced.Revision)
}

func nodesReady(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Final.Nodes) == 0 {
		return plan.Unknown, "no node was seen at the end"
	}
	for _, m := range kubernetesMachines(r.Topology) {
		if err := nodeWhole(r.Final, m, Wanted{}); err != nil {
			return plan.Fail, err.Error()
		}
	}
	for _, m := range r.Topology.ControlPlaneMachines() {
		if err := serverWhole(r.Final, m); err != nil {
			return plan.Fail, err.Error()
		}
	}
	return plan.Pass, fmt.Sprintf("%d nodes and %d API servers are ready", len(r.Final.Nodes), len(r.Final.APIServers))
}
