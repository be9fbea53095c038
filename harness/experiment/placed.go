package experiment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
)

// Placed is a fault at a named step of an upgrade: `{at: control-plane/2/before-kubelet, etcdMemberCrash: {target: leader, for: 20s}}`.
// Of several steps that match one is chosen by the seed, or, with every, the fault happens at each. Without an upgrade it is one of several faults at the same
// time, and has no step.
type Placed struct {
	At     string
	Every  bool
	After  time.Duration // from the beginning of all of them on
	When   *Event        // it waits for
	Fault  Fault
	During []Check
	Expect string
	line   int
}

// UnmarshalYAML reads at, every, after, when, during, expect and one fault.
func (p *Placed) UnmarshalYAML(n *yaml.Node) error {
	p.line = n.Line
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: want a fault, and of an upgrade at: STEP", n.Line)
	}
	var rest []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		var err error
		switch key.Value {
		case "at":
			err = value.Decode(&p.At)
		case "every":
			err = value.Decode(&p.Every)
		case "after":
			err = value.Decode(&p.After)
		case "when":
			p.When = &Event{}
			if err = strict(value, p.When); err == nil {
				err = p.When.complete()
			}
		case "during":
			err = value.Decode(&p.During)
		case "expect":
			err = value.Decode(&p.Expect)
		default:
			rest = append(rest, key, value)
		}
		if err != nil {
			return fmt.Errorf("line %d: %s: %s", n.Line, key.Value, explain(err))
		}
	}
	fault := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Content: rest}
	return p.Fault.UnmarshalYAML(fault)
}

// The phases of a step a fault can be placed at.
const (
	before = "before"
	during = "during"
	after  = "after"
)

// selector takes "control-plane/2/before-kubelet" apart into the phase and the pattern of the step's name. Without a phase it is during.
func selector(at string) (phase, pattern string) {
	dir, last := path.Split(at)
	for _, p := range []string{before, during, after} {
		if rest, ok := strings.CutPrefix(last, p+"-"); ok {
			return p, dir + rest
		}
	}
	return during, at
}

// placement is a choice bound to a step of an upgrade.
type placement struct {
	*choice
	phase string
	at    *plan.Step
}

// place chooses the steps and the machines of an upgrade's faults, and refuses what would take more away than may be missing.
// What the faults placed before take away at the same time counts as well, and what the fault does that the steps are to end: when they have, nobody knows yet.
func place(p Placed, steps []*plan.Step, cell Cell, lasting []*choice, earlier []placement, rng *rand.Rand) ([]placement, error) {
	t := cell.Topology
	phase, pattern := selector(p.At)
	var matched []*plan.Step
	var names []string
	(&plan.Plan{Steps: steps}).Walk(func(s *plan.Step) {
		if s.Rollback {
			return
		}
		names = append(names, s.Name)
		if ok, err := path.Match(pattern, s.Name); err == nil && ok {
			matched = append(matched, s)
		}
	})
	if len(matched) == 0 {
		return nil, cluster.Usagef("line %d: at: %q matches no step; known: %s (each also as before-, during- or after- its last word)", p.line, p.At, strings.Join(names, ", "))
	}
	if !p.Every {
		i := rng.IntN(len(matched))
		matched = matched[i : i+1]
	}
	var out []placement
	for _, s := range matched {
		spec, err := p.Fault.choose(t, rng)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", p.line, err)
		}
		if err := errors.Join(writesExpected(spec, p.Expect), checksFit(spec, p.During, t)); err != nil {
			return nil, fmt.Errorf("line %d: %w", p.line, err)
		}
		if lacks := spec.Lacking(cell.Lacks); lacks != "" {
			out = append(out, placement{choice: &choice{spec: spec, expect: p.Expect, during: p.During, lacks: lacks}, phase: phase, at: s})
			continue
		}
		with := held(s, phase, append(slices.Clone(earlier), out...))
		if err := fault.Together(append(done(with), spec)...); err != nil {
			return nil, fmt.Errorf("line %d: %w", p.line, err)
		}
		with = append(with, lasting...)
		besides := done(with)
		down := disrupted(s, phase, steps, t)
		if taken, _, costs := fault.CostsQuorum(t, down, besides, spec); costs && p.Expect != ExpectQuorumLost {
			return nil, cluster.Usagef("line %d: %s %s %s: %s takes %d of %d members away while the step and other faults have %s down; a quorum is %d; place it elsewhere, or say `expect: quorumLost`",
				p.line, spec.Describe(), phase, s.Name, spec.Kind, taken, t.EtcdMembers, none(down, besides), cluster.Quorum(t.EtcdMembers))
		}
		if err := p.When.fits(t); err != nil {
			return nil, fmt.Errorf("line %d: %w", p.line, err)
		}
		c := &choice{spec: spec, expect: p.Expect, during: p.During, when: p.When, until: phase == during && p.Fault.until}
		if _, _, alone := fault.CostsQuorum(t, nil, nil, spec); p.Expect == ExpectQuorumLost && !alone {
			if left := t.EtcdMembers - fault.Impact(t, down, append(slices.Clone(besides), spec)...); left >= cluster.Quorum(t.EtcdMembers) {
				return nil, cluster.Usagef("line %d: %s %s %s: while the step and other faults have %s down %d of %d members are left, which is a quorum: to expect quorumLost would excuse a loss that is not the fault's",
					p.line, spec.Describe(), phase, s.Name, none(down, besides), left, t.EtcdMembers)
			}
			c.with, c.withSteps = with, true
		}
		out = append(out, placement{choice: c, phase: phase, at: s})
	}
	return out, nil
}

