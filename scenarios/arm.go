package scenarios

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
)

// ARM is a scenario without a cluster: real cloud providers, each against a twin of its own, while nodes are replaced.
type ARM struct {
	Policy    string       `yaml:"policy"`    // what the twin throttles by
	Hostile   bool         `yaml:"hostile"`   // rejected calls count
	Clock     string       `yaml:"clock"`     // how many times as fast as the wall's
	ScaleSets int          `yaml:"scaleSets"` // of two instances each
	Nodes     int          `yaml:"nodes"`     // replaced, one after another
	Every     Span         `yaml:"every"`     // from one to the next, by the twin's clock
	Patience  Span         `yaml:"patience"`  // how long the provider may take to serve again afterwards
	Faults    []ARMFault   `yaml:"faults"`
	Subjects  []ARMSubject `yaml:"subjects"`
}

// ARMFault is something wrong with every twin from one of the replaced nodes on. It clears by itself.
type ARMFault struct {
	AtNode     int      `yaml:"atNode"` // the first is 1
	Kind       string   `yaml:"kind"`
	Operations []string `yaml:"operations"`
	Group      string   `yaml:"operationGroup"` // what a policy counts, instead of operations
	Polls      bool     `yaml:"polls"`
	Status     int      `yaml:"status"`
	RetryAfter int      `yaml:"retryAfter"`
	Delay      Span     `yaml:"delay"`
	PerMinute  float64  `yaml:"perMinute"`
	Model      string   `yaml:"model"` // of a load: L0 to L3, with clusters, scaleSets and disks
	Clusters   int      `yaml:"clusters"`
	ScaleSets  int      `yaml:"scaleSets"`
	Disks      int      `yaml:"disks"`
	For        Span     `yaml:"for"` // by the twin's clock
}

func (f ARMFault) fault() azure.Fault {
	return azure.Fault{
		Kind: f.Kind, Operations: f.Operations, OperationGroup: f.Group, Polls: f.Polls, Status: f.Status, RetryAfter: f.RetryAfter, Delay: f.Delay, PerMinute: f.PerMinute, For: f.For,
		Model: f.Model, Clusters: f.Clusters, ScaleSets: f.ScaleSets, Disks: f.Disks,
	}
}

// Span is a duration as YAML has it.
type Span = time.Duration

// ARMSubject is a real client and what is expected of it.
type ARMSubject struct {
	Name         string `yaml:"name"`         // below hack/subjects
	ListsPerMiss int    `yaml:"listsPerMiss"` // collections it reads to find one new node
	Throttled    bool   `yaml:"throttled"`    // whether the policy stops it
}

// armFields lists the names a file may use.
const armFields = "policy, hostile, clock, scaleSets, nodes, every, patience, faults, subjects"

func (a *ARM) validate() error {
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
		if err := f.fault().Check(); err != nil {
			return fmt.Errorf("faults[%d]: %w", i, err)
		}
	}
	for _, s := range a.Subjects {
		if s.Name == "" || s.ListsPerMiss < 1 {
			return fmt.Errorf("subject %q needs a name, and listsPerMiss of at least 1", s.Name)
		}
	}
	if _, err := azure.LoadPolicy(a.Policy); err != nil {
		return err
	}
	_, err := azure.ParseClock(a.Clock)
	return err
}

// steps is the plan: every subject at the same time, each with a twin of its own.
func (a *ARM) steps(run *armRun) []*plan.Step {
	group := &plan.Step{Name: "subjects", About: fmt.Sprintf("at the same time, each with a twin of its own: %s policy, %d scale sets, clock ×%s", a.Policy, a.ScaleSets, a.Clock), Parallel: true}
	build := &plan.Step{Name: "build the subjects", About: "minutes the first time", Run: func(ctx context.Context) error { return run.build(ctx) }}
	for i := range a.Subjects {
		s := a.Subjects[i]
		story := run.story(s)
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
		fmt.Fprintf(&out, "; from node %d on for %s: %s", f.AtNode, f.For, f.fault().Describe())
	}
	return out.String()
}

