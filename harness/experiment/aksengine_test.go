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
	e := aksEngineEvidence{Schema: aksEngineSchema, Evidence: aksengine.Evidence{Story: story, Cells: []aksengine.Told{{Cell: story.Cells[0], Commands: []aksengine.Command{done, done, done}}}}}
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
	if got := verdictOf(r, "driverReportedSuccess"); got != plan.Fail || r.Verdict != plan.NoGo || len(r.Tables) != 1 {
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
		"an unknown field below": {strings.Replace(story, "name: c", "names: c", 1), "known: name, fault, lost, deadKubelet"},
		"a cluster beside it":    {story + "  cluster: {controlPlanes: 1}\n", "spec.aksEngine takes no cluster"},
		"what is impossible":     {strings.Replace(story, "masters: 3", "masters: 2", 1), "spec.aksEngine: masters is 2"},
	} {
		if _, err := Parse(name, []byte(head+x.text)); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
