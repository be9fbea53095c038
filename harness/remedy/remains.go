package remedy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// remains is what is left of a member.
type remains struct {
	machine string
	unknown string // why nobody could look
	data    bool
	damaged string // why its data cannot be begun from; its log may be read all the same
	etcd.Remains
}

// usable reports whether a cluster can be begun from it.
func (l remains) usable() bool { return l.unknown == "" && l.data && l.damaged == "" }

func diagnoseQuorum(ctx context.Context, r *Remedy) (d Diagnosis, stands []plan.Finding, _ error) {
	if list := r.Target.Members.Membership(ctx, looked); list.Error == "" {
		d, stands = r.quorumThere(ctx, list.Members)
		return d, stands, nil
	}
	var left []remains
	for _, name := range r.Topology.EtcdMachines() {
		left = append(left, r.lookAt(ctx, name))
	}
	for _, name := range r.Topology.ControlPlaneMachines() {
		stands = append(stands, r.staticPods(ctx, name)...)
	}
	survivor, against := projectRestore(left, r.Spec.Snapshot != "")
	stands = append(stands, against...)
	d.Machine, d.Log = survivor.machine, survivor.Log
	beyond := "are kept"
	if r.Spec.ForceNewCluster {
		beyond = "are dropped by --force-new-cluster where its database has not got them"
	}
	d.Says = fmt.Sprintf("no quorum of %d members; the best of what is left is on %s: its log goes to %s, %d entries beyond what it knows to be acknowledged, which may be so and %s; its database has revision %d at least",
		len(left), survivor.machine, survivor.Log, survivor.Log.Last-survivor.Log.Commit, beyond, survivor.Revision)
	if r.Spec.Snapshot != "" {
		given, err := etcd.ReadSnapshot(r.Spec.Snapshot)
		stands = append(stands, projectGiven(r.Spec.Snapshot, given, err, left)...)
		d.Machine, d.Log = left[0].machine, etcd.Log{}
		d.Says = fmt.Sprintf("no quorum of %d members; the snapshot %s has revision %d, and what was written after it is lost", len(left), r.Spec.Snapshot, given.Revision)
	}
	if i := slices.IndexFunc(left, func(l remains) bool { return l.machine == d.Machine && l.unknown == "" }); i >= 0 {
		stands = append(stands, r.roomFor(ctx, d.Machine)...)
	}
	return d, stands, nil
}

// quorumThere is the diagnosis of a cluster whose members can still decide.
func (r *Remedy) quorumThere(ctx context.Context, list []etcd.Listed) (d Diagnosis, stands []plan.Finding) {
	d.Says = "a quorum confirms the list of members"
	if missing := unlisted(list, r.Topology.EtcdMachines()); len(missing) > 0 {
		return d, []plan.Finding{{
			Check: "members", Severity: plan.Blocker, What: "a quorum of those on the list is there, and not on it are " + strings.Join(missing, ", "),
			Why: "there is no quorum to restore, and members that are missing", Fix: "add one after another: the runbook replace-etcd-member, with --machine",
		}}
	}
	if r.Spec.Snapshot == "" {
		d.Nothing = d.Says
		return d, nil
	}
	_, now, err := r.Target.Members.Identity(ctx)
	given, giveErr := etcd.ReadSnapshot(r.Spec.Snapshot)
	what := fmt.Sprintf("%s: etcd is at revision %d, the snapshot at %d", d.Says, now, given.Revision)
	if err := errors.Join(err, giveErr); err != nil {
		what = fmt.Sprintf("%s: %v", d.Says, err)
	}
	return d, []plan.Finding{{Check: "quorum", Severity: plan.Blocker, What: what, Why: "all that was acknowledged after the snapshot would be lost", Fix: "leave --snapshot away: there is nothing to restore"}}
}

// staticPods says why the API server and, where it is there, the member of a machine cannot be stopped and started: it does not answer, nobody runs its
// static pods, or they have no manifest.
func (r *Remedy) staticPods(ctx context.Context, machine string) []plan.Finding {
	names := []string{observe.APIServer}
	if r.Topology.Etcd == cluster.EtcdStacked {
		names = append(names, etcd.Program)
	}
	m, err := r.Target.Cluster.Machine(machine)
	var out string
	if err == nil {
		asked, cancel := context.WithTimeout(ctx, looked)
		defer cancel()
		out, err = cluster.Shell(asked, m, "systemctl is-active kubelet >/dev/null || echo 'no kubelet runs'; for n in "+strings.Join(names, " ")+`; do
  ls /etc/kubernetes/*/$n.yaml >/dev/null 2>&1 || echo "$n has no manifest"; done`) // somebody may have put it aside
	}
	if err != nil {
		return answers(ctx, r.Target.Cluster, machine)
	}
	return projectPods(machine, strings.Split(strings.TrimSpace(out), "\n"))
}

