package health

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	deployment = "Deployment.apps default/web"
	workerNode = "Node worker-1"
	adminRole  = "ClusterRole.rbac.authorization.k8s.io admin"
	kubeletMap = "ConfigMap kube-system/kubelet-config"
	kubeadmCRB = "ClusterRoleBinding.rbac.authorization.k8s.io kubeadm:kubelet-bootstrap"
	webhook    = "ValidatingWebhookConfiguration.admissionregistration.k8s.io left-behind"
	pod        = "Pod default/stray"
)

func someObjects() *observe.Objects {
	return &observe.Objects{Version: "v1.1.0", Items: fields{
		deployment: {"spec.replicas": "2", "spec.template.spec.containers[web].args": `["--a","--b"]`},
		workerNode: {nodeUID: `"1"`, nodeBoot: `"1"`, nodeKubelet: `"v1.1.0"`, "spec.podCIDR": `"10.0.1.0/24"`, "metadata.labels.a": `"b"`},
		adminRole:  {"metadata.labels[kubernetes.io/bootstrapping]": `"rbac-defaults"`, `rules[{"verbs":["get"]}]`: "1"},
		kubeletMap: {"data.kubelet.maxPods": "110"},
		kubeadmCRB: {"roleRef.name": `"system:node-bootstrapper"`},
		"Lease.coordination.k8s.io kube-system/kube-scheduler": {"spec.leaseDurationSeconds": "15"},
	}}
}

func objectsRecord(upgraded bool, change func(*observe.Objects)) *Record {
	r := &Record{
		Topology: cluster.Topology{ControlPlanes: 1, Workers: 1}, Before: facts(nil), After: facts(nil),
	}
	r.Before.Objects, r.After.Objects = someObjects(), someObjects()
	if change != nil {
		change(r.After.Objects)
	}
	if upgraded {
		r.Windows = []Window{{ID: "3.1", Upgrade: true}}
	}
	return r
}

