package experiment

import (
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/subject/aksengine"
)

// TestAStoryOfAKSEngineIsJudgedFromItsEvidence: that the tool said it went well, in a run that said so too, counts for nothing beside what there was.
func TestAStoryOfAKSEngineIsJudgedFromItsEvidence(t *testing.T) {
	dir := t.TempDir()
	j, err := plan.CreateJournal(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	story := &aksengine.Story{From: "1.23.17", To: "1.24.17", Masters: 1, Pool: aksengine.PoolAvailabilitySet, Cells: []aksengine.Cell{{Name: "c"}}}
	done := aksengine.Command{Ended: aksengine.Ended{Command: "aks-engine upgrade", Begun: at, Took: time.Minute}}
	e := aksEngineEvidence{storyEvidence{Schema: aksEngineSchema}, aksengine.Evidence{Story: story, Cells: []aksengine.Told{{Cell: story.Cells[0], Commands: []aksengine.Command{done, done, done}}}}}
	lie := plan.Result{Verdict: plan.Go, Checks: []plan.Check{{Name: "x", Verdict: plan.Pass}}}
	for _, err := range []error{
		j.Write("run", Opening{Scenario: "aks", Provider: armProvider}), keepEvidence(dir, "", e, j), j.Write("ended", ended{Seconds: 10, Cells: 1}), j.Write("result", lie), j.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := Judge(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := verdictOf(r, "driverReportedSuccess"); got != plan.Fail || r.Verdict != plan.NoGo || len(r.Tables) != 2 {
		t.Errorf("a cluster without its master: %s, %s: %+v", got, r.Verdict, r.Checks)
	}
}

func TestAStoryOfAKSEngineIsReadStrictly(t *testing.T) {
	const head = "apiVersion: drydock.dev/v1alpha1\nkind: Scenario\nmetadata: {name: a}\nspec:\n"
	const story = "  aksEngine: {from: 1.23.17, to: 1.24.17, masters: 3, agents: 1, pool: AvailabilitySet, policy: current, clock: '20', atOnce: 1, patience: 1m, cells: [{name: c}]}\n"
	if _, err := Parse("good", []byte(head+story)); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct{ text, says string }{
		"an unknown field":       {strings.Replace(story, "masters:", "master:", 1), "field master is unknown; known: from, to, masters"},
		"an unknown field below": {strings.Replace(story, "name: c", "names: c", 1), "known: name, strategy, fault, lost, deadKubelet"},
		"a cluster beside it":    {story + "  cluster: {controlPlanes: 1}\n", "spec.aksEngine takes no cluster"},
		"what is impossible":     {strings.Replace(story, "masters: 3", "masters: 2", 1), "spec.aksEngine: masters is 2"},
	} {
		if _, err := Parse(name, []byte(head+x.text)); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// byAKSEngine is a scenario in which AKS Engine upgrades a cluster.
func byAKSEngine(cluster, twin, step string) (*Scenario, error) {
	return Parse("by.yaml", []byte("apiVersion: drydock.dev/v1alpha1\nkind: Scenario\nmetadata: {name: by}\nspec:\n  cluster: {controlPlanes: 3, workers: 2, version: v1.35"+cluster+"}\n  "+twin+"\n  steps: [{"+step+"}]\n"))
}

func TestAKSEngineUpgradesAClusterWhoseMachinesItFinds(t *testing.T) {
	const names, twin, step = ", names: aks-engine", "twin: {}", `upgrade: {to: v1.36, strategy: aks-engine, tool: {from: 1.23.17, to: 1.24.17, commands: ["", --force]}}`
	s, err := byAKSEngine(names, twin, step)
	if err != nil {
		t.Fatal(err)
	}
	text := planText(t, s, 1)
	for _, w := range []string{
		"AKS Engine, which calls it 1.23.17 to 1.24.17", "aks-engine: aks-engine upgrade --upgrade-version 1.24.17; then aks-engine upgrade --upgrade-version 1.24.17 --force", "start a twin",
	} {
		if !strings.Contains(text, w) {
			t.Errorf("the plan lacks %q:\n%s", w, text)
		}
	}
	cells, err := s.Cells()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(cells[0].Topology.MachineNames(), " "); got != "k8s-master-26658069-0 k8s-master-26658069-1 k8s-master-26658069-2 k8s-agents-26658069-0 k8s-agents-26658069-1" {
		t.Errorf("the machines are %s", got)
	}
	for name, x := range map[string]struct{ cluster, twin, step, says string }{
		"names of its own": {"", twin, step, "in spec.cluster names: aks-engine"},
		"no twin":          {names, "workload: {}", step, "needs `twin: {}` in spec"},
		"other names":      {", names: mine", twin, step, "names is \"mine\"; known: aks-engine"},
		"killed":           {names, twin, step + ", killDriver: {random: 1}", "killDriver is for Drydock's own upgrade"},
		"a bad field":      {names, twin, strings.Replace(step, "from:", "form:", 1), "known: from, to, commands"},
	} {
		if _, err := byAKSEngine(x.cluster, x.twin, x.step); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
