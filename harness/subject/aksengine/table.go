package aksengine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/plan"
)

// Report judges every cell and lays side by side what each strategy did in it.
func (e *Evidence) Report(res *plan.Result) {
	s := e.Story
	table := plan.Table{Title: fmt.Sprintf("An upgrade of %s to %s of %d masters and %d agents (%s), cell by cell", s.From, s.To, s.Masters, s.Agents, s.Pool), Columns: columns()}
	told, of := map[string]bool{}, map[string]*tally{}
	for i := range e.Cells {
		c := judged{&e.Cells[i], s}
		told[c.Cell.label()] = true
		checks := c.checks()
		verdict, why := c.verdict(checks)
		table.Rows = append(table.Rows, c.row(verdict, why))
		by := cmp.Or(c.Cell.Strategy, ByAKSEngine)
		if of[by] == nil {
			of[by] = &tally{alive: s.Masters}
		}
		of[by].add(c, verdict, checks)
		res.Checks = append(res.Checks, checks...)
		if c.Cell.Fault != nil {
			res.Receipts = append(res.Receipts, c.receipt(i))
		}
	}
	for _, c := range s.All() {
		if c.Strategy == ByAKSEngine && told[c.Name] { // evidence of before there was another
			continue
		}
		if !told[c.label()] {
			res.Checks = append(res.Checks, plan.Check{Name: upgradedOrStopped, When: c.label(), Verdict: plan.Unknown, Message: "the cell did not run"})
		}
	}
	res.Tables = append(res.Tables, summary(of, s.Masters), table)
}

// The verdicts of a cell, beside those of a run.
const stoppedSafely = "STOPPED SAFELY"

// verdict is what the checks of a cell come to, and which of them are not a pass.
func (c judged) verdict(checks []plan.Check) (verdict string, why []string) {
	v := plan.Go
	for _, k := range checks {
		switch {
		case k.Verdict == plan.Pass:
			continue
		case k.Verdict == plan.Fail:
			v = plan.NoGo
		case v == plan.Go:
			v = plan.Inconclusive
		}
		why = append(why, k.Name)
	}
	if v == plan.Go && c.stopped() {
		return stoppedSafely, nil
	}
	return strings.ToUpper(string(v)), why
}

func columns() []string {
	return []string{
		"cell", "strategy", "verdict", "upgrade", "again", "with --force", "masters alive at least", "no quorum for", "residue at the end", "calls", "answered 429", "sent for one that passed", "why", "what it said",
	}
}

// told is a command in a word.
func (e Ended) told() string {
	if e.Code < 0 {
		return e.Said
	}
	return fmt.Sprintf("exit %d, %s", e.Code, e.Took.Round(time.Second))
}

// count adds the calls on resources.
func (c judged) count(t *arm.Tally) {
	for _, call := range c.Calls {
		if !call.Beside() {
			t.Add(call)
		}
	}
}

func (c judged) row(verdict string, why []string) []string {
	runs := []string{"–", "–", "–"}
	for i := range min(len(runs), len(c.Commands)) {
		runs[i] = c.Commands[i].told()
	}
	from, to := c.span()
	alive, without := c.lowest(from, to)
	left := "–"
	if n := len(c.Commands); n > 0 {
		left = fmt.Sprint(len(c.Commands[n-1].After.Residue))
	}
	var calls arm.Tally
	c.count(&calls)
	return []string{
		c.Cell.Name, cmp.Or(c.Cell.Strategy, ByAKSEngine), verdict, runs[0], runs[1], runs[2], fmt.Sprintf("%d of %d", alive, c.story.Masters), without.Round(time.Second).String(), left,
		fmt.Sprint(calls.Sent() + calls.Failed), fmt.Sprint(calls.Throttled), sent(calls), strings.Join(why, ", "), c.said(),
	}
}

// sent is how many calls were sent for one that passed, where one did.
func sent(t arm.Tally) string {
	if t.Passed == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", t.Amplification())
}

// saidInRow is as much of it as a row has room for; the rest is in the checks and the logs.
const saidInRow = 160

// said is what the first command said that did not end well, or else the last one.
func (c judged) said() string {
	if len(c.Commands) == 0 {
		return ""
	}
	i := slices.IndexFunc(c.Commands, func(cmd Command) bool { return cmd.Code != 0 })
	if i < 0 {
		i = len(c.Commands) - 1
	}
	said := strings.Join(strings.Fields(c.Commands[i].Said), " ")
	if len(said) > saidInRow {
		said = strings.ToValidUTF8(said[:saidInRow], "") + "…"
	}
	return said
}

// tally is what became of the cells of a strategy.
type tally struct {
	verdicts  map[string]int
	alive     int
	took, lie int // cells in which a command took a quorum away, and in which one said success when it was none
	sent      arm.Tally
	longest   time.Duration
}

func (t *tally) add(c judged, verdict string, checks []plan.Check) {
	if t.verdicts == nil {
		t.verdicts = map[string]int{}
	}
	t.verdicts[verdict]++
	from, to := c.span()
	alive, _ := c.lowest(from, to)
	t.alive, t.longest = min(t.alive, alive), max(t.longest, to.Sub(from))
	for _, k := range checks {
		switch {
		case k.Verdict == plan.Fail && k.Name == etcdQuorum:
			t.took++
		case k.Verdict == plan.Fail && k.Name == driverReportedSuccess:
			t.lie++
		}
	}
	c.count(&t.sent)
}

// summary is a row for each strategy.
func summary(of map[string]*tally, masters int) plan.Table {
	words := []string{strings.ToUpper(string(plan.Go)), stoppedSafely, strings.ToUpper(string(plan.NoGo)), strings.ToUpper(string(plan.Inconclusive))}
	t := plan.Table{Title: "What the strategies came to, in cells", Columns: slices.Concat([]string{"strategy", "cells"}, words, []string{"took a quorum away", "said success when it was none", "masters alive at least", "sent for one that passed", "longest cell"})}
	for _, by := range Strategies() {
		x := of[by]
		if x == nil {
			continue
		}
		row, cells := []string{}, 0
		for _, w := range words {
			row, cells = append(row, fmt.Sprint(x.verdicts[w])), cells+x.verdicts[w]
		}
		t.Rows = append(t.Rows, slices.Concat([]string{by, fmt.Sprint(cells)}, row, []string{
			fmt.Sprint(x.took), fmt.Sprint(x.lie), fmt.Sprintf("%d of %d", x.alive, masters), sent(x.sent), x.longest.Round(time.Second).String(),
		}))
	}
	return t
}
