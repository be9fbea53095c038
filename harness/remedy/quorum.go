package remedy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// restoreQuorum is etcd's disaster recovery: what a member that is left has on its disk begins a new cluster of one, and the others join that one after
// another. The revision is raised far, so that nobody takes the past for the present ("Disaster recovery", --bump-revision --mark-compacted): whoever
// watches from before is told that history was cut, and lists anew. Meanwhile nobody writes: every API server is stopped ("Restoring an etcd cluster").
func restoreQuorum() Runbook {
	return Runbook{
		Name: "restore-quorum", Symptom: "a majority of etcd's members is lost for good",
		Does:     "stop what writes, save what the best survivor has on its disk, or take a snapshot, begin a new cluster of it alone, have the others join one at a time, and see Kubernetes go on from there",
		Needs:    []cluster.Capability{cluster.CanKill, cluster.CanFreeze},
		Restores: true,
		diagnose: diagnoseQuorum,
		steps:    func(r *Remedy) []*plan.Step { return quorumRestoration{r}.steps() },
	}
}

// quorumRestoration has the steps.
type quorumRestoration struct{ *Remedy }

func (r quorumRestoration) steps() []*plan.Step {
	down := []plan.Disruption{{Machines: r.Topology.EtcdMachines(), Components: []string{etcd.Program}}}
	if r.Topology.Kubernetes() { // who leads ends when he cannot say so any more
		down = append(down, plan.Disruption{Machines: r.Topology.ControlPlaneMachines(), Components: []string{observe.APIServer, observe.ControllerManager, observe.Scheduler}})
	}
	steps := []*plan.Step{{Name: "stop", About: "stop all members" + r.only(", and before them every API server"), Run: r.stop}}
	if r.Spec.ForceNewCluster {
		steps = append(steps, &plan.Step{Name: "force", About: "start the survivor with --force-new-cluster, see it alone on the list of members, and take the flag away", Run: r.force})
	} else {
		steps = append(steps,
			&plan.Step{Name: "save", About: "make a snapshot of all that is on the survivor's disk, or take the one that was given", Run: r.save},
			&plan.Step{Name: "restore", About: "make data anew of it, as a cluster of one; the old is set aside", Run: r.restore},
			&plan.Step{Name: "start", About: "start that member", Run: r.start})
	}
	for _, m := range r.Topology.EtcdMachines() {
		steps = append(steps, &plan.Step{
			Name: "rejoin-" + m, About: "as a learner, promoted when it has caught up; its old data is set aside",
			Run: func(ctx context.Context) error { return r.rejoin(ctx, m) },
		})
	}
	if r.Topology.Kubernetes() {
		steps = append(steps,
			&plan.Step{Name: "serve", About: "start the API servers", Run: r.serve},
			&plan.Step{Name: "prove", About: "see controllers, the scheduler, a watch and every kubelet go on from the new revision", Run: r.prove, Looks: true})
	}
	for _, s := range steps {
		s.Disrupts, s.Lingers = down, true
	}
	steps[len(steps)-1].Lingers = false
	return steps
}

// only is for what is of Kubernetes.
func (r quorumRestoration) only(words string) string {
	if r.Topology.Kubernetes() {
		return words
	}
	return ""
}

// file is this remedy's own: an earlier one's is of before.
func (r quorumRestoration) file() string {
	return filepath.Join(r.Dir, plan.SnapshotsDir, "restore-quorum-"+r.stamp()+".db")
}

func (r quorumRestoration) survivor() (cluster.Machine, error) {
	return r.Target.Cluster.Machine(r.found.Machine)
}

// lost refuses to go on where a quorum has come back: a restore would lose what it has acknowledged. Where the survivor's data was made anew by this remedy
// there is nothing more to do before it is started.
func (r quorumRestoration) lost(ctx context.Context) error {
	m, err := r.survivor()
	if err != nil {
		return err
	}
	mark, err := etcd.RestoredBy(ctx, m)
	forced, errForced := etcd.ForcesNewCluster(ctx, m)
	switch {
	case err != nil || errForced != nil:
		return errors.Join(err, errForced)
	case mark == r.stamp():
		return fmt.Errorf("%w: the data of %s was made anew before", plan.ErrSkip, r.found.Machine)
	case forced && r.Spec.ForceNewCluster:
		return fmt.Errorf("%w: the member on %s was told to begin anew before", plan.ErrSkip, r.found.Machine)
	case r.Target.Members.Membership(ctx, looked).Error == "":
		return r.changed("a quorum is back", "a restore would lose what it has acknowledged")
	}
	return nil
}

