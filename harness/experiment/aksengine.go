package experiment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/subject/aksengine"
	"drydock.dev/drydock/harness/upgrade"
)

// Names of machines as AKS Engine gives them: agents are an availability set, or the instances of a scale set.
const (
	NamesAKSEngine     = "aks-engine"
	NamesAKSEngineVMSS = "aks-engine-vmss"
)

// pool is the kind of AKS Engine's pools whose machines are called so; empty: none.
func pool(names string) string {
	return map[string]string{NamesAKSEngine: aksengine.PoolAvailabilitySet, NamesAKSEngineVMSS: aksengine.PoolScaleSet}[names]
}

func called(names string) map[cluster.Role]string {
	if kind := pool(names); kind != "" {
		return aksengine.Names(kind)
	}
	return nil
}

// validateAKSEngine says what an upgrade by AKS Engine lacks.
func (s *Scenario) validateAKSEngine() error {
	c := s.Spec.Cluster
	if c.Names != "" && pool(c.Names) == "" {
		return fmt.Errorf("spec.cluster: names is %q; known: %s, %s", c.Names, NamesAKSEngine, NamesAKSEngineVMSS)
	}
	for i, st := range s.Spec.Steps {
		if st.Upgrade == nil || st.Upgrade.Strategy != upgrade.AKSEngine {
			continue
		}
		if s.Spec.Twin == nil || c.Names == "" {
			return fmt.Errorf("spec.steps[%d]: strategy: aks-engine needs `twin: {}` in spec, and in spec.cluster names: %s, or %s, by which it finds its machines", i, NamesAKSEngine, NamesAKSEngineVMSS)
		}
		if st.KillDriver != (KillDriver{}) {
			return fmt.Errorf("spec.steps[%d]: killDriver is for Drydock's own upgrade: of AKS Engine's it would kill nothing", i)
		}
	}
	return nil
}

// deployed has AKS Engine deploy the cluster, as the twin is to begin with it, if it is to upgrade it: its documents, for the machines are there. nil: the
// twin begins with the machines' own.
func (c *cellRun) deployed(ctx context.Context) (*azure.State, error) {
	i := slices.IndexFunc(c.outline.upgrades, func(u *upgrade.Upgrade) bool { return u.Spec.Strategy == upgrade.AKSEngine })
	if i < 0 {
		return nil, nil
	}
	program, err := c.options.Subjects.Build(ctx, aksengine.Program)
	if err != nil {
		return nil, err
	}
	t := c.topology()
	model := aksengine.Model{Version: c.outline.upgrades[i].Spec.Tool.From, Masters: t.ControlPlanes, Agents: t.Workers, Pool: pool(c.scenario.Spec.Cluster.Names)}
	c.tool = &aksengine.Engine{Path: program, Dir: filepath.Join(c.options.Out, plan.ToolDir, c.outline.cell.Label), Group: aksengine.Group, Public: model.Pool == aksengine.PoolScaleSet}
	state, err := c.tool.DeployDocuments(ctx, model)
	if err != nil {
		return nil, err
	}
	for _, name := range state.Machines() {
		if !slices.Contains(t.MachineNames(), name) {
			return nil, fmt.Errorf("AKS Engine has deployed a machine %s, and the cluster's are %s", name, strings.Join(t.MachineNames(), ", "))
		}
	}
	return &state.State, nil
}

// aksEngineDriver is AKS Engine's upgrade of the cluster by the twin beside it.
type aksEngineDriver struct {
	run        *cellRun
	upgrade    *upgrade.Upgrade
	kubeconfig string
}

// masterLabel is what AKS Engine finds masters by, whose nodes its own scripts label so.
const masterLabel = "node-role.kubernetes.io/master"

