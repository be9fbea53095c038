package health

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

// wholeAtEnd: Whole held for its steady time after the last step. That it held is what the run said; of the last look it is found again here. Where
// nothing was upgraded the components must have the version they began with.
func wholeAtEnd(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if r.Final.Time.IsZero() {
		return plan.Unknown, "nothing was looked at, at the end"
	}
	for _, c := range r.Final.Components {
		if c.Failure == cluster.Unasked {
			return plan.Unknown, fmt.Sprintf("%s cannot be asked: %s", c, c.Error)
		}
	}
	w := Wanted{Topology: r.Topology, Ailing: r.Ailing, Versions: map[string]string{}}
	for _, m := range r.Topology.KubernetesMachines() {
		if !r.upgraded() {
			w.Versions[m] = r.Topology.Version
		}
	}
	err := Whole(r.Final, w)
	var late *UnreadError
	switch {
	case errors.As(err, &late) && r.podsIll(w) == nil:
		return plan.Unknown, fmt.Sprintf("what was read at the end is well, and not all was: %s", cmp.Or(r.Unwhole, err.Error()))
	case r.Unwhole != "":
		return plan.Fail, r.Unwhole
	case err != nil:
		return plan.Fail, err.Error()
	}
	return plan.Pass, fmt.Sprintf("whole at the end, for %s", Steady(r.Topology))
}

// podsIll is what was wrong with the pods when they were read last.
func (r *Record) podsIll(w Wanted) error {
	for _, o := range slices.Backward(append(slices.Clone(r.Observations), r.Final)) {
		if len(o.Pods) > 0 {
			return podsWhole(o, w)
		}
	}
	return nil
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
	var dark Span       // the longest time in which none was confirmed, seen or not
	for _, o := range r.Observations {
		expected := r.expected(o.Time) || r.onlyMemberAway(o.Time)
		if d := o.Time.Sub(since); !since.IsZero() && !expected && d > dark.To.Sub(dark.From) {
			dark = Span{since, o.Time}
		}
		if since.IsZero() || o.Quorum.Error == "" || expected {
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
	if unseen := blind.Unseen(dark.From, dark.To); unseen > 0 && dark.To.Sub(dark.From) > limit {
		return plan.Unknown, fmt.Sprintf("from %s to %s no quorum was seen to confirm a read, above %s, and for %s of it the harness was stalled",
			clock(dark.From), clock(dark.To), limit, unseen.Round(100*time.Millisecond))
	}
	if why := r.sparse(limit); why != "" {
		return plan.Unknown, why
	}
	if why := r.silentAtEnd(since); why != "" {
		return plan.Unknown, why
	}
	return plan.Pass, fmt.Sprintf("confirmed at %d of %d observations, longest gap %s", good, len(r.Observations), longest.Round(100*time.Millisecond))
}

// silentAtEnd says that no quorum was seen to answer any more when the run ended, though one was waited for longer than for an election; empty: one was. However
// long it is allowed to be away, nobody knows whether it would have come back.
func (r *Record) silentAtEnd(last time.Time) string {
	end := r.Observations[len(r.Observations)-1]
	if end.Time.Sub(last) <= electionGap {
		return ""
	}
	return fmt.Sprintf("from %s to the end, at %s, no quorum confirmed a read, and nobody knows whether one would have again: %s", clock(last), clock(end.Time), end.Quorum.Error)
}

// onlyMemberAway reports whether a step was on the only member at a time: while it starts anew there is no quorum.
func (r *Record) onlyMemberAway(t time.Time) bool {
	members := r.Topology.EtcdMachines()
	return len(members) == 1 && r.excused(members[0], etcd.Program, t)
}

func etcdHealthy(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	if len(r.Final.Members) == 0 {
		return plan.Unknown, "nothing was observed at the end"
	}
	var wrong []string
	if err := etcd.Agree(r.Final.Members); err != nil {
		wrong = append(wrong, err.Error())
	}
	if r.Final.Quorum.Error != "" {
		wrong = append(wrong, r.Final.Quorum.Error)
	} else if err := etcd.Exact(r.Final.Quorum.Members, r.Topology.EtcdMachines()); err != nil {
		wrong = append(wrong, err.Error())
	}
	want := p.Members
	if want == 0 {
		want = r.Topology.EtcdMembers
	}
	if n := len(r.Final.Quorum.Members); n != want && r.Final.Quorum.Error == "" {
		wrong = append(wrong, fmt.Sprintf("%d members instead of %d", n, want))
	}
	for _, m := range r.Final.Members {
		if p.Version != "" && m.Error == "" && !cluster.IsVersion("v"+m.Version, p.Version) {
			wrong = append(wrong, fmt.Sprintf("the member on %s runs %s instead of %s", m.Machine, cmp.Or(m.Version, "what it does not tell"), p.Version))
			continue
		}
		if first := r.Final.Members[0]; m.Version != "" && first.Version != "" && m.Version != first.Version {
			wrong = append(wrong, fmt.Sprintf("the member on %s runs %s and the one on %s %s", m.Machine, m.Version, first.Machine, first.Version))
		}
	}
	if len(wrong) > 0 {
		return plan.Fail, some(wrong)
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
	for _, m := range r.Topology.KubernetesMachines() {
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
