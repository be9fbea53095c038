package experiment

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/scenarios"
)

// Exhibit is a published bug of a real release: the proof that Drydock finds such. The scenario runs on the bad release, where NO-GO is what it
// is for; Fixed runs it on the release next to it that has the fix, where anything but GO is a false alarm.
type Exhibit struct {
	Bug   string   `yaml:"bug"` // where it was reported, so that a reader can compare the words
	Bad   Releases `yaml:"bad"`
	Fixed Releases `yaml:"fixed"`
	// Finds are the checks that must fail on the bad release, each with words of what it says then: those a user would search for. A NO-GO for anything else
	// has not found the bug.
	Finds map[string][]string `yaml:"finds"`
}

// Releases are the versions of an exhibit, as spec.cluster and the upgrade among the steps would have them.
type Releases struct {
	Version     string `yaml:"version"`
	EtcdVersion string `yaml:"etcdVersion"`
	To          string `yaml:"to"` // what the cluster is upgraded to
}

func (r Releases) String() string {
	var out []string
	if r.Version != "" {
		out = append(out, "Kubernetes "+r.Version)
	}
	if r.EtcdVersion != "" {
		out = append(out, "etcd "+r.EtcdVersion)
	}
	if r.To != "" {
		out = append(out, "upgraded to "+r.To)
	}
	return strings.Join(out, ", ")
}

// on is the scenario with these releases.
func (r Releases) on(s Scenario) Scenario {
	s.Spec.Cluster.Version, s.Spec.Cluster.EtcdVersion = r.Version, r.EtcdVersion
	s.Spec.Steps = slices.Clone(s.Spec.Steps)
	for i, st := range s.Spec.Steps {
		if r.To != "" && st.Upgrade != nil {
			to := *st.Upgrade
			to.To = r.To
			s.Spec.Steps[i].Upgrade = &to
		}
	}
	return s
}

// validate also resolves both releases: an exhibit whose fixed one is unknown proves half.
func (e *Exhibit) validate(s *Scenario) error {
	c := s.Spec.Cluster
	switch {
	case e.Bug == "":
		return errors.New("bug is missing: the address it was reported at")
	case e.Bad == Releases{} || e.Fixed == Releases{}:
		return errors.New("bad and fixed each need a version or an etcdVersion")
	case e.Bad == e.Fixed:
		return fmt.Errorf("bad and fixed are both %s", e.Bad)
	case c.Version != "" || c.EtcdVersion != "":
		return errors.New("spec.cluster takes no version and no etcdVersion beside an exhibit: bad and fixed name them")
	case len(e.Finds) == 0:
		return errors.New("finds is missing: the check that fails on the bad release, and words of what it says, {etcdHealthy: [unhealthy cluster]}")
	}
	if err := errors.Join(e.validateTo(s), e.validateFinds(s)); err != nil {
		return err
	}
	bad, err := e.Bad.resolved(*s)
	if err != nil {
		return fmt.Errorf("bad: %w", err)
	}
	fixed, err := e.Fixed.resolved(*s)
	if err != nil {
		return fmt.Errorf("fixed: %w", err)
	}
	if bad == fixed {
		return fmt.Errorf("bad, %s, and fixed, %s, are the same in this cluster: %s", e.Bad, e.Fixed, bad)
	}
	return nil
}

// resolved is what the scenario would run with these releases: whole names, and none of a product that its cluster has not.
func (r Releases) resolved(s Scenario) (Releases, error) {
	on := r.on(s)
	cells, err := on.Cells()
	if err != nil {
		return Releases{}, err
	}
	out := Releases{Version: cells[0].Topology.Version, EtcdVersion: cells[0].Topology.EtcdVersion}
	for _, st := range on.Spec.Steps {
		if r.To != "" && st.Upgrade != nil {
			to, err := release.Resolve(st.Upgrade.Product(), r.To)
			if err != nil {
				return Releases{}, fmt.Errorf("to: %w", err)
			}
			out.To = to.Version
		}
	}
	return out, nil
}

// validateTo has an upgrade's target said in one place.
func (e *Exhibit) validateTo(s *Scenario) error {
	if e.Bad.To == "" && e.Fixed.To == "" {
		return nil
	}
	if e.Bad.To == "" || e.Fixed.To == "" {
		return errors.New("to is of bad and fixed, or of neither")
	}
	upgrades := 0
	for i, st := range s.Spec.Steps {
		if st.Upgrade == nil {
			continue
		}
		if upgrades++; st.Upgrade.To != "" {
			return fmt.Errorf("spec.steps[%d].upgrade takes no to beside an exhibit whose bad and fixed name it", i)
		}
	}
	if upgrades != 1 {
		return fmt.Errorf("to is for the one upgrade among the steps; there are %d", upgrades)
	}
	return nil
}

