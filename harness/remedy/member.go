package remedy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

// replaceMember is etcd's own way to replace a failed member ("Runtime reconfiguration": remove the old one first, then add the new one), by way of a
// learner.
func replaceMember() Runbook {
	return Runbook{
		Name: "replace-etcd-member", Symptom: "a member of etcd does not come back, or has lost its data",
		Does:  "remove it from the list, wipe its data, add it as a learner, promote that when it has caught up",
		Needs: []cluster.Capability{cluster.CanKill}, machines: cluster.Topology.EtcdMachines,
		diagnose: diagnoseMember,
		steps: func(r *Remedy) []*plan.Step {
			s := memberReplacement{r}
			return []*plan.Step{
				{Name: "stop", About: "hold the old member down", Run: s.stop, Disrupts: s.disrupts(), Lingers: true},
				{Name: "remove", About: "take the old member off the list", Run: s.remove, Disrupts: s.disrupts(), Lingers: true},
				{Name: "wipe", About: "remove the old member's data", Run: s.wipe, Disrupts: s.disrupts(), Lingers: true},
				{Name: "add", About: "put a learner on the list", Run: s.add, Disrupts: s.disrupts(), Lingers: true},
				{Name: "start", About: "start the learner", Run: s.start, Disrupts: s.disrupts(), Lingers: true},
				{Name: "promote", About: "give it its vote when it has caught up", Run: s.promote, Disrupts: s.disrupts()},
			}
		},
	}
}

// looked is how long a member may take to answer a question of a diagnosis: a sick cluster's answer is late.
const looked = 5 * time.Second

// diagnoseMember finds the one member that is not well, or looks at the one that was named, and projects what its replacement leaves of the quorum.
func diagnoseMember(ctx context.Context, r *Remedy) (Diagnosis, []plan.Finding, error) {
	list := r.Target.Members.Membership(ctx, looked)
	members := r.Target.Members.Members(ctx, looked)
	d := Diagnosis{Machine: r.Spec.Machine}
	if list.Error != "" {
		return d, []plan.Finding{{
			Check: "quorum", Severity: plan.Blocker, What: list.Error, Why: "a change of membership needs a quorum of the members there are",
			Fix: "start the members that have their data, or, when a majority is lost for good, the runbook restore-quorum",
		}}, nil
	}
	ill := illMembers(list.Members, members, r.Topology.EtcdMachines())
	switch {
	case d.Machine != "":
	case len(ill) == 0:
		d.Nothing = "every machine has a member that is well and votes"
		d.Says = d.Nothing
		return d, nil, nil
	case len(ill) > 1:
		return d, []plan.Finding{{
			Check: "symptom", Severity: plan.Blocker, What: "several members are not well: " + strings.Join(ill, "; "),
			Why: "one is replaced at a time, the one that is lost for good first", Fix: "name it: --machine MACHINE",
		}}, nil
	default:
		d.Machine, _, _ = strings.Cut(ill[0], ":")
	}
	d.Says = "the member on " + d.Machine + " is well, and is replaced all the same"
	if i := slices.IndexFunc(ill, func(s string) bool { return strings.HasPrefix(s, d.Machine+":") }); i >= 0 {
		d.Says = ill[i]
	}
	for _, l := range list.Members {
		if l.Machine == d.Machine {
			d.Member = l.ID
		}
	}
	stands := append(projectReplacement(list.Members, members, d.Machine), answers(ctx, r.Target.Cluster, d.Machine)...)
	return d, stands, nil
}

// illMembers says, machine by machine, which have no member that is well and votes.
func illMembers(list []etcd.Listed, members []etcd.Member, machines []string) []string {
	var out []string
	for _, name := range machines {
		l := slices.IndexFunc(list, func(l etcd.Listed) bool { return l.Machine == name })
		m := slices.IndexFunc(members, func(m etcd.Member) bool { return m.Machine == name })
		switch {
		case l < 0:
			out = append(out, name+": it has no member on the list")
		case list[l].Learner:
			out = append(out, name+": its member is a learner and has no vote")
		case m < 0 || members[m].Error != "":
			why := "nobody has asked it"
			if m >= 0 {
				why = members[m].Error
			}
			out = append(out, name+": its member does not answer: "+why)
		case members[m].ID != list[l].ID:
			out = append(out, fmt.Sprintf("%s: its member calls itself %x, and the list has %x", name, members[m].ID, list[l].ID))
		case !members[m].Healthy():
			out = append(out, name+": its member follows no leader")
		}
	}
	return out
}