func projectPods(machine string, lacks []string) []plan.Finding {
	lacks = slices.DeleteFunc(lacks, func(s string) bool { return s == "" })
	if len(lacks) == 0 {
		return nil
	}
	return []plan.Finding{{
		Check: "pods", Severity: plan.Blocker, What: "on " + machine + ": " + strings.Join(lacks, ", "), Why: "its member and its API server are static pods, which are stopped and started by their manifests and its kubelet",
		Fix: "start the kubelet; a machine whose /etc/kubernetes is lost has to get that back first, from a backup of it or by kubeadm",
	}}
}

// unlisted are the machines without a member on the list.
func unlisted(list []etcd.Listed, machines []string) []string {
	return slices.DeleteFunc(slices.Clone(machines), func(name string) bool {
		return slices.ContainsFunc(list, func(l etcd.Listed) bool { return l.Machine == name })
	})
}

// lookAt reads what is left on a machine.
func (r *Remedy) lookAt(ctx context.Context, machine string) remains {
	l := remains{machine: machine}
	m, err := r.Target.Cluster.Machine(machine)
	if err != nil {
		l.unknown = err.Error()
		return l
	}
	within, cancel := context.WithTimeout(ctx, looked)
	defer cancel()
	if l.data, err = hasData(within, m); err != nil {
		l.unknown = err.Error()
		return l
	}
	if !l.data {
		return l
	}
	if l.Remains, err = r.Target.Etcd.Remains(ctx, machine); err != nil {
		l.damaged = err.Error()
	}
	return l
}

func hasData(ctx context.Context, m cluster.Machine) (bool, error) {
	out, err := cluster.Shell(ctx, m, "if test -e "+etcd.DataDir+"/member; then echo there; fi")
	return strings.TrimSpace(out) == "there", err
}

// projectRestore chooses the survivor, and says what stands against making a new cluster of it. What a majority has acknowledged may be on any of the
// majority alone: as long as one can come back, a restore loses what need not be lost. Of those that are left, the one whose log goes furthest has all
// that any of them has.
func projectRestore(left []remains, given bool) (survivor remains, stands []plan.Finding) {
	with := 0
	for _, l := range left {
		if l.unknown != "" {
			stands = append(stands, plan.Finding{
				Check: "machine", Severity: plan.Blocker, What: l.machine + " does not answer: " + l.unknown, Why: "nobody knows whether it has its data still, and its member has to join anew",
				Fix: "bring the machine back, with whatever disk",
			})
		}
		if !l.usable() {
			continue
		}
		if with++; survivor.machine != "" && survivor.Log.Cluster != l.Log.Cluster {
			stands = append(stands, plan.Finding{
				Check: "cluster", Severity: plan.Blocker, What: fmt.Sprintf("the data of %s is of cluster %x (%s), and that of %s of cluster %x (%s)", survivor.machine, survivor.Log.Cluster, survivor.Log, l.machine, l.Log.Cluster, l.Log),
				Why: "one of the two is of before a restore, and which nobody can tell from it", Fix: "find out, and take that away there",
			})
		} else if survivor.machine == "" || survivor.Log.Before(l.Log) {
			survivor = l
		}
	}
	if need := cluster.Quorum(len(left)); with >= need {
		stands = append(stands, plan.Finding{
			Check: "quorum", Severity: plan.Blocker, What: fmt.Sprintf("%d of %d machines have their member's data, which is a quorum of %d", with, len(left), need),
			Why: "a restore would lose what they have acknowledged and the survivor has not", Fix: "start their members; where the data itself is worth nothing, take it away there first",
		})
	}
	if survivor.machine == "" && !given {
		stands = append(stands, plan.Finding{
			Check: "survivor", Severity: plan.Blocker, What: "no member has data that can be read", Why: "there is nothing to begin from", Fix: "give a snapshot that was saved: --snapshot FILE",
		})
	}
	for _, l := range left {
		if l.damaged != "" {
			stands = append(stands, projectDamaged(l, survivor))
		}
	}
	return survivor, stands
}

