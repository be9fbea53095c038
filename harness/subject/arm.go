package subject

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/plan"
)

// ARM is a scenario without a cluster: real cloud providers, each against a twin of its own, while nodes are replaced.
type ARM struct {
	Policy    string       `yaml:"policy"`    // what the twin throttles by: a name, or a file, as timings is, from where drydock runs
	Timings   string       `yaml:"timings"`   // file that says how operations run; empty: as the twin has it
	Hostile   bool         `yaml:"hostile"`   // rejected calls count
	Clock     string       `yaml:"clock"`     // how many times as fast as the wall's
	ScaleSets int          `yaml:"scaleSets"` // of two instances each
	Nodes     int          `yaml:"nodes"`     // replaced, one after another
	Every     Span         `yaml:"every"`     // from one to the next, by the twin's clock
	Patience  Span         `yaml:"patience"`  // how long the provider may take to serve again afterwards
	Faults    []ARMFault   `yaml:"faults"`
	Subjects  []ARMSubject `yaml:"subjects"`
}

// ARMFault is something wrong with every twin from one of the replaced nodes on. It clears by itself, by the twin's clock.
type ARMFault struct {
	AtNode      int `yaml:"atNode"` // the first is 1
	azure.Fault `yaml:",inline"`
}

// Span is a duration as YAML has it.
type Span = time.Duration

// ARMSubject is a real client and what is expected of it.
type ARMSubject struct {
	Name         string `yaml:"name"`         // below hack/subjects
	ListsPerMiss int    `yaml:"listsPerMiss"` // collections it reads to find one new node
	Throttled    bool   `yaml:"throttled"`    // whether the policy stops it
}

// Validate says what is wrong with it.
func (a *ARM) Validate() error {
	switch {
	case len(a.Subjects) == 0:
		return errors.New("subjects is empty: nothing would be tested")
	case a.ScaleSets < 1 || a.ScaleSets > 500:
		return fmt.Errorf("scaleSets is %d; 1 to 500", a.ScaleSets)
	case a.Nodes < 1 || a.Every <= 0 || a.Patience <= 0:
		return errors.New("nodes, every and patience must be above 0")
	}
	for i, f := range a.Faults {
		if f.AtNode < 1 || f.AtNode > a.Nodes || f.For <= 0 {
			return fmt.Errorf("faults[%d]: atNode is %d of %d nodes, for is %s: it must begin at one of them, and end", i, f.AtNode, a.Nodes, f.For)
		}
		if err := f.Check(); err != nil {
			return fmt.Errorf("faults[%d]: %w", i, err)
		}
	}
	for _, s := range a.Subjects {
		if s.Name == "" || s.ListsPerMiss < 1 {
			return fmt.Errorf("subject %q needs a name, and listsPerMiss of at least 1", s.Name)
		}
	}
	if _, err := throttle.LoadPolicy(a.Policy); err != nil {
		return err
	}
	if _, err := a.timings(); err != nil {
		return err
	}
	_, err := arm.ParseClock(a.Clock)
	return err
}

// timings reads those of its file; nil: the twin's own are good.
func (a *ARM) timings() (*state.Timings, error) {
	if a.Timings == "" {
		return nil, nil // nothing is to be read
	}
	return azure.LoadTimings(a.Timings)
}

// Steps is the plan: every subject at the same time, each with a twin of its own.
func (r *Run) Steps() []*plan.Step {
	a := r.Spec
	group := &plan.Step{Name: "subjects", About: fmt.Sprintf("at the same time, each with a twin of its own: %s policy, %d scale sets, clock ×%s", a.Policy, a.ScaleSets, a.Clock), Parallel: true}
	build := &plan.Step{Name: "build the subjects", About: "minutes the first time", Run: func(ctx context.Context) error { return r.build(ctx) }}
	for i := range a.Subjects {
		s := a.Subjects[i]
		story := r.story(s)
		group.Children = append(group.Children, &plan.Step{Name: s.Name, Children: []*plan.Step{
			{Name: s.Name + "/start", About: "a cold start: it reads what there is", Run: story.start},
			{Name: s.Name + "/nodes", About: fmt.Sprintf("%d nodes are replaced, one every %s%s", a.Nodes, a.Every, a.faultsAbout()), Run: story.replaceNodes},
			{Name: s.Name + "/after", About: fmt.Sprintf("until it serves again, at most %s", a.Patience), Run: story.after},
			{Name: s.Name + "/stop", Run: story.stop, Cleanup: true},
		}})
	}
	return []*plan.Step{build, group}
}

func (a *ARM) faultsAbout() string {
	var out strings.Builder
	for _, f := range a.Faults {
		fmt.Fprintf(&out, "; from node %d on for %s: %s", f.AtNode, f.For, f.Describe())
	}
	return out.String()
}

// Run is one run of such a scenario.
type Run struct {
	Spec       *ARM
	Builder    Builder
	Out        string // the run's directory
	Seed       int64
	NullFaults bool // arm nothing

	programs map[string]string
	stories  []*story
}

// Tested reports whether the subjects could be built, so that there was anything to test.
func (r *Run) Tested() bool { return r.programs[r.Spec.Subjects[len(r.Spec.Subjects)-1].Name] != "" }

func (r *Run) story(s ARMSubject) *story {
	told := &story{run: r, told: Told{Subject: s}}
	r.stories = append(r.stories, told)
	return told
}

func (r *Run) build(ctx context.Context) error {
	r.programs = map[string]string{}
	for _, s := range r.Spec.Subjects {
		program, err := r.Builder.Build(ctx, s.Name)
		if err != nil {
			return err
		}
		r.programs[s.Name] = program
	}
	return nil
}

// Evidence is what the run has seen.
func (r *Run) Evidence() *Evidence {
	e := &Evidence{Spec: r.Spec, Subjects: []Told{}}
	for _, s := range r.stories {
		e.Subjects = append(e.Subjects, s.tell())
	}
	return e
}

// dir is where a subject's twin writes its files.
func (s *story) dir() string {
	return filepath.Join(s.run.Out, plan.SubjectsDir, strings.ReplaceAll(s.told.Subject.Name, "/", "-"))
}
