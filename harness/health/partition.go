package health

import (
	"fmt"
	"slices"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// MinorityStepsDown is the check that is of members cut off from a quorum, and of no others.
const MinorityStepsDown = "minorityStepsDown"

// minorityStepsDown looks at what the fault's members said of themselves once an election's time had passed: who is cut off from a quorum can neither
// lead nor follow. A leader that does not notice goes on to answer its clients by what it last knew.
func minorityStepsDown(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	var minority []string
	for _, m := range r.Topology.EtcdMachines() {
		if slices.Contains(w.Machines, m) {
			minority = append(minority, m)
		}
	}
	if n := len(minority); n == 0 || n >= cluster.Quorum(r.Topology.EtcdMembers) {
		return plan.Unknown, fmt.Sprintf("the fault is of %d of %d members, which is no minority", n, r.Topology.EtcdMembers)
	}
	from, told := w.Effective.Add(electionGap), map[string]int{}
	for _, o := range r.Observations {
		if !o.Time.After(from) || !o.Time.Before(w.Recover) {
			continue
		}
		for _, m := range o.Members {
			switch {
			case !slices.Contains(minority, m.Machine) || m.Error != "":
			case m.IsLeader():
				return plan.Fail, fmt.Sprintf("the member on %s still took itself for the leader at %s, in term %d", m.Machine, clock(o.Time), m.Term)
			case m.Leader != 0:
				return plan.Fail, fmt.Sprintf("the member on %s still followed %x at %s, in term %d", m.Machine, m.Leader, clock(o.Time), m.Term)
			default:
				told[m.Machine]++
			}
		}
	}
	looks := 0
	for _, m := range minority {
		if told[m] == 0 {
			return plan.Unknown, fmt.Sprintf("the member on %s was not seen later than %s after it was cut off", m, electionGap)
		}
		looks += told[m]
	}
	return plan.Pass, fmt.Sprintf("%d members knew no leader at any of %d looks from %s on", len(minority), looks, clock(from))
}

// etcdLeaderStays holds the members to the leader that they followed at the last look before the fault began, in its term: what is slow is not lost. Until
// its effect was seen they may have elected another because of it. A look counts towards the fault once it has taken effect.
func etcdLeaderStays(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	var leader, term uint64
	told, looks := map[string]bool{}, 0
	for _, o := range r.Observations {
		if o.Time.Before(w.Began) { // the last that has a leader is what the members are held to
			for _, m := range o.Members {
				if m.Error == "" && m.Leader != 0 {
					leader, term = m.Leader, m.Term
				}
			}
			continue
		}
		if !o.Time.Before(w.Recover) || w.Effective.IsZero() {
			continue
		}
		for _, m := range o.Members {
			switch {
			case m.Error != "":
				continue
			case leader == 0:
				return plan.Unknown, "whom the members followed before the fault was not seen"
			case m.Leader != leader || m.Term != term:
				return plan.Fail, fmt.Sprintf("the member on %s followed %x in term %d at %s; before the fault the leader was %x, in term %d",
					m.Machine, m.Leader, m.Term, clock(o.Time), leader, term)
			case !o.Time.Before(w.Effective):
				told[m.Machine] = true
				looks++
			}
		}
	}
	if n := r.Topology.EtcdMembers; leader == 0 || len(told) < n {
		return plan.Unknown, fmt.Sprintf("only %d of %d members told whom they followed during the fault", len(told), n)
	}
	return plan.Pass, fmt.Sprintf("all members followed %x in term %d, at %d looks", leader, term, looks)
}
