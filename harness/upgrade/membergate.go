package upgrade

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// crashes are how often a member may end itself with the same words before it is not waited for any longer.
const crashes = 3

// await waits until the member runs the version in a whole cluster, for a steady time. What it says of itself when it does not come is part of the error.
func (m *memberUpgrade) await(ctx context.Context, version string) error {
	was, err := readSnapshotOf(m.snapshotFile(m.version))
	if err != nil {
		return err
	}
	begun, before := time.Now(), progress{Revision: was.Revision}
	waiting, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	what := fmt.Sprintf("the member on %s one of the cluster at %s", m.machine, version)
	wanted := health.Wanted{Topology: m.Topology, Ailing: m.ailing}
	_, err = m.Observer.AwaitSteady(waiting, what, m.Spec.MachineTimeout, health.Steady(m.Topology), func(o observe.Observation) error {
		now, err := before.judge(o, m.machine, version, wanted)
		if err == nil {
			before = now
			return nil
		}
		if words, often := m.words(ctx, begun); often >= crashes {
			giveUp(fmt.Errorf("it has ended itself %d times, saying: %s", often, words))
		}
		return err
	})
	if err != nil && waiting.Err() == nil {
		if words, often := m.words(ctx, begun); often > 0 {
			err = fmt.Errorf("%w; it said: %s", err, words)
		}
	}
	if err != nil {
		return err
	}
	return m.listsAlike(ctx, version, m.machine)
}

// words are what the member's process has ended with since a time, and how often with the same.
func (m *memberUpgrade) words(ctx context.Context, since time.Time) (words string, often int) {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	lines, err := m.Target.Words(ctx, m.machine, etcd.Program, since)
	if err != nil {
		return "", 0 // they explain, and decide nothing
	}
	var said []string
	for _, l := range lines {
		if l.Fatal {
			said, often = append(said, fmt.Sprintf("%q", l.Text)), max(often, l.Times)
		}
	}
	return strings.Join(said, ", "), often
}

// progress is how far the cluster was seen to have come. It only ever goes on.
type progress struct {
	Revision int64
	Applied  uint64 // by whichever member had applied most
}

// judge says why a member that was brought to a version lets nobody pass: it runs another, the cluster is not whole, with a vote for each member, all of them
// holding the same, or somebody is behind what was there before.
func (p progress) judge(o observe.Observation, machine, version string, wanted health.Wanted) (now progress, err error) {
	for _, m := range o.Members {
		now.Applied = max(now.Applied, m.Applied)
		switch {
		case m.Machine != machine:
		case m.Error != "":
			return p, fmt.Errorf("the member on %s does not answer: %s", machine, m.Error)
		case "v"+m.Version != version:
			return p, fmt.Errorf("the member on %s runs v%s instead of %s", machine, m.Version, version)
		}
	}
	if err := health.Whole(o, wanted); err != nil {
		return p, err
	}
	for _, m := range o.Members {
		if m.Applied < p.Applied {
			return p, fmt.Errorf("the member on %s has applied entry %d, and %d was applied before", m.Machine, m.Applied, p.Applied)
		}
	}
	if now.Revision = o.Synced.Revision; now.Revision <= p.Revision {
		return p, fmt.Errorf("the data is at revision %d, and was at %d before", now.Revision, p.Revision)
	}
	return now, nil
}

// listsAlike compares a member's database with the cluster's list of members, of a version that goes by it.
func (u *Upgrade) listsAlike(ctx context.Context, version string, machines ...string) error {
	if !etcd.GoesByDatabase(version) {
		return nil
	}
	if err := os.MkdirAll(u.Dir, 0o700); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	var errs []error
	for _, name := range machines {
		errs = append(errs, u.Target.Etcd.Stored(ctx, u.Target.Members, name, u.Dir))
	}
	return errors.Join(errs...)
}

// listsMended compares them before a version that goes by them.
func (u *Upgrade) listsMended(ctx context.Context, version string) error {
	if u.Spec.Force {
		return fmt.Errorf("%w: it was forced", plan.ErrSkip)
	}
	return u.listsAlike(ctx, version, u.Topology.EtcdMachines()...)
}

// verifyMembers looks at all of etcd once more: by then the cluster's own version and that of its data have come to the new one too.
func (u *Upgrade) verifyMembers(ctx context.Context, version string) error {
	wanted, machines := health.Wanted{Topology: u.Topology, Ailing: u.ailing}, u.Topology.EtcdMachines()
	_, err := u.Observer.AwaitSteady(ctx, "all of etcd at "+version, u.Spec.MachineTimeout, health.Steady(u.Topology), func(o observe.Observation) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		for _, name := range machines {
			if err := u.memberAt(ctx, name, version); err != nil {
				return err
			}
		}
		return health.Whole(o, wanted)
	})
	if err != nil {
		return err
	}
	return u.listsAlike(ctx, version, machines...)
}

// memberAt says what of a member is not at a version: itself, the cluster as it knows it, or its data; or that etcd is on its way down from it.
func (u *Upgrade) memberAt(ctx context.Context, machine, version string) error {
	v, err := u.Target.Etcd.Versions(ctx, machine)
	if err != nil {
		return err
	}
	down, err := u.Target.Members.Downgrading(ctx, machine)
	minor := etcd.Minor(version)
	switch {
	case err != nil:
		return err
	case "v"+v.Server != version:
		return fmt.Errorf("the member on %s runs v%s instead of %s", machine, v.Server, version)
	case etcd.Minor(v.Cluster) != minor:
		return fmt.Errorf("the member on %s has the cluster at %q instead of %s", machine, v.Cluster, minor)
	case v.Storage != "" && etcd.Minor(v.Storage) != minor:
		return fmt.Errorf("the data of the member on %s is of %s instead of %s", machine, v.Storage, minor)
	case down != "":
		return fmt.Errorf("the member on %s is on its way down to %s", machine, down)
	}
	return nil
}
