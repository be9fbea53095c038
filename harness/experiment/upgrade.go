package experiment

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade"
)

// upgradeStep is the upgrade with its faults woven in, or the process that does it and is killed.
func (it *item) upgradeStep(a actions) *plan.Step {
	if it.refused != nil {
		return &plan.Step{Name: "upgrade to " + it.step.Upgrade.To, About: "must be refused: " + it.step.Says, Run: func(ctx context.Context) error { return a.refuse(ctx, it) }}
	}
	group := &plan.Step{Name: "upgrade", About: it.upgrade.Describe()}
	it.carriedOut(group, a)
	return group
}

// carriedOut fills a group with the steps of a procedure and the faults woven in, or with the process that does it and is killed.
func (it *item) carriedOut(group *plan.Step, a actions) {
	if len(it.kills) > 0 {
		group.About += ", by a process that is killed and started again"
		for i := range it.kills {
			k := &it.kills[i]
			group.Children = append(group.Children, &plan.Step{Name: k.String(), Run: func(ctx context.Context) error { return a.drive(ctx, it, k) }})
		}
		group.Children = append(group.Children, &plan.Step{Name: toTheEnd, Run: func(ctx context.Context) error { return a.drive(ctx, it, nil) }})
		return
	}
	group.Children = it.steps
	for _, p := range it.placed {
		group.Children = weave(group.Children, p, a)
	}
	if it.step.Says != "" {
		group.About += "; must be " + it.step.Expect + ", saying: " + it.step.Says
		group.Absorb = func(err error, done []plan.StepDone) error { return it.absorb(group, err, done) }
	}
}

// budget changes how many replicas the workload must keep.
func (c *cellRun) budget(ctx context.Context, minAvailable int32) error {
	patch := fmt.Sprintf(`{"spec":{"minAvailable":%d}}`, minAvailable)
	begun := time.Now()
	_, err := c.target.Client.PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault).Patch(ctx, observe.WorkloadName, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("change the budget: %w", err)
	}
	c.record.Budgets = append(c.record.Budgets, health.Budget{From: begun, MinAvailable: int(minAvailable)})
	return nil
}

// arm gives the upgrades what they need of the running cluster.
func (c *cellRun) arm(ctx context.Context) error {
	if len(c.outline.upgrades) == 0 {
		return nil
	}
	kubeconfig := ""
	if c.topology().Kubernetes() {
		var err error
		if kubeconfig, err = cluster.KubeconfigFile(ctx, c.cluster); err != nil {
			return err
		}
	}
	for _, u := range c.outline.upgrades {
		u.Target, u.Observer, u.Dir = c.target, c.observer, filepath.Join(c.options.Out, plan.SnapshotsDir, c.outline.cell.Label)
		u.Env = slices.Concat([]string{"KUBECONFIG=" + kubeconfig}, c.twinEnv(), c.options.Env)
		if u.Spec.Strategy == upgrade.AKSEngine {
			d := &aksEngineDriver{run: c, upgrade: u, kubeconfig: kubeconfig}
			u.Driver = d
			if err := d.label(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// upgradeWindows are the times in which steps of an upgrade had something down: what restarts then was not lost. A step that was skipped, or never ran,
// opens none. What a step has left half-done (it was killed, it failed, or it lingers) is the machine's state until the next step that touches the
// machine begins, or has found it done.
func upgradeWindows(steps []*plan.Step, done []plan.StepDone) []health.Window {
	known := map[string]*plan.Step{}
	(&plan.Plan{Steps: steps}).Walk(func(s *plan.Step) { known[s.Name] = s })
	var ran []plan.StepDone
	for _, d := range done {
		if s := known[d.Name]; s != nil && len(s.Disrupts) > 0 && !d.Started.IsZero() {
			ran = append(ran, d)
		}
	}
	slices.SortStableFunc(ran, func(a, b plan.StepDone) int { return a.Started.Compare(b.Started) })
	var out []health.Window
	for i, d := range ran {
		if d.Status == "skipped" {
			continue
		}
		s := known[d.Name]
		for _, x := range s.Disrupts {
			end := d.Ended()
			if s.Lingers || d.Status != "done" {
				end = touchedNext(known, ran[i+1:], x.Machines)
			}
			out = append(out, health.Window{
				ID: d.ID, Upgrade: true, Machines: x.Machines, Components: x.Components, AtMost: x.AtMost, Until: x.Until, Began: d.Started, Effective: d.Started, Recover: end, Cleared: end,
			})
		}
	}
	return out
}

// touchedNext is when the next step that touches one of the machines began, or, where that was skipped, had found it done; zero when there is none. A step
// that is found done and lingers has left the machine as it leaves it, so that only the last of several ends it; and one that takes any of several machines, and
// had none to take, has not said of each that it is well.
func touchedNext(known map[string]*plan.Step, later []plan.StepDone, machines []string) (found time.Time) {
	for _, d := range later {
		touches, some := false, false
		for _, x := range known[d.Name].Disrupts {
			if slices.ContainsFunc(x.Machines, func(m string) bool { return slices.Contains(machines, m) }) {
				touches, some = true, some || x.AtMost > 0
			}
		}
		switch {
		case touches && d.Status == "skipped" && (known[d.Name].Lingers || some):
			found = d.Ended()
		case touches && d.Status == "skipped":
			return d.Ended()
		case touches:
			return d.Started
		}
	}
	return found
}

// upgradeSteps are the steps of the run's upgrades and remedies that have run, whichever process did them.
func (c *cellRun) upgradeSteps() []plan.StepDone {
	names := map[string]bool{}
	var out []plan.StepDone
	for _, it := range c.outline.items {
		(&plan.Plan{Steps: it.steps}).Walk(func(s *plan.Step) { names[s.Name] = s.Run != nil })
		if len(it.kills) > 0 {
			out = append(out, driverSteps(c.driverDir(&it))...)
		}
	}
	for _, d := range c.runner.Done() {
		if names[d.Name] && d.Status != "skipped" {
			out = append(out, d)
		}
	}
	return out
}
