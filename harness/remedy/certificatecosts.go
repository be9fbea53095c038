package remedy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

// costOfRestarts asks each member on its own machine: certificates that have run out keep nobody from that.
func (r *Remedy) costOfRestarts(ctx context.Context, expired map[string][]string) []plan.Finding {
	if r.Topology.Etcd != cluster.EtcdStacked {
		return nil
	}
	return projectRestarts(r.votesBeside(ctx), expired)
}

// wellMembers are the machines whose member says itself that it is well, which it is with a leader only.
func (r *Remedy) wellMembers(ctx context.Context) map[string]bool {
	well := map[string]bool{}
	for _, m := range r.Topology.EtcdMachines() {
		ctx, cancel := context.WithTimeout(ctx, looked)
		well[m] = etcd.WellBeside(ctx, r.Target.Cluster, m) == nil
		cancel()
	}
	return well
}

// votesBeside is who votes by the list, and who of them is well by what is said beside it.
func (r *Remedy) votesBeside(ctx context.Context) votes {
	list := r.Target.Members.Membership(ctx, looked)
	var members []etcd.Member
	if list.Error == "" {
		members = r.Target.Members.Members(ctx, looked)
	}
	return projectVotes(list, members, r.wellMembers(ctx), r.Topology.EtcdMachines())
}

// projectVotes takes the machines for the list where nobody gives that: certificates that have run out keep it from being read, and that is no reason not to renew
// them. Who is well beside its machine has no vote under an id that is not on the list.
func projectVotes(list etcd.Membership, members []etcd.Member, well map[string]bool, machines []string) votes {
	if list.Error != "" {
		return votes{all: machines, well: well, unread: list.Error}
	}
	v := votesOf(list.Members, nil)
	for _, l := range list.Members {
		another := slices.ContainsFunc(members, func(m etcd.Member) bool { return m.Machine == l.Machine && m.Error == "" && m.ID != l.ID })
		if !l.Learner && well[l.Machine] && !another {
			v.well[l.Machine] = true
		}
	}
	return v
}

// projectRestarts says which member that serves cannot be started anew, because the others are no quorum. One that serves nobody costs nothing.
func projectRestarts(v votes, expired map[string][]string) (out []plan.Finding) {
	need := cluster.Quorum(len(v.all))
	for _, m := range v.all {
		if len(expired[m]) == 0 || !v.well[m] {
			continue
		}
		if v.unread != "" && len(out) == 0 {
			out = append(out, plan.Finding{
				Check: "quorum", Severity: plan.Warning, What: "nobody gives the list of members: " + v.unread, Why: "the sum is of the machines, and one that is on the list beside them counts in the quorum too",
				Fix: "where there may be such, look at the list first (etcdctl member list)",
			})
		}
		left := 0
		var away []string
		for _, other := range v.all {
			switch {
			case other == m:
			case v.well[other]:
				left++
			default:
				away = append(away, other)
			}
		}
		if left >= need {
			continue
		}
		f := plan.Finding{
			Check: "quorum", Severity: plan.Blocker, What: fmt.Sprintf("while the member on %s starts anew %d of %d are well, a quorum is %d; not well besides: %s", m, left, len(v.all), need, strings.Join(away, ", ")),
			Why: "nobody could write meanwhile", Fix: "bring the others back first: the runbook recover-node, or replace-etcd-member",
		}
		if len(v.all) == 1 {
			f = plan.Finding{Check: "quorum", Severity: plan.Warning, What: "there is one member only", Why: "while it starts anew nobody is answered", Fix: "expect that for seconds"}
		}
		out = append(out, f)
	}
	return out
}
