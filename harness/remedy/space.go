package remedy

import (
	"context"
	"fmt"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

// makeSpace is etcd's own remedy for a database that has come to its quota (operations guide, "Space quota"): history is compacted, every file shrunk,
// and the alarm taken back, which nobody does by himself.
func makeSpace() Runbook {
	return Runbook{
		Name: "etcd-nospace", Symptom: "etcd refuses all writes with the alarm NOSPACE",
		Does:     "compact history, defragment one member at a time, the leader last, and disarm the alarm",
		diagnose: diagnoseSpace,
		steps: func(r *Remedy) []*plan.Step {
			down := []plan.Disruption{{Machines: r.Topology.EtcdMachines(), Components: []string{etcd.Program}, AtMost: 1}}
			return []*plan.Step{
				{Name: "compact", About: "drop what keys were before, and keep what they are", Run: func(ctx context.Context) error { return r.Target.Members.Compact(ctx) }},
				{Name: "defragment", About: "shrink the file of one member after another, the leader last", Run: func(ctx context.Context) error { return r.Target.Members.Defragment(ctx) }, Disrupts: down},
				{Name: "disarm", About: "take the alarm back", Run: func(ctx context.Context) error { return r.Target.Members.DisarmNoSpace(ctx) }},
			}
		},
	}
}

// noSpace is how a member's status names the alarm.
const noSpace = "NOSPACE"

func diagnoseSpace(ctx context.Context, r *Remedy) (d Diagnosis, stands []plan.Finding, _ error) {
	members := r.Target.Members.Members(ctx, looked)
	alarm, stands := projectSpace(members)
	list := r.Target.Members.Membership(ctx, looked)
	why := list.Error
	if err := etcd.Exact(list.Members, r.Topology.EtcdMachines()); why == "" && err != nil {
		why = err.Error()
	}
	if why != "" {
		stands = append(stands, plan.Finding{
			Check: "members", Severity: plan.Blocker, What: why, Why: "each on the list counts in the quorum that must be left while one is shrunk", Fix: "have one voting member on each machine first",
		})
	}
	switch {
	case alarm != "":
		d.Says = alarm
	case plan.Refusal("", stands) == nil: // that it would cost something is nothing against who has no reason
		stands = nil
		d.Nothing = "every member answers, and none tells of the alarm " + noSpace
		d.Says = d.Nothing
	}
	return d, stands, nil
}

// projectSpace says what alarm the members tell of, and what stands against shrinking the file of each in turn: who does not answer keeps his file as it
// is and raises the alarm again, and while one is shrunk, which answers nobody, the others must be a quorum.
func projectSpace(members []etcd.Member) (alarm string, stands []plan.Finding) {
	well := 0
	var silent []string
	for _, m := range members {
		if s := strings.Join(m.Alarms, ", "); strings.Contains(s, noSpace) && alarm == "" {
			alarm = fmt.Sprintf("the member on %s, whose database has %s, says: %s", m.Machine, cluster.Size(m.DBSize), s)
		}
		switch {
		case m.Error != "":
			silent = append(silent, m.Machine+" ("+m.Error+")")
		case m.Leader != 0 && !m.Learner:
			well++
		}
	}
	if len(silent) > 0 {
		stands = append(stands, plan.Finding{
			Check: "members", Severity: plan.Blocker, What: "no answer from the member on " + strings.Join(silent, ", "),
			Why: "its file would stay as it is, and its alarm come back with the first write", Fix: "bring it back, or replace it: the runbook replace-etcd-member",
		})
	}
	if need := cluster.Quorum(len(members)); len(members) > 1 && well-1 < need {
		sum := fmt.Sprintf("while one is shrunk %d of %d members are left that are well; a quorum is %d", max(0, well-1), len(members), need)
		stands = append(stands, plan.Finding{Check: "quorum", Severity: plan.Blocker, What: sum, Why: "a member answers nobody while its file is rewritten", Fix: "bring the others back first"})
	}
	if len(members) == 1 {
		stands = append(stands, plan.Finding{
			Check: "quorum", Severity: plan.Warning, What: "there is one member only", Why: "while its file is rewritten nobody is answered", Fix: "expect that for seconds to minutes",
		})
	}
	return alarm, stands
}
