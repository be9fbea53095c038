package experiment

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/scenarios"
)

var update = flag.Bool("update", false, "rewrite the golden plans")

func printed(t *testing.T, name string, seed int64) string {
	t.Helper()
	s, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return planText(t, s, seed)
}

func planText(t *testing.T, s *Scenario, seed int64) string {
	t.Helper()
	p, err := s.Plan(seed)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := p.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGoldenPlans(t *testing.T) {
	for _, name := range scenarios.Names() {
		got, path := printed(t, name, 1), filepath.Join("..", "..", "scenarios", "testdata", name+".plan")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: the plan is not the golden one (go test ./harness/experiment -update rewrites it):\n%s", name, got)
		}
	}
}

func TestSameSeedSamePlan(t *testing.T) {
	first, differs := printed(t, "etcd-quorum-table", 7), false
	for i := range int64(50) {
		if printed(t, "etcd-quorum-table", 7) != first {
			t.Fatal("the same seed made another plan")
		}
		differs = differs || strings.SplitN(printed(t, "etcd-quorum-table", i), "\n", 2)[1] != strings.SplitN(first, "\n", 2)[1]
	}
	if !differs {
		t.Fatal("50 seeds made one plan: the seed chooses nothing")
	}
}

const good = `apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: x}
spec:
  cluster: {controlPlanes: 3}
  steps:
    - fault: {etcdMemberCrash: {target: leader, for: 5s}}
  always: [etcdQuorum]
`

func TestBadInputSaysWhereAndWhatIsKnown(t *testing.T) {
	if _, err := Parse("x.yaml", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		old, new string
		want     []string
	}{
		"unknown field":          {"  always:", "  allways:", []string{"x.yaml", "line 8", "allways", "always, finally"}},
		"unknown cluster field":  {"controlPlanes: 3", "controlPlanes: 3, size: 4", []string{"line 5", "size", "workers"}},
		"unknown fault":          {"etcdMemberCrash", "meteor", []string{"line 7", "meteor", "etcdMemberCrash", "machineIsolate"}},
		"unknown fault field":    {"for: 5s", "fro: 5s", []string{"line 7", "fro", "target, for"}},
		"negative time":          {"for: 5s", "for: -5s", []string{"line 7", "negative"}},
		"unknown check":          {"[etcdQuorum]", "[etcdQuorom]", []string{"line 8", "etcdQuorom", "etcdQuorum"}},
		"unknown check field":    {"[etcdQuorum]", "[{apiAvailable: {gap: 3s}}]", []string{"line 8", "gap", "maxGap"}},
		"negative count":         {"controlPlanes: 3", "controlPlanes: 3, workers: -2", []string{"workers is -2"}},
		"unknown version":        {"controlPlanes: 3", "controlPlanes: 3, version: v1.2", []string{"v1.2", "v1.35.4", "v1.36.3"}},
		"unknown etcd version":   {"controlPlanes: 3", "controlPlanes: 3, etcdVersion: v2.0.0", []string{"v2.0.0", "v3.6.16"}},
		"nothing happens":        {"    - fault: {etcdMemberCrash: {target: leader, for: 5s}}\n", "    []\n", []string{"spec.steps is empty"}},
		"another kind of file":   {"kind: Scenario", "kind: Pod", []string{"want drydock.dev/v1alpha1, Scenario"}},
		"unknown expectation":    {"- fault:", "- expect: loss\n      fault:", []string{"expect is", "quorumLost"}},
		"no name":                {"{name: x}", "{}", []string{"metadata.name is missing"}},
		"not YAML":               {"kind: Scenario", "kind: [", []string{"x.yaml"}},
		"fault and observe both": {"- fault:", "- observe: 3s\n      fault:", []string{"want one of fault, upgrade, workload and observe"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(good, c.old, c.new, 1)
			if text == good {
				t.Fatalf("%q is not in the scenario", c.old)
			}
			_, err := Parse("x.yaml", []byte(text))
			var usage *cluster.UsageError
			if !errors.As(err, &usage) {
				t.Fatalf("error %v, want a usage error", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "experiment.") || strings.Contains(err.Error(), "struct {") {
				t.Errorf("%q speaks of Go types", err)
			}
		})
	}
}

func TestQuorumIsNotLostUnasked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(string) string
		ok     bool
	}{
		"majority":        {func(s string) string { return strings.Replace(s, "target: leader", "target: majority", 1) }, false},
		"unknown machine": {func(s string) string { return strings.Replace(s, "target: leader", "target: worker-1", 1) }, false},
		"leader of 1":     {func(s string) string { return strings.Replace(s, "controlPlanes: 3", "controlPlanes: 1", 1) }, false},
		"majority, on word": {func(s string) string {
			return strings.Replace(strings.Replace(s, "target: leader", "target: majority", 1), "- fault:", "- expect: quorumLost\n      fault:", 1)
		}, true},
	} {
		s, err := Parse("x.yaml", []byte(c.change(good)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := s.Plan(1); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownScenarioListsTheKnown(t *testing.T) {
	if _, err := Load("etcd-leeder-crash"); err == nil || !strings.Contains(err.Error(), "etcd-leader-crash") {
		t.Fatalf("error %v", err)
	}
}
