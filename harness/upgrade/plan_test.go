package upgrade

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

func names(t *testing.T, spec Spec, top cluster.Topology) []string {
	t.Helper()
	spec, err := spec.Complete()
	if err != nil {
		t.Fatal(err)
	}
	u, err := New(spec, "v1.35.4", top)
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Steps: u.Steps()}
	var out []string
	p.Walk(func(s *plan.Step) { out = append(out, s.Name) })
	return out
}

func TestPlanOfStrategies(t *testing.T) {
	top := cluster.Topology{ControlPlanes: 1, Workers: 3, Etcd: cluster.EtcdStacked, EtcdMembers: 1}
	for name, c := range map[string]struct {
		spec    Spec
		has     []string
		lacks   []string
		inOrder string
	}{
		"rolling":            {Spec{To: "v1.36"}, []string{"worker/3/drain", "worker/1/rollback"}, []string{"workers/1"}, "snapshot control-plane/1 control-plane/1/kubeadm control-plane/1/kubelet control-plane/1/gate worker/1 worker/2 verify autoscaler/resume"},
		"two at a time":      {Spec{To: "v1.36", MaxUnavailable: 2}, []string{"workers/1", "worker/3"}, []string{"workers/3"}, "workers/1 worker/1 worker/2 worker/3"},
		"all at once":        {Spec{To: "v1.36", Workers: AllAtOnce}, []string{"workers/1"}, []string{"worker/1/drain", "worker/1/uncordon"}, "control-plane/1/gate workers/1 worker/1/kubeadm"},
		"surge":              {Spec{To: "v1.36", Workers: Surge}, []string{"surge/rollback", "worker/2/rollback"}, []string{"worker/1/kubeadm"}, "control-plane/1/gate surge/add surge/gate worker/1/drain worker/1/remove worker/1/add worker/1/gate worker/3/gate surge/drain surge/remove verify"},
		"restore":            {Spec{To: "v1.36", RestoreSnapshot: true}, []string{"control-plane/1/restore"}, []string{"worker/1/restore"}, "control-plane/1/gate control-plane/1/rollback control-plane/1/restore"},
		"control plane only": {Spec{To: "v1.36", ControlPlaneOnly: true}, nil, []string{"worker/1"}, "control-plane/1 verify"},
		"a program":          {Spec{To: "v1.36", Strategy: Command, Command: []string{"true"}}, nil, []string{"control-plane/1"}, "preflight snapshot command verify"},
		"AKS Engine":         {Spec{To: "v1.36", Strategy: AKSEngine, Tool: Tool{From: "1.23.17", To: "1.24.17"}}, nil, []string{"control-plane/1", "command"}, "preflight snapshot aks-engine verify"},
	} {
		t.Run(name, func(t *testing.T) {
			got := " " + strings.Join(names(t, c.spec, top), " ") + " "
			for _, w := range c.has {
				if !strings.Contains(got, " "+w+" ") {
					t.Errorf("%q lacks %s", got, w)
				}
			}
			for _, w := range c.lacks {
				if strings.Contains(got, " "+w+" ") {
					t.Errorf("%q has %s", got, w)
				}
			}
			rest := got
			for _, w := range strings.Fields(c.inOrder) {
				i := strings.Index(rest, " "+w+" ")
				if i < 0 {
					t.Fatalf("%q lacks %s, or has it elsewhere", got, w)
				}
				rest = rest[i+len(w)+1:]
			}
		})
	}
}

func TestSpecRefusesNonsense(t *testing.T) {
	for want, s := range map[string]Spec{
		"to is missing":             {},
		"workers is \"sideways\"":   {To: "v1.36", Workers: "sideways"},
		"strategy is \"magic\"":     {To: "v1.36", Strategy: "magic"},
		"belong together":           {To: "v1.36", Strategy: Command},
		"tool: {from: VERSION, to":  {To: "v1.36", Strategy: AKSEngine, Tool: Tool{From: "1.23.17"}},
		"as AKS Engine calls them,": {To: "v1.36", Tool: Tool{From: "1.23.17", To: "1.24.17"}},
		"drainTimeout cannot be ne": {To: "v1.36", DrainTimeout: -1},
		"\"v1.2\" is unknown":       {To: "v1.36", Via: []string{"v1.2"}},
		"\"v9.9\" is unknown":       {To: "v1.36", EtcdVersion: "v9.9"},
		"belongs to strategy: kube": {To: "v1.36", EtcdVersion: "v3.6.8", Strategy: Replace},
	} {
		if _, err := s.Complete(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestListsAreLookedAtOnTheWay: again before the hop to a version that goes by them, which preflight has seen from further away.
func TestListsAreLookedAtOnTheWay(t *testing.T) {
	for name, c := range map[string]struct {
		spec Spec
		has  bool
	}{
		"by way of one that mends": {Spec{Strategy: Etcd, To: "v3.6.4", Via: []string{"v3.5.27"}}, true}, "at once": {Spec{Strategy: Etcd, To: "v3.6.4"}, false},
		"before": {Spec{Strategy: Etcd, To: "v3.5.27", Via: []string{"v3.5.26"}}, false},
	} {
		spec, err := c.spec.Complete()
		if err != nil {
			t.Fatal(err)
		}
		u, err := New(spec, "v3.5.19", cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 3})
		if err != nil {
			t.Fatal(err)
		}
		has := false
		(&plan.Plan{Steps: u.Steps()}).Walk(func(s *plan.Step) { has = has || s.Name == "v3.6.4/lists" })
		if has != c.has {
			t.Errorf("%s: lists are looked at: %t", name, has)
		}
	}
}

func TestEtcdIsMovedWhereKubeadmHasIt(t *testing.T) {
	spec, err := Spec{To: "v1.36", EtcdVersion: "v3.6.8"}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	u, err := New(spec, "v1.35.4", cluster.Topology{ControlPlanes: 1, Etcd: cluster.EtcdStacked})
	if err != nil || !strings.Contains(u.Describe(), "etcd to v3.6.8") {
		t.Errorf("%v, %v", u, err)
	}
	if _, err = New(spec, "v1.35.4", cluster.Topology{Name: "a", ControlPlanes: 1, Etcd: cluster.EtcdExternal, EtcdMembers: 3}); err == nil || !strings.Contains(err.Error(), "strategy: etcd upgrades them") {
		t.Errorf("members that are no static pods: %v", err)
	}
}

func TestTheOldestVersionNeedsEverybodysWord(t *testing.T) {
	both := []observe.Component{at(observe.APIServer, "c", "v1.36.3"), at(observe.Kubelet, "w", "v1.35.4")}
	silent := []observe.Component{at(observe.APIServer, "c", "v1.36.3"), at(observe.Kubelet, "w", "")}
	for name, c := range map[string]struct {
		components []observe.Component
		unfinished map[string]string
		want, says string
	}{
		"all":                  {both, nil, "v1.35.4", ""},
		"one is silent":        {silent, nil, "", "kubelet on w"},
		"it is half-upgraded":  {silent, map[string]string{"w": "v1.35.4"}, "v1.35.4", ""},
		"it has saved two":     {both, map[string]string{"w": "v1.35.4 v1.34.7"}, "v1.34.7", ""},
		"nobody was looked at": {nil, nil, "", "no component told"},
	} {
		got, err := oldest(c.components, c.unfinished)
		if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, %v; want %q, %q", name, got, err, c.want, c.says)
		}
	}
}
