package health

import (
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// before is a command that ended so before the last, after which the cluster was so.
func before(code int, unwhole string) func(r *Record) {
	return func(r *Record) {
		at := r.Tools[0].Begun.Add(-time.Hour)
		r.Tools = append([]ToolRun{{Command: "first", To: "v1.36.3", Code: code, Begun: at, Took: time.Minute, Looked: at.Add(2 * time.Minute), Unwhole: unwhole}}, r.Tools...)
	}
}

// A tool's word counts for nothing where the cluster said something else when it was given, whatever it says at the end.
func TestAToolThatReportsSuccessIsHeldToIt(t *testing.T) {
	for name, x := range map[string]struct {
		breaks func(r *Record)
		want   plan.Verdict
		says   string
	}{
		"it is so":                       {func(*Record) {}, plan.Pass, "the cluster was whole, and what it was to upgrade of v1.36.3"},
		"the cluster is not whole":       {func(r *Record) { r.Tools[0].Unwhole = "etcd: a member is missing" }, plan.Fail, "the driver reported success, tool upgrade ended 0, and the cluster was not whole: etcd: a member is missing"},
		"not all was read":               {func(r *Record) { r.Tools[0].Unwhole, r.Tools[0].Unread = "nodes could not be read in time", true }, plan.Unknown, "not all was: nodes could not"},
		"it is not whole much later":     {func(r *Record) { r.Unwhole = "etcd: a member is missing" }, plan.Pass, "the cluster was whole"},
		"it said that it failed":         {func(r *Record) { r.Tools[0].Code, r.Tools[0].Unwhole = 1, "etcd" }, plan.Pass, "it reported none"},
		"one before said that it failed": {before(1, "a member is missing"), plan.Pass, "command 1: it reported none"},
		"one before was a success":       {before(0, ""), plan.Pass, "command 1: first ended 0, and the cluster was whole"},
		"one before was none":            {before(0, "a member is missing"), plan.Fail, "command 1: the driver reported success, first ended 0, and the cluster was not whole: a member is missing; command 2: tool upgrade ended 0"},
		"nobody looked after one before": {func(r *Record) { before(0, "")(r); r.Tools[0].Looked = time.Time{} }, plan.Unknown, "command 1: first ended 0, and nobody looked"},
		"nobody looked afterwards":       {func(r *Record) { r.Tools[0].Looked = r.Tools[0].Begun }, plan.Unknown, "nobody looked"},
		"no tool":                        {func(r *Record) { r.Tools = nil }, plan.Unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := three()
			at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
			r.Tools = []ToolRun{{Command: "tool upgrade", To: "v1.36.3", Begun: at, Took: time.Minute, Looked: at.Add(2 * time.Minute)}}
			x.breaks(r)
			if got := judge(t, DriverReportedSuccess, r, nil, Params{}); got.Verdict != x.want || !strings.Contains(got.Message, x.says) {
				t.Errorf("%s: %s", got.Verdict, got.Message)
			}
		})
	}
}

func TestToolsAreToldWithTheFewestMembers(t *testing.T) {
	r := three()
	begin := seen(0).Time
	r.Observations = []observe.Observation{seen(0), seen(10, "etcd-1"), seen(70, "etcd-1", "etcd-2")}
	r.Tools = []ToolRun{{Command: "a", Begun: begin, Took: 30 * time.Second}, {Command: "b", Begun: begin.Add(time.Minute), Took: time.Minute}}
	rows := Tools(r)[0].Rows
	if rows[0][3] != "2 of 3" || rows[1][3] != "1 of 3" {
		t.Errorf("%v", rows)
	}
	for what, looks := range map[string][]observe.Observation{"nothing": nil, "another time only": {seen(50)}, "no members": {{Time: begin.Add(time.Second)}}} {
		r.Observations = looks
		if got := Tools(r)[0].Rows[0][3]; got != "not seen" {
			t.Errorf("%s was observed: %s", what, got)
		}
	}
}

// A tool that puts a machine of another name in the place of one has to hand on what that had, and leaves what is kubeadm's alone.
func TestAMachineInThePlaceOfAnotherIsComparedWithIt(t *testing.T) {
	const role, config, node = "ClusterRoleBinding.rbac.authorization.k8s.io kubeadm:x", "ConfigMap kube-system/kubeadm-config", "Node "
	inventory := func(name, label string) *observe.Inventory {
		return &observe.Inventory{
			Nodes:   map[string]observe.NodeFacts{name: {Labels: map[string]string{"a": label}, Taints: []string{"t"}}},
			Objects: &observe.Objects{Items: fields{node + name: {"metadata.labels[a]": label}, config: {"data.x": "1"}}}, Files: map[string][]string{name: {"/etc/x"}},
		}
	}
	for name, x := range map[string]struct {
		breaks func(r *Record)
		want   string // the checks that fail
	}{
		"handed on":          {func(*Record) {}, ""},
		"a label is lost":    {func(r *Record) { r.After.Nodes["new"].Labels["a"] = "other" }, "labelsPreserved"},
		"an object is other": {func(r *Record) { r.After.Objects.Items[node+"new"]["metadata.labels[a]"] = "other" }, "objectsPreserved"},
		"kubeadm's is other": {func(r *Record) { r.After.Objects.Items[config]["data.x"] = "2" }, "objectsPreserved"},
		"a file is left":     {func(r *Record) { r.After.Files["new"] = []string{"/etc/x", "/etc/y"} }, "noResidue"},
		"nobody was renamed": {func(r *Record) { r.Renamed = nil }, "labelsPreserved objectsPreserved noResidue"},
		"it is another's":    {func(r *Record) { r.Renamed = map[string]string{"new": "nobody"} }, "labelsPreserved objectsPreserved noResidue"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Record{Before: inventory("old", "v"), After: inventory("new", "v"), Tools: []ToolRun{{}}, Renamed: map[string]string{"new": "old"}}
			x.breaks(r)
			var got []string
			for _, check := range []string{"labelsPreserved", "objectsPreserved", "noResidue"} {
				if judge(t, check, r, nil, Params{}).Verdict == plan.Fail {
					got = append(got, check)
				}
			}
			if strings.Join(got, " ") != x.want {
				t.Errorf("%v fail, want %s", got, x.want)
			}
		})
	}
	if !kubeadms(role) || !kubeadms(config) || kubeadms("ConfigMap kube-system/kube-proxy") {
		t.Error("what is kubeadm's is told wrongly")
	}
}
