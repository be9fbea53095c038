package preflight

import (
	"context"
	"errors"
	"fmt"
	"os"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade/policy"
)

// etcdChecks is what is looked at when members of etcd alone are upgraded.
func etcdChecks() []check {
	return []check{
		{"etcd", etcdNow},
		{"earlier upgrade", func(_ context.Context, in *reading) ([]plan.Finding, error) { return begunBefore(in), nil }},
		{"downgrade", downgradeNow},
		{"known issues", func(_ context.Context, in *reading) ([]plan.Finding, error) {
			return policy.Advice(in.Path, "")
		}},
		{"members in the database", listsNow},
	}
}

// downgradeNow: who goes up while the cluster goes down is refused by the members that are down.
func downgradeNow(ctx context.Context, in *reading) ([]plan.Finding, error) {
	to := in.Path.Hops[len(in.Path.Hops)-1]
	for _, name := range in.settled() {
		down, err := in.Target.Members.Downgrading(ctx, name)
		if err != nil {
			return nil, err
		}
		if down != "" && down != etcd.Minor(to) {
			return []plan.Finding{{
				Check: "downgrade", Severity: plan.Blocker, What: "etcd is on its way down to " + down, Why: "members of " + down + " may be there or come, and none of them goes with " + to,
				Fix: "finish it, or etcdctl downgrade cancel",
			}}, nil
		}
	}
	return nil, nil
}

// settled are the machines whose members have to answer: one whose upgrade was interrupted may be down, and is what the upgrade will put right.
func (in *reading) settled() (machines []string) {
	for _, name := range in.Target.Etcd.Machines() {
		if in.Unfinished[name] == "" {
			machines = append(machines, name)
		}
	}
	return machines
}

// listsNow looks for members whose database tells of others than the cluster has: they would come to light as soon as a version goes by it.
func listsNow(ctx context.Context, in *reading) ([]plan.Finding, error) {
	if err := os.MkdirAll(in.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("preflight: %w", err)
	}
	severity, fix := plan.Warning, "nothing now; before v3.6, upgrade to v3.5.26 or a later 3.5, which mends it"
	for _, hop := range in.Path.Hops {
		if !etcd.GoesByDatabase(in.Path.From) && etcd.GoesByDatabase(hop) {
			severity, fix = plan.Blocker, "upgrade to v3.5.26 or a later 3.5 first, which mends it, and see all members well there"
		}
	}
	var out []plan.Finding
	for _, name := range in.settled() {
		var differs *etcd.StoredError
		switch err := in.Target.Etcd.Stored(ctx, in.Target.Members, name, in.Dir); {
		case errors.As(err, &differs):
			out = append(out, plan.Finding{
				Check: "members in the database", Severity: severity, What: differs.Error(),
				Why: "v3.6 goes by that list: who is a learner there loses its vote, two learners and etcd does not start, and who was removed is waited for", Fix: fix,
			})
		case err != nil:
			return out, err
		}
	}
	return out, nil
}
