package health

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// difference is one field that is not as it should be, or a whole object when the field is empty. Values are JSON; an empty one: it is not there.
type difference struct {
	object, field string
	wanted, is    string
}

type fields = map[string]map[string]string

// What is known of a Node besides its object. They say what happened to it, and are not compared as they are.
const (
	nodeUID     = "metadata.uid"
	nodeBoot    = "status.bootID"
	nodeKubelet = "status.kubeletVersion"
)

const workloadBudget = "PodDisruptionBudget.policy default/" + observe.WorkloadName

// objectsPreserved compares all objects with those of the beginning, and with what a clean upgrade between the same versions makes of them.
func objectsPreserved(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	r = r.replaced()
	if v, why := r.objectsRead(); v != plan.Pass {
		return v, why
	}
	before, after := r.Before.Objects, r.After.Objects
	diffs, known, err := r.objectDifferences()
	if err != nil {
		return plan.Unknown, err.Error()
	}
	var unlearned []difference
	if !known {
		diffs, unlearned = splitBy(diffs, func(d difference) bool { return mayChange(d, before.Items, after.Items) })
	}
	switch {
	case len(diffs) > 0:
		return plan.Fail, describeAll(diffs)
	case len(unlearned) > 0:
		return plan.Unknown, fmt.Sprintf("what an upgrade from %s to %s changes was never learned, so this may or may not be right: %s (drydock report DIR --learn-objects FILE learns it from a clean run)",
			before.Version, after.Version, describeAll(unlearned))
	}
	if why := unread(before, after); why != "" {
		return plan.Unknown, why
	}
	said := fmt.Sprintf("%d objects are as they were", len(after.Items))
	if before.Version != after.Version {
		said = fmt.Sprintf("%d objects are as an upgrade from %s to %s makes them", len(after.Items), before.Version, after.Version)
	}
	if reimaged, _ := splitBy(compare(before.Items, after.Items), func(d difference) bool { return !r.reimaged(d) }); len(reimaged) > 0 {
		said += fmt.Sprintf(", but for the images that a runbook was to change: %d", len(reimaged))
	}
	return plan.Pass, said
}

func (r *Record) objectsRead() (plan.Verdict, string) {
	if v, why := r.compared(); v != plan.Pass {
		return v, why
	}
	for _, in := range []struct {
		when    string
		objects *observe.Objects
	}{{"before", r.Before.Objects}, {"after", r.After.Objects}} {
		switch {
		case in.objects == nil:
			return plan.Unknown, "no objects were read " + in.when
		case in.objects.Error != "":
			return plan.Unknown, "no objects could be read " + in.when + ": " + in.objects.Error
		case len(in.objects.Items) == 0:
			return plan.Unknown, "the API server showed no objects " + in.when
		}
	}
	return plan.Pass, ""
}

func unread(before, after *observe.Objects) string {
	var out []string
	for _, o := range []*observe.Objects{before, after} {
		for _, what := range slices.Sorted(maps.Keys(o.Unread)) {
			if line := what + " could not be read: " + o.Unread[what]; !slices.Contains(out, line) {
				out = append(out, line)
			}
		}
	}
	return strings.Join(out, "; ")
}

// upgraded reports whether steps of an upgrade ran: only then may versions have changed and Nodes been replaced.
func (r *Record) upgraded() bool {
	return slices.ContainsFunc(r.Windows, func(w Window) bool { return w.Upgrade })
}

// objectDifferences compares what there is with what should be: what there was, changed as a clean upgrade changes it. known is false when the versions
// differ and nobody has learned what that changes.
func (r *Record) objectDifferences() (diffs []difference, known bool, err error) {
	before, after := r.Before.Objects, r.After.Objects
	wanted := clone(before.Items)
	if n := len(r.Budgets); n > 0 && wanted[workloadBudget] != nil { // the scenario's own steps change it
		wanted[workloadBudget]["spec.minAvailable"] = strconv.Itoa(r.Budgets[n-1].MinAvailable)
	}
	known = true
	if before.Version != after.Version && r.upgraded() {
		var changes []change
		if changes, err = learned(before.Version, after.Version); err != nil {
			return nil, false, err
		}
		known = len(changes) > 0
		applyAll(changes, wanted, after.Items, r.Topology)
	}
	skip := func(object string) bool {
		kind, _, _ := strings.Cut(object, " ")
		return hides(before.Unread, kind, object) || hides(after.Unread, kind, object)
	}
	evicted := func(d difference) bool {
		pod, is := strings.CutPrefix(d.object, "Pod ")
		return is && d.field == "" && d.is == "" && r.evictedWith(pod)
	}
	if len(r.Tools) > 0 { // nobody has upgraded what is kubeadm's
		for object := range wanted {
			if was := before.Items[object]; kubeadms(object) && maps.Equal(was, after.Items[object]) {
				wanted[object] = was
			}
		}
		maps.DeleteFunc(wanted, func(object string, _ map[string]string) bool {
			return kubeadms(object) && before.Items[object] == nil && after.Items[object] == nil
		})
	}
	for _, d := range compare(wanted, after.Items) {
		if !skip(d.object) && !evicted(d) && !r.reimaged(d) && (d.field != "" || d.is == "" || !itsOwnIdentity(after.Items[d.object], before.Items)) {
			diffs = append(diffs, d)
		}
	}
	return append(diffs, r.replacedNodes()...), known, nil
}

