// Package experiment is the engine: it reads a scenario, makes all choices (the outline), weaves the faults into the plan, runs it against a
// cluster of a provider while harness/load uses and harness/observe reads it, and has harness/health judge what was recorded.
package experiment

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/subject"
	"drydock.dev/drydock/scenarios"
)

// Options of a run.
type Options struct {
	Seed       int64
	Out        string // the run's directory
	NullFaults bool   // inject nothing, to see that the evidence is red
	Hasty      bool   // runbooks wait for no budget of the cloud, to see that the evidence is red
	Parallel   int    // cells of a matrix at a time
	Suffix     string // makes the names of clusters unique
	Provider   cluster.Provider
	Subjects   subject.Builder
	// On names a cluster that is up. The scenario runs on it, if it is what the scenario asks for, and leaves it as it was.
	On string
	// ReadOnly looks at the cluster that is up, claims nothing and writes nothing. The scenario has nothing but time to pass.
	ReadOnly bool
	// KeepOnFailure keeps the cluster of a cell that does not end GO; Kept is told of it, and may be nil.
	KeepOnFailure bool
	Kept          func(c cluster.Cluster)
	// Drydock makes the command that runs drydock with the arguments and this run's directories; Env is the environment of a user's upgrade program
	// besides KUBECONFIG.
	Drydock func(ctx context.Context, args ...string) *exec.Cmd
	Env     []string
	Watch   func(plan.Entry) // told every entry of the journal; may be nil, and must not take long
}