// projectReplacement says what stands against it: any other learner, a stranger, and a membership in which, with the new member counted as not well, no
// quorum would be left.
func projectReplacement(list []etcd.Listed, members []etcd.Member, machine string) []plan.Finding {
	var out []plan.Finding
	voters, well := 1, 0 // the new one votes in the end
	var ill []string
	for _, l := range list {
		switch {
		case l.Machine == machine:
		case l.Learner:
			out = append(out, plan.Finding{
				Check: "learner", Severity: plan.Blocker, What: fmt.Sprintf("member %x on %s is a learner", l.ID, l.Machine),
				Why: "etcd takes one learner at a time (--max-learners), and one whose fate is open may become a vote that is missing", Fix: "promote or remove it first",
			})
		case l.Machine == "":
			out = append(out, plan.Finding{
				Check: "stranger", Severity: plan.Blocker, What: fmt.Sprintf("member %x (%s, %s) belongs to no machine of the cluster", l.ID, l.Name, l.Peer),
				Why: "it counts in the quorum, and nobody knows whether it comes back", Fix: "find out whose it is, and remove it with etcdctl member remove if nobody's",
			})
		default:
			voters++
			if l.Well(members) {
				well++
			} else {
				ill = append(ill, l.Machine)
			}
		}
	}
	need := cluster.Quorum(voters)
	unlisted := !slices.ContainsFunc(list, func(l etcd.Listed) bool { return l.Machine == machine })
	sum := fmt.Sprintf("%d members there will be; beside the new one on %s, counted as not well, %d of %d are well; a quorum of %d is %d", voters, machine, well, voters-1, voters, need)
	if len(ill) > 0 {
		sum += "; not well besides: " + strings.Join(ill, ", ")
	}
	switch {
	case unlisted && voters > 1 && well == voters-1: // nobody is removed, and it votes only once it has caught up
		out = append(out, plan.Finding{
			Check: "quorum", Severity: plan.Warning, What: sum, Why: "once the new member votes, it counts", Fix: "let nobody work on the others meanwhile",
		})
	case voters == 1:
		out = append(out, plan.Finding{
			Check: "quorum", Severity: plan.Blocker, What: machine + " has the only member", Why: "there is none to replace it from", Fix: "restore a snapshot: the runbook restore-quorum",
		})
	case well < need:
		out = append(out, plan.Finding{
			Check: "quorum", Severity: plan.Blocker, What: sum, Why: "were the new member not to come up, nobody could write", Fix: "bring the others back first",
		})
	case well == need:
		out = append(out, plan.Finding{
			Check: "quorum", Severity: plan.Warning, What: sum, Why: "until the new member votes, none of the others may be lost", Fix: "let nobody work on the others meanwhile",
		})
	}
	return out
}

// answers says why a machine that a runbook has to work on does not answer.
func answers(ctx context.Context, c cluster.Cluster, machine string) []plan.Finding {
	m, err := c.Machine(machine)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, looked)
		defer cancel()
		_, err = m.Exec(ctx, cluster.Command{Args: []string{"true"}})
	}
	if err == nil {
		return nil
	}
	return []plan.Finding{{
		Check: "machine", Severity: plan.Blocker, What: err.Error(), Why: "the runbook has to work on it", Fix: "bring the machine back first",
	}}
}

// memberReplacement has the steps. Where they are is seen from the list: the old member is on it, none is, or a new one.
type memberReplacement struct{ *Remedy }

// disrupts is what is down from the first step to the last. Which machine it is may be the diagnosis's to say.
func (r memberReplacement) disrupts() []plan.Disruption {
	if r.Spec.Machine != "" {
		return []plan.Disruption{{Machines: []string{r.Spec.Machine}, Components: []string{etcd.Program}}}
	}
	return []plan.Disruption{{Machines: r.Topology.EtcdMachines(), Components: []string{etcd.Program}, AtMost: 1}}
}

