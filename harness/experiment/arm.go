package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/subject"
	"drydock.dev/drydock/harness/subject/aksengine"
)

// armProvider is where the subjects of such a scenario run: each against a twin of its own.
const armProvider = "arm"

// story is a scenario without a cluster: what runs against the twin, and what it has seen.
type story interface {
	Steps() []*plan.Step
	Tested() bool // whether there was anything to test
}

// story makes the run of such a scenario, and what gives its evidence afterwards; nil: it is one of a cluster.
func (s *Scenario) story(o Options) (story, func(done []plan.StepDone) any) {
	switch {
	case s.Spec.ARM != nil:
		run := &subject.Run{Spec: s.Spec.ARM, Builder: o.Subjects, Out: o.Out, Seed: o.Seed, NullFaults: o.NullFaults}
		return run, func(done []plan.StepDone) any {
			return subjectEvidence{storyEvidence{subjectSchema, done}, *run.Evidence()}
		}
	case s.Spec.AKSEngine != nil:
		run := &aksengine.Run{Story: s.Spec.AKSEngine, Builder: o.Subjects, Out: o.Out, Seed: o.Seed, NullFaults: o.NullFaults, Replace: byReplacement{}}
		return run, func(done []plan.StepDone) any {
			return aksEngineEvidence{storyEvidence{aksEngineSchema, done}, *run.Evidence()}
		}
	}
	return nil, nil
}

// ofTwin reports whether the scenario has the twin in the place of a cluster.
func (s *Scenario) ofTwin() bool { return s.Spec.ARM != nil || s.Spec.AKSEngine != nil }

// validateStory says what is wrong with a scenario that has the twin in the place of a cluster.
func (s *Scenario) validateStory() error {
	what, validate := "spec.arm", s.Spec.ARM.Validate
	if s.Spec.AKSEngine != nil {
		what, validate = "spec.aksEngine", s.Spec.AKSEngine.Validate
	}
	if !reflect.ValueOf(s.Spec.Cluster).IsZero() || s.Spec.Exhibit != nil || s.Spec.Twin != nil || s.Spec.CloudProvider != nil || len(s.Spec.Steps)+len(s.Spec.Always)+len(s.Spec.Finally) > 0 || s.Spec.ARM != nil && s.Spec.AKSEngine != nil {
		return errors.New(what + " takes no cluster, exhibit, twin, cloudProvider, steps or checks beside it, nor another story: it says itself what is expected")
	}
	if err := validate(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// armPlan is the plan for printing.
func (s *Scenario) armPlan(seed int64) *plan.Plan {
	run, _ := s.story(Options{Seed: seed})
	p := &plan.Plan{Header: []string{fmt.Sprintf("scenario %s, seed %d", s.Metadata.Name, seed), "  " + s.Metadata.About}, Steps: run.Steps()}
	p.Number()
	return p
}

// storyEvidence is what the evidence of every story has.
type storyEvidence struct {
	Schema string          `json:"schema"`
	Steps  []plan.StepDone `json:"steps"`
}

// subjectEvidence is all that the verdict on a story of subjects is made of.
type subjectEvidence struct {
	storyEvidence
	subject.Evidence
}

// aksEngineEvidence is that of a story of AKS Engine.
type aksEngineEvidence struct {
	storyEvidence
	aksengine.Evidence
}

// The names of the shapes.
const (
	subjectSchema   = "drydock.dev/subjects/v1alpha1"
	aksEngineSchema = "drydock.dev/aks-engine/v1alpha1"
)

func judgeStory(dir, label string) (*plan.Result, error) {
	var raw json.RawMessage
	if err := loadEvidence(dir, label, &raw); err != nil {
		return nil, err
	}
	var kept storyEvidence
	if err := json.Unmarshal(raw, &kept); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	var told interface {
		Report(res *plan.Result)
		Timelines() []*plan.Timeline
	} = &subject.Evidence{}
	if kept.Schema == aksEngineSchema {
		told = &aksengine.Evidence{}
	} else if err := schemaIs(kept.Schema, subjectSchema); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, told); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	res := &plan.Result{Steps: kept.Steps}
	told.Report(res)
	res.Timelines = told.Timelines()
	return res, nil
}

// runARM carries it out and judges it.
func (s *Scenario) runARM(ctx context.Context, o Options) (_ *plan.Result, err error) {
	journal, err := plan.CreateJournal(o.Out, fault.Settled)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	journal.Watch(o.Watch)
	begun := time.Now()
	if err := journal.Write("run", Opening{Scenario: s.Metadata.Name, Provider: armProvider, Seed: o.Seed, NullFaults: o.NullFaults, NotTested: s.notTested()}); err != nil {
		return nil, err
	}
	f, err := s.fingerprint("")
	if err != nil {
		return nil, err
	}
	if err := journal.Write(fingerprinted, f); err != nil {
		return nil, err
	}
	run, evidence := s.story(o)
	p := &plan.Plan{Steps: run.Steps()}
	p.Number()
	if err := journal.Write("plan", Outlined{Steps: p.Outline()}); err != nil {
		return nil, err
	}
	r := &plan.Runner{Journal: journal}
	runErr := r.Run(ctx, p)
	if !run.Tested() {
		return nil, runErr // nothing was tested: the environment is to blame
	}
	if err := errors.Join(keepEvidence(o.Out, "", evidence(r.Done()), journal), journal.Write("ended", ended{Seconds: time.Since(begun).Seconds(), Cells: 1})); err != nil {
		return nil, err
	}
	res, err := Judge(o.Out)
	if err != nil {
		return nil, err
	}
	return res, journal.Write("result", res)
}