func TestObjectsPreserved(t *testing.T) {
	set := func(object, field, value string) func(*observe.Objects) {
		return func(o *observe.Objects) {
			if o.Items[object] == nil {
				o.Items[object] = map[string]string{}
			}
			o.Items[object][field] = value
		}
	}
	gone := func(object string) func(*observe.Objects) {
		return func(o *observe.Objects) { delete(o.Items, object) }
	}
	both := func(all ...func(*observe.Objects)) func(*observe.Objects) {
		return func(o *observe.Objects) {
			for _, f := range all {
				f(o)
			}
		}
	}
	newer := func(o *observe.Objects) { o.Version = "v1.2.0" } // nobody has learned this pair
	for name, c := range map[string]struct {
		upgraded bool
		change   func(*observe.Objects)
		want     plan.Verdict
		says     string
	}{
		"nothing":              {false, nil, plan.Pass, "6 objects are as they were"},
		"a ConfigMap is gone":  {false, gone(kubeletMap), plan.Fail, kubeletMap + " is gone"},
		"a binding is gone":    {false, gone(kubeadmCRB), plan.Fail, kubeadmCRB + " is gone"},
		"a stray pod":          {false, set(pod, "spec.nodeName", `"worker-1"`), plan.Fail, pod + " was not there before"},
		"a field":              {false, set(deployment, "spec.replicas", "1"), plan.Fail, deployment + ": spec.replicas is 1 instead of 2"},
		"a lost field":         {false, func(o *observe.Objects) { delete(o.Items[workerNode], "metadata.labels.a") }, plan.Fail, `metadata.labels.a is gone, it was "b"`},
		"a lost flag":          {false, set(deployment, "spec.template.spec.containers[web].args", `["--a","--c"]`), plan.Fail, "has lost --b and gained --c"},
		"flags in other order": {false, set(deployment, "spec.template.spec.containers[web].args", `["--b","--a"]`), plan.Fail, `is ["--b","--a"] instead of ["--a","--b"]`},
		"a reboot":             {false, set(workerNode, nodeBoot, `"2"`), plan.Pass, ""},
		"a Node deleted":       {false, set(workerNode, nodeUID, `"2"`), plan.Fail, workerNode + " was deleted and registered again"},
		"a Node deleted in an upgrade": {
			true, set(workerNode, nodeUID, `"2"`), plan.Fail, workerNode + " was deleted and registered again",
		},
		"a worker replaced":          {true, both(set(workerNode, nodeUID, `"2"`), set(workerNode, nodeBoot, `"2"`), set(workerNode, "spec.podCIDR", `"10.0.2.0/24"`)), plan.Pass, ""},
		"a worker replaced, unasked": {false, both(set(workerNode, nodeUID, `"2"`), set(workerNode, nodeBoot, `"2"`)), plan.Fail, "registered again"},
		"another range, same Node":   {true, set(workerNode, "spec.podCIDR", `"10.0.2.0/24"`), plan.Fail, "spec.podCIDR"},
		"unlearned, system":          {true, both(newer, set(adminRole, `rules[{"verbs":["list"]}]`, "1"), set(workerNode, nodeKubelet, `"v1.2.0"`)), plan.Unknown, "--learn-objects"},
		"unlearned, user's":          {true, both(newer, set(deployment, "spec.replicas", "1")), plan.Fail, "spec.replicas"},
		"unlearned, ConfigMap gone":  {true, both(newer, gone(kubeletMap)), plan.Fail, "is gone"},
		"unlearned, binding gone":    {true, both(newer, gone(kubeadmCRB)), plan.Fail, "is gone"},
		"another version, unasked":   {false, both(newer, set(adminRole, `rules[{"verbs":["list"]}]`, "1")), plan.Fail, "is new"},
		"a kind could not be read": {false, func(o *observe.Objects) {
			delete(o.Items, deployment)
			o.Unread = map[string]string{"Deployment.apps": "no"}
		}, plan.Unknown, "Deployment.apps could not be read: no"},
		"a group could not be read":  {false, func(o *observe.Objects) { delete(o.Items, deployment); o.Unread = map[string]string{".apps": "no"} }, plan.Unknown, "could not be read"},
		"nothing could be read":      {false, func(o *observe.Objects) { *o = observe.Objects{Error: "refused"} }, plan.Unknown, "no objects could be read after: refused"},
		"and something else differs": {false, both(gone(kubeletMap), func(o *observe.Objects) { o.Unread = map[string]string{".apps": "no"} }), plan.Fail, kubeletMap + " is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			v, said := objectsPreserved(objectsRecord(c.upgraded, c.change), nil, Params{})
			if v != c.want || !strings.Contains(said, c.says) {
				t.Errorf("%s: %s; want %s: %s", v, said, c.want, c.says)
			}
		})
	}
	r := objectsRecord(false, set(workloadBudget, "spec.minAvailable", "1"))
	r.Before.Objects.Items[workloadBudget] = map[string]string{"spec.minAvailable": "2"}
	r.Budgets = []Budget{{MinAvailable: 2}, {MinAvailable: 1}}
	if v, said := objectsPreserved(r, nil, Params{}); v != plan.Pass {
		t.Errorf("a budget the scenario itself has lowered: %s: %s", v, said)
	}
	const image = "spec.template.spec.containers[a].image"
	r = objectsRecord(false, set(deployment, image, `"x/ccm:v2"`))
	r.Before.Objects.Items[deployment][image] = `"x/ccm:v1"`
	if v, said := objectsPreserved(r, nil, Params{}); v != plan.Fail {
		t.Errorf("an image that nobody was to change: %s: %s", v, said)
	}
	r.Remedies = []Remedy{{Images: map[string]string{"ccm": "v2"}}}
	if v, said := objectsPreserved(r, nil, Params{}); v != plan.Pass || !strings.HasSuffix(said, "as they were, but for the images that a runbook was to change: 1") {
		t.Errorf("an image that a runbook was to change: %s: %s", v, said)
	}
	r = objectsRecord(false, nil)
	r.Before.Objects = nil
	if v, said := objectsPreserved(r, nil, Params{}); v != plan.Unknown {
		t.Errorf("without a reading before: %s: %s", v, said)
	}
}

// identity is the lease that an API server on the host keeps of itself.
func identity(host string) func(*observe.Inventory) {
	return func(in *observe.Inventory) {
		in.Objects.Items["Lease.coordination.k8s.io kube-system/apiserver-x"] = map[string]string{
			"metadata.labels[apiserver.kubernetes.io/identity]": `"kube-apiserver"`, "metadata.labels[kubernetes.io/hostname]": fmt.Sprintf("%q", host),
		}
	}
}