// Run carries the scenario out and judges it. The error is one of the environment, such as a cluster that could not be made; what the
// cluster did wrong is in the result.
func (s *Scenario) Run(ctx context.Context, o Options) (_ *plan.Result, err error) {
	if s.ofTwin() {
		return s.runARM(ctx, o)
	}
	cells, err := s.sited(ctx, o)
	if err != nil {
		return nil, err
	}
	outlines := make([]*outline, len(cells))
	for i, c := range cells {
		if outlines[i], err = s.choose(c, o.Seed); err != nil {
			return nil, err
		}
	}
	journal, err := plan.CreateJournal(o.Out, fault.Settled)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	journal.Watch(o.Watch)
	begun := time.Now()
	errs := make([]error, len(cells))
	g := errgroup.Group{}
	g.SetLimit(max(1, o.Parallel))
	for i, ol := range outlines {
		g.Go(func() error {
			errs[i] = s.runCell(ctx, ol, o, journal)
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
	if !slices.Contains(errs, nil) {
		return nil, errors.Join(errs...)
	}
	if err := journal.Write("ended", ended{Seconds: time.Since(begun).Seconds(), Cells: len(outlines)}); err != nil {
		return nil, err
	}
	res, err := Judge(o.Out)
	if err != nil {
		return nil, err
	}
	return res, journal.Write("result", res)
}

func (s *Scenario) notTested() []plan.NotTested {
	out := []plan.NotTested{}
	for _, n := range s.Spec.Not {
		what, why, _ := strings.Cut(n, ": ")
		out = append(out, plan.NotTested{What: what, Why: why, Said: plan.SaidByScenario})
	}
	return out
}

// runCell runs one cell and keeps its evidence. An error says that nothing was tested: the cluster could not be made.
func (s *Scenario) runCell(ctx context.Context, ol *outline, o Options, journal *plan.Journal) error {
	c := &cellRun{scenario: s, outline: ol, options: o, journal: journal}
	p := &plan.Plan{Steps: s.steps(ol, c)}
	p.Number()
	c.plan = p
	if err := journal.Write("run", Opening{
		Scenario: s.Metadata.Name, Provider: o.Provider.Name(), Cluster: c.topology().Name, Label: ol.cell.Label, Seed: o.Seed, NullFaults: o.NullFaults, NotTested: s.notTested(),
	}); err != nil {
		return err
	}
	if err := journal.Write("plan", Outlined{Label: ol.cell.Label, Steps: p.Outline()}); err != nil {
		return err
	}
	if why := ol.cell.lacking(); why != "" { // nothing is begun
		return journal.Write("untested", untested{Label: ol.cell.Label, Why: why})
	}
	r := &plan.Runner{Journal: journal, Label: ol.cell.Label}
	c.runner = r
	err := r.Run(ctx, p)
	if c.cluster == nil { // nothing was tested: the environment is to blame
		return errors.Join(err, journal.Write("untested", untested{Label: ol.cell.Label, Why: describe(err)}))
	}
	c.record.Remedies = c.remedied(ctx.Err() != nil)
	e := c.evidence()
	e.Broken = ctx.Err() != nil
	return e.keep(o.Out, journal)
}

// Opening is the first entry of a run: what heal needs to find the cluster.
type Opening struct {
	Scenario string `json:"scenario"`
	Provider string `json:"provider"`
	Cluster  string `json:"cluster"`
	Label    string `json:"label"`
	Seed     int64  `json:"seed"`
	ByHand   bool   `json:"byHand,omitempty"` // it is no run: what it has broken stays so until somebody mends it

	NullFaults bool             `json:"nullFaults,omitempty"` // nothing was injected, as asked for
	NotTested  []plan.NotTested `json:"notTested"`
}

// command is how the run can be made again. Of a scenario that is none of the embedded ones its file is whoever ran it knows where.
func (o Opening) command() string {
	name, fixed := strings.CutSuffix(o.Scenario, "-fixed")
	args := []string{"drydock", "run"}
	switch i := slices.IndexFunc(scenarios.Names(), func(n string) bool { return path.Base(n) == o.Scenario || fixed && path.Base(n) == name }); {
	case i < 0:
		args = append(args, "FILE-OF-"+o.Scenario)
	case path.Base(scenarios.Names()[i]) == o.Scenario:
		args = append(args, scenarios.Names()[i])
	default:
		args = append(args, scenarios.Names()[i], "--fixed")
	}
	if o.Provider != armProvider {
		args = append(args, "--provider", o.Provider)
	}
	args = append(args, "--seed", fmt.Sprint(o.Seed))
	if o.NullFaults {
		args = append(args, "--null-faults")
	}
	return strings.Join(args, " ")
}

// untested is the journal's word that a cell's cluster could not be made.
type untested struct {
	Label string `json:"label,omitempty"`
	Why   string `json:"why"`
}

// ended is the journal's word that the run came to its end, how long it took, and of how many cells it was.
type ended struct {
	Seconds float64 `json:"seconds"`
	Cells   int     `json:"cells"`
}

// evidence is everything the cell has seen and done.
func (c *cellRun) evidence() *Evidence {
	e := &Evidence{
		Schema: evidenceSchema, Label: c.outline.cell.Label, Always: c.scenario.Spec.Always, Finally: c.scenario.Spec.Finally,
		Planned: []PlannedFault{}, Receipts: []plan.Receipt{}, Steps: c.runner.Done(), Record: c.record,
	}
	for _, ch := range c.outline.faults {
		p := PlannedFault{ID: c.receiptID(ch), Step: ch.step.ID, Name: ch.spec.Describe(), During: ch.during}
		if ch.lacks != "" {
			p.Lacks = "it cannot be done here: " + ch.lacks
		}
		if ch.nobody() {
			p.Skip = fmt.Sprintf("%d members tolerate no loss", c.topology().EtcdMembers)
		}
		e.Planned = append(e.Planned, p)
		if g := c.guard(ch); g != nil {
			e.Receipts = append(e.Receipts, g.Receipt())
		}
	}
	e.Planned, e.Receipts = append(e.Planned, c.plannedKills()...), append(e.Receipts, c.kills...)
	if len(c.outline.upgrades)+len(c.outline.remedies) > 0 {
		e.Upgrade = c.upgradeSteps()
	}
	return e
}

func describe(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprint(err)
}
