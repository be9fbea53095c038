package aksengine

import (
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/standin"
	"drydock.dev/drydock/harness/plan"
)

// TestACellIsDrawnByOneClock: the twin's calls are put where they were by the wall's, beside the commands and what became of the masters.
func TestACellIsDrawnByOneClock(t *testing.T) {
	told, at := cell()
	told.Clock = &Reading{Wall: at.Add(3 * time.Minute), Twin: at.Add(60 * time.Minute), Factor: 20} // it began three minutes of the wall's before
	told.Calls[1].Time = at.Add(20 * time.Minute)
	node := func(sec int, n standin.Node, alive int) {
		n.Name, n.Master = "k8s-master-1", true
		told.Changes = append(told.Changes, standin.Change{Time: at.Add(time.Duration(sec) * time.Second), What: "x", Members: 3, Alive: alive, Quorum: alive > 1, Node: &n})
	}
	node(-5, standin.Node{Up: true, Kubelet: true, Version: older, Boot: 1}, 3)
	node(30, standin.Node{Boot: 1, Version: older}, 1)
	node(40, standin.Node{Up: true, Kubelet: true, Version: newer, Boot: 2}, 3)
	node(50, standin.Node{Up: true, Version: newer, Boot: 2}, 3)
	e := &Evidence{Story: story(), Cells: []Told{told}}
	tl := e.Timelines()[0]
	if tl.Clock != "" || !tl.Began.Equal(at) || !tl.Ended.Equal(at.Add(3*time.Minute)) {
		t.Errorf("%q, %s to %s", tl.Clock, tl.Began, tl.Ended)
	}
	lanes := map[string]plan.Lane{}
	for _, g := range tl.Groups {
		for _, l := range g.Lanes {
			lanes[g.Name+"/"+l.Name] = l
		}
	}
	var states []string
	for _, s := range lanes["Machines/k8s-master-1"].Spans {
		states = append(states, string(s.Tone)+" "+s.Label)
	}
	if got := strings.Join(states, ", "); got != "ok "+older+", silent off, lead "+newer+", bad up, no kubelet" || len(lanes["Machines/k8s-master-1"].Marks) != 1 {
		t.Errorf("the master was %s, %d marks", got, len(lanes["Machines/k8s-master-1"].Marks))
	}
	least := 9
	for _, s := range lanes[plan.LanesSpare+"/masters to spare"].Spans {
		least = min(least, s.Value)
	}
	if least != -1 {
		t.Errorf("%d masters to spare at the least", least)
	}
	if n := len(lanes["Commands/aks-engine"].Spans); n != 3 {
		t.Errorf("%d commands", n)
	}
	var calls []plan.Sample
	for _, l := range tl.Groups[3].Lanes {
		calls = append(calls, l.Samples...)
	}
	if len(calls) != 2 || !calls[1].At.Equal(at.Add(time.Minute)) {
		t.Errorf("calls at %+v", calls)
	}
	told.Cell.Strategy = ByReplace
	if by := (&Evidence{Story: story(), Cells: []Told{told}}).Timelines()[0].Groups[0].Lanes[0].Name; by != ByReplace {
		t.Errorf("the commands are said to be of %s", by)
	}
	told.Clock = nil // of before
	if old := (&Evidence{Story: story(), Cells: []Told{told}}).Timelines()[0]; old.Clock == "" || len(old.Groups) != 1 {
		t.Errorf("%+v", old)
	}
}
