package reports

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// node is a step of the plan, or a group of them, and what became of it.
type node struct {
	Cell, ID, Name, About string
	Depth                 int
	Group                 bool
	Status, Error         string // of a group its worst
	Started, Ended        time.Time
	Offset                string // from the begin of the scenario
	Left, Width           float64
}

// Took is how long it took, in words.
func (n node) Took() string {
	if n.Started.IsZero() || n.Status == "skipped" {
		return "–"
	}
	return seconds(n.Ended.Sub(n.Started).Seconds())
}

// Dots are its depth, to be seen.
func (n node) Dots() string { return strings.Repeat("· ", n.Depth) }

// tree is the plan with what became of it, in its order. Of a run that has not kept its plan there are the steps that ended, and the groups their ids name.
func tree(r *plan.Result) []node {
	known, done := map[string]plan.Planned{}, map[string]plan.StepDone{}
	var ids []string
	note := func(id string) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, p := range r.Plan {
		known[p.ID] = p
		note(p.ID)
	}
	for _, s := range r.Steps {
		cell, own := cellOf(s.ID)
		for i, c := range own {
			if c == '.' {
				note(strings.TrimPrefix(cell+"/"+own[:i], "/"))
			}
		}
		done[s.ID] = s
		note(s.ID)
	}
	slices.SortStableFunc(ids, byPlan)
	var out []node
	for _, id := range ids {
		out = append(out, nodeOf(r, id, ids, known, done))
	}
	return out
}

func nodeOf(r *plan.Result, id string, ids []string, known map[string]plan.Planned, done map[string]plan.StepDone) node {
	cell, own := cellOf(id)
	n := node{Cell: cell, ID: id, Name: known[id].Name, About: known[id].About, Depth: strings.Count(own, "."), Status: "not reached"}
	within := slices.ContainsFunc(ids, func(other string) bool { return strings.HasPrefix(other, id+".") })
	n.Group = known[id].Group || within
	if d, ended := done[id]; ended {
		n.Name, n.Status, n.Error, n.Started, n.Ended = d.Name, d.Status, d.Error, d.Started, d.Ended()
	}
	if within {
		n.gather(id, done)
	}
	if n.Name == "" {
		n.Name = named(r, id, done)
	}
	return n
}

// gather makes a group's state of its steps.
func (n *node) gather(id string, done map[string]plan.StepDone) {
	worst := []string{"not reached", "skipped", "done", "expected", "unfinished", "failed"}
	for other, d := range done {
		if !strings.HasPrefix(other, id+".") {
			continue
		}
		if slices.Index(worst, d.Status) > slices.Index(worst, n.Status) {
			n.Status = d.Status
		}
		if d.Started.IsZero() {
			continue
		}
		if n.Started.IsZero() || d.Started.Before(n.Started) {
			n.Started = d.Started
		}
		if d.Ended().After(n.Ended) {
			n.Ended = d.Ended()
		}
	}
}

// named is a name for a group of a run that has not kept its plan: that of its fault, or what the names of its steps begin with.
func named(r *plan.Result, id string, done map[string]plan.StepDone) string {
	for _, rc := range r.Receipts {
		if rc.ID == id {
			return rc.Fault + " of " + rc.Target
		}
	}
	common := ""
	for other, d := range done {
		if !strings.HasPrefix(other, id+".") {
			continue
		}
		at := strings.LastIndex(d.Name, "/")
		switch {
		case strings.Count(other, ".") > strings.Count(id, ".")+1:
		case at < 0, common != "" && common != d.Name[:at]:
			return "steps"
		default:
			common = d.Name[:at]
		}
	}
	if common == "" {
		return "steps"
	}
	return common
}

// cellOf splits a step's id into the label of its cell and its own.
func cellOf(id string) (cell, own string) {
	i := strings.LastIndex(id, "/")
	if i < 0 {
		return "", id
	}
	return id[:i], id[i+1:]
}

// byPlan orders ids as the plan does: by cell, and 2 before 10.
func byPlan(a, b string) int {
	ca, oa := cellOf(a)
	cb, ob := cellOf(b)
	if ca != cb {
		return strings.Compare(ca, cb)
	}
	pa, pb := strings.Split(oa, "."), strings.Split(ob, ".")
	for i := range min(len(pa), len(pb)) {
		na, errA := strconv.Atoi(pa[i])
		nb, errB := strconv.Atoi(pb[i])
		switch {
		case errA != nil || errB != nil:
			if c := strings.Compare(pa[i], pb[i]); c != 0 {
				return c
			}
		case na != nb:
			return na - nb
		}
	}
	return len(pa) - len(pb)
}

// planLanes are the steps over time: a lane for each depth of the tree, and one more where steps went on at the same time.
func (v *view) planLanes(t *plan.Timeline) plan.Lanes {
	g := plan.Lanes{Name: "Plan", About: "The steps as they were done: groups above, what is in them below."}
	if t.Clock != "" { // it is another's than that of the steps
		return g
	}
	rows := map[int][]int{} // depth -> lanes
	var depths [][]node
	for _, n := range v.Tree {
		if n.Cell != t.Label || n.Started.IsZero() || n.Status == "skipped" {
			continue
		}
		for len(depths) <= n.Depth {
			depths = append(depths, nil)
		}
		depths[n.Depth] = append(depths[n.Depth], n)
	}
	for depth, nodes := range depths {
		slices.SortStableFunc(nodes, func(a, b node) int { return a.Started.Compare(b.Started) })
		for _, n := range nodes {
			s := plan.Span{From: n.Started, To: n.Ended, Tone: stepTone(n), Label: n.Name, More: strings.TrimSpace(fmt.Sprintf("step %s, %s %s", n.ID, n.Status, n.Error))}
			at := -1
			for _, i := range rows[depth] {
				if spans := g.Lanes[i].Spans; !spans[len(spans)-1].To.After(s.From.Add(time.Millisecond)) {
					at = i
					break
				}
			}
			if at < 0 {
				at = len(g.Lanes)
				rows[depth] = append(rows[depth], at)
				g.Lanes = append(g.Lanes, plan.Lane{Name: map[bool]string{true: "steps", false: strings.Repeat("· ", depth) + "within"}[depth == 0], Of: []string{"step"}})
			}
			g.Lanes[at].Spans = append(g.Lanes[at].Spans, s)
		}
	}
	return g
}

func stepTone(n node) plan.Tone {
	switch n.Status {
	case "failed", "unfinished":
		return plan.ToneBad
	case "expected":
		return plan.ToneWarn
	case "done":
		if n.Group {
			return plan.ToneQuiet
		}
		return plan.ToneOK
	default:
		return plan.ToneUnseen
	}
}
