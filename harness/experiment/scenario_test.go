package experiment

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/scenarios"
)

var update = flag.Bool("update", false, "rewrite the golden plans")

func printed(t *testing.T, name string, seed int64) string {
	t.Helper()
	return planText(t, loaded(t, name), seed)
}

func loaded(t *testing.T, name string) *Scenario {
	t.Helper()
	s, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
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
	plans := map[string]string{}
	for _, name := range scenarios.Names() {
		plans[name] = printed(t, name, 1)
	}
	for _, name := range scenarios.Exhibits() {
		fixed, err := loaded(t, name).Fixed()
		if err != nil {
			t.Fatal(err)
		}
		plans[name+"-fixed"] = planText(t, fixed, 1)
	}
	for name, got := range plans {
		path := filepath.Join("..", "..", "scenarios", "testdata", name+".plan")
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

// TestExhibits: the two runs of an exhibit differ in the release and in nothing else, and only an exhibit has a fixed one.
func TestExhibits(t *testing.T) {
	for _, name := range scenarios.Exhibits() {
		bad := loaded(t, name)
		fixed, err := bad.Fixed()
		if err != nil {
			t.Fatal(err)
		}
		if bad.Metadata.Name == fixed.Metadata.Name {
			t.Errorf("%s is called like its fixed one", name)
		}
		if again := bad.Spec.Exhibit.Bad.on(*fixed); !reflect.DeepEqual(again.Spec, bad.Spec) || reflect.DeepEqual(fixed.Spec, bad.Spec) {
			t.Errorf("%s: bad and fixed differ in more or in less than the releases: %+v, %+v", name, bad.Spec, fixed.Spec)
		}
		if !strings.HasSuffix(bad.Spec.Exhibit.Bug, strings.TrimLeft(filepath.Base(name), "abcdefghijklmnopqrstuvwxyz-")) {
			t.Errorf("%s shows %s", name, bad.Spec.Exhibit.Bug)
		}
	}
	var usage *cluster.UsageError
	if _, err := loaded(t, "etcd-leader-crash").Fixed(); !errors.As(err, &usage) || !strings.Contains(err.Error(), scenarios.Exhibits()[0]) {
		t.Errorf("a scenario that is no exhibit has a fixed release: %v", err)
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
		"no size":                {"{controlPlanes: 3}", "{etcd: only, etcdMembers: 3, etcdQuota: much}", []string{"no size", "256Mi"}},
		"unknown fault field":    {"for: 5s", "fro: 5s", []string{"line 7", "fro", "target, for"}},
		"negative distance":      {"etcdMemberCrash: {target: leader, for: 5s", "machinePowerOff: {target: leader, for: 5s, apart: -1s", []string{"line 7", "apart is -1s", "negative"}},
		"all at once, and apart": {"for: 5s", "for: 5s, apart: 1s", []string{"line 7", "etcdMemberCrash takes no apart"}},
		"a way of a crash":       {"for: 5s", "for: 5s, way: out", []string{"line 7", "etcdMemberCrash takes no way", "nothing beside target and for"}},
		"another way":            {"etcdMemberCrash: {target: leader, for: 5s", "partition: {target: leader, way: up, for: 5s", []string{"line 7", `way is "up"`, "both, out", "in ("}},
		"negative time":          {"for: 5s", "for: -5s", []string{"line 7", "negative"}},
		"unknown check":          {"[etcdQuorum]", "[etcdQuorom]", []string{"line 8", "etcdQuorom", "etcdQuorum"}},
		"unknown check field":    {"[etcdQuorum]", "[{apiAvailable: {gap: 3s}}]", []string{"line 8", "gap", "maxGap"}},
		"negative bound":         {"[etcdQuorum]", "[{etcdQuorum: {maxGap: -5s}}]", []string{"line 8", "etcdQuorum", "negative"}},
		"a bound on nothing":     {"[etcdQuorum]", "[{requests: {maxErrors: 500}}]", []string{"line 8", "requests", "less than 100"}},
		"a bound nobody keeps":   {"[etcdQuorum]", "[{oneLeader: {maxGap: 5s}}]", []string{"line 8", "oneLeader takes no maxGap", "etcdQuorum, requests"}},
		"no version":             {"[etcdQuorum]", "[etcdQuorum]\n  finally: [{etcdHealthy: {version: banana}}]", []string{"line 9", `etcdHealthy: version is "banana"`, "vX.Y or vX.Y.Z"}},
		"a version without v":    {"[etcdQuorum]", "[etcdQuorum]\n  finally: [{versions: {version: 1.36.3}}]", []string{"line 9", `versions: version is "1.36.3"`, "vX.Y or vX.Y.Z"}},
		"more members than are":  {"[etcdQuorum]", "[etcdQuorum]\n  finally: [{etcdHealthy: {members: 9}}]", []string{"line 9", "members is 9, and the cluster has 3"}},
		"of whom":                {"[etcdQuorum]", "[{etcdQuorum: {of: control-planes}}]", []string{"line 8", "control-planes", "control-plane"}},
		"negative count":         {"controlPlanes: 3", "controlPlanes: 3, workers: -2", []string{"workers is -2"}},
		"unknown version":        {"controlPlanes: 3", "controlPlanes: 3, version: v1.2", []string{"v1.2", "v1.35.4", "v1.36.3"}},
		"unknown etcd version":   {"controlPlanes: 3", "controlPlanes: 3, etcdVersion: v2.0.0", []string{"v2.0.0", "v3.6.16"}},
		"unknown exhibit field":  {"  cluster:", "  exhibit: {bug: b, bda: {etcdVersion: v3.6.3}}\n  cluster:", []string{"line 5", "bda", "bug, bad, fixed"}},
		"unknown release field":  {"  cluster:", "  exhibit: {bug: b, bad: {etcd: v3.6.3}}\n  cluster:", []string{"line 5", "etcd", "version, etcdVersion"}},
		"exhibit without a fix":  {"  cluster:", "  exhibit: {bug: b, bad: {etcdVersion: v3.6.3}}\n  cluster:", []string{"spec.exhibit", "bad and fixed each need"}},
		"exhibit of nothing":     {"  cluster:", "  exhibit: {bad: {etcdVersion: v3.6.3}, fixed: {etcdVersion: v3.6.4}, finds: {etcdHealthy: [x]}}\n  cluster:", []string{"spec.exhibit", "bug is missing"}},
		"exhibit of one release": {"  cluster:", "  exhibit: {bug: b, bad: {etcdVersion: v3.6.3}, fixed: {etcdVersion: v3.6.3}}\n  cluster:", []string{"both etcd v3.6.3"}},
		"unknown fixed release":  {"  cluster:", "  exhibit: {bug: b, bad: {etcdVersion: v3.6.3}, fixed: {etcdVersion: v9.9.9}, finds: {etcdQuorum: [x]}}\n  cluster:", []string{"fixed: ", "v9.9.9", "v3.6.16", "any release of v3.5"}},
		"a check with no data":   {"controlPlanes: 3}", "etcd: only, etcdMembers: 3}\n  finally: [nodesReady]", []string{"line 6", "nodesReady is of Kubernetes, and the cluster is etcd: only"}},
		"exhibit and a version":  {"controlPlanes: 3}", "controlPlanes: 3, version: v1.35}\n  exhibit: {bug: b, bad: {etcdVersion: v3.6.3}, fixed: {etcdVersion: v3.6.4}, finds: {etcdHealthy: [x]}}", []string{"takes no version"}},
		"nothing happens":        {"    - fault: {etcdMemberCrash: {target: leader, for: 5s}}\n", "    []\n", []string{"spec.steps is empty"}},
		"another kind of file":   {"kind: Scenario", "kind: Pod", []string{"want drydock.dev/v1alpha1, Scenario"}},
		"unknown expectation":    {"- fault:", "- expect: loss\n      fault:", []string{"expect is", "quorumLost"}},
		"no name":                {"{name: x}", "{}", []string{"metadata.name is missing"}},
		"not YAML":               {"kind: Scenario", "kind: [", []string{"x.yaml"}},
		"unknown workload field": {"  steps:", "  workload: {existing: {namespace: a, services: b}}\n  steps:", []string{"line 6", "services", "namespace, service, path"}},
		"no service":             {"  steps:", "  workload: {existing: {namespace: a}}\n  steps:", []string{"spec.workload: existing: service", "1123"}},
		"no namespace":           {"  steps:", "  workload: {existing: {namespace: A, service: b}}\n  steps:", []string{"spec.workload: existing: namespace \"A\""}},
		"no path":                {"  steps:", "  workload: {existing: {namespace: a, service: b, path: x}}\n  steps:", []string{"existing: path is \"x\"", "begins with /"}},
		"two workloads":          {"  steps:", "  workload: {replicas: 2, existing: {namespace: a, service: b}}\n  steps:", []string{"exclude each other"}},
		"a workload of etcd":     {"{controlPlanes: 3}", "{etcd: only, etcdMembers: 3}\n  workload: {existing: {namespace: a, service: b}}", []string{"etcd: only has no workload"}},
		"a Deployment of etcd":   {"{controlPlanes: 3}", "{etcd: only, etcdMembers: 3}\n  workload: {replicas: 2}", []string{"etcd: only has no workload"}},
		"a label of etcd":        {"controlPlanes: 3", "etcd: only, etcdMembers: 3, excludeDisruption: true", []string{"excludeDisruption", "etcd: only has no nodes"}},
		"existing as a step":     {"- fault:", "- workload: {existing: {namespace: a, service: b}}\n    - fault:", []string{"spec.steps[0]: workload", "spec.workload"}},
		"unknown kind":           {"  steps:", "  workload: {replicas: 2, kinds: [bare, cronJob]}\n  steps:", []string{"spec.workload: kinds", "cronJob", "daemonSet statefulSet job bare"}},
		"a kind twice":           {"  steps:", "  workload: {replicas: 2, kinds: [bare, bare]}\n  steps:", []string{"kinds: \"bare\" is there twice"}},
		"kinds of no workload":   {"  steps:", "  workload: {kinds: [bare]}\n  steps:", []string{"beside the Deployment", "replicas is 0"}},
		"kinds as a step":        {"- fault:", "- workload: {kinds: [bare]}\n    - fault:", []string{"spec.steps[0]: workload", "spec.workload"}},
		"fault and observe both": {"- fault:", "- observe: 3s\n      fault:", []string{"want one of fault, faults, storm, upgrade, remedy, workload, traffic and observe"}},
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

// TestWritesAreNotRefusedUnasked: nor is what refuses none taken for something that does.
func TestWritesAreNotRefusedUnasked(t *testing.T) {
	full := strings.NewReplacer("{controlPlanes: 3}", "{etcd: only, etcdMembers: 3, etcdQuota: 32Mi}", "etcdMemberCrash", "etcdNoSpace").Replace(good)
	wanted := strings.NewReplacer("- fault:", "- expect: writesRefused\n      fault:")
	for name, c := range map[string]struct{ scenario, says string }{
		"nobody said so":       {full, "nobody can write while it holds; expect writesRefused"},
		"wanted":               {wanted.Replace(full), ""},
		"of another":           {wanted.Replace(good), "refuses no writes"},
		"the quorum, in place": {strings.Replace(full, "- fault:", "- expect: quorumLost\n      fault:", 1), "nobody can write while it holds"},
		"no quota":             {wanted.Replace(strings.Replace(full, ", etcdQuota: 32Mi", "", 1)), "etcdQuota: 32Mi"},
	} {
		s, err := Parse("x.yaml", []byte(c.scenario))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err = s.Plan(1); (err == nil) != (c.says == "") || c.says != "" && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
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
		"workers of none": {func(s string) string { return strings.Replace(s, "target: leader", "target: workers", 1) }, false},
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
