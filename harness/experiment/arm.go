package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/subject"
)

// armProvider is where the subjects of such a scenario run: each against a twin of its own.
const armProvider = "arm"

// armPlan is the plan for printing.
func (s *Scenario) armPlan(seed int64) *plan.Plan {
	run := &subject.Run{Spec: s.Spec.ARM}
	p := &plan.Plan{Header: []string{fmt.Sprintf("scenario %s, seed %d", s.Metadata.Name, seed), "  " + s.Metadata.About}, Steps: run.Steps()}
	p.Number()
	return p
}

// runARM carries it out and judges it.
func (s *Scenario) runARM(ctx context.Context, o Options) (_ *plan.Result, err error) {
	journal, err := plan.CreateJournal(o.Out, fault.Settled)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	begun := time.Now()
	if err := journal.Write("run", Opening{Scenario: s.Metadata.Name, Provider: armProvider, Seed: o.Seed, NotTested: s.notTested()}); err != nil {
		return nil, err
	}
	run := &subject.Run{Spec: s.Spec.ARM, Builder: o.Subjects, Out: o.Out, Seed: o.Seed, NullFaults: o.NullFaults}
	p := &plan.Plan{Steps: run.Steps()}
	p.Number()
	r := &plan.Runner{Journal: journal}
	if o.Tell != nil {
		r.Tell = func(id, name string) plan.Teller { return o.Tell("", id, name) }
	}
	res := &plan.Result{
		Schema: plan.Schema, Scenario: s.Metadata.Name, Provider: armProvider, Seed: o.Seed, Started: begun,
		Cluster: []plan.Cluster{}, Receipts: []plan.Receipt{}, Checks: []plan.Check{}, Probes: []plan.Probe{}, Reasons: []string{}, NotTested: s.notTested(),
	}
	runErr := r.Run(ctx, p)
	if !run.Tested() {
		return nil, runErr // nothing was tested: the environment is to blame
	}
	res.Steps = r.Done()
	run.Report(res)
	res.DurationSeconds = time.Since(res.Started).Seconds()
	res.Judge()
	return res, errors.Join(journal.Write("ended", ended{Seconds: res.DurationSeconds, Cells: 1}), journal.Write("result", res))
}
