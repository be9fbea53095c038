package remedy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/util/podutils"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// memberSum is the projected membership without a machine's member, as a clause.
func memberSum(ctx context.Context, r *Remedy, machine string) string {
	if !slices.Contains(r.Target.Etcd.Machines(), machine) {
		return ""
	}
	return sumWithout(r.Target.Members.Membership(ctx, looked), r.Target.Members.Members(ctx, looked), machine)
}

// sumWithout is memberSum of what was read.
func sumWithout(list etcd.Membership, members []etcd.Member, machine string) string {
	if list.Error != "" {
		return ": nobody gives the list of members: " + list.Error
	}
	v := votesOf(list.Members, members)
	delete(v.well, machine)
	return fmt.Sprintf(": without it %d of %d members are well, a quorum is %d", len(v.well), len(v.all), cluster.Quorum(len(v.all)))
}

// votes is who votes by the list of members, and who of them is well. A learner has no vote; what answers under an id that is not its machine's on the list
// has none either; a stranger has one, and nobody has asked it.
type votes struct {
	all    []string        // by machine, a stranger by its name and id
	well   map[string]bool // by the same
	unread string          // why nobody gives the list, and all is of the machines; empty: it is of the list
}

func votesOf(list []etcd.Listed, members []etcd.Member) votes {
	v := votes{well: map[string]bool{}}
	for _, l := range list {
		if l.Learner {
			continue
		}
		name := l.Machine
		if name == "" {
			name = fmt.Sprintf("the stranger %x %s", l.ID, l.Name)
		}
		v.all = append(v.all, name)
		if l.Well(members) {
			v.well[name] = true
		}
	}
	return v
}

// costs says what stands against ending all that runs on the machine, where the runbook would: it gives the machine up, or cuts the power of one that stands
// still.
func costs(ctx context.Context, r *Remedy, l nodeLook) ([]plan.Finding, error) {
	ends := l.there && !l.off && (r.Spec.Replace || l.silent != "")
	if !ends {
		return nil, nil
	}
	var out []plan.Finding
	if l.silent != "" && !r.Spec.Replace && l.node != nil && kubeadm.NodeReady(l.node) == nil {
		out = append(out, plan.Finding{
			Check: "power", Severity: plan.Blocker, What: fmt.Sprintf("%s does not answer (%s), and its node is Ready: its kubelet was heard within the grace period of %s", l.machine, l.silent, kubeadm.NodeLoss(r.Topology.Timing).Grace),
			Why: "what runs there may run well, and would end", Fix: "look again when that time is over; where its shell alone is gone, bring that back",
		})
	}
	if slices.Contains(r.Target.Etcd.Machines(), l.machine) {
		out = append(out, projectAway(r.Target.Members.Membership(ctx, looked), r.Target.Members.Members(ctx, looked), l.machine)...)
	}
	ctx, cancel := context.WithTimeout(ctx, looked)
	defer cancel()
	pods, err := r.Target.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + l.machine})
	if err != nil {
		return nil, fmt.Errorf("pods on %s: %w", l.machine, err)
	}
	budgets, err := r.Target.Client.PolicyV1().PodDisruptionBudgets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("budgets: %w", err)
	}
	if r.Spec.Replace {
		out = append(out, projectOrphans(pods.Items, l.machine)...)
	}
	return append(out, projectBudgets(budgets.Items, pods.Items, l.machine)...), nil
}

// projectOrphans says which pods would end for good with a machine that is given up: those that nobody makes anew.
func projectOrphans(pods []corev1.Pod, machine string) []plan.Finding {
	var nobodys []string
	for i := range pods {
		p := &pods[i]
		done := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed || p.DeletionTimestamp != nil
		if metav1.GetControllerOf(p) == nil && !done { // the mirror of a static pod has its Node
			nobodys = append(nobodys, p.Namespace+"/"+p.Name)
		}
	}
	if len(nobodys) == 0 {
		return nil
	}
	return []plan.Finding{{
		Check: "pods", Severity: plan.Blocker, What: fmt.Sprintf("on %s run pods that nobody makes anew: %s", machine, strings.Join(nobodys, ", ")),
		Why: "they would end for good with their machine", Fix: "move them by hand, or delete them, and look again",
	}}
}

// projectAway says what is left of the quorum when the machine's power is cut. A member that does not answer is away already.
func projectAway(list etcd.Membership, members []etcd.Member, machine string) []plan.Finding {
	if list.Error != "" {
		if !slices.ContainsFunc(members, func(m etcd.Member) bool { return m.Machine == machine && m.Healthy() }) {
			return nil
		}
		return []plan.Finding{{
			Check: "quorum", Severity: plan.Unread, What: fmt.Sprintf("the member on %s answers, and nobody gives the list of members: %s", machine, list.Error),
			Why: "who votes is on the list, and it may be one whom a quorum needs", Fix: "look again; where most members are away, bring those back first",
		}}
	}
	v := votesOf(list.Members, members)
	well, need := len(v.well)-1, cluster.Quorum(len(v.all))
	if !v.well[machine] || well >= need {
		return nil
	}
	return []plan.Finding{{
		Check: "quorum", Severity: plan.Blocker, What: fmt.Sprintf("the member on %s answers; while its machine boots %d of %d are well, a quorum is %d", machine, well, len(v.all), need),
		Why: "nobody could write meanwhile", Fix: "bring the others back first, or end what keeps the machine from answering by hand",
	}}
}

// projectBudgets says which budgets would be broken were all pods of a machine to end: those of them that are ready count.
func projectBudgets(budgets []policyv1.PodDisruptionBudget, pods []corev1.Pod, machine string) []plan.Finding {
	var out []plan.Finding
	for i := range budgets {
		b := &budgets[i]
		var ready []string
		for j := range pods {
			if p := &pods[j]; p.DeletionTimestamp == nil && podutils.IsPodReady(p) && observe.Covers(b, p) {
				ready = append(ready, p.Name)
			}
		}
		if n := len(ready); n > int(b.Status.DisruptionsAllowed) {
			out = append(out, plan.Finding{
				Check: "budget", Severity: plan.Blocker,
				What: fmt.Sprintf("PodDisruptionBudget %s/%s allows %d disruptions (%d of at least %d healthy), and %d of its pods are ready on %s: %s",
					b.Namespace, b.Name, b.Status.DisruptionsAllowed, b.Status.CurrentHealthy, b.Status.DesiredHealthy, n, machine, strings.Join(ready, ", ")),
				Why: "they would end all at once", Fix: "move them away (kubectl drain), or wait until others are ready",
			})
		}
	}
	return out
}
