package upgrade

import (
	"context"
	"fmt"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

// memberUpgrade takes one member of etcd from one version to another. Its methods are the steps' actions; each can be run again.
type memberUpgrade struct {
	*machineUpgrade
}

// members takes them to the version one at a time. To an older minor version the cluster goes first, and no member starts before that.
func (u *Upgrade) members(from, version string) []*plan.Step {
	var steps []*plan.Step
	for i, name := range u.Topology.EtcdMachines() {
		steps = append(steps, u.memberSteps(fmt.Sprintf("member/%d", i+1), name, from, version))
	}
	if etcd.Older(version, from) {
		d := downgrade{u, from, version}
		steps = []*plan.Step{{Name: "downgrade", About: "from " + from + " to " + version, Children: append(append([]*plan.Step{
			{Name: "downgrade/enable", About: "the cluster goes down to " + etcd.Minor(version) + ", and then its members may", Run: d.enable},
		}, steps...), &plan.Step{Name: "downgrade/cancel", About: "when a step above fails and no member has gone down yet", Run: d.cancel, Rollback: true})}}
	}
	if from != u.Path.From && !etcd.GoesByDatabase(from) && etcd.GoesByDatabase(version) { // before the first hop preflight has looked
		steps = append([]*plan.Step{{
			Name: "lists", About: "the members in each database, which " + version + " goes by, are the cluster's, or go no further", Run: func(ctx context.Context) error { return u.listsMended(ctx, version) },
		}}, steps...)
	}
	return append(steps, &plan.Step{
		Name: "verify", About: "every member, the cluster and its data are at " + version, Run: func(ctx context.Context) error { return u.verifyMembers(ctx, version) },
	})
}

// memberSteps takes one member to the version and proves that it is one of the cluster as before.
func (u *Upgrade) memberSteps(id, machine, from, version string) *plan.Step {
	m := &memberUpgrade{&machineUpgrade{Upgrade: u, machine: machine, from: from, version: version}}
	away := []plan.Disruption{{Machines: []string{machine}, Components: []string{etcd.Program}}}
	return &plan.Step{Name: id, About: machine, Children: []*plan.Step{
		{Name: id + "/hand-over", About: "where it leads, another member does from here on", Run: m.handOver},
		{Name: id + "/swap", About: "put " + version + " in its place and restart it", Run: m.swap, Disrupts: away, Lingers: true},
		{Name: id + "/gate", About: "voting, and holding and going on with what the others hold, or go no further", Run: m.gate, Disrupts: away},
		{Name: id + "/rollback", About: "when a step above fails: back to " + from, Run: m.rollback, Rollback: true, Disrupts: away},
	}}
}

// skipIfDone looks whether nothing is left to do: the member runs the version and the gate was passed.
func (m *memberUpgrade) skipIfDone(ctx context.Context) error {
	if m.from == m.version { // it is to be done once more
		return nil
	}
	machine, err := m.open()
	if err != nil {
		return err
	}
	if sh(ctx, machine, "test ! -e "+m.saved()) != nil {
		return nil //nolint:nilerr // begun and not finished
	}
	if at, err := m.runs(ctx); err != nil || at != m.version {
		return nil //nolint:nilerr // not done: that is what the steps are for
	}
	return fmt.Errorf("%w: the member on %s was seen to run %s", plan.ErrSkip, m.machine, m.version)
}

// runs is the version that the member tells.
func (m *memberUpgrade) runs(ctx context.Context) (string, error) {
	v, err := m.Target.Etcd.Versions(ctx, m.machine)
	return "v" + v.Server, err
}

// handOver spares the cluster the time in which nobody leads. One that cannot be done is no reason to go no further: the others elect when the member ends.
func (m *memberUpgrade) handOver(ctx context.Context) error {
	if err := m.skipIfDone(ctx); err != nil {
		return err
	}
	if len(m.Topology.EtcdMachines()) == 1 {
		return fmt.Errorf("%w: it is the only member", plan.ErrSkip)
	}
	moved, err := m.Target.Members.Handover(ctx, m.machine)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", plan.ErrSkip, err)
	case !moved:
		return fmt.Errorf("%w: the member on %s does not lead", plan.ErrSkip, m.machine)
	}
	return nil
}

// swap puts the version's programs in place and has the service run them. That it was begun is on the machine's disk before anything is changed.
func (m *memberUpgrade) swap(ctx context.Context) error {
	if err := m.skipIfDone(ctx); err != nil {
		return err
	}
	machine, err := m.open()
	if err != nil {
		return err
	}
	begun := sh(ctx, machine, "test -e "+m.saved()) == nil
	if at, err := m.runs(ctx); err == nil && begun && at == m.version && m.from != m.version {
		return fmt.Errorf("%w: the member on %s runs %s, and its gate is next", plan.ErrSkip, m.machine, m.version)
	}
	if err := sh(ctx, machine, "mkdir -p "+m.saved()+"; sync"); err != nil {
		return err
	}
	return etcd.Install(ctx, machine, m.version)
}

// gate waits until the member is one of the cluster again, at the version.
func (m *memberUpgrade) gate(ctx context.Context) error {
	if err := m.skipIfDone(ctx); err != nil {
		return err
	}
	if err := m.await(ctx, m.version); err != nil {
		return err
	}
	return m.forget(ctx)
}

// forget drops the word that the member's upgrade was begun.
func (m *memberUpgrade) forget(ctx context.Context) error {
	machine, err := m.open()
	if err != nil {
		return err
	}
	return sh(ctx, machine, "rm -rf "+m.saved())
}

// rollback puts the version from before back in place and proves that the member is well there. When the cluster's own version has risen, as it does as soon as
// the last member is at the new one, no older member starts.
func (m *memberUpgrade) rollback(ctx context.Context) error {
	machine, err := m.open()
	if err != nil {
		return err
	}
	if sh(ctx, machine, "test -e "+m.saved()) != nil {
		return m.await(ctx, m.from) // nothing was changed yet
	}
	if at := m.wentOn(ctx, m.from); at != "" {
		return fmt.Errorf("the cluster is at %s by now, on which no member of %s starts: mend the one on %s as it is, or have all go down (to: %s with force); the snapshot from before is %s",
			at, m.from, m.machine, m.from, m.snapshotFile(m.version))
	}
	if err := etcd.Install(ctx, machine, m.from); err != nil {
		return err
	}
	if err := m.await(ctx, m.from); err != nil {
		return fmt.Errorf("%w; the snapshot from before is %s", err, m.snapshotFile(m.version))
	}
	return m.forget(ctx)
}

// wentOn is the version that the cluster of members, or the data on this machine, has come to, on which a member of an older one does not start; empty: it would.
// Of a cluster that nobody tells of it is not known, and the member says it itself.
func (m *machineUpgrade) wentOn(ctx context.Context, from string) string {
	for _, name := range m.Topology.EtcdMachines() {
		v, err := m.Target.Etcd.Versions(ctx, name)
		switch {
		case err != nil:
		case etcd.Older(from, v.Cluster):
			return etcd.Minor(v.Cluster)
		case name == m.machine && etcd.Older(from, v.Storage): // on its way down, which takes a while
			return etcd.Minor(v.Storage)
		}
	}
	return ""
}
