package aksengine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/plan"
)

// Story is a scenario without a lab: AKS Engine deploys a cluster and upgrades it, once for every thing that goes wrong, each time against a twin of its own
// with a stand-in for the cluster. Each upgrade is followed by what a user does next: the same command again, and then with --force. Other strategies do the
// same beside it, each in cells of its own.
type Story struct {
	From    string `yaml:"from"` // versions of Kubernetes
	To      string `yaml:"to"`
	Masters int    `yaml:"masters"`
	Agents  int    `yaml:"agents"`
	Pool    string `yaml:"pool"`   // AvailabilitySet or VirtualMachineScaleSets
	Policy  string `yaml:"policy"` // what the twins throttle by
	Clock   string `yaml:"clock"`  // of the twins: how many times as fast as the wall's. The tool and the cluster go by the wall's
	// Strategies are those of Strategies that upgrade, each in every cell that does not name one; none: AKS Engine alone.
	Strategies []string    `yaml:"strategies"`
	AtOnce     int         `yaml:"atOnce"` // cells at the same time
	Patience   Span        `yaml:"patience"`
	VMTimeout  int         `yaml:"vmTimeout"` // minutes: the tool's --vm-timeout
	Throttled  []Throttled `yaml:"throttled"`
	Cells      []Cell      `yaml:"cells"`
}

// Span is a duration as YAML has it.
type Span = time.Duration

// Throttled are cells: each of the operations, for each master, for each of the windows.
type Throttled struct {
	Operations []string `yaml:"operations"` // of Operations
	Polls      bool     `yaml:"polls"`      // those of them, and not their beginnings
	RetryAfter int      `yaml:"retryAfter"` // seconds, as the tool is told
	Windows    []Span   `yaml:"windows"`    // from the first call that is struck, by the wall's clock
}

// Cell is one thing that goes wrong; nothing, if it says nothing.
type Cell struct {
	Name string `yaml:"name" json:"name"`
	// Strategy is who upgrades in it; empty: each of the story's in turn.
	Strategy string `yaml:"strategy" json:"strategy,omitempty"`
	// Fault is the twin's while the first upgrade runs; its for is by the wall's clock, from the first call that it strikes.
	Fault *azure.Fault `yaml:"fault" json:"fault,omitempty"`
	// Lost is a master, by its number, that loses its power for good when the first upgrade has ended.
	Lost *int `yaml:"lost" json:"lost,omitempty"`
	// DeadKubelet is a master whose kubelet ends as soon as its new machine is provisioned.
	DeadKubelet *int `yaml:"deadKubelet" json:"deadKubelet,omitempty"`
}

// replaces are the operations by which a master is replaced, each with what it is on: by the master's number.
type replaces struct{ short, operation, resource string }

func operations() []replaces {
	return []replaces{
		{"DELETE virtualMachines", "DELETE Microsoft.Compute/virtualMachines", "virtualMachines/k8s-master-*-%d"},
		{"DELETE networkInterfaces", "DELETE Microsoft.Network/networkInterfaces", "networkInterfaces/k8s-master-*-nic-%d"},
		{"DELETE disks", "DELETE Microsoft.Compute/disks", "disks/k8s-master-*-%d_OsDisk*"},
		{createDeployments, "CREATE Microsoft.Resources/deployments", "deployments/k8s-upgrade-master-%d-*"},
	}
}

// A deployment has the name that whoever makes it gives it: replacesBy is that of the strategy replace, of a master of the clusters that are deployed here.
const (
	createDeployments = "CREATE deployments"
	replacesBy        = "deployments/drydock-replace-k8s-master-" + clusterID + "-%d-*"
)

func operationNames() (names []string) {
	for _, o := range operations() {
		names = append(names, o.short)
	}
	return names
}

// Validate says what is wrong with it.
func (s *Story) Validate() error {
	switch {
	case s.From == "" || s.To == "":
		return errors.New("from and to are versions of Kubernetes that AKS Engine v0.79.0 knows: 1.23.17, 1.24.17")
	case s.Masters != 1 && s.Masters != 3 && s.Masters != 5 || s.Agents < 0 || s.Agents > 20:
		return fmt.Errorf("masters is %d, agents is %d: AKS Engine makes 1, 3 or 5 masters; at most 20 agents", s.Masters, s.Agents)
	case s.Pool != PoolAvailabilitySet && s.Pool != PoolScaleSet:
		return fmt.Errorf("pool is %q; known: %s, %s", s.Pool, PoolAvailabilitySet, PoolScaleSet)
	case slices.ContainsFunc(s.Strategies, func(name string) bool { return !slices.Contains(Strategies(), name) }):
		return fmt.Errorf("strategies are %q; known: %s", s.Strategies, strings.Join(Strategies(), ", "))
	case s.AtOnce < 1 || s.Patience <= 0 || s.VMTimeout < 0:
		return errors.New("atOnce and patience must be above 0, vmTimeout not below it")
	}
	if _, err := throttle.LoadPolicy(s.Policy); err != nil {
		return err
	}
	clock, err := arm.ParseClock(s.Clock)
	if err != nil {
		return err
	}
	if _, still := clock.(*arm.VirtualClock); still {
		return errors.New("clock is virtual: the tool waits by the wall's, and nobody would move the twin's")
	}
	for i, t := range s.Throttled {
		if err := t.check(); err != nil {
			return fmt.Errorf("throttled[%d]: %w", i, err)
		}
	}
	return s.checkCells()
}

