package experiment

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/scenarios"
)

const spread = `apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: x}
spec:
  cluster:
    controlPlanes: 3
    etcd: only
  workload:
    replicas: 1
  steps:
    - observe: 3s
    - fault:
        etcdMemberCrash:
          target: leader
          fro: 5s
`

// TestLintLeadsToThePlace: an editor that is told file, line and column shows the word that is wrong.
func TestLintLeadsToThePlace(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		at, says string
	}{
		"an unknown field":        {strings.Replace(good, "  always:", "  allways:", 1), "8:3", "allways is unknown; known: cluster"},
		"deep in a flow":          {strings.Replace(good, "controlPlanes: 3", "controlPlanes: 3, size: 4", 1), "5:31", "size is unknown; known: controlPlanes"},
		"of a fault":              {strings.Replace(good, "for: 5s", "fro: 5s", 1), "7:49", "fro is unknown; known: target, for"},
		"lines below the fault":   {spread, "15:11", "fro is unknown"},
		"what a fault takes not":  {strings.Replace(good, "for: 5s", "for: 5s, apart: 1s", 1), "7:58", "takes no apart"},
		"an unknown fault":        {strings.Replace(good, "etcdMemberCrash", "meteor", 1), "7:15", `unknown fault "meteor"; known: `},
		"an unknown check":        {strings.Replace(good, "[etcdQuorum]", "[oneLeader, etcdQuorom]", 1), "8:23", `unknown check "etcdQuorom"`},
		"by its path":             {strings.Replace(good, "    - fault:", "    - observe: 3s\n      fault:", 1), "7:7", "spec.steps[0]: want one of"},
		"a field of a path":       {strings.Replace(strings.Replace(spread, "fro:", "for:", 1), "replicas: 1", "replicas: -1", 1), "9:5", "spec.workload"},
		"no path and no line":     {strings.Replace(good, "controlPlanes: 3", "controlPlanes: 3, workers: -2", 1), "5:31", "workers is -2"},
		"what no plan can do":     {strings.Replace(good, "target: leader", "target: majority", 1), "7:", "expect: quorumLost"},
		"no YAML":                 {strings.Replace(good, "kind: Scenario", "kind: [", 1), "1:1", "did not find"},
		"another kind of file":    {strings.Replace(good, "kind: Scenario", "kind: Pod", 1), "", "want drydock.dev/v1alpha1, Scenario"},
		"no name":                 {strings.Replace(good, "{name: x}", "{}", 1), "3:11", "metadata.name is missing"},
		"nothing but an empty":    {"", "1:1", ""},
		"a name that is no label": {strings.Replace(good, "{name: x}", "{name: X_y}", 1), "3:18", "metadata.name"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			found, err := Lint(path)
			if err != nil || len(found) == 0 {
				t.Fatalf("%v, %v", found, err)
			}
			if got := found[0].String(); !strings.HasPrefix(got, path+":"+c.at) || !strings.Contains(got, c.says) {
				t.Errorf("%s\nwant it at %s, saying %q", strings.TrimPrefix(got, filepath.Dir(path)), c.at, c.says)
			}
		})
	}
}

// TestLintTellsAll: one look at a file, not one look a mistake.
func TestLintTellsAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	text := strings.NewReplacer("  always:", "  allways:", "controlPlanes", "contrlPlanes").Replace(good)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := Lint(path)
	if err != nil || len(found) != 2 || found[0].Line != 5 || found[1].Line != 8 {
		t.Errorf("%v, %v", found, err)
	}
}

// TestLintFindsNothingInWhatIsEmbedded, and has nothing to say of what is not there.
func TestLintFindsNothingInWhatIsEmbedded(t *testing.T) {
	for _, name := range scenarios.Names() {
		if found, err := Lint(name); err != nil || len(found) > 0 {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	var usage *cluster.UsageError
	if _, err := Lint("nothing.yaml"); !errors.As(err, &usage) {
		t.Errorf("%v", err)
	}
}