// stop has nobody write any more, and then nobody serve. It is done again before each step that takes from it that nobody does.
func (r quorumRestoration) stop(ctx context.Context) error {
	if err := r.lost(ctx); err != nil {
		return err
	}
	if err := kubeadm.StopPods(ctx, r.Target.Cluster, r.Topology.ControlPlaneMachines(), observe.APIServer); err != nil {
		return err
	}
	var g errgroup.Group
	for _, name := range r.Topology.EtcdMachines() {
		g.Go(func() error { return r.down(ctx, name) })
	}
	return g.Wait()
}

// down holds a member down. A static pod's manifest is taken away, so that its kubelet does not try in vain, longer from time to time; whoever holds the
// program itself lets go of it.
func (r quorumRestoration) down(ctx context.Context, machine string) error {
	if r.Topology.Etcd != cluster.EtcdStacked {
		return memberReplacement{r.about(machine)}.hold(ctx)
	}
	stop := func() error { return kubeadm.StopPods(ctx, r.Target.Cluster, []string{machine}, etcd.Program) }
	_, k, err := memberReplacement{r.about(machine)}.killer()
	if err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	if err := k.Release(ctx, etcd.Program); err != nil {
		return err
	}
	return stop() // to let go of it may have given the manifest back
}

func (r quorumRestoration) up(ctx context.Context, machine string) error {
	if r.Topology.Etcd != cluster.EtcdStacked {
		return memberReplacement{r.about(machine)}.start(ctx)
	}
	return kubeadm.StartPods(ctx, r.Target.Cluster, []string{machine}, etcd.Program)
}

// save makes the snapshot, again where the log has gone on since.
func (r quorumRestoration) save(ctx context.Context) error {
	if err := r.stop(ctx); err != nil {
		return err
	}
	if r.Spec.Snapshot != "" {
		return copySnapshot(r.Spec.Snapshot, r.file())
	}
	m, err := r.survivor()
	if err != nil {
		return err
	}
	there, err := hasData(ctx, m)
	if err != nil {
		return err
	}
	saved, err := r.savedLog()
	switch {
	case err == nil && !there: // it was set aside already, and the rest of that was cut off
		return fmt.Errorf("%w: it was saved before", plan.ErrSkip)
	case err != nil && !there:
		return fmt.Errorf("%s has lost its data since it was diagnosed, and no snapshot of it was saved: %w", r.found.Machine, err)
	}
	now, left := r.Target.Etcd.Remains(ctx, r.found.Machine)
	if left != nil {
		return left
	}
	if err == nil && saved == now.Log {
		return fmt.Errorf("%w: it was saved before", plan.ErrSkip)
	}
	if now.Log.Before(r.found.Log) {
		return r.changed(fmt.Sprintf("the log of %s goes to %s and no more to %s", r.found.Machine, now.Log, r.found.Log), "what is between would be lost")
	}
	return r.salvage(ctx, m)
}

func (r quorumRestoration) salvage(ctx context.Context, m cluster.Machine) error {
	log, err := etcd.Salvage(ctx, m, r.file())
	if err != nil {
		return err
	}
	raw, err := json.Marshal(log)
	if err == nil {
		err = os.WriteFile(r.file()+".json", raw, 0o600)
	}
	if err != nil {
		return fmt.Errorf("the snapshot: %w", err)
	}
	return nil
}

// savedLog is how far the log went that the snapshot is of, where one was saved.
func (r quorumRestoration) savedLog() (l etcd.Log, err error) {
	if err := etcd.CheckSnapshot(r.file()); err != nil {
		return l, err
	}
	raw, err := os.ReadFile(r.file() + ".json")
	if err == nil {
		err = json.Unmarshal(raw, &l)
	}
	if err != nil {
		return l, fmt.Errorf("the snapshot: %w", err)
	}
	return l, nil
}