// reimaged reports whether an image is another because a runbook was to make it that.
func (r *Record) reimaged(d difference) bool {
	var was, is string
	if !strings.HasSuffix(d.field, "].image") || json.Unmarshal([]byte(d.wanted), &was) != nil || json.Unmarshal([]byte(d.is), &is) != nil {
		return false
	}
	return slices.ContainsFunc(r.Remedies, func(m Remedy) bool {
		repository, tag := cutImage(is)
		before, _ := cutImage(was)
		return before == repository && tag != "" && m.Images[path.Base(repository)] == tag
	})
}

// cutImage takes a reference apart; one with a digest has no tag that says what it is.
func cutImage(ref string) (repository, tag string) {
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') && !strings.Contains(ref, "@") {
		return ref[:i], ref[i+1:]
	}
	return ref, ""
}

// itsOwnIdentity reports whether an object is the lease by which an API server says that it is there (feature APIServerIdentity), on a machine that
// was a control plane before. After an hour off, as in a cluster that was saved, the first thing an API server does is to collect its own, which has
// run out, and it makes another up to ten seconds later: a look between the two sees none. A second one beside the first is no such thing.
func itsOwnIdentity(object map[string]string, before fields) bool {
	const is, on = "metadata.labels[apiserver.kubernetes.io/identity]", "metadata.labels[kubernetes.io/hostname]"
	var host string
	if object[is] != `"kube-apiserver"` || json.Unmarshal([]byte(object[on]), &host) != nil {
		return false
	}
	for _, other := range before {
		if other[is] == object[is] && other[on] == object[on] {
			return false
		}
	}
	_, controls := before["Node "+host]["metadata.labels[node-role.kubernetes.io/control-plane]"]
	return controls
}

// hides reports whether an object is of what could not be read: a kind, a group (with its dot), or one object.
func hides(unread map[string]string, kind, object string) bool {
	for what := range unread {
		if what == kind || what == object || strings.HasPrefix(what, ".") && strings.HasSuffix(kind, what) {
			return true
		}
	}
	return false
}

// compare lists what differs, sorted. How a Node came to be another is not in it: see replacedNodes.
func compare(wanted, is fields) []difference {
	var out []difference
	for _, object := range slices.Sorted(maps.Keys(wanted)) {
		now, there := is[object]
		if !there {
			out = append(out, difference{object: object, wanted: "there"})
			continue
		}
		was := wanted[object]
		replaced := strings.HasPrefix(object, "Node ") && was[nodeUID] != now[nodeUID]
		names := slices.Sorted(maps.Keys(was))
		for _, f := range slices.Sorted(maps.Keys(now)) {
			if _, had := was[f]; !had {
				names = append(names, f)
			}
		}
		for _, f := range names {
			if was[f] == now[f] || f == nodeUID || f == nodeBoot || replaced && strings.HasPrefix(f, "spec.podCIDR") {
				continue
			}
			out = append(out, difference{object: object, field: f, wanted: was[f], is: now[f]})
		}
	}
	for _, object := range slices.Sorted(maps.Keys(is)) {
		if _, there := wanted[object]; !there {
			out = append(out, difference{object: object, is: "there"})
		}
	}
	return out
}

// replacedNodes lists Nodes that were deleted and made anew, but by an upgrade that has put another machine in the place of a worker.
func (r *Record) replacedNodes() []difference {
	before, after := r.Before.Objects.Items, r.After.Objects.Items
	var out []difference
	for _, object := range slices.Sorted(maps.Keys(before)) {
		was, now := before[object], after[object]
		if !strings.HasPrefix(object, "Node ") || now == nil || was[nodeUID] == now[nodeUID] {
			continue
		}
		if r.upgraded() && was[nodeBoot] != now[nodeBoot] && slices.Contains(r.Topology.WorkerMachines(), strings.TrimPrefix(object, "Node ")) {
			continue
		}
		out = append(out, difference{object: object, field: nodeUID, wanted: was[nodeUID], is: now[nodeUID]})
	}
	return out
}

