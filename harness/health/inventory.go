package health

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// lostOf lists keys whose value is not what it was.
func lostOf(what, node string, before, after map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(before)) {
		now, there := after[k]
		switch {
		case observe.ControllersOwn(k) || there && now == before[k]:
		case !there:
			out = append(out, fmt.Sprintf("node %s has lost the %s %s=%s", node, what, k, before[k]))
		default:
			out = append(out, fmt.Sprintf("the %s %s of node %s is %q instead of %q", what, k, node, now, before[k]))
		}
	}
	return out
}

// lost lists what nodes had before and do not have after: labels, annotations, taints, or the node itself.
func lost(in, after *observe.Inventory) []string {
	var out []string
	for _, node := range slices.Sorted(maps.Keys(in.Nodes)) {
		was := in.Nodes[node]
		now, there := after.Nodes[node]
		if !there {
			out = append(out, "node "+node+" is gone")
			continue
		}
		out = append(out, lostOf("label", node, was.Labels, now.Labels)...)
		out = append(out, lostOf("annotation", node, was.Annotations, now.Annotations)...)
		for _, t := range was.Taints {
			if !observe.ControllersOwn(t) && !slices.Contains(now.Taints, t) {
				out = append(out, fmt.Sprintf("node %s has lost the taint %s", node, t))
			}
		}
	}
	return out
}

// left lists what is there after and was not before: cordons, taints, files, pods, members, scaled Deployments.
func left(in, after *observe.Inventory) []string {
	var out []string
	for _, node := range slices.Sorted(maps.Keys(after.Nodes)) {
		was, now := in.Nodes[node], after.Nodes[node]
		if _, there := in.Nodes[node]; !there {
			out = append(out, "node "+node+" was not there before")
		}
		if now.Unschedulable && !was.Unschedulable {
			out = append(out, "node "+node+" was left cordoned")
		}
		for _, t := range now.Taints {
			if !slices.Contains(was.Taints, t) && (!now.Unschedulable || !strings.HasPrefix(t, corev1.TaintNodeUnschedulable)) {
				out = append(out, fmt.Sprintf("node %s was left with the taint %s", node, t))
			}
		}
		for _, k := range slices.Sorted(maps.Keys(now.Annotations)) {
			if _, there := was.Annotations[k]; !there && strings.HasPrefix(k, "drydock.dev/") {
				out = append(out, fmt.Sprintf("node %s was left with the annotation %s", node, k))
			}
		}
	}
	for _, l := range after.Leftovers {
		if !slices.Contains(in.Leftovers, l) {
			out = append(out, "left on "+l)
		}
	}
	for _, o := range after.Orphans {
		if !slices.Contains(in.Orphans, o) {
			out = append(out, o)
		}
	}
	for _, d := range after.Scaled {
		out = append(out, "Deployment "+d+" was left scaled down")
	}
	if after.Members != "" && after.Members != in.Members {
		out = append(out, "etcd: "+after.Members)
	}
	return append(out, changedFiles(in.Files, after.Files)...)
}

// changedFiles lists paths that have come or gone. What kubeadm puts aside is in Leftovers, and its directory stays behind, empty.
func changedFiles(before, after map[string][]string) []string {
	aside := path.Dir(kubeadm.BackupPattern)
	missing := func(from, in []string, say func(f string) string) []string {
		var out []string
		for _, f := range from {
			if !slices.Contains(in, f) && f != aside && !strings.HasPrefix(f, aside+"/") {
				out = append(out, say(f))
			}
		}
		return out
	}
	var out []string
	for _, m := range slices.Sorted(maps.Keys(after)) {
		was, there := before[m]
		if !there {
			continue // a machine that was not there is a node that was not there
		}
		out = append(out, missing(after[m], was, func(f string) string { return "left on " + m + ": " + f })...)
		out = append(out, missing(was, after[m], func(f string) string { return f + " is gone from " + m })...)
	}
	return out
}

// changedContents lists files that say something else than before, on machines that no fault and no step has touched: repairs and upgrades write some anew.
func (r *Record) changedContents() []string {
	var out []string
	for _, m := range slices.Sorted(maps.Keys(r.After.Contents)) {
		if slices.ContainsFunc(r.Windows, func(w Window) bool { return slices.Contains(w.Machines, m) }) {
			continue
		}
		was, is := r.Before.Contents[m], r.After.Contents[m]
		for _, f := range slices.Sorted(maps.Keys(was)) {
			if now, there := is[f]; there && now != was[f] {
				out = append(out, fmt.Sprintf("%s on %s is not what it was", f, m))
			}
		}
	}
	return out
}

// newObjects lists those that act on the cluster or stay in it though nobody's work needs them: pods without a controller, webhooks, kinds, API services, leases.
func newObjects(diffs []difference) []string {
	var out []string
	for _, d := range diffs {
		kind, _, _ := strings.Cut(d.object, " ")
		if d.field != "" || d.is == "" {
			continue
		}
		switch kind {
		case "Pod", "ValidatingWebhookConfiguration.admissionregistration.k8s.io", "MutatingWebhookConfiguration.admissionregistration.k8s.io",
			"ValidatingAdmissionPolicy.admissionregistration.k8s.io", "MutatingAdmissionPolicy.admissionregistration.k8s.io",
			"CustomResourceDefinition.apiextensions.k8s.io", "APIService.apiregistration.k8s.io", "Lease.coordination.k8s.io":
			out = append(out, d.String())
		}
	}
	return out
}

func labelsPreserved(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	r = r.replaced()
	if v, why := r.compared(); v != plan.Pass {
		return v, why
	}
	if gone := lost(r.Before, r.After); len(gone) > 0 {
		return plan.Fail, strings.Join(gone, "; ")
	}
	return plan.Pass, fmt.Sprintf("%d nodes have the labels, annotations and taints they had", len(r.Before.Nodes))
}

func noResidue(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	r = r.replaced()
	if v, why := r.compared(); v != plan.Pass {
		return v, why
	}
	more := append(left(r.Before, r.After), r.changedContents()...)
	objects, why := r.objectsRead()
	if objects == plan.Pass {
		diffs, known, err := r.objectDifferences()
		if err != nil {
			return plan.Unknown, err.Error()
		}
		if !known {
			diffs, _ = splitBy(diffs, func(d difference) bool { return mayChange(d, r.Before.Objects.Items, r.After.Objects.Items) })
		}
		more = append(more, newObjects(diffs)...)
	}
	switch {
	case len(more) > 0:
		return plan.Fail, strings.Join(more, "; ")
	case objects != plan.Pass:
		return objects, why
	case r.After.Unread != "":
		return plan.Unknown, "the member list could not be read: " + r.After.Unread
	}
	return plan.Pass, "nothing is left that was not there before"
}

// Preserved says what is not as it was before: what may be in the middle of being collected is to be looked at again.
func Preserved(r *Record) error {
	for _, decide := range []func(*Record, *Window, Params) (plan.Verdict, string){objectsPreserved, labelsPreserved, noResidue} {
		if v, why := decide(r, nil, Params{}); v == plan.Fail {
			return errors.New(why)
		}
	}
	return nil
}

func (r *Record) compared() (plan.Verdict, string) {
	switch {
	case r.Before == nil || len(r.Before.Nodes) == 0:
		return plan.Unknown, "no inventory was taken before"
	case r.After == nil:
		return plan.Unknown, "no inventory could be taken after: " + r.AfterError
	default:
		return plan.Pass, ""
	}
}