// projectDamaged says what is lost with data that cannot be begun from.
func projectDamaged(l, survivor remains) plan.Finding {
	f := plan.Finding{
		Check: "damage", Severity: plan.Blocker, What: l.machine + " has its member's data, which is damaged: " + l.damaged, Why: "nobody can tell whether it has what was acknowledged and the survivor has not",
		Fix: "mend its disk; where that data is given up, take it away there",
	}
	switch {
	case l.Log == etcd.Log{}, survivor.machine != "" && l.Log.Cluster != survivor.Log.Cluster:
	case survivor.machine != "" && !survivor.Log.Before(l.Log):
		f.Severity, f.Why = plan.Warning, fmt.Sprintf("its log goes to %s and that of %s to %s: nothing is lost with it", l.Log, survivor.machine, survivor.Log)
	default:
		f.Why = fmt.Sprintf("its log goes to %s and the survivor's to %s: what is between was acknowledged, perhaps, and would be lost", l.Log, survivor.Log)
	}
	return f
}

// projectGiven says what stands against a given snapshot: that it cannot be read, or that less would be lost without it.
func projectGiven(file string, given etcd.Holds, err error, left []remains) (stands []plan.Finding) {
	if err != nil {
		return []plan.Finding{{Check: "snapshot", Severity: plan.Blocker, What: err.Error(), Why: "what is not whole cannot be restored", Fix: "give another one"}}
	}
	for _, l := range left {
		switch {
		case !l.usable():
		case !slices.Contains(given.Members, l.Log.Member):
			stands = append(stands, plan.Finding{
				Check: "snapshot", Severity: plan.Blocker, What: fmt.Sprintf("%s has the data of member %x, with revision %d at least, which is not on the list in %s (revision %d)", l.machine, l.Log.Member, l.Revision, file, given.Revision),
				Why: "the snapshot is of another cluster, or of a time before that member", Fix: "leave --snapshot away; where that data is given up, take it away there",
			})
		case given.Index < l.Log.Last:
			stands = append(stands, plan.Finding{
				Check: "snapshot", Severity: plan.Blocker, What: fmt.Sprintf("the log of %s goes to entry %d, the snapshot %s to entry %d: %d entries less", l.machine, l.Log.Last, file, given.Index, l.Log.Last-given.Index),
				Why: "they may have been acknowledged, and are there", Fix: "leave --snapshot away",
			})
		}
	}
	return stands
}

// copies is how many times the data must find room on the machine where a cluster is begun: the copy that is read, the snapshot of it, and what is made of
// that. The old data stays.
const copies = 3

// roomFor says what a machine lacks to make data of a snapshot on it.
func (r *Remedy) roomFor(ctx context.Context, machine string) []plan.Finding {
	ctx, cancel := context.WithTimeout(ctx, looked)
	defer cancel()
	m, err := r.Target.Cluster.Machine(machine)
	var missing, used, room string
	if err == nil {
		missing, err = cluster.Shell(ctx, m, "for p in "+strings.Join(etcd.Tools(), " ")+`; do command -v "$p" >/dev/null || echo "$p"; done`)
	}
	if err == nil {
		used, err = cluster.Shell(ctx, m, "if test -e "+etcd.DataDir+"/member; then du -sk "+etcd.DataDir+"/member; fi")
	}
	if err == nil {
		room, err = cluster.Shell(ctx, m, "df -Pk /var/lib | tail -n 1")
	}
	if err != nil {
		return []plan.Finding{{Check: "room", Severity: plan.Unread, What: err.Error(), Why: "data is made anew on it", Fix: "see why the machine does not tell"}}
	}
	return projectRoom(machine, strings.Fields(missing), kibi(used, 0), kibi(room, 3))
}

// kibi is a number of KiB among the words of a line, as a size; 0: there is none.
func kibi(line string, at int) cluster.Size {
	words := strings.Fields(line)
	if len(words) <= at {
		return 0
	}
	n, err := strconv.ParseInt(words[at], 10, 64)
	if err != nil {
		return 0
	}
	return cluster.Size(n << 10)
}

func projectRoom(machine string, missing []string, used, room cluster.Size) (stands []plan.Finding) {
	if len(missing) > 0 {
		stands = append(stands, plan.Finding{
			Check: "programs", Severity: plan.Blocker, What: machine + " lacks " + strings.Join(missing, ", "), Why: "they read its data, and make it anew", Fix: "install them there: etcd's, of the version that runs",
		})
	}
	if room < copies*used {
		stands = append(stands, plan.Finding{
			Check: "room", Severity: plan.Blocker, What: fmt.Sprintf("the data on %s takes %s, and there is room for %s", machine, used, room), Why: fmt.Sprintf("it is there %d times more for a while: nothing of it is removed", copies),
			Fix: "make room in /var/lib",
		})
	}
	return stands
}
