package experiment

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Judge makes a run's result of its directory, from the journal and the evidence alone and by the checks of this program: at the end of the run, and
// again whenever somebody asks. A run that was cut off, or whose journal or evidence is damaged, is inconclusive and says what is missing.
func Judge(dir string) (*plan.Result, error) {
	entries, damaged, err := plan.ReadJournal(dir)
	if err != nil {
		return nil, err
	}
	j := readRun(entries)
	j.owner = plan.Owner(dir)
	if len(j.cells) == 0 {
		return nil, cluster.Usagef("%s: its journal tells of no run%s", dir, strings.Join(append([]string{""}, j.damaged...), "; "))
	}
	res := j.head()
	res.Gaps = append(res.Gaps, j.damaged...)
	for _, c := range j.cells {
		cell := j.cell(dir, c)
		cell.Plan = j.planOf(c.Label)
		cell.NotTested = append(unreached(cell.Plan, cell.Steps), cell.NotTested...)
		j.identified(c.Label, cell)
		if c.Provider != armProvider && len(cell.Steps)+len(cell.Receipts) > 0 { // a cell without any shows nothing at all, which its gaps tell
			cell.NotTested = append(cell.NotTested, unasked(cell)...)
		}
		res.Merge(c.Label, cell)
	}
	for _, line := range damaged {
		res.Gaps = append(res.Gaps, fmt.Sprintf("line %d of the journal is damaged", line))
	}
	if why := disordered(entries); why != "" {
		res.Gaps = append(res.Gaps, why)
	}
	if j.ended && j.planned != len(j.cells) {
		res.Gaps = append(res.Gaps, fmt.Sprintf("the run had %d cells, its journal tells of %d", j.planned, len(j.cells)))
	}
	switch {
	case j.goesOn():
		res.Gaps = append(res.Gaps, "the run has not ended: it belongs to "+j.owner)
	case !j.ended:
		res.Gaps = append(res.Gaps, fmt.Sprintf("the run did not end: its journal stops at %s with %q", j.last.Time.Format(time.DateTime), j.last.Kind))
	}
	res.Judge()
	return res, nil
}

// chronicle is what a run's journal tells of its cells.
type chronicle struct {
	cells    []Opening
	started  time.Time
	seconds  float64
	ended    bool
	owner    string // the process whose run it is still
	planned  int    // cells
	last     plan.Entry
	kept     map[string]plan.Kept // by label
	untested map[string]string
	entries  []plan.Entry
	damaged  []string // entries that say nothing
}

func readRun(entries []plan.Entry) *chronicle {
	j := &chronicle{kept: map[string]plan.Kept{}, untested: map[string]string{}, entries: entries}
	for _, e := range entries {
		var err error
		switch e.Kind {
		case "run":
			var c Opening
			if err = json.Unmarshal(e.Data, &c); err != nil {
				break
			}
			j.cells = append(j.cells, c)
			if j.started.IsZero() {
				j.started = e.Time
			}
		case "evidence":
			var k kept
			if err = json.Unmarshal(e.Data, &k); err == nil {
				j.kept[k.Label] = k.Kept
			}
		case "untested":
			var u untested
			if err = json.Unmarshal(e.Data, &u); err == nil {
				j.untested[u.Label] = u.Why
			}
		case "ended":
			var d ended
			if err = json.Unmarshal(e.Data, &d); err == nil {
				j.ended, j.seconds, j.planned = true, d.Seconds, d.Cells
			}
		}
		if err != nil {
			j.damaged = append(j.damaged, fmt.Sprintf("entry %q of %s of the journal is damaged: %v", e.Kind, e.Time.Format(time.DateTime), err))
		}
		j.last = e
	}
	if !j.ended {
		j.seconds = j.last.Time.Sub(j.started).Seconds()
	}
	return j
}

// goesOn reports whether there is more to come: a run that has ended is its process's as long as that judges it.
func (j *chronicle) goesOn() bool { return !j.ended && j.owner != "" }

