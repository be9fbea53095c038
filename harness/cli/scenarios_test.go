package cli

import (
	"encoding/json"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/scenarios"
)

// answer runs drydock in this process and returns what it printed on standard output.
func answer(t *testing.T, args ...string) string {
	t.Helper()
	root, out := newRoot(), &strings.Builder{}
	root.SetOut(out)
	root.SetArgs(args)
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out.String()
}

func TestScenariosAreListed(t *testing.T) {
	table := answer(t, "scenarios")
	lines := strings.Split(table, "\n")
	for _, name := range scenarios.Names() {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+" ") }) {
			t.Errorf("%s is not in\n%s", name, table)
		}
	}
	var all []described
	if err := json.Unmarshal([]byte(answer(t, "scenarios", "--json")), &all); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{ // where all can be done that it needs
		"etcd-leader-crash": "lab, kind, staging", "etcd-quorum-table": "lab, staging", "oom-panic-kernel": "lab", "upgrade-surge": "lab", "arm-throttled-provider": "none needed",
	}
	for _, d := range all {
		if where, ok := want[d.Name]; ok && d.where() != where {
			t.Errorf("%s: providers %s, want %s (%v)", d.Name, d.where(), where, d.Lacks)
		}
		if d.Needs.Etcd != "" && !slices.Contains(d.Providers, "lab") && d.Lacks["lab"] == "" {
			t.Errorf("%s cannot be run in a lab, and nothing says why", d.Name)
		}
	}
	shown := answer(t, "scenarios", "show", "oom-panic-kernel")
	for _, w := range []string{"vmWorkers", "not on kind", "drydock run oom-panic-kernel"} {
		if !strings.Contains(shown, w) {
			t.Errorf("%q is not in\n%s", w, shown)
		}
	}
}

// TestMeasuredAreScenarios: what was measured is there, and took some time.
func TestMeasuredAreScenarios(t *testing.T) {
	measured, err := scenarios.Takes()
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range measured {
		known := slices.ContainsFunc(scenarios.Names(), func(n string) bool { return path.Base(n) == strings.TrimSuffix(name, "-fixed") })
		if !known || m.Seconds <= 0 || m.Cores <= 0 {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// TestInitBeginsWell: what init writes can be run as it is, and says itself where it is checked; what is there stays.
func TestInitBeginsWell(t *testing.T) {
	t.Chdir(t.TempDir())
	if said := answer(t, "init", "leader-loss"); !strings.Contains(said, "drydock run leader-loss.yaml") {
		t.Errorf("said %q", said)
	}
	if found, err := experiment.Lint("leader-loss.yaml"); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	if plan := answer(t, "plan", "leader-loss.yaml"); !strings.Contains(plan, "etcdMemberCrash") {
		t.Errorf("plan %s", plan)
	}
	raw, err := os.ReadFile("leader-loss.yaml")
	if err != nil || !strings.HasPrefix(string(raw), "# yaml-language-server: $schema="+schemaFile+"\n") || strings.Contains(string(raw), "{{") {
		t.Errorf("%v\n%s", err, raw)
	}
	if schema, err := os.ReadFile(schemaFile); err != nil || string(schema) != string(scenarios.Schema()) {
		t.Errorf("the schema is another: %v", err)
	}
	if code, said := command(t, "init", "leader-loss"); code != exitUsage || !strings.Contains(said, "not overwritten") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if err := os.WriteFile(schemaFile, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := command(t, "init", "another"); code != exitUsage || !strings.Contains(said, schemaFile) {
		t.Errorf("exit code %d: %s", code, said)
	}
	if _, err := os.Stat("another.yaml"); err == nil {
		t.Error("half of it is written")
	}
	if code, said := command(t, "init", "Not_A_Label"); code != exitUsage || !strings.Contains(said, "Not_A_Label") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// TestLintEndsWithTheExitCodeOfUsage, and prints what editors and programs read.
func TestLintEndsWithTheExitCodeOfUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("bad.yaml", []byte("apiVersion: drydock.dev/v1alpha1\nkind: Scenario\nmetadata: {name: x}\nspec: {stops: []}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, out := newRoot(), &strings.Builder{}
	root.SetOut(out)
	root.SetArgs([]string{"scenarios", "lint", "bad.yaml", "--json"})
	code := exitCode(root.ExecuteContext(t.Context()), os.Stderr)
	var found []experiment.Mistake
	if err := json.Unmarshal([]byte(out.String()), &found); err != nil || code != exitUsage || len(found) != 1 || found[0].Line != 4 || found[0].Column != 8 {
		t.Errorf("exit code %d: %v %+v", code, err, found)
	}
	if code, said := command(t, "scenarios", "lint", "etcd-leader-crash"); code != exitGo || said != "" {
		t.Errorf("exit code %d: %s", code, said)
	}
	if code, said := command(t, "scenarios", "lint", "none.yaml"); code != exitUsage || !strings.Contains(said, "no such file") {
		t.Errorf("exit code %d: %s", code, said)
	}
}
