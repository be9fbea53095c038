// Package experiment is the engine: it reads a scenario, makes all choices (the outline), weaves the faults into the plan, runs it against a
// cluster of a provider while harness/load uses and harness/observe reads it, and has harness/health judge what was recorded.
package experiment

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/subject"
)

// Provider is where the clusters of a run come from, and what else a run needs to know of that place.
type Provider interface {
	Name() string
	// For makes the provider for one cell's topology.
	For(t cluster.Topology) (cluster.Provider, error)
	// Provide makes the programs of a Kubernetes version available; upgrades need it.
	Provide(ctx context.Context, version string) error
	// Env is the environment of a user's upgrade program: KUBECONFIG and what it needs besides.
	Env(ctx context.Context, c cluster.Cluster) ([]string, error)
	// Driver makes the command that runs drydock with the arguments and this run's directories.
	Driver(ctx context.Context, args ...string) *exec.Cmd
}

// Options of a run.
type Options struct {
	Seed       int64
	Out        string // the run's directory
	NullFaults bool   // inject nothing, to see that the evidence is red
	Parallel   int    // cells of a matrix at a time
	Provider   Provider
	Subjects   subject.Builder
	Suffix     string // makes the cluster's name unique
	Tell       func(label, id, name string) func(error)
}

// Run carries the scenario out and judges it. The error is one of the environment, such as a cluster that could not be made; what the
// cluster did wrong is in the result.
func (s *Scenario) Run(ctx context.Context, o Options) (_ *plan.Result, err error) {
	if s.Spec.ARM != nil {
		return s.runARM(ctx, o)
	}
	cells, err := s.Cells()
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
	res := &plan.Result{
		Schema: plan.Schema, Scenario: s.Metadata.Name, Provider: o.Provider.Name(), Seed: o.Seed, Started: time.Now(),
		Cluster: []plan.Cluster{}, Steps: []plan.StepDone{}, Receipts: []plan.Receipt{}, Checks: []plan.Check{}, Probes: []plan.Probe{},
		Reasons: []string{}, NotTested: s.notTested(),
	}
	results := make([]*plan.Result, len(cells))
	var mu sync.Mutex
	var upErr error
	g := errgroup.Group{}
	g.SetLimit(max(1, o.Parallel))
	for i, ol := range outlines {
		g.Go(func() error {
			cell, err := s.runCell(ctx, ol, o, journal)
			mu.Lock()
			defer mu.Unlock()
			results[i] = cell
			if err != nil && upErr == nil {
				upErr = err
			}
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
	for i, cell := range results {
		res.Merge(cells[i].Label, cell)
	}
	if upErr != nil {
		return nil, upErr
	}
	res.DurationSeconds = time.Since(res.Started).Seconds()
	res.Judge()
	return res, journal.Write("result", res)
}

func (s *Scenario) notTested() []plan.NotTested {
	out := []plan.NotTested{}
	for _, n := range s.Spec.Not {
		what, why, _ := strings.Cut(n, ": ")
		out = append(out, plan.NotTested{What: what, Why: why})
	}
	return out
}

func (s *Scenario) runCell(ctx context.Context, ol *outline, o Options, journal *plan.Journal) (*plan.Result, error) {
	c := &cellRun{scenario: s, outline: ol, options: o, journal: journal}
	p := &plan.Plan{Steps: s.steps(ol, c)}
	p.Number()
	c.plan = p
	if err := journal.Write("run", Journalled{
		Scenario: s.Metadata.Name, Provider: o.Provider.Name(), Cluster: c.topology().Name, Label: ol.cell.Label, Seed: o.Seed,
	}); err != nil {
		return &plan.Result{}, err
	}
	r := &plan.Runner{Journal: journal}
	c.runner = r
	if o.Tell != nil {
		r.Tell = func(id, name string) func(error) { return o.Tell(ol.cell.Label, id, name) }
	}
	err := r.Run(ctx, p)
	res := c.judge()
	res.Steps = r.Done()
	if c.cluster == nil { // nothing was tested: the environment is to blame
		return res, err
	}
	return res, nil
}

// Journalled is the first entry of a run: what heal needs to find the cluster.
type Journalled struct {
	Scenario string `json:"scenario"`
	Provider string `json:"provider"`
	Cluster  string `json:"cluster"`
	Label    string `json:"label"`
	Seed     int64  `json:"seed"`
}

// judge makes the cell's part of the report from what was recorded.
func (c *cellRun) judge() *plan.Result {
	res := &plan.Result{Cluster: []plan.Cluster{{Topology: c.topology().String(), Versions: c.record.Final.Versions}}}
	for _, ch := range c.outline.faults {
		if g := c.guard(ch); g != nil {
			res.Receipts = append(res.Receipts, g.Receipt())
		}
	}
	res.Receipts = append(res.Receipts, c.kills...)
	if c.watched == nil {
		return res
	}
	for _, p := range c.watched.Probes {
		res.Probes = append(res.Probes, p.Sum())
	}
	res.Host = health.HostOf(&c.record)
	res.Tolerance = tolerance(c.record.Observations)
	if len(c.outline.upgrades) > 0 {
		res.Tolerance.Steps = toleranceBySteps(c.record.Observations, c.upgradeSteps())
	}
	s := c.scenario.Spec
	for _, name := range health.Builtin(c.topology()) {
		res.Checks = append(res.Checks, c.check(Check{Name: name}, "always", nil))
	}
	for _, ch := range s.Always {
		res.Checks = append(res.Checks, c.check(ch, "always", nil))
	}
	for _, f := range c.outline.faults {
		if c.guard(f) == nil {
			continue // a skipped fault has nothing to watch; its step says why
		}
		w := c.window(f)
		for _, ch := range f.during {
			res.Checks = append(res.Checks, c.check(ch, "during", &w))
		}
	}
	for _, ch := range s.Finally {
		res.Checks = append(res.Checks, c.check(ch, "finally", nil))
	}
	return res
}

func (c *cellRun) check(ch Check, when string, w *health.Window) plan.Check {
	kind, err := health.FindCheck(AllChecks(), ch.Name, when)
	if err != nil {
		return plan.Check{Name: ch.Name, When: when, Verdict: plan.Unknown, Message: err.Error()}
	}
	return kind.Judge(&c.record, w, ch.Params)
}

func describe(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprint(err)
}