func clone(f fields) fields {
	out := make(fields, len(f))
	for object, values := range f {
		out[object] = maps.Clone(values)
	}
	return out
}

func splitBy(diffs []difference, second func(difference) bool) (a, b []difference) {
	for _, d := range diffs {
		if second(d) {
			b = append(b, d)
		} else {
			a = append(a, d)
		}
	}
	return a, b
}

// mayChange reports whether an upgrade that nobody has learned may well have changed this: what API servers keep themselves, kubeadm's ConfigMaps, static
// pods, kubelets. That a ConfigMap or a Node is gone is never right.
func mayChange(d difference, before, after fields) bool {
	kind, name, _ := strings.Cut(d.object, " ")
	values := before[d.object]
	if values == nil {
		values = after[d.object]
	}
	switch kind {
	case "APIService.apiregistration.k8s.io", "FlowSchema.flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io",
		"ServiceCIDR.networking.k8s.io", "IPAddress.networking.k8s.io":
		return true
	case "ClusterRole.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io", "Role.rbac.authorization.k8s.io", "RoleBinding.rbac.authorization.k8s.io":
		return values["metadata.labels[kubernetes.io/bootstrapping]"] != "" || d.wanted != "there" && strings.Contains(name, "kubeadm:")
	case "ConfigMap":
		return d.field != "" && slices.Contains([]string{"kube-system/kubeadm-config", "kube-system/kubelet-config", "kube-system/extension-apiserver-authentication"}, name)
	case "KubeletConfig", "Pod":
		return d.field != "" && (kind == "KubeletConfig" || strings.HasPrefix(name, "kube-system/"))
	case "ServiceAccount": // one for each of the controller manager's controllers
		return d.is == "there" && strings.HasPrefix(name, "kube-system/")
	case "Node":
		return d.field == nodeKubelet || strings.Contains(d.field, "kubeadm.alpha.kubernetes.io")
	}
	return false
}

// How many differences a message has, and how much of a value.
const (
	shownDifferences = 20
	shownOfValue     = 160
)

// describeAll names whole objects first: where the message is cut, no object that came or went is hidden by the fields of another.
func describeAll(diffs []difference) string {
	whole, fields := splitBy(diffs, func(d difference) bool { return d.field != "" })
	diffs = slices.Concat(whole, fields)
	var out []string
	for i, d := range diffs {
		if i == shownDifferences {
			out = append(out, fmt.Sprintf("and %d more", len(diffs)-i))
			break
		}
		out = append(out, d.String())
	}
	return strings.Join(out, "; ")
}

func (d difference) String() string {
	switch {
	case d.field == "" && d.is == "":
		return d.object + " is gone"
	case d.field == "":
		return d.object + " was not there before"
	case d.field == nodeUID:
		return d.object + " was deleted and registered again"
	case d.is == "":
		return fmt.Sprintf("%s: %s is gone, it was %s", d.object, d.field, shorten(d.wanted))
	case d.wanted == "":
		return fmt.Sprintf("%s: %s is new: %s", d.object, d.field, shorten(d.is))
	}
	if lost, gained, ok := lists(d.wanted, d.is); ok {
		return fmt.Sprintf("%s: %s has lost %s and gained %s", d.object, d.field, lost, gained)
	}
	return fmt.Sprintf("%s: %s is %s instead of %s", d.object, d.field, shorten(d.is), shorten(d.wanted))
}

func shorten(s string) string {
	if len(s) > shownOfValue {
		return s[:shownOfValue] + "…"
	}
	return s
}

// lists tells two lists of plain values apart by their members; ok is false when they are none, or have the same members.
func lists(wanted, is string) (lost, gained string, ok bool) {
	var a, b []any
	if json.Unmarshal([]byte(wanted), &a) != nil || json.Unmarshal([]byte(is), &b) != nil {
		return "", "", false
	}
	without := func(a, b []any) string {
		var out []string
		for _, x := range a {
			if !slices.Contains(b, x) {
				out = append(out, fmt.Sprint(x))
			}
		}
		if out == nil {
			return "nothing"
		}
		return shorten(strings.Join(out, " "))
	}
	lost, gained = without(a, b), without(b, a)
	return lost, gained, lost != "nothing" || gained != "nothing"
}