func TestResidueOfObjectsAndFiles(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*observe.Inventory)
		want   plan.Verdict
		says   string
	}{
		"nothing":   {nil, plan.Pass, ""},
		"a webhook": {func(in *observe.Inventory) { in.Objects.Items[webhook] = map[string]string{} }, plan.Fail, webhook + " was not there before"},
		"a pod":     {func(in *observe.Inventory) { in.Objects.Items[pod] = map[string]string{} }, plan.Fail, pod},
		"a lease": {func(in *observe.Inventory) {
			in.Objects.Items["Lease.coordination.k8s.io kube-system/x"] = map[string]string{}
		}, plan.Fail, "kube-system/x"},
		"an API server's lease on a worker": {identity("worker-1"), plan.Fail, "kube-system/apiserver-x"},
		"an API server's lease elsewhere":   {identity("stranger"), plan.Fail, "kube-system/apiserver-x"},
		"a control plane's, made anew":      {identity("control-plane-1"), plan.Pass, ""},
		"a control plane's second":          {identity("control-plane-1"), plan.Fail, "kube-system/apiserver-x"}, // its first is there
		"a copy": {func(in *observe.Inventory) {
			in.Files["control-plane-1"] = append(in.Files["control-plane-1"], "/etc/kubernetes/manifests/.etcd.yaml.swp")
		}, plan.Fail, "left on control-plane-1: /etc/kubernetes/manifests/.etcd.yaml.swp"},
		"a file": {func(in *observe.Inventory) { in.Files["control-plane-1"] = nil }, plan.Fail, "/etc/kubernetes/manifests/etcd.yaml is gone from control-plane-1"},
		"its backup": {func(in *observe.Inventory) {
			in.Files["control-plane-1"] = append(in.Files["control-plane-1"], "/etc/kubernetes/tmp")
		}, plan.Pass, ""},
		"no list":    {func(in *observe.Inventory) { in.Unread = "deadline exceeded" }, plan.Unknown, "member list could not be read"},
		"no objects": {func(in *observe.Inventory) { in.Objects = nil }, plan.Unknown, "no objects were read after"},
	} {
		t.Run(name, func(t *testing.T) {
			r := objectsRecord(false, nil)
			r.Before.Files, r.After.Files = map[string][]string{}, map[string][]string{}
			for _, in := range []*observe.Inventory{r.Before, r.After} {
				in.Objects.Items["Node control-plane-1"] = map[string]string{"metadata.labels[node-role.kubernetes.io/control-plane]": `""`}
				in.Files["control-plane-1"] = []string{"/etc/kubernetes/manifests/etcd.yaml"}
			}
			if strings.HasSuffix(name, "second") {
				for _, in := range []*observe.Inventory{r.Before, r.After} {
					identity("control-plane-1")(in)
					in.Objects.Items["Lease.coordination.k8s.io kube-system/apiserver-first"] = in.Objects.Items["Lease.coordination.k8s.io kube-system/apiserver-x"]
					delete(in.Objects.Items, "Lease.coordination.k8s.io kube-system/apiserver-x")
				}
			}
			if c.change != nil {
				c.change(r.After)
			}
			if v, said := noResidue(r, nil, Params{}); v != c.want || !strings.Contains(said, c.says) {
				t.Errorf("%s: %s; want %s: %s", v, said, c.want, c.says)
			}
		})
	}
}

// TestLearnedOnceTrueForAllMachines: what was learned of one machine of a kind holds for all that the upgrade has come to, and for no other.
func TestLearnedOnceTrueForAllMachines(t *testing.T) {
	c := change{
		From: "v1.1.0", To: "v1.2.0",
		Changed: fields{
			"Node {worker}": {nodeKubelet: `"v1.2.0"`}, "KubeletConfig {worker}": {"newField": `"on {worker}"`, "oldField": "", "address": anything},
			adminRole: {`rules[{"verbs":["list"]}]`: "1"},
		},
		New: fields{"ClusterRole.rbac.authorization.k8s.io new": {"rules": "[]"}}, Gone: []string{"ClusterRole.rbac.authorization.k8s.io old"},
	}
	before := fields{
		"Node worker-1": {nodeKubelet: `"v1.1.0"`}, "KubeletConfig worker-1": {"oldField": "1", "address": `"a"`},
		"Node worker-2": {nodeKubelet: `"v1.1.0"`}, "KubeletConfig worker-2": {"oldField": "1", "address": `"a"`},
		adminRole: {}, "ClusterRole.rbac.authorization.k8s.io old": {},
	}
	after := fields{
		"Node worker-1": {nodeKubelet: `"v1.2.0"`}, "KubeletConfig worker-1": {"newField": `"on worker-1"`, "address": `"b"`},
		"Node worker-2": {nodeKubelet: `"v1.1.0"`}, "KubeletConfig worker-2": {"oldField": "1", "address": `"a"`},
		adminRole: {`rules[{"verbs":["list"]}]`: "1"}, "ClusterRole.rbac.authorization.k8s.io new": {"rules": "[]"},
	}
	wanted := clone(before)
	applyAll([]change{c}, wanted, after, cluster.Topology{ControlPlanes: 1, Workers: 2})
	if diffs := compare(wanted, after); len(diffs) > 0 {
		t.Errorf("%v", diffs)
	}
	delete(after[adminRole], `rules[{"verbs":["list"]}]`)
	if diffs := compare(wanted, after); len(diffs) != 1 || !strings.Contains(diffs[0].String(), "is gone") {
		t.Errorf("a change that was not made: %v", diffs)
	}
}

