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

// subjectEvidence is all that the verdict on a story of subjects is made of.
type subjectEvidence struct {
	Schema string          `json:"schema"`
	Steps  []plan.StepDone `json:"steps"`
	subject.Evidence
}

// subjectSchema names the shape.
const subjectSchema = "drydock.dev/subjects/v1alpha1"

func judgeSubjects(dir, label string) (*plan.Result, error) {
	var e subjectEvidence
	if err := errors.Join(loadEvidence(dir, label, &e), schemaIs(e.Schema, subjectSchema)); err != nil {
		return nil, err
	}
	res := &plan.Result{Steps: e.Steps}
	e.Report(res)
	return res, nil
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
	runErr := r.Run(ctx, p)
	if !run.Tested() {
		return nil, runErr // nothing was tested: the environment is to blame
	}
	e := subjectEvidence{Schema: subjectSchema, Steps: r.Done(), Evidence: *run.Evidence()}
	if err := errors.Join(keepEvidence(o.Out, "", e, journal), journal.Write("ended", ended{Seconds: time.Since(begun).Seconds(), Cells: 1})); err != nil {
		return nil, err
	}
	res, err := Judge(o.Out)
	if err != nil {
		return nil, err
	}
	return res, journal.Write("result", res)
}
