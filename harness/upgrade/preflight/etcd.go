package preflight

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"k8s.io/apimachinery/pkg/util/version"

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
		{"members in the database", func(ctx context.Context, in *reading) ([]plan.Finding, error) {
			return listsNow(ctx, in, in.Path, true)
		}},
	}
}

// takenAlong is what kubeadm's upgrade does to members that are its static pods: what is known of that path of theirs, and where it leads to a version that goes by the
// members in the database, whether those are the cluster's.
func takenAlong(ctx context.Context, in *reading) ([]plan.Finding, error) {
	if in.EtcdTo == nil {
		return nil, nil
	}
	hops, err := in.EtcdTo(ctx)
	if err != nil {
		return nil, err
	}
	from, err := oldestMember(in.Observation.Members)
	if err != nil {
		return nil, err
	}
	path := policy.EtcdPath(from, hops...)
	found, err := policy.Advice(path, "")
	if err != nil || !toDatabase(path) {
		return found, err
	}
	lists, err := listsNow(ctx, in, path, false)
	return append(found, lists...), err
}

// oldestMember is the oldest version that a member tells, and the one that the path begins with.
func oldestMember(members []etcd.Member) (string, error) {
	var told []string
	for _, m := range members {
		if m.Version != "" {
			told = append(told, m.Version)
		}
	}
	if len(told) == 0 {
		return "", errors.New("no member of etcd has told its version")
	}
	oldest, err := policy.Oldest(told)
	if err != nil {
		return "", fmt.Errorf("what members of etcd tell: %w", err)
	}
	return oldest, nil
}

// toDatabase reports whether a path begins before the version that goes by the members in the database, and leads there.
func toDatabase(p policy.Path) bool {
	return !etcd.GoesByDatabase(p.From) && slices.ContainsFunc(p.Hops, etcd.GoesByDatabase)
}

// mendsLists is the release whose members put the list in their database right, as those after it do.
const mendsLists = "v3.5.26"

// mended reports whether a path leads there by way of a release that mends the lists.
func mended(p policy.Path) bool {
	for _, hop := range p.Hops {
		v, err := version.ParseSemantic(hop)
		if err != nil || etcd.GoesByDatabase(hop) {
			return false
		}
		if v.AtLeast(version.MustParseSemantic(mendsLists)) {
			return true
		}
	}
	return false
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
				Fix: "finish it by the command that began it (drydock upgrade --resume), or, where no member of " + down + " is there yet, have it cancelled: etcdctl downgrade cancel",
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

// listsMatter says how bad it is for a path that members' lists differ, and what to do. Again: they are looked at once more before a version goes by them,
// which etcd's own strategy does and kubeadm does not.
func listsMatter(path policy.Path, again bool) (severity plan.Severity, fix string) {
	switch {
	case !toDatabase(path):
		return plan.Warning, "nothing now; before v3.6, upgrade to " + mendsLists + " or a later 3.5, which mends it"
	case again && mended(path):
		return plan.Warning, "nothing: the version on the way mends it, which is looked at again there"
	default:
		return plan.Blocker, "upgrade to " + mendsLists + " or a later 3.5 first, which mends it, and see all members well there"
	}
}

// member is the one of a machine as it was observed.
func (in *reading) member(machine string) etcd.Member {
	for _, m := range in.Observation.Members {
		if m.Machine == machine {
			return m
		}
	}
	return etcd.Member{}
}

// listsNow looks for members whose database tells of others than the cluster has: they would come to light as soon as a version goes by it.
func listsNow(ctx context.Context, in *reading, path policy.Path, again bool) ([]plan.Finding, error) {
	if err := os.MkdirAll(in.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("preflight: %w", err)
	}
	severity, fix := listsMatter(path, again)
	var out []plan.Finding
	for _, name := range in.settled() {
		if m := in.member(name); m.Error != "" { // a copy of what does not answer takes minutes not to come
			out = append(out, unread("members in the database", fmt.Sprintf("of %s, which does not answer: %s", name, m.Error), m.Failure))
			continue
		}
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
