package experiment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"drydock.dev/drydock/harness/plan"
)

// TestAPlannedKillWithoutAReceiptIsInconclusive: it is a fault as any other, also where it is one cell's of several.
func TestAPlannedKillWithoutAReceiptIsInconclusive(t *testing.T) {
	s, err := Load("upgrade-killed-at-random")
	if err != nil {
		t.Fatal(err)
	}
	cells, err := s.Cells()
	if err != nil {
		t.Fatal(err)
	}
	for label, prefix := range map[string]string{"": "", "members=3": "members=3/"} {
		cells[0].Label = label
		o, err := s.choose(cells[0], 1)
		if err != nil {
			t.Fatal(err)
		}
		c := &cellRun{scenario: s, outline: o, runner: &plan.Runner{}, options: Options{Out: t.TempDir()}}
		c.kills = []plan.Receipt{{ID: prefix + "kill-1", State: plan.Confirmed}}
		receipts := c.evidence().receipts()
		if len(receipts) != 10 {
			t.Fatalf("%d receipts of 10 kills: %v", len(receipts), receipts)
		}
		for i, r := range receipts[1:] {
			if want := fmt.Sprintf("%skill-%d", prefix, i+2); r.ID != want || r.State != plan.NotInjected {
				t.Errorf("%s is %s, want %s without a receipt", r.ID, r.State, want)
			}
		}
	}
}

// A process that is killed in a step after it was killed at the end of that one would find the step done: it is killed in it first.
func TestAKillInAStepComesBeforeTheOneAtItsEnd(t *testing.T) {
	var steps []*plan.Step
	for _, n := range []string{"a", "b", "c", "d"} {
		steps = append(steps, &plan.Step{Name: n, Run: func(context.Context) error { return nil }})
	}
	kills, err := chooseKills(KillDriver{After: "*", Random: 3}, steps, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	ended := map[string]bool{}
	in := 0
	for _, k := range kills {
		if ended[k.step] {
			t.Errorf("%s comes when that has ended: %v", k, kills)
		}
		ended[k.step] = ended[k.step] || k.ended
		if !k.ended {
			in++
		}
	}
	if len(kills) != 7 || in != 3 {
		t.Errorf("%v", kills)
	}
}