// armRun is one run of such a scenario.
type armRun struct {
	spec     *ARM
	options  Options
	programs map[string]string
	stories  []*armStory
}

func (r *armRun) story(s ARMSubject) *armStory {
	story := &armStory{run: r, subject: s}
	r.stories = append(r.stories, story)
	return story
}

func (r *armRun) build(ctx context.Context) error {
	r.programs = map[string]string{}
	for _, s := range r.spec.Subjects {
		program, err := r.options.Subject(ctx, s.Name)
		if err != nil {
			return err
		}
		r.programs[s.Name] = program
	}
	return nil
}

// armPlan is the plan for printing.
func (s *Scenario) armPlan(seed int64) *plan.Plan {
	run := &armRun{spec: s.Spec.ARM}
	p := &plan.Plan{Header: []string{fmt.Sprintf("scenario %s, seed %d", s.Metadata.Name, seed), "  " + s.Metadata.About}, Steps: s.Spec.ARM.steps(run)}
	p.Number()
	return p
}

// runARM carries it out and judges it.
func (s *Scenario) runARM(ctx context.Context, o Options) (_ *plan.Result, err error) {
	if o.Subject == nil {
		return nil, cluster.Usagef("%s: subjects cannot be built here", s.Metadata.Name)
	}
	journal, err := plan.CreateJournal(o.Out)
	if err != nil {
		return nil, &cluster.UsageError{Err: err}
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	run := &armRun{spec: s.Spec.ARM, options: o}
	p := &plan.Plan{Steps: s.Spec.ARM.steps(run)}
	p.Number()
	r := &plan.Runner{Journal: journal}
	if o.Tell != nil {
		r.Tell = func(id, name string) func(error) { return o.Tell("", id, name) }
	}
	res := &plan.Result{
		Schema: plan.Schema, Scenario: s.Metadata.Name, Provider: "arm", Seed: o.Seed, Started: time.Now(),
		Cluster: []plan.Cluster{}, Receipts: []plan.Receipt{}, Checks: []plan.Check{}, Probes: []plan.Probe{}, Reasons: []string{}, NotTested: s.notTested(),
	}
	runErr := r.Run(ctx, p)
	if run.programs[s.Spec.ARM.Subjects[len(s.Spec.ARM.Subjects)-1].Name] == "" {
		return nil, runErr // nothing was tested: the environment is to blame
	}
	res.Steps = r.Done()
	run.report(res)
	res.DurationSeconds = time.Since(res.Started).Seconds()
	res.Judge()
	return res, journal.Write("result", res)
}

// report judges every subject and lays what was measured side by side.
func (r *armRun) report(res *plan.Result) {
	table := plan.Table{
		Title:   fmt.Sprintf("%d scale sets, %d nodes replaced, %s policy", r.spec.ScaleSets, r.spec.Nodes, r.spec.Policy),
		Columns: []string{"subject", "collections read at start", "for one new node", "calls", "throttled", "first throttled after", "lookups failed", "slowest lookup", "served again after"},
	}
	lines := plan.Plot{Title: "Collections read, and where the policy stopped it", X: "minutes of the twin's clock", Y: "calls"}
	for _, s := range r.stories {
		table.Rows = append(table.Rows, s.row())
		lines.Lines = append(lines.Lines, s.line())
		res.Receipts = append(append(res.Receipts, s.receipt()), s.faultReceipts()...)
		res.Checks = append(res.Checks, s.checks()...)
	}
	res.Tables, res.Plots = append(res.Tables, table), append(res.Plots, lines)
}

// dir is where a subject's twin writes its files.
func (s *armStory) dir() string {
	return filepath.Join(s.run.options.Out, strings.ReplaceAll(s.subject.Name, "/", "-"))
}