func (j *chronicle) head() *plan.Result {
	first := j.cells[0]
	return &plan.Result{
		Schema: plan.Schema, Scenario: first.Scenario, Provider: first.Provider, Seed: first.Seed, Started: j.started, DurationSeconds: j.seconds,
		Cluster: []plan.Cluster{}, Steps: []plan.StepDone{}, Receipts: []plan.Receipt{}, Checks: []plan.Check{}, Probes: []plan.Probe{},
		Reasons: []string{}, NotTested: append([]plan.NotTested{}, first.NotTested...), Command: first.command(),
	}
}

// cell judges one cell, or says why it cannot be judged.
func (j *chronicle) cell(dir string, c Opening) *plan.Result {
	if why, there := j.untested[c.Label]; there {
		return &plan.Result{Gaps: []string{"nothing was tested, the cluster could not be made: " + why}}
	}
	k, there := j.kept[c.Label]
	switch {
	case !there && j.goesOn():
		return j.partial("the run goes on, and its evidence is kept when it ends")
	case !there:
		return j.partial("the run was cut off before its evidence was kept")
	}
	judge := judgeCluster
	if c.Provider == armProvider {
		judge = judgeStory
	}
	res, err := judge(dir, c.Label)
	if err != nil {
		return j.partial(err.Error())
	}
	res.Kept = []plan.Kept{k}
	if why := changed(dir, k); why != "" { // it is judged all the same: what it shows is worth knowing
		res.Gaps = append(res.Gaps, why)
	}
	return res
}

func judgeCluster(dir, label string) (*plan.Result, error) {
	e, err := readEvidence(dir, label)
	if err != nil {
		return nil, err
	}
	res := e.Judge()
	e.draw(res)
	if t := e.timeline(); t != nil {
		res.Timelines = []*plan.Timeline{t}
	}
	res.Logs = e.excerpts(dir, res)
	return res, nil
}

// partial is what is known of a cell without evidence: what the journal says was done, and the last known state. Nothing is judged by it.
func (j *chronicle) partial(why string) *plan.Result {
	res := &plan.Result{Gaps: []string{why + "; " + lastKnown(j.entries)}}
	if len(j.cells) > 1 {
		return res // the journal's steps and receipts are of all cells
	}
	e := j.remains()
	if f := j.fingerprint(""); f != nil && f.Topology != nil {
		e.Record.Topology = *f.Topology
		res.Cluster = []plan.Cluster{{Topology: f.Topology.String(), Versions: map[string]string{}}}
	}
	res.Steps, res.Receipts = e.Steps, e.Receipts
	if len(e.Record.Observations) > 0 {
		res.Tolerance = health.Tolerance(&e.Record, nil)
	}
	e.notTested(res)
	if t := e.timeline(); t != nil {
		res.Timelines = []*plan.Timeline{t}
	}
	return res
}

// lastKnown tells of the last observation in the journal.
func lastKnown(entries []plan.Entry) string {
	var o observe.Observation
	for _, e := range entries {
		if e.Kind == "observation" {
			o = observe.Observation{}
			if json.Unmarshal(e.Data, &o) != nil {
				continue
			}
		}
	}
	if o.Time.IsZero() {
		return "nothing was observed before"
	}
	var said []string
	quorum := "a quorum stood behind the member list"
	if o.Quorum.Error != "" {
		quorum = "no quorum"
	}
	said = append(said, fmt.Sprintf("%d of %d members answered", o.Reachable(), len(o.Members)), quorum)
	ready := 0
	for _, n := range o.Nodes {
		if n.Ready {
			ready++
		}
	}
	if len(o.Nodes) > 0 {
		said = append(said, fmt.Sprintf("%d of %d nodes were Ready", ready, len(o.Nodes)))
	}
	return fmt.Sprintf("last seen at %s: %s", o.Time.Format(time.DateTime), strings.Join(said, ", "))
}