func (e *Exhibit) validateFinds(s *Scenario) error {
	made := map[string]bool{}
	for _, checks := range s.checks() {
		for _, c := range checks {
			made[c.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Finds)) {
		if !made[name] {
			return fmt.Errorf("finds: the scenario makes no check %s; it makes %s", name, strings.Join(slices.Sorted(maps.Keys(made)), ", "))
		}
		if len(e.Finds[name]) == 0 || slices.Contains(e.Finds[name], "") {
			return fmt.Errorf("finds: %s needs words of what it says", name)
		}
	}
	return nil
}

// Fixed is the same scenario on the release with the fix. It has a name of its own, so that nobody takes its report for the bad one's.
func (s *Scenario) Fixed() (*Scenario, error) {
	e := s.Spec.Exhibit
	if e == nil {
		return nil, cluster.Usagef("%s is no exhibit: it names no fixed release to run on; exhibits: %s", s.Metadata.Name, strings.Join(scenarios.Exhibits(), ", "))
	}
	out := e.Fixed.on(*s)
	out.Metadata.Name += "-fixed"
	out.fixed = true
	return &out, nil
}

// header is what the plan says of the exhibit.
func (s *Scenario) header() []string {
	e := s.Spec.Exhibit
	if e == nil {
		return nil
	}
	if s.fixed {
		return []string{fmt.Sprintf("exhibit %s on the fixed release, %s: GO", e.Bug, e.Fixed)}
	}
	return []string{fmt.Sprintf("exhibit %s on the bad release, %s: NO-GO is what it is for; --fixed runs it on %s", e.Bug, e.Bad, e.Fixed)}
}

// Shows compares a run of the exhibit with what it is for: that its checks find the bug on the bad release, in its words, and that on the fixed one they pass and it ends GO.
// Unless it does, why says what was seen in its place.
func (s *Scenario) Shows(res *plan.Result) (as bool, why string) {
	if why := s.ranOther(res); why != "" {
		return false, why
	}
	if s.fixed {
		for _, name := range slices.Sorted(maps.Keys(s.Spec.Exhibit.Finds)) {
			if !slices.ContainsFunc(res.Checks, func(c plan.Check) bool { return c.Name == name && c.Verdict == plan.Pass }) {
				return false, fmt.Sprintf("%s, and no %s that passed: %s", res.Verdict, name, strings.Join(res.Reasons, "; "))
			}
		}
		return res.Verdict == plan.Go, strings.Join(res.Reasons, "; ")
	}
	var said []string
	for _, name := range slices.Sorted(maps.Keys(s.Spec.Exhibit.Finds)) {
		i := slices.IndexFunc(res.Checks, func(c plan.Check) bool {
			return c.Name == name && c.Verdict == plan.Fail && !slices.ContainsFunc(s.Spec.Exhibit.Finds[name], func(w string) bool { return !strings.Contains(c.Message, w) })
		})
		if i < 0 {
			return false, fmt.Sprintf("%s, and no %s that says %q: %s", res.Verdict, name, s.Spec.Exhibit.Finds[name], strings.Join(res.Reasons, "; "))
		}
		said = append(said, name+": "+res.Checks[i].Message)
	}
	return true, strings.Join(said, "; ")
}

// ranOther says which program told that it was of another release than the exhibit's, whose run then shows nothing of that one; empty: none did. On its way
// an upgrade has others, which its own checks know.
func (s *Scenario) ranOther(res *plan.Result) string {
	releases := s.Spec.Exhibit.Bad
	if s.fixed {
		releases = s.Spec.Exhibit.Fixed
	}
	want, err := releases.resolved(*s)
	if err != nil || s.Spec.Twin != nil || slices.ContainsFunc(s.Spec.Steps, func(st Step) bool { return st.Upgrade != nil }) {
		return ""
	}
	for _, c := range res.Cluster {
		for _, told := range []map[string]string{c.From, c.Versions} {
			for _, program := range slices.Sorted(maps.Keys(told)) {
				is := want.Version
				if strings.HasPrefix(program, etcd.Program+"/") {
					is = want.EtcdVersion
				}
				if is != "" && !release.Says(told[program], is) {
					return fmt.Sprintf("%s says it is %s, and the exhibit is of %s: the run shows nothing of that", program, told[program], is)
				}
			}
		}
	}
	return ""
}