func (t Throttled) check() error {
	if len(t.Operations) == 0 || len(t.Windows) == 0 {
		return errors.New("operations or windows is empty: it would be no cell")
	}
	for _, o := range t.Operations {
		if !slices.Contains(operationNames(), o) {
			return fmt.Errorf("operation %q; known: %s", o, strings.Join(operationNames(), ", "))
		}
	}
	for _, w := range t.Windows {
		if w <= 0 {
			return fmt.Errorf("window %s must be above 0", w)
		}
	}
	return nil
}

func (s *Story) checkCells() error {
	all, seen := s.All(), map[string]bool{}
	if len(all) == 0 {
		return errors.New("throttled and cells are empty: nothing would be tested")
	}
	for _, c := range all {
		switch {
		case c.Name == "" || seen[c.label()]:
			return fmt.Errorf("cell %q: each needs a name of its own", c.Name)
		case !slices.Contains(Strategies(), c.Strategy):
			return fmt.Errorf("cell %q: strategy is %q; known: %s", c.Name, c.Strategy, strings.Join(Strategies(), ", "))
		case c.Lost != nil && (*c.Lost < 0 || *c.Lost >= s.Masters) || c.DeadKubelet != nil && (*c.DeadKubelet < 0 || *c.DeadKubelet >= s.Masters):
			return fmt.Errorf("cell %q: there are masters 0 to %d", c.Name, s.Masters-1)
		case c.Fault != nil && c.Fault.For < 0:
			return fmt.Errorf("cell %q: for cannot be negative", c.Name)
		}
		seen[c.label()] = true
		if c.Fault != nil {
			if err := c.Fault.Check(); err != nil {
				return fmt.Errorf("cell %q: %w", c.Name, err)
			}
		}
	}
	return nil
}

// All are the cells: those that are throttled, multiplied out, and then the others, each with who upgrades in it.
func (s *Story) All() []Cell {
	var out []Cell
	strategies := s.Strategies
	if len(strategies) == 0 {
		strategies = []string{ByAKSEngine}
	}
	for _, t := range s.Throttled {
		for _, short := range t.Operations {
			for master := range s.Masters {
				for _, w := range t.Windows {
					for _, by := range strategies {
						out = append(out, t.cell(by, short, master, w))
					}
				}
			}
		}
	}
	for _, c := range s.Cells {
		if c.Strategy != "" {
			out = append(out, c)
			continue
		}
		for _, c.Strategy = range strategies {
			out = append(out, c)
		}
	}
	return out
}

func (t Throttled) cell(by, short string, master int, window Span) Cell {
	i := slices.Index(operationNames(), short)
	if i < 0 {
		return Cell{}
	}
	o, what := operations()[i], "start"
	if by == ByReplace && short == createDeployments {
		o.resource = replacesBy
	}
	if t.Polls {
		what = "polls"
	}
	return Cell{
		Strategy: by,
		Name:     fmt.Sprintf("%s of %s of master %d throttled for %s", what, short, master, window),
		Fault:    &azure.Fault{Kind: azure.FaultThrottle, Operations: []string{o.operation}, Resource: fmt.Sprintf(o.resource, master), Polls: t.Polls, RetryAfter: t.RetryAfter, For: window},
	}
}

// label tells a cell from all others.
func (c Cell) label() string {
	if c.Strategy == "" { // evidence of before there was more than one
		return c.Name
	}
	return c.Strategy + ": " + c.Name
}

// armed is the fault as the twin has it, which is told when it is over.
func (c Cell) armed() azure.Fault {
	f := *c.Fault
	f.For = 0
	return f
}

// about says what goes wrong in a cell.
func (c Cell) about() string {
	var out []string
	if f := c.Fault; f != nil {
		what := c.armed().Describe()
		if f.For > 0 {
			what += ", " + f.For.String() + " from the first call that it strikes"
		}
		out = append(out, what)
	}
	if c.DeadKubelet != nil {
		out = append(out, fmt.Sprintf("the kubelet of the new master %d ends once its machine is provisioned", *c.DeadKubelet))
	}
	if c.Lost != nil {
		out = append(out, fmt.Sprintf("master %d loses its power when the first upgrade has ended", *c.Lost))
	}
	if len(out) == 0 {
		return "nothing goes wrong"
	}
	return strings.Join(out, "; ")
}

// Steps is the plan.
func (r *Run) Steps() []*plan.Step {
	s := r.Story
	pool := "an availability set"
	if s.Pool == PoolScaleSet {
		pool = "a scale set"
	}
	group := &plan.Step{
		Name: "cells", Parallel: true,
		About: fmt.Sprintf("each with a twin of its own (%s policy, clock ×%s) and a stand-in for the cluster, %d at a time; in each: an upgrade to %s, the same again, and with --force", s.Policy, s.Clock, s.AtOnce, s.To),
	}
	for i, c := range s.All() {
		group.Children = append(group.Children, &plan.Step{Name: "cells/" + c.label(), About: c.about(), Run: func(ctx context.Context) error { return r.cell(ctx, i, c) }})
	}
	return []*plan.Step{
		{Name: "build aks-engine", About: "v0.79.0, unmodified: four minutes the first time", Run: r.build},
		{Name: "deploy", About: fmt.Sprintf("aks-engine deploy of %s: %d masters, and %d agents in %s", s.From, s.Masters, s.Agents, pool), Run: r.deploy},
		group,
	}
}
