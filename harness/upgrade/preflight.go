package upgrade

import (
	"context"
	"fmt"
	"maps"
	"path"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/version"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade/preflight"
)

// Preflight looks at everything that could stand against the upgrade, and touches nothing.
func (u *Upgrade) Preflight(ctx context.Context) ([]plan.Finding, error) {
	seen := answered(ctx, u.Observer.Observe)
	in := preflight.Input{
		Target: u.Target, Observation: seen, Upgraded: u.Spec.upgrades(seen), Path: u.Path, Surge: u.Spec.Workers == Surge && u.Spec.Strategy != Replace, ControlPlaneOnly: u.Spec.ControlPlaneOnly,
		OwnCordon: CordonedBy, Dir: u.Dir,
	}
	if u.takesEtcd() {
		in.EtcdTo = u.etcdTo
	}
	var err error
	if in.Replacing, err = u.replacing(); err != nil {
		return nil, err
	}
	if in.Unfinished, err = u.unfinished(ctx); err != nil {
		return nil, err
	}
	var stands []plan.Finding
	if u.Spec.Strategy == Replace {
		if stands, err = u.lookAtMachines(ctx, &in); err != nil {
			return nil, err
		}
	}
	if len(in.Unfinished) == 0 { // after an interruption what ails may be our own doing
		u.ailing = health.Ailing(in.Observation)
	}
	found, err := preflight.Look(ctx, in)
	return append(append(stands, u.leftAlone(seen.Members)...), found...), err
}

// leftAlone finds members that are newer than the version they are to go to: kubeadm leaves them as they are, and ends well.
func (u *Upgrade) leftAlone(members []etcd.Member) []plan.Finding {
	to, err := version.ParseSemantic(u.Spec.EtcdVersion)
	if err != nil { // none is named
		return nil
	}
	for _, m := range members {
		if at, err := version.ParseSemantic(m.Version); err == nil && to.LessThan(at) {
			return []plan.Finding{{
				Check: "etcd version", Severity: plan.Blocker, What: fmt.Sprintf("etcd on %s runs v%s, and is to go to %s", m.Machine, at, u.Spec.EtcdVersion),
				Why: "kubeadm takes no member to an older version: it stays, and control planes that join later are of the older one", Fix: fmt.Sprintf("name v%s or a newer one", at),
			}}
		}
	}
	return nil
}

// takesEtcd reports whether the members are static pods that go along with the upgrade, by kubeadm's choice or the cluster's.
func (u *Upgrade) takesEtcd() bool {
	return u.Chooser != nil && u.Topology.Etcd == cluster.EtcdStacked && !u.Spec.Foreign()
}

// etcdTo are the versions that they go to: the one that was asked for, the one that the cluster's configuration names, or those that kubeadm chooses.
func (u *Upgrade) etcdTo(ctx context.Context) ([]string, error) {
	named := u.Spec.EtcdVersion
	if named == "" {
		var err error
		if named, err = kubeadm.NamedEtcd(ctx, u.Target.Client); err != nil {
			return nil, err
		}
	}
	if named != "" {
		return []string{named}, nil
	}
	var out []string
	for _, hop := range u.Path.Hops {
		v, err := u.Chooser.EtcdOf(ctx, hop)
		if err != nil {
			return nil, fmt.Errorf("%w (drydock fetch %s gets it)", err, hop)
		}
		out = append(out, v)
	}
	return out, nil
}

// lookAtMachines asks what is to be replaced whether it can be. What is gone counts as begun: making it anew is what the upgrade does first.
func (u *Upgrade) lookAtMachines(ctx context.Context, in *preflight.Input) ([]plan.Finding, error) {
	found, gone, err := u.By.Stands(ctx)
	maps.Copy(in.Unfinished, gone)
	maps.Copy(in.Replacing, gone)
	return found, err
}

// lateFor is how long preflight waits for whoever answers late, as on a host that is busy with the bring-up.
const lateFor = 10 * time.Second

// answered looks again while somebody's answer is merely late: once is nothing that stands against an upgrade. Who stays silent does.
func answered(ctx context.Context, look func(context.Context) observe.Observation) (ob observe.Observation) {
	_ = cluster.Await(ctx, "everybody's answer", cluster.Wait{For: lateFor, Every: observe.Every}, func(ctx context.Context) error {
		now := look(ctx)
		if ob.Time.IsZero() || ctx.Err() == nil { // one cut short by our own time-out says nothing
			ob = now
		}
		return late(now)
	}) // whoever judges what was seen says who did not answer
	return ob
}

// late says who has not answered in time.
func late(ob observe.Observation) error {
	for _, m := range ob.Members {
		if m.Error != "" && m.Failure == cluster.Deadline {
			return fmt.Errorf("the member on %s: %s", m.Machine, m.Error)
		}
	}
	for _, c := range ob.Components {
		if c.Version == "" && (c.Failure == cluster.Deadline || c.Failure == cluster.Answered) {
			return fmt.Errorf("%s: %s", c, c.Error)
		}
	}
	return nil
}

// preflight is the step: blockers refuse the upgrade before anything is touched.
func (u *Upgrade) preflight(ctx context.Context) error {
	found, err := u.Preflight(ctx)
	if cluster.FailureOf(err) == cluster.Deadline {
		return &plan.LateError{Err: err}
	}
	if err != nil {
		return err
	}
	refused := plan.Refusal(u.Path.String(), found)
	if refused != nil && !u.Spec.Force {
		return refused
	}
	if u.Accepted != nil {
		return u.Accepted(found)
	}
	return nil
}

// unfinished finds machines whose upgrade was begun by Drydock and has not passed its gate.
func (u *Upgrade) unfinished(ctx context.Context) (map[string]string, error) {
	out, err := u.replacing()
	if err != nil {
		return nil, err
	}
	for _, m := range u.Target.Cluster.Machines() {
		if (m.Role() == cluster.Etcd) != (u.Spec.Strategy == Etcd) || out[m.Name()] != "" { // a machine that is being replaced may be off
			continue
		}
		saved, err := cluster.Glob(ctx, m, SavedDir+"/*")
		if err != nil {
			return nil, err
		}
		for _, dir := range saved {
			out[m.Name()] = strings.TrimSpace(out[m.Name()] + " " + path.Base(dir))
		}
	}
	return out, nil
}
