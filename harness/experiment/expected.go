package experiment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade"
)

// What an upgrade or a remedy may be expected to do instead of succeeding. The error must then contain the text of says.
const (
	ExpectRefused = "refused" // not begun: nothing was touched
	ExpectFailed  = "failed"  // stopped; the machine an upgrade failed on is rolled back
)

// absorb turns the failure that was wanted into a success, and everything else into a failure: the other failure, one that says something else, and one
// that was not undone.
func (it *item) absorb(group *plan.Step, err error, done []plan.StepDone) error {
	refused := errors.Is(err, plan.ErrRefused)
	switch {
	case err == nil:
		return fmt.Errorf("the %s should have been %s, and succeeded", group.Name, it.step.Expect)
	case it.step.Expect == ExpectRefused && !refused:
		return fmt.Errorf("the %s should have been refused before anything was touched: %w", group.Name, err)
	case it.step.Expect == ExpectFailed && refused:
		return fmt.Errorf("the %s should have failed on its way and was refused before anything was touched: %w", group.Name, err)
	case !strings.Contains(err.Error(), it.step.Says):
		return fmt.Errorf("the %s was %s as expected, but does not say %q: %w", group.Name, it.step.Expect, it.step.Says, err)
	case it.step.Expect == ExpectFailed && it.upgrade != nil && !it.upgrade.Spec.Foreign(): // somebody else's program is nobody's to roll back
		return rolledBack(group, done)
	default:
		return nil
	}
}

// rolledBack says which failure of a group's steps was not rolled back: the rollback next to it, or to what it is part of, must have run. That it
// has not failed is seen elsewhere.
func rolledBack(group *plan.Step, done []plan.StepDone) error {
	ran, undoing := map[string]bool{}, map[string]bool{}
	for _, d := range done {
		ran[d.ID] = true // one that has no reason to run leaves no word
	}
	(&plan.Plan{Steps: group.Children}).Walk(func(s *plan.Step) { undoing[s.ID] = s.Rollback || s.Cleanup })
	for _, d := range done {
		if d.Status != "failed" || undoing[d.ID] {
			continue
		}
		back, _ := rollbackOf(group.Children, d.ID)
		switch {
		case back == nil:
			return fmt.Errorf("step %s %s failed, which the plan has no rollback for: %s", d.ID, d.Name, d.Error)
		case !ran[back.ID]:
			return fmt.Errorf("step %s %s failed and %s did not run: %s", d.ID, d.Name, back.Name, d.Error)
		}
	}
	return nil
}

// rollbackOf finds the rollback of a step, or of the nearest group it is part of that has one.
func rollbackOf(steps []*plan.Step, id string) (back *plan.Step, found bool) {
	for _, s := range steps {
		if s.Rollback && back == nil {
			back = s
		}
		if s.ID == id {
			found = true
			continue
		}
		if inner, in := rollbackOf(s.Children, id); inner != nil {
			return inner, true
		} else if in {
			found = true
		}
	}
	if !found {
		return nil, false
	}
	return back, true
}

// refuse proves that what the policy refuses is refused for the right reason and touches nothing.
func (c *cellRun) refuse(ctx context.Context, it *item) error {
	before, err := c.versionsTold(ctx)
	if err != nil {
		return err
	}
	spec, err := it.step.Upgrade.Complete()
	if err != nil {
		return err
	}
	_, err = upgrade.New(spec, it.from, c.topology())
	var usage *cluster.UsageError
	if err == nil || !errors.As(err, &usage) {
		return fmt.Errorf("the upgrade to %s was not refused: %w", it.step.Upgrade.To, err)
	}
	if !strings.Contains(err.Error(), it.step.Says) {
		return fmt.Errorf("the refusal does not say %q: %w", it.step.Says, err)
	}
	after, err := c.versionsTold(ctx)
	if err != nil {
		return err
	}
	return unchanged(before, after)
}

// toldWithin is how long all of them may take to tell it: on a busy host one page takes up to ten seconds.
const toldWithin = 30 * time.Second

// versionsTold awaits a look in which every component and member tells its version: of one that does not nobody knows that it was not touched.
func (c *cellRun) versionsTold(ctx context.Context) (map[string]string, error) {
	var told map[string]string
	err := cluster.Await(ctx, "the versions of all components", cluster.Wait{For: toldWithin}, func(ctx context.Context) error {
		told = c.observer.Observe(ctx).Versions
		return allTold(told, c.topology())
	})
	return told, err
}

// allTold says whose version is not among those that were told.
func allTold(told map[string]string, t cluster.Topology) error {
	missing := func(name, machine string) error {
		if told[name+"/"+machine] == "" {
			return fmt.Errorf("%s on %s did not tell its version", name, machine)
		}
		return nil
	}
	var errs []error
	for _, m := range t.EtcdMachines() {
		errs = append(errs, missing(etcd.Program, m))
	}
	for _, m := range t.Machines() {
		for _, name := range observe.ComponentsOf(m.Role) {
			errs = append(errs, missing(name, m.Name))
		}
	}
	return errors.Join(errs...)
}

// unchanged says what has another version than before a refusal.
func unchanged(before, after map[string]string) error {
	for _, component := range slices.Sorted(maps.Keys(before)) {
		if was, is := before[component], after[component]; was != is {
			return fmt.Errorf("%s was %s before the refusal and is %s", component, was, is)
		}
	}
	return nil
}
