package experiment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/workers"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// cloudSteps are what a scenario with a cloud provider on its control planes begins, and ends, with.
func (s *Scenario) cloudSteps(a actions) (begin, end []*plan.Step) {
	c := s.Spec.CloudProvider
	if c == nil {
		return nil, nil
	}
	about := fmt.Sprintf("%s, which asks after %s every %s, among %d scale sets", c.Subject, strings.Join(c.Nodes, ", "), c.Every, c.ScaleSets)
	if c.Addons {
		about += ", as an addon as well, beside a cluster-autoscaler"
	}
	return []*plan.Step{{Name: "run a cloud provider on every control plane", About: about, Run: a.cloud}},
		[]*plan.Step{{Name: "take the cloud provider away", Run: a.endCloud, Cleanup: true}}
}

func (s *Scenario) validateCloud() error {
	c := s.Spec.CloudProvider
	switch {
	case c == nil:
		return nil
	case s.Spec.Twin == nil:
		return errors.New("spec.cloudProvider: it calls a cloud, and there is none: say `twin: {}` in spec")
	}
	if err := c.Validate(); err != nil {
		return fmt.Errorf("spec.cloudProvider: %w", err)
	}
	return nil
}

// componentWithin is how long the kubelets may take to start it, after the minutes that building it takes the first time.
const componentWithin = 2 * time.Minute

// cloud runs it, and waits until each tells its version.
func (c *cellRun) cloud(ctx context.Context) error {
	spec, b := c.scenario.Spec.CloudProvider, c.options.Subjects
	if len(c.beside.Pool.Files) == 0 {
		return cluster.Usagef("spec.cloudProvider: the machines of this provider do not reach a twin of this host")
	}
	if err := spec.Deploy(ctx, b, c.cluster, c.beside.Twin, c.beside.OnMachines(), workers.CAOnMachine); err != nil {
		return err
	}
	c.arming = c.besideResources() // what it begins with has its scale sets
	want, err := b.Version(spec.Subject)
	if err != nil {
		return err
	}
	cfg, err := kubeadm.RESTConfig(ctx, c.cluster)
	if err != nil {
		return err
	}
	for _, name := range c.topology().ControlPlaneMachines() {
		m, err := c.cluster.Machine(name)
		if err != nil {
			return err
		}
		err = cluster.Await(ctx, "the cloud provider on "+name, cluster.Wait{For: componentWithin}, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, lookFor)
			defer cancel()
			now, err := observe.AskComponent(ctx, cfg, m, observe.CloudControllerManager, observe.CloudControllerPort)
			if err == nil && now.Version != want {
				err = fmt.Errorf("it is %s, and not %s", now.Version, want)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// endCloud takes it away.
func (c *cellRun) endCloud(ctx context.Context) error {
	if c.beside == nil {
		return fmt.Errorf("%w: there is none", plan.ErrSkip)
	}
	return c.scenario.Spec.CloudProvider.Remove(ctx, c.cluster)
}
