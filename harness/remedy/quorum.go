package remedy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

// restoreQuorum is etcd's disaster recovery: a member that is left gives a snapshot of itself, which begins a new cluster of one, and the others join that
// one after another. The revision is raised far, so that nobody takes the past for the present ("Disaster recovery", --bump-revision --mark-compacted).
func restoreQuorum() Runbook {
	return Runbook{
		Name: "restore-quorum", Symptom: "a majority of etcd's members is lost for good",
		Does:     "save what the best survivor has, begin a new cluster of it alone, and have the others join one at a time",
		Needs:    []cluster.Capability{cluster.CanKill},
		Alone:    true,
		diagnose: diagnoseQuorum,
		steps: func(r *Remedy) []*plan.Step {
			q := quorumRestoration{r}
			down := []plan.Disruption{{Machines: r.Topology.EtcdMachines(), Components: []string{etcd.Program}}}
			steps := []*plan.Step{
				{Name: "snapshot", About: "save what the survivor has, and check its sum", Run: q.snapshot, Disrupts: down, Lingers: true},
				{Name: "stop", About: "hold all members down", Run: q.stop, Disrupts: down, Lingers: true},
				{Name: "restore", About: "make the survivor's data anew of it, as a cluster of one; the old is set aside", Run: q.restore, Disrupts: down, Lingers: true},
				{Name: "start", About: "start the survivor", Run: q.start, Disrupts: down, Lingers: true},
			}
			for _, m := range r.Topology.EtcdMachines() {
				steps = append(steps, &plan.Step{
					Name: "rejoin-" + m, About: "as a learner, promoted when it has caught up; its old data is set aside", Disrupts: down, Lingers: true,
					Run: func(ctx context.Context) error { return q.rejoin(ctx, m) },
				})
			}
			return steps
		},
	}
}

// remains is what is left of a member.
type remains struct {
	machine  string
	unknown  string // why nobody could look
	data     bool
	answers  bool
	revision int64
}

func diagnoseQuorum(ctx context.Context, r *Remedy) (d Diagnosis, stands []plan.Finding, _ error) {
	if list := r.Target.Members.Membership(ctx, looked); list.Error == "" {
		d.Says = "a quorum confirms the list of members"
		if missing := unlisted(list.Members, r.Topology.EtcdMachines()); len(missing) > 0 {
			return d, []plan.Finding{{
				Check: "members", Severity: plan.Blocker, What: "a quorum of those on the list is there, and not on it are " + strings.Join(missing, ", "),
				Why: "there is no quorum to restore, and members that are missing", Fix: "add one after another: the runbook replace-etcd-member, with --machine",
			}}, nil
		}
		d.Nothing = d.Says
		return d, nil, nil
	}
	var left []remains
	for _, m := range r.Target.Members.Members(ctx, looked) {
		l := remains{machine: m.Machine, answers: m.Error == "", revision: m.Revision}
		l.data, l.unknown = hasData(ctx, r.Target.Cluster, m.Machine)
		left = append(left, l)
	}
	survivor, stands := projectRestore(left)
	d.Machine = survivor.machine
	d.Says = fmt.Sprintf("no quorum of %d members; the best of what is left is on %s, at revision %d", len(left), survivor.machine, survivor.revision)
	return d, stands, nil
}

// unlisted are the machines without a member on the list.
func unlisted(list []etcd.Listed, machines []string) []string {
	return slices.DeleteFunc(slices.Clone(machines), func(name string) bool {
		return slices.ContainsFunc(list, func(l etcd.Listed) bool { return l.Machine == name })
	})
}

func hasData(ctx context.Context, c cluster.Cluster, machine string) (there bool, unknown string) {
	m, err := c.Machine(machine)
	if err != nil {
		return false, err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, looked)
	defer cancel()
	out, err := cluster.Shell(ctx, m, "if test -e "+etcd.DataDir+"/member; then echo there; fi")
	if err != nil {
		return false, err.Error()
	}
	return strings.TrimSpace(out) == "there", ""
}

// projectRestore chooses the survivor, and says what stands against making a new cluster of it. What a majority has acknowledged may be on any of the
// majority alone: as long as one can come back, a restore loses what need not be lost.
func projectRestore(left []remains) (survivor remains, stands []plan.Finding) {
	with := 0
	for _, l := range left {
		switch {
		case l.unknown != "":
			stands = append(stands, plan.Finding{
				Check: "machine", Severity: plan.Blocker, What: l.machine + " does not answer: " + l.unknown, Why: "nobody knows whether it has its data still, and its member has to join anew",
				Fix: "bring the machine back, with whatever disk",
			})
		case l.data:
			with++
		}
		if l.data && !l.answers {
			stands = append(stands, plan.Finding{
				Check: "machine", Severity: plan.Blocker, What: l.machine + " has its member's data, which does not answer", Why: "it may have what the others acknowledged and the survivor has not",
				Fix: "start it; one that was started again without a quorum serves nobody: where its data is the better, restore from " + etcd.DataDir + "/member/snap/db by hand (etcdutl snapshot restore --skip-hash-check), else take its data away",
			})
		}
		if l.answers && l.data && (survivor.machine == "" || l.revision > survivor.revision) {
			survivor = l
		}
	}
	if need := cluster.Quorum(len(left)); with >= need {
		stands = append(stands, plan.Finding{
			Check: "quorum", Severity: plan.Blocker, What: fmt.Sprintf("%d of %d machines have their member's data, which is a quorum of %d", with, len(left), need),
			Why: "a restore would lose what they have acknowledged and the survivor has not", Fix: "start their members; where the data itself is worth nothing, take it away there first",
		})
	}
	if survivor.machine == "" {
		stands = append(stands, plan.Finding{
			Check: "survivor", Severity: plan.Blocker, What: "no member that has its data answers", Why: "a snapshot is taken of a running member, and one that was started again without a quorum serves nobody",
			Fix: "restore by hand from " + etcd.DataDir + "/member/snap/db of the best one (etcdutl snapshot restore --skip-hash-check), or from a snapshot that was saved",
		})
	}
	return survivor, stands
}

