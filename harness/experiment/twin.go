package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/workers"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/harness/upgrade"
)

// TwinReadyEnv tells programs that a run starts where the ready file of the twin beside the cluster is, as it tells `drydock arm`.
const TwinReadyEnv = "DRYDOCK_ARM_READY"

// twinSteps are what a scenario with a twin beside its cluster begins, and ends, with.
func (s *Scenario) twinSteps(a actions) (begin, end []*plan.Step) {
	if s.Spec.Twin == nil {
		return nil, nil
	}
	return []*plan.Step{{Name: "start a twin of Azure Resource Manager beside it", About: s.Spec.Twin.Describe(), Run: a.twin}},
		[]*plan.Step{{Name: "end the twin", Run: a.endTwin, Cleanup: true}}
}

// twinnable refuses a cluster that no twin can be beside.
func (s *Scenario) twinnable(c Cell) error {
	if s.Spec.Twin == nil {
		return nil
	}
	if why := c.Lacks.Why(cluster.CanScale); why != "" {
		return cluster.Usagef("spec.twin: virtual machines come and go, and machines cannot here, %s", why)
	}
	return nil
}

// twinVersions are those of Kubernetes that machines may be made with because of it.
func (s *Scenario) twinVersions() []string {
	if s.Spec.Twin == nil {
		return nil
	}
	return slices.Sorted(maps.Values(s.Spec.Twin.Versions))
}

// twin starts it. It serves until endTwin, after an interrupt as well.
func (c *cellRun) twin(ctx context.Context) (err error) {
	dir := filepath.Join(c.options.Out, plan.TwinDir, c.outline.cell.Label)
	begin, err := c.deployed(ctx)
	if err != nil {
		return err
	}
	if c.beside, err = workers.Begin(context.WithoutCancel(ctx), c.cluster, *c.scenario.Spec.Twin, dir, uint64(c.options.Seed), begin); err != nil {
		return err
	}
	c.arming = c.besideResources()
	for _, u := range c.outline.upgrades {
		u.Cloud = c.beside.Ready
	}
	return nil
}

// endTwin keeps what it has seen, and ends it.
func (c *cellRun) endTwin(ctx context.Context) error {
	b := c.beside
	if b == nil {
		return fmt.Errorf("%w: there is none", plan.ErrSkip)
	}
	told := &health.ARM{Policy: c.scenario.Spec.Twin.Describe(), Began: b.Began, Ended: time.Now(), Before: c.arming, After: c.besideResources(), Machines: []string{}}
	told.Calls, told.Lost = b.Calls()
	for _, b := range b.Twin.Calls().Least() {
		told.Budgets = append(told.Budgets, health.ARMBudget(b))
	}
	for _, m := range c.cluster.Machines() {
		told.Machines = append(told.Machines, m.Name())
	}
	c.record.ARM = told
	return b.End(ctx)
}

// twinEnv is what a program of the run finds the twin by.
func (c *cellRun) twinEnv() []string {
	if c.beside == nil {
		return nil
	}
	return []string{TwinReadyEnv + "=" + c.beside.Ready}
}

// besideResources are the twin's documents, as far as checks need them.
func (c *cellRun) besideResources() []arm.Resource {
	out := []arm.Resource{}
	for _, raw := range c.beside.Twin.State().Resources {
		var d map[string]any
		if json.Unmarshal(raw, &d) != nil {
			continue // a document of the twin's own making
		}
		out = append(out, arm.ReadResource(d))
	}
	return out
}

// validateTwin refuses a twin that cannot be, and what is asked of one that there is not.
func (s *Scenario) validateTwin() error {
	if s.Spec.Twin != nil {
		if err := s.Spec.Twin.Validate(); err != nil {
			return fmt.Errorf("spec.twin: %w", err)
		}
		for tagged, version := range s.Spec.Twin.Versions {
			v, err := release.Resolve(release.Kubernetes, version)
			if err != nil {
				return fmt.Errorf("spec.twin: versions: %s: %w", tagged, err)
			}
			s.Spec.Twin.Versions[tagged] = v.Version
		}
		return nil
	}
	for i, st := range s.Spec.Steps {
		if st.Upgrade != nil && st.Upgrade.Strategy == upgrade.Replace {
			return fmt.Errorf("spec.steps[%d]: upgrade: strategy: %s deletes and makes virtual machines of a twin, and there is none: say `twin: {}` in spec", i, upgrade.Replace)
		}
		kinds := []string{}
		if st.Fault != nil {
			kinds = append(kinds, st.Fault.Kind)
		}
		for _, p := range st.Faults {
			kinds = append(kinds, p.Fault.Kind)
		}
		for _, k := range kinds {
			if (fault.Spec{Kind: k}).OfTwin() {
				return fmt.Errorf("spec.steps[%d]: %s is a fault of the twin, and there is none: say `twin: {}` in spec", i, k)
			}
		}
	}
	for _, c := range s.Spec.Finally {
		if slices.Contains(health.OfARM(), c.Name) {
			return fmt.Errorf("line %d: %s is of calls of the twin, and there is none: say `twin: {}` in spec", c.line, c.Name)
		}
	}
	return nil
}
