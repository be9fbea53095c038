package health

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

func facts(change func(*observe.Inventory)) *observe.Inventory {
	in := &observe.Inventory{Objects: someObjects(), Nodes: map[string]observe.NodeFacts{"worker-1": {
		Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"n": "o", "node.alpha.kubernetes.io/ttl": "0"}, Taints: []string{"t=v:NoSchedule"},
	}}}
	if change != nil {
		change(in)
	}
	return in
}

func node(change func(*observe.NodeFacts)) func(*observe.Inventory) {
	return func(in *observe.Inventory) {
		n := in.Nodes["worker-1"]
		change(&n)
		in.Nodes["worker-1"] = n
	}
}

func TestWhatAnUpgradeLosesAndLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*observe.Inventory)
		lost   string
		left   string
	}{
		"nothing":             {nil, "", ""},
		"a transient key":     {node(func(n *observe.NodeFacts) { n.Annotations = map[string]string{"n": "o"} }), "", ""},
		"a label":             {node(func(n *observe.NodeFacts) { n.Labels = nil }), "node worker-1 has lost the label a=b", ""},
		"another value":       {node(func(n *observe.NodeFacts) { n.Labels = map[string]string{"a": "c"} }), `"c" instead of "b"`, ""},
		"an annotation":       {node(func(n *observe.NodeFacts) { n.Annotations = nil }), "lost the annotation n=o", ""},
		"a taint":             {node(func(n *observe.NodeFacts) { n.Taints = nil }), "lost the taint t=v:NoSchedule", ""},
		"the node":            {func(in *observe.Inventory) { in.Nodes = map[string]observe.NodeFacts{} }, "node worker-1 is gone", ""},
		"a cordon":            {node(func(n *observe.NodeFacts) { n.Unschedulable = true }), "", "left cordoned"},
		"a new taint":         {node(func(n *observe.NodeFacts) { n.Taints = append(n.Taints, "x=y:NoExecute") }), "", "left with the taint x=y:NoExecute"},
		"our annotation":      {node(func(n *observe.NodeFacts) { n.Annotations = map[string]string{"n": "o", "drydock.dev/x": "1"} }), "", "left with the annotation drydock.dev/x"},
		"a file":              {func(in *observe.Inventory) { in.Leftovers = []string{"worker-1: /f"} }, "", "left on worker-1: /f"},
		"an orphan":           {func(in *observe.Inventory) { in.Orphans = []string{"pod p on node n, which is gone"} }, "", "pod p"},
		"a member":            {func(in *observe.Inventory) { in.Members = "member 1 belongs to no machine" }, "", "belongs to no machine"},
		"a paused autoscaler": {func(in *observe.Inventory) { in.Scaled = []string{"kube-system/cluster-autoscaler"} }, "", "left scaled down"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Record{Before: facts(nil), After: facts(c.change)}
			for _, check := range []struct {
				decide func(*Record, *Window, Params) (plan.Verdict, string)
				want   string
			}{{labelsPreserved, c.lost}, {noResidue, c.left}} {
				v, said := check.decide(r, nil, Params{})
				if (v == plan.Pass) != (check.want == "") || !strings.Contains(said, check.want) {
					t.Errorf("%s: %s, want %q", v, said, check.want)
				}
			}
		})
	}
}

func TestVersionsAreThoseOfTheComponents(t *testing.T) {
	top := cluster.Topology{ControlPlanes: 1, Workers: 1, Etcd: cluster.EtcdStacked}
	final := func(worker, reported string) observe.Observation {
		return observe.Observation{
			Components: []observe.Component{{Name: observe.APIServer, Machine: "control-plane-1", Version: "v1.36.3"}, {Name: observe.Kubelet, Machine: "worker-1", Version: worker}},
			Nodes:      []observe.Node{{Name: "worker-1", Version: reported}},
		}
	}
	for name, c := range map[string]struct {
		final observe.Observation
		of    string
		want  plan.Verdict
	}{
		"all new":                          {final("v1.36.3", "v1.36.3"), "", plan.Pass},
		"an old kubelet":                   {final("v1.35.4", "v1.35.4"), "", plan.Fail},
		"an old kubelet, of control-plane": {final("v1.35.4", "v1.35.4"), "control-plane", plan.Pass},
		"a node that reports the old":      {final("v1.36.3", "v1.35.4"), "", plan.Fail},
		"a kubelet that does not answer":   {final("", "v1.36.3"), "", plan.Unknown},
		"a machine nobody saw":             {observe.Observation{Components: []observe.Component{{Name: observe.APIServer, Machine: "control-plane-1", Version: "v1.36.3"}}}, "", plan.Unknown},
	} {
		if v, said := versionsAre(&Record{Topology: top, Final: c.final}, nil, Params{Version: "v1.36", Of: c.of}); v != c.want {
			t.Errorf("%s: %s (%s), want %s", name, v, said, c.want)
		}
	}
}