// Upgrade carries out the commands that are wanted, one after another. Only the last has to end well; of one that says it did what it says is looked at before
// anything else is done: what is broken meanwhile is so still.
func (d *aksEngineDriver) Upgrade(ctx context.Context) error {
	c, spec := d.run, d.upgrade.Spec
	c.tool.Twin, c.tool.CA = c.beside.Server.Ready, c.beside.Server.CA
	if err := c.tool.Connect(); err != nil {
		return err
	}
	var last aksengine.Ended
	for _, flags := range spec.Tool.Runs() {
		if spec.ControlPlaneOnly {
			flags = append(flags, "--control-plane-only")
		}
		var err error
		if last, err = c.tool.Upgrade(ctx, d.kubeconfig, spec.Tool.To, flags...); err != nil {
			return err
		}
		run := health.ToolRun{
			Command: last.Command, To: spec.To, Code: last.Code, Begun: last.Begun, Took: last.Took, Said: last.Said, Log: filepath.Join(plan.ToolDir, c.outline.cell.Label, last.Log),
		}
		if pool(c.scenario.Spec.Cluster.Names) == aksengine.PoolScaleSet {
			if err := c.forgetInstances(ctx); err != nil {
				return err
			}
		}
		if run.Code == 0 {
			c.looked(ctx, spec, &run)
		}
		c.record.Tools = append(c.record.Tools, run)
	}
	c.renamed(d.upgrade)
	if last.Code != 0 {
		return fmt.Errorf("%s ended %d: %s (its log: %s)", last.Command, last.Code, last.Said, filepath.Join(c.tool.Dir, last.Log))
	}
	return nil
}

// forgetInstances removes the Nodes of instances that are gone: the tool leaves that to the controller of the cloud, which a real cluster has and this one has not.
func (c *cellRun) forgetInstances(ctx context.Context) error {
	nodes := c.target.Client.CoreV1().Nodes()
	all, err := nodes.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("nodes of instances that are gone: %w", err)
	}
	there := c.cluster.Machines()
	for _, n := range all.Items {
		if slices.ContainsFunc(there, func(m cluster.Machine) bool { return m.Name() == n.Name }) {
			continue
		}
		if err := nodes.Delete(ctx, n.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("node of the instance %s, which is gone: %w", n.Name, err)
		}
	}
	return nil
}

// looked writes down why the cluster is not whole, and what a command was to upgrade not of the version, once it has had the time to be.
func (c *cellRun) looked(ctx context.Context, spec upgrade.Spec, run *health.ToolRun) {
	t, _, _ := c.calledNow()
	wanted, steady := health.Wanted{Topology: t, Ailing: c.record.Ailing, Versions: map[string]string{}}, health.Steady(t)
	upgraded := t.KubernetesMachines()
	if spec.ControlPlaneOnly {
		upgraded = t.ControlPlaneMachines()
	}
	for _, m := range upgraded {
		wanted.Versions[m] = spec.To
	}
	o, err := c.observer.AwaitSteady(ctx, "the cluster whole", t.RecoversWithin()+steady, steady, func(o observe.Observation) error { return health.Whole(o, wanted) })
	var late *health.UnreadError
	run.Looked, run.Unwhole, run.Unread = o.Time, describe(err), err != nil && errors.As(health.Whole(o, wanted), &late)
}

// calledNow is the cluster by what its workers are called now: AKS Engine makes one more, puts new ones in the place of the others, and never one in that of
// the last. Renamed has what the new ones were called.
func (c *cellRun) calledNow() (t cluster.Topology, there map[string]bool, renamed map[string]string) {
	t = c.topology()
	var more []string
	there, renamed = map[string]bool{}, map[string]string{}
	for _, m := range c.cluster.Machines() {
		if there[m.Name()] = true; m.Role() == cluster.Worker && !slices.Contains(t.WorkerMachines(), m.Name()) {
			more = append(more, m.Name())
		}
	}
	t.Named = t.Machines()
	for i, m := range t.Named {
		if m.Role == cluster.Worker && !there[m.Name] && len(more) > 0 {
			t.Named[i].Name, renamed[more[0]], more = more[0], m.Name, more[1:]
		}
	}
	return t, there, renamed
}

// renamed tells the run what its workers are called now.
func (c *cellRun) renamed(u *upgrade.Upgrade) {
	t, there, renamed := c.calledNow()
	c.record.Renamed, c.outline.cell.Topology, c.record.Topology, u.Topology = renamed, t, t, t
	for i := range c.outline.items { // the step may have down what was not there when it was planned
		(&plan.Plan{Steps: c.outline.items[i].steps}).Walk(func(s *plan.Step) {
			for j, d := range s.Disrupts {
				if slices.ContainsFunc(d.Machines, func(name string) bool { return !there[name] }) {
					s.Disrupts[j].Machines = slices.Concat(d.Machines, slices.Sorted(maps.Keys(renamed)))
				}
			}
		})
	}
}

// label has the nodes of masters be labelled as AKS Engine's own scripts do it.
func (d *aksEngineDriver) label(ctx context.Context) error {
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:""}}}`, masterLabel)
	for _, name := range d.run.topology().ControlPlaneMachines() {
		if _, err := d.run.target.Client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("label %s as AKS Engine's masters are: %w", name, err)
		}
	}
	return nil
}