// quorumRestoration has the steps.
type quorumRestoration struct{ *Remedy }

// restoredMark is beside a member's data that was made of a snapshot by this runbook, and says of which.
const restoredMark = etcd.DataDir + "/restored-by-runbook"

// file is this remedy's: the snapshot of an earlier one lacks what was acknowledged since.
func (r quorumRestoration) file() string {
	return filepath.Join(r.Dir, "snapshots", "restore-quorum-"+r.found.At.Format("20060102-150405.000")+".db")
}

func (r quorumRestoration) survivor() (cluster.Machine, error) {
	return r.Target.Cluster.Machine(r.found.Machine)
}

// restored is a skip when the survivor's data is made of this remedy's snapshot already; the mark of an earlier one is of another.
func (r quorumRestoration) restored(ctx context.Context) error {
	data, err := os.ReadFile(r.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the snapshot: %w", err)
	}
	m, err := r.survivor()
	if err != nil {
		return err
	}
	mark, err := m.ReadFile(ctx, restoredMark)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && string(mark) == markOf(data):
		return fmt.Errorf("%w: the data of %s was made anew before", plan.ErrSkip, r.found.Machine)
	}
	return err
}

func markOf(snapshot []byte) string {
	sum := sha256.Sum256(snapshot)
	return hex.EncodeToString(sum[:])
}

// lost refuses to go on where a quorum has come back: a restore would lose what it has acknowledged.
func (r quorumRestoration) lost(ctx context.Context) error {
	if err := r.restored(ctx); err != nil {
		return err
	}
	if r.Target.Members.Membership(ctx, looked).Error == "" {
		return r.changed("a quorum is back", "a restore would lose what it has acknowledged")
	}
	return nil
}

// snapshot takes it anew as long as the survivor answers: it may have come to more since.
func (r quorumRestoration) snapshot(ctx context.Context) error {
	if err := r.lost(ctx); err != nil {
		return err
	}
	answers := slices.ContainsFunc(r.Target.Members.Members(ctx, looked), func(m etcd.Member) bool { return m.Machine == r.found.Machine && m.Error == "" })
	if !answers && etcd.CheckSnapshot(r.file()) == nil {
		return fmt.Errorf("%w: it was saved before the survivor was stopped", plan.ErrSkip)
	}
	return r.Target.Etcd.SnapshotOf(ctx, r.found.Machine, r.file())
}

func (r quorumRestoration) stop(ctx context.Context) error {
	if err := r.lost(ctx); err != nil {
		return err
	}
	for _, name := range r.Topology.EtcdMachines() {
		if err := (memberReplacement{r.about(name)}).hold(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r quorumRestoration) restore(ctx context.Context) error {
	if err := r.lost(ctx); err != nil {
		return err
	}
	data, err := os.ReadFile(r.file())
	if err != nil {
		return fmt.Errorf("the snapshot: %w", err)
	}
	m, err := r.survivor()
	if err != nil {
		return err
	}
	if err := etcd.Restore(ctx, r.Target.Cluster, m, data, []string{m.Name()}); err != nil {
		return err
	}
	return m.WriteFile(ctx, restoredMark, []byte(markOf(data)), 0o644)
}

func (r quorumRestoration) start(ctx context.Context) error {
	if err := (memberReplacement{r.about(r.found.Machine)}).start(ctx); err != nil {
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

// rejoin has a machine's member join as a new one.
func (r quorumRestoration) rejoin(ctx context.Context, machine string) error {
	if machine == r.found.Machine {
		return fmt.Errorf("%w: it is the survivor", plan.ErrSkip)
	}
	m := memberReplacement{r.about(machine)}
	if now, err := r.Target.Etcd.Entry(ctx, machine); err != nil {
		return err
	} else if now.ID == 0 {
		if err := errors.Join(m.hold(ctx), m.setAside(ctx, r.found.At.Format("20060102-150405"))); err != nil {
			return err
		}
	}
	for _, do := range []func(context.Context) error{m.wipe, m.add, m.start, m.promote} {
		if err := do(ctx); err != nil && !errors.Is(err, plan.ErrSkip) {
			return err
		}
	}
	return nil
}

// about is the remedy as one of a machine that has no member.
func (r quorumRestoration) about(machine string) *Remedy {
	of := *r.Remedy
	of.found = &Diagnosis{Machine: machine}
	return &of
}