// old reports the entry there is now, and whether it is the old member's, or none of it is left.
func (r memberReplacement) old(ctx context.Context) (old bool, now etcd.Listed, err error) {
	now, err = r.Target.Etcd.Entry(ctx, r.found.Machine)
	return now.ID != 0 && now.ID == r.found.Member, now, err
}

// still refuses to take the old member away where that is not any more what was diagnosed: an interrupt may have lasted, and others act meanwhile.
func (r memberReplacement) still(ctx context.Context) error {
	list := r.Target.Members.Membership(ctx, looked)
	if list.Error != "" {
		return r.changed("no quorum is there any more ("+list.Error+")", "a change of membership needs one")
	}
	members := r.Target.Members.Members(ctx, looked)
	named := func(s string) bool { return strings.HasPrefix(s, r.found.Machine+":") }
	if r.Spec.Machine == "" && !slices.ContainsFunc(illMembers(list.Members, members, r.Topology.EtcdMachines()), named) {
		return r.changed("the member on "+r.found.Machine+" has become well", "it would be replaced for nothing")
	}
	return plan.Refusal("to go on with the runbook "+r.book.Name, projectReplacement(list.Members, members, r.found.Machine))
}

// replaced is why a step on the old member has nothing to do.
func replaced(now etcd.Listed) error {
	return fmt.Errorf("%w: its place on the list has member %x already", plan.ErrSkip, now.ID)
}

func (r memberReplacement) killer() (cluster.Machine, cluster.Killer, error) {
	m, err := r.Target.Cluster.Machine(r.found.Machine)
	if err != nil {
		return nil, nil, err
	}
	k, err := cluster.As[cluster.Killer](m)
	return m, k, err
}

func (r memberReplacement) stop(ctx context.Context) error {
	old, now, err := r.old(ctx)
	if err != nil {
		return err
	}
	if !old && now.ID != 0 {
		return replaced(now)
	}
	if err := r.still(ctx); err != nil {
		return err
	}
	return r.hold(ctx)
}

func (r memberReplacement) hold(ctx context.Context) error {
	_, k, err := r.killer()
	if err != nil {
		return err
	}
	if _, err := k.Hold(ctx, etcd.Program); err != nil {
		return err
	}
	_, err = k.Kill(ctx, etcd.Program)
	return err
}

// setAside keeps what a held member that is on no list had, for whoever may want to look at it.
func (r memberReplacement) setAside(ctx context.Context, mark string) error {
	m, _, err := r.killer()
	if err != nil {
		return err
	}
	return etcd.SetAside(ctx, m, mark)
}

func (r memberReplacement) remove(ctx context.Context) error {
	old, now, err := r.old(ctx)
	if err != nil {
		return err
	}
	if !old {
		if now.ID != 0 {
			return replaced(now)
		}
		return fmt.Errorf("%w: %s has no member on the list", plan.ErrSkip, r.found.Machine)
	}
	if err := r.still(ctx); err != nil {
		return err
	}
	return r.Target.Etcd.Remove(ctx, r.found.Machine, r.found.Member)
}

func (r memberReplacement) wipe(ctx context.Context) error {
	old, now, err := r.old(ctx)
	switch {
	case err != nil:
		return err
	case old: // its data is not ours to take while it is a member
		return fmt.Errorf("member %x of %s is on the list still", now.ID, r.found.Machine)
	case now.ID != 0:
		return replaced(now)
	}
	m, _, err := r.killer()
	if err != nil {
		return err
	}
	return errors.Join(etcd.Wipe(ctx, m), etcd.Wiped(ctx, m))
}

func (r memberReplacement) add(ctx context.Context) error {
	old, now, err := r.old(ctx)
	switch {
	case err != nil:
		return err
	case old:
		return fmt.Errorf("member %x of %s is on the list still", now.ID, r.found.Machine)
	case now.ID != 0 && now.Name != "": // it has started
		return replaced(now)
	}
	return r.Target.Etcd.AddLearner(ctx, r.found.Machine)
}

func (r memberReplacement) start(ctx context.Context) error {
	m, k, err := r.killer()
	if err != nil {
		return err
	}
	return errors.Join(k.Release(ctx, etcd.Program), etcd.Start(ctx, m))
}

func (r memberReplacement) promote(ctx context.Context) error {
	return r.Target.Etcd.Promote(ctx, r.found.Machine)
}