func none(down []string, faults []fault.Spec) string {
	names := slices.Clone(down)
	for _, s := range faults {
		names = append(names, s.Describe())
	}
	if len(names) == 0 {
		return "no member"
	}
	return strings.Join(names, ", ")
}

// disrupted lists the machines whose members are down at a place in the plan: during a step those it and what it contains disrupts, between two steps
// those the earlier one leaves behind. Of what disrupts one machine at a time nobody knows which it is then.
func disrupted(s *plan.Step, phase string, steps []*plan.Step, t cluster.Topology) []string {
	var out []string
	add := func(c *plan.Step) {
		for _, d := range c.Disrupts {
			if d.AtMost > 0 || len(d.Components) > 0 && !slices.Contains(d.Components, etcd.Program) {
				continue
			}
			for _, m := range d.Machines {
				if slices.Contains(t.EtcdMachines(), m) {
					out = append(out, m)
				}
			}
		}
	}
	if phase == during {
		(&plan.Plan{Steps: []*plan.Step{s}}).Walk(add)
	} else {
		var last *plan.Step
		(&plan.Plan{Steps: steps}).Walk(func(c *plan.Step) {
			if c == s && phase == before && last != nil && last.Lingers {
				add(last)
			}
			if c == s && phase == after && c.Lingers {
				add(c)
			}
			if c.Run != nil && !c.Rollback {
				last = c
			}
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// held are the earlier faults that hold while one at the step does. Faults before and after a step are over when the plan goes on; one during a step holds
// for all that is within it.
func held(s *plan.Step, phase string, earlier []placement) []*choice {
	var out []*choice
	for _, e := range earlier {
		apart := e.phase != during || phase != during && e.at == s
		if apart || e.lacks != "" || !contains(e.at, s) && (phase != during || !contains(s, e.at)) {
			continue
		}
		out = append(out, e.choice)
	}
	return out
}

func contains(s, inner *plan.Step) bool {
	found := false
	(&plan.Plan{Steps: []*plan.Step{s}}).Walk(func(c *plan.Step) { found = found || c == inner })
	return found
}

// weave puts the fault's steps into the tree. A fault before or after a step is over when the plan goes on; one during a step begins first, and
// ends while the step runs or with it.
func weave(steps []*plan.Step, p placement, a actions) []*plan.Step {
	var out []*plan.Step
	for _, s := range steps {
		if s != p.at {
			s.Children = weave(s.Children, p, a)
			out = append(out, s)
			continue
		}
		switch {
		case p.lacks != "":
			out = append(out, lacking(p.choice), s)
		case p.phase == before:
			out = append(out, faultSteps(p.choice, a), s)
		case p.phase == after:
			out = append(out, s, faultSteps(p.choice, a))
		default:
			out = append(out, around(s, p.choice, a))
		}
	}
	return out
}

// around is a step with a fault during it. A latent fault shows only in what the step does.
func around(s *plan.Step, c *choice, a actions) *plan.Step {
	inject := &plan.Step{Name: "inject", Run: at(a.inject, c)}
	effect := &plan.Step{Name: "await its effect", Run: at(a.effective, c)}
	hold := &plan.Step{Name: "hold for " + c.spec.For.String(), Run: at(a.hold, c)}
	recoverStep := &plan.Step{Name: "recover", Run: at(a.recover, c), Cleanup: true}
	recovered := &plan.Step{Name: "await recovery", Run: at(a.recovered, c), Cleanup: true}
	both := func(children ...*plan.Step) *plan.Step {
		return &plan.Step{Name: "meanwhile", Parallel: true, Children: children}
	}
	var children []*plan.Step
	switch {
	case c.spec.Latent(), c.spec.OfTwin() && c.until:
		children = []*plan.Step{inject, both(s, effect), recoverStep, recovered}
	case c.spec.OfTwin() && c.when == nil: // it shows in the calls that the step makes, and holds from then on
		see := &plan.Step{Name: "see it recovered", Run: at(a.seeRecovered, c)}
		children = []*plan.Step{inject, both(s, &plan.Step{Name: "the fault", Children: []*plan.Step{effect, hold, recoverStep, see}}), recovered}
	case c.until:
		children = []*plan.Step{inject, effect, s, recoverStep, recovered}
	case c.when != nil:
		see := &plan.Step{Name: "see it recovered", Run: at(a.seeRecovered, c)}
		fault := &plan.Step{Name: "the fault", Children: append(c.waits(a), inject, effect, hold, recoverStep, see)}
		c.over = make(chan struct{})
		step := &plan.Step{Name: "the step", Children: []*plan.Step{s, {Name: "inject nothing any more", Run: at(a.stepEnded, c), Cleanup: true}}}
		children = []*plan.Step{both(step, fault), recovered}
	default:
		// The step may go on for minutes after the fault is over, which excuses nothing any more.
		see := &plan.Step{Name: "see it recovered", Run: at(a.seeRecovered, c)}
		ending := &plan.Step{Name: "the fault", Children: []*plan.Step{hold, recoverStep, see}}
		children = []*plan.Step{inject, effect, both(s, ending), recovered}
	}
	about := c.spec.Describe()
	if c.until {
		about = c.spec.DescribeUntil("it ends")
	}
	c.step = &plan.Step{Name: s.Name + " with a fault", About: about, Children: children}
	return c.step
}

// defaultHold is how long a fault holds that does not say.
const defaultHold = 10 * time.Second
