package experiment

import (
	"context"
	"errors"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// paper is a provider that only offers: machines by names of its own, which cannot do everything.
type paper struct {
	cluster.Provider
	lacks cluster.Lacks
}

func (paper) Name() string { return "paper" }

func (p paper) Offer(_ context.Context, t cluster.Topology) (cluster.Offer, error) {
	o := cluster.Offer{Lacks: p.lacks}
	for _, m := range t.Machines() {
		o.Machines = append(o.Machines, cluster.MachineSpec{Name: t.Name + "-" + m.Name, Role: m.Role})
	}
	return o, nil
}

func offered(t *testing.T, s *Scenario, lacks cluster.Lacks) (string, error) {
	t.Helper()
	p, err := s.PlanFor(t.Context(), Options{Seed: 1, Suffix: "x1", Provider: paper{lacks: lacks}})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := p.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String(), nil
}

func parsed(t *testing.T, text string) *Scenario {
	t.Helper()
	s, err := Parse("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestMachinesAreCalledAsTheirProviderDoes: in the plan, and nowhere by count.
func TestMachinesAreCalledAsTheirProviderDoes(t *testing.T) {
	text, err := offered(t, parsed(t, strings.Replace(upgrading, "target: leader", "target: control-plane-3", 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"control-plane/2: x-x1-control-plane-2 ", "worker/1: x-x1-worker-1 ", "etcdMemberCrash of control-plane-3 (x-x1-control-plane-3)"} {
		if !strings.Contains(text, want) {
			t.Errorf("the plan lacks %q:\n%s", want, text)
		}
	}
}

// TestWhatCannotBeDoneIsLeftOut: with the reason, in the plan; and what it was to show is not shown.
func TestWhatCannotBeDoneIsLeftOut(t *testing.T) {
	s := loaded(t, "etcd-leader-crash")
	lacks := cluster.Lacks{cluster.CanKill: "nobody may kill here"}
	text, err := offered(t, s, lacks)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "left out, kill: nobody may kill here") || strings.Contains(text, "await its effect") {
		t.Errorf("the fault is not left out:\n%s", text)
	}
	if text, err = offered(t, parsed(t, upgrading), lacks); err != nil || !strings.Contains(text, "left out, kill: nobody may kill here") {
		t.Errorf("a fault placed at a step is not left out: %v\n%s", err, text)
	}
	e := Evidence{Planned: []PlannedFault{{ID: "4", Step: "4", Name: "etcdMemberCrash of leader", Lacks: "it cannot be done here: kill: nobody may kill here"}}}
	for _, r := range e.receipts() {
		if r.State != plan.NotInjected || !strings.Contains(r.Error, "nobody may kill") {
			t.Errorf("receipt %+v", r)
		}
	}
	if len(e.receipts()) != 1 {
		t.Errorf("%d receipts", len(e.receipts()))
	}
}

// TestAnExistingWorkloadNeedsACluster: one that the run makes has none.
func TestAnExistingWorkloadNeedsACluster(t *testing.T) {
	_, err := offered(t, parsed(t, strings.Replace(good, "  steps:", "  workload: {existing: {namespace: web, service: shop}}\n  steps:", 1)), nil)
	var usage *cluster.UsageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "web/shop") || !strings.Contains(err.Error(), "--on NAME") {
		t.Errorf("error %v", err)
	}
}

func TestAnUpgradeThatCannotBeDoneIsRefused(t *testing.T) {
	_, err := offered(t, parsed(t, upgrading), cluster.Lacks{cluster.CanInstall: "no images here"})
	var usage *cluster.UsageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "no images here") {
		t.Errorf("error %v", err)
	}
}

func TestMisfits(t *testing.T) {
	have := cluster.Topology{ControlPlanes: 3, Workers: 2, Etcd: cluster.EtcdStacked, EtcdMembers: 3, Version: "v1.35.4", EtcdVersion: "v3.6.16", Timing: cluster.TimingFast}
	for name, c := range map[string]struct {
		asked Cluster
		want  string // what differs; empty: they fit
	}{
		"as asked":          {Cluster{ControlPlanes: 3, Workers: 2}, ""},
		"a minor version":   {Cluster{ControlPlanes: 3, Workers: 2, Version: "v1.35"}, ""},
		"another version":   {Cluster{ControlPlanes: 3, Workers: 2, Version: "v1.36"}, "Kubernetes v1.36 asked for, v1.35.4 there"},
		"another patch":     {Cluster{ControlPlanes: 3, Workers: 2, Version: "v1.35.40"}, "v1.35.40 asked for"},
		"fewer":             {Cluster{ControlPlanes: 1, Workers: 2}, "1 control planes asked for, 3 there; 1 etcd members asked for, 3 there"},
		"more workers":      {Cluster{ControlPlanes: 3, Workers: 3}, "3 workers asked for, 2 there"},
		"etcd elsewhere":    {Cluster{ControlPlanes: 3, Workers: 2, Etcd: "external"}, "etcd external asked for, stacked there"},
		"slower":            {Cluster{ControlPlanes: 3, Workers: 2, Timing: "production"}, "timing production asked for, fast there"},
		"another etcd":      {Cluster{ControlPlanes: 3, Workers: 2, EtcdVersion: "v3.5"}, "etcd version v3.5 asked for, v3.6.16 there"},
		"any patch of etcd": {Cluster{ControlPlanes: 3, Workers: 2, EtcdVersion: "v3.6"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.asked
			want := cluster.Topology{ControlPlanes: a.ControlPlanes, Workers: a.Workers, Etcd: cluster.EtcdLayout(a.Etcd)}.Complete()
			if got := strings.Join(a.misfits(want, have), "; "); got != c.want && (c.want == "" || !strings.Contains(got, c.want)) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