// copySnapshot keeps the given one with the remedy, so that it is the same after an interrupt.
func copySnapshot(from, to string) error {
	if etcd.CheckSnapshot(to) == nil {
		return fmt.Errorf("%w: it was saved before", plan.ErrSkip)
	}
	raw, err := os.ReadFile(from)
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, raw, 0o600))
	}
	if err != nil {
		return fmt.Errorf("the snapshot: %w", err)
	}
	return etcd.CheckSnapshot(to)
}

func (r quorumRestoration) restore(ctx context.Context) error {
	if err := r.stop(ctx); err != nil {
		return err
	}
	if err := etcd.CheckSnapshot(r.file()); err != nil {
		return err
	}
	m, err := r.survivor()
	if err != nil {
		return err
	}
	return etcd.Restore(ctx, r.Target.Cluster, m, r.file(), []string{m.Name()}, r.stamp())
}

func (r quorumRestoration) start(ctx context.Context) error {
	if err := r.up(ctx, r.found.Machine); err != nil {
		return err
	}
	return cluster.Await(ctx, "the survivor's member to be a cluster of its own", cluster.Wait{For: r.Spec.Timeout}, func(ctx context.Context) error {
		list := r.Target.Members.Membership(ctx, looked)
		switch {
		case list.Error != "":
			return errors.New(list.Error)
		case !slices.ContainsFunc(list.Members, func(l etcd.Listed) bool { return l.Machine == r.found.Machine && !l.Learner }):
			return fmt.Errorf("%s is not on the list %v", r.found.Machine, list.Members)
		}
		return nil
	})
}

// force has the survivor begin from its data as it stands. The flag goes whatever comes of it: a member that starts with it again, when others have joined, leaves them.
func (r quorumRestoration) force(ctx context.Context) (err error) {
	m, err := r.survivor()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, etcd.ForceNewCluster(context.WithoutCancel(ctx), m, false)) }()
	mark, err := etcd.RestoredBy(ctx, m)
	if err != nil {
		return err
	}
	if mark == r.stamp() { // the others may have joined it
		return r.start(ctx)
	}
	if err := etcd.ForceNewCluster(ctx, m, true); err != nil {
		return err
	}
	if err := r.start(ctx); err != nil {
		return err
	}
	list := r.Target.Members.Membership(ctx, looked)
	if list.Error != "" {
		return errors.New(list.Error)
	}
	for _, l := range list.Members {
		if l.Machine != m.Name() {
			return fmt.Errorf("--force-new-cluster was to remove all other members, and %x (%s, %s) is on the list still", l.ID, l.Name, l.Peer)
		}
	}
	return etcd.MarkRestored(ctx, m, r.stamp())
}

// rejoin has a machine's member join as a new one.
func (r quorumRestoration) rejoin(ctx context.Context, machine string) error {
	if machine == r.found.Machine {
		return fmt.Errorf("%w: the cluster was begun on it", plan.ErrSkip)
	}
	m := memberReplacement{r.about(machine)}
	if now, err := r.Target.Etcd.Entry(ctx, machine); err != nil {
		return err
	} else if now.ID == 0 {
		if err := r.down(ctx, machine); err != nil {
			return err
		}
		if err := m.setAside(ctx, r.stamp()); err != nil {
			return err
		}
	}
	for _, do := range []func(context.Context) error{m.wipe, m.add, func(ctx context.Context) error { return r.up(ctx, machine) }, m.promote} {
		if err := do(ctx); err != nil && !errors.Is(err, plan.ErrSkip) {
			return err
		}
	}
	return nil
}

// serve starts the API servers and waits for each.
func (r quorumRestoration) serve(ctx context.Context) error {
	machines := r.Topology.ControlPlaneMachines()
	if err := kubeadm.StartPods(ctx, r.Target.Cluster, machines, observe.APIServer); err != nil {
		return err
	}
	for _, name := range machines {
		if err := r.serverReady(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (r quorumRestoration) prove(ctx context.Context) error {
	return proof{client: r.Target.Client, nodes: r.Topology.KubernetesMachines(), namespace: "drydock-proof-" + r.stamp(), within: r.Spec.Timeout, every: time.Second}.see(ctx)
}

// about is the remedy as one of a machine that has no member.
func (r quorumRestoration) about(machine string) *Remedy {
	of := *r.Remedy
	of.found = &Diagnosis{Machine: machine}
	return &of
}