func TestAWayOfHops(t *testing.T) {
	all := []fixtures.Change{{From: "v1", To: "v2"}, {From: "v2", To: "v3"}, {From: "v2", To: "v1"}}
	for _, c := range []struct {
		from, to string
		hops     int
	}{{"v1", "v2", 1}, {"v1", "v3", 2}, {"v3", "v1", 0}} {
		if got := len(way(all, c.from, c.to)); got != c.hops {
			t.Errorf("%s to %s: %d hops, want %d", c.from, c.to, got, c.hops)
		}
	}
}

// TestAHopOnTheWayIsMadeOnEveryMachine: a machine that came to the last version has passed the others.
func TestAHopOnTheWayIsMadeOnEveryMachine(t *testing.T) {
	hops := []change{
		{From: "v1.1.0", To: "v1.2.0", Changed: fields{"Pod kube-system/etcd-{control-plane}": {"image": `"etcd:2"`}, "Node {control-plane}": {nodeKubelet: `"v1.2.0"`}}},
		{From: "v1.2.0", To: "v1.3.0", Changed: fields{"Node {control-plane}": {nodeKubelet: `"v1.3.0"`}}},
	}
	wanted := fields{"Pod kube-system/etcd-control-plane-1": {"image": `"etcd:1"`}, "Node control-plane-1": {nodeKubelet: `"v1.1.0"`}}
	after := fields{"Pod kube-system/etcd-control-plane-1": {"image": `"etcd:2"`}, "Node control-plane-1": {nodeKubelet: `"v1.3.0"`}}
	applyAll(hops, wanted, after, cluster.Topology{ControlPlanes: 1})
	if diffs := compare(wanted, after); len(diffs) > 0 {
		t.Errorf("%v", diffs)
	}
}

// TestLearnedFilesAreWhatLearnWrites: a file that was learned judges the run it was learned of as clean.
func TestLearnedFilesAreWhatLearnWrites(t *testing.T) {
	if _, err := fixtures.Changes(); err != nil {
		t.Fatal(err)
	}
	r := objectsRecord(true, func(o *observe.Objects) {
		o.Version = "v1.2.0"
		o.Items[workerNode][nodeKubelet] = `"v1.2.0"`
		o.Items[pod] = map[string]string{"spec.nodeName": `"worker-1"`}
		delete(o.Items, kubeadmCRB)
	})
	got, err := Learn(r)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "learned.yaml", got)
}

func TestTheMessageNamesObjectFieldAndBothValues(t *testing.T) {
	_, said := objectsPreserved(objectsRecord(false, func(o *observe.Objects) {
		delete(o.Items, kubeadmCRB)
		o.Items[pod] = map[string]string{"spec.nodeName": `"worker-1"`}
		o.Items[kubeletMap] = map[string]string{"data.kubelet.maxPods": "10", "data.kubelet.new": strings.Repeat("x", 200)}
		o.Items[deployment]["spec.template.spec.containers[web].args"] = `["--a","--c"]`
		delete(o.Items[workerNode], "metadata.labels.a")
		o.Items[workerNode][nodeUID] = `"2"`
	}), nil, Params{})
	golden(t, "differences.txt", []byte(strings.ReplaceAll(said, "; ", "\n")+"\n"))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

func TestNoObjectThatCameOrWentIsHiddenByFieldsOfOthers(t *testing.T) {
	diffs := []difference{}
	for i := range 2 * shownDifferences {
		diffs = append(diffs, difference{object: "Node worker-1", field: fmt.Sprint("metadata.labels[", i, "]"), wanted: "1"})
	}
	said := describeAll(append(diffs, difference{object: "Namespace left", is: "there"}))
	if !strings.HasPrefix(said, "Namespace left was not there before") || !strings.HasSuffix(said, fmt.Sprintf("and %d more", shownDifferences+1)) {
		t.Error(said)
	}
}
