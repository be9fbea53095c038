package experiment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"drydock.dev/drydock/harness/azure/workers"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/health"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/harness/remedy"
	"drydock.dev/drydock/harness/subject"
	"drydock.dev/drydock/harness/subject/aksengine"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/scenarios"
)

// Scenario is a scenario file.
type Scenario struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   Metadata `yaml:"metadata"`
	Spec       Spec     `yaml:"spec"`

	sum   string // of its file
	fixed bool   // an exhibit on its fixed release
}

// Sum is the sha256 of its file, in hexadecimal digits.
func (s *Scenario) Sum() string { return s.sum }

// Metadata names a scenario and says when to run it.
type Metadata struct {
	Name   string            `yaml:"name"`
	About  string            `yaml:"about"`
	Labels map[string]string `yaml:"labels"`
}

// Spec is a cluster, what happens to it and what must hold.
type Spec struct {
	Cluster Cluster `yaml:"cluster"`
	// Exhibit names the releases in the place of the cluster: one with a known bug and one with its fix.
	Exhibit *Exhibit `yaml:"exhibit"`
	// ARM takes the place of a cluster: cloud providers against the twin of Azure Resource Manager.
	ARM *subject.ARM `yaml:"arm"`
	// Twin is a twin of Azure Resource Manager beside the cluster, whose machines are its virtual machines; nil: none.
	Twin *workers.Spec `yaml:"twin"`
	// AKSEngine takes the place of a cluster as well: AKS Engine's own upgrade against the twin and a stand-in for the cluster.
	AKSEngine *aksengine.Story `yaml:"aksEngine"`
	// CloudProvider runs on the control planes and has the twin for its cloud; nil: none.
	CloudProvider *subject.Component `yaml:"cloudProvider"`
	// Workload runs during the scenario; without replicas there is none.
	Workload load.WorkloadSpec `yaml:"workload"`
	// Load is quiet where nobody is to write but the traffic of the steps: no probes, no recorded clients. Empty: both.
	Load    string   `yaml:"load"`
	Matrix  Matrix   `yaml:"matrix"` // one cluster a value
	Steps   []Step   `yaml:"steps"`
	Always  []Check  `yaml:"always"`
	Finally []Check  `yaml:"finally"`
	Not     []string `yaml:"notTested"` // what a reader might take for tested: "what: why"
}

// Cluster is the topology asked for.
type Cluster struct {
	ControlPlanes int    `yaml:"controlPlanes"`
	Workers       int    `yaml:"workers"`
	VMWorkers     int    `yaml:"vmWorkers"` // of the workers, the last ones: each has a kernel of its own
	Etcd          string `yaml:"etcd"`
	EtcdMembers   int    `yaml:"etcdMembers"`
	Version       string `yaml:"version"`
	EtcdVersion   string `yaml:"etcdVersion"` // empty: kubeadm's own where it runs etcd, and the newest known elsewhere
	Timing        string `yaml:"timing"`
	Names         string `yaml:"names"` // whose the machines' are: NamesAKSEngine, NamesAKSEngineVMSS; empty: the provider's
	// EtcdQuota is the size at which the members' databases are full.
	EtcdQuota cluster.Size `yaml:"etcdQuota"`
	// EtcdDisk is the size of a disk that each member has of its own, which can be full.
	EtcdDisk cluster.Size `yaml:"etcdDisk"`
	// EtcdFlags are flags that the members are started with besides, of a short list: {snapshot-count: "100"}.
	EtcdFlags map[string]string `yaml:"etcdFlags"`
	// ExcludeDisruption labels the control planes' nodes so that the node life cycle controller counts the workers alone when it asks whether all nodes
	// are lost (node.kubernetes.io/exclude-disruption).
	ExcludeDisruption bool `yaml:"excludeDisruption"`
}

// Matrix multiplies a scenario.
type Matrix struct {
	EtcdMembers []int `yaml:"etcdMembers"`
}

// Step is one thing that happens: a fault, several at the same time, a storm of them, an upgrade, a remedy, a change of the workload's budget, scripted traffic, or time that passes under load.
type Step struct {
	Observe    time.Duration      `yaml:"observe"`
	Fault      *Fault             `yaml:"fault"`
	During     []Check            `yaml:"during"`
	When       *Event             `yaml:"when"`  // the fault waits for
	Times      int                `yaml:"times"` // that the step's faults happen; 0: once
	Calm       time.Duration      `yaml:"calm"`  // from the end of one time to the next
	Storm      *Storm             `yaml:"storm"`
	Upgrade    *upgrade.Spec      `yaml:"upgrade"`
	Faults     []Placed           `yaml:"faults"`     // at the upgrade's or the remedy's steps; without one, at the same time
	KillDriver KillDriver         `yaml:"killDriver"` // the process that upgrades or mends is killed
	Remedy     *remedy.Spec       `yaml:"remedy"`     // a runbook; with fault it is what ends it
	Workload   *load.WorkloadSpec `yaml:"workload"`   // only its minAvailable can change
	Traffic    []load.Traffic     `yaml:"traffic"`    // sent to etcd, one entry after another; beside a fault while that holds, which goes on for so long afterwards
	Expect     string             `yaml:"expect"`     // of a fault quorumLost, of an upgrade or a remedy refused or failed: the scenario wants it
	Says       string             `yaml:"says"`       // what the error of a refused or failed upgrade or remedy must contain
}

// ExpectQuorumLost allows a fault that leaves no quorum.
const ExpectQuorumLost = "quorumLost"

// Quiet is the load of a scenario in which nobody writes but its traffic.
const Quiet = "quiet"

// ExpectWritesRefused allows a fault that has every member refuse what writes.
const ExpectWritesRefused = "writesRefused"

// Check is one entry of health.Checks with its parameters.
type Check struct {
	Name   string
	Params health.Params
	line   int
}

// UnmarshalYAML reads `NAME` or `NAME: {param: value}`.
func (c *Check) UnmarshalYAML(n *yaml.Node) error {
	c.line = n.Line
	if n.Kind == yaml.ScalarNode {
		c.Name = n.Value
		return nil
	}
	name, body, err := single(n)
	if err != nil {
		return err
	}
	c.Name = name
	return strict(body, &c.Params)
}

func single(n *yaml.Node) (string, *yaml.Node, error) {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		return "", nil, fmt.Errorf("line %d: want one name with its parameters", n.Line)
	}
	return n.Content[0].Value, n.Content[1], nil
}

// strict decodes a node refusing fields the target does not have; yaml.v3 forgets KnownFields inside UnmarshalYAML.
func strict(n *yaml.Node, into any) error {
	raw, err := yaml.Marshal(n)
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		said := regexp.MustCompile(`(^|\n\s*)line \d+: `).ReplaceAllString(explain(err), "$1") // the lines are those of what was written here
		return fmt.Errorf("line %d: %s", n.Line, said)
	}
	return nil
}

// Parse reads a scenario; every mistake is a UsageError with the file's name and the line.
func Parse(name string, raw []byte) (*Scenario, error) {
	var s Scenario
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil {
		return nil, cluster.Usagef("%s: %s", name, explain(err))
	}
	if s.APIVersion != "drydock.dev/v1alpha1" || s.Kind != "Scenario" {
		return nil, cluster.Usagef("%s: apiVersion %q, kind %q; want drydock.dev/v1alpha1, Scenario", name, s.APIVersion, s.Kind)
	}
	if s.Metadata.Name == "" {
		return nil, cluster.Usagef("%s: metadata.name is missing", name)
	}
	if err := cluster.CheckName("metadata.name", s.Metadata.Label()); err != nil {
		return nil, cluster.Usagef("%s: %w", name, err)
	}
	if err := s.validate(); err != nil {
		return nil, cluster.Usagef("%s: %w", name, err)
	}
	s.sum = sumOf(raw)
	return &s, nil
}

// museum is the one directory that a scenario's name may have before it; its clusters and runs are called by the rest.
const museum = "museum/"

// Label is the name as clusters and directories have it.
func (m Metadata) Label() string { return strings.TrimPrefix(m.Name, museum) }

func (s *Scenario) validate() error {
	if s.ofTwin() {
		return s.validateStory()
	}
	if len(s.Spec.Steps) == 0 {
		return errors.New("spec.steps is empty: nothing would happen")
	}
	if e := s.Spec.Exhibit; e != nil {
		if err := e.validate(s); err != nil {
			return fmt.Errorf("spec.exhibit: %w", err)
		}
		*s = e.Bad.on(*s)
	}
	for i, st := range s.Spec.Steps {
		if err := st.validate(); err != nil {
			return fmt.Errorf("spec.steps[%d]: %w", i, err)
		}
	}
	if l := s.Spec.Load; l != "" && l != Quiet {
		return fmt.Errorf("spec.load is %q; known: %s, and nothing for probes and recorded clients", l, Quiet)
	}
	if s.Spec.Load == Quiet && s.Spec.Cluster.Etcd != string(cluster.EtcdOnly) {
		return fmt.Errorf("spec.load: %s is for etcd: only: Kubernetes writes whoever else does not", Quiet)
	}
	if s.Spec.Cluster.ExcludeDisruption && s.Spec.Cluster.Etcd == string(cluster.EtcdOnly) {
		return errors.New("spec.cluster: excludeDisruption: a cluster with etcd: only has no nodes to label")
	}
	if err := errors.Join(s.validateTwin(), s.validateCloud(), s.validateAKSEngine()); err != nil {
		return err
	}
	if err := s.validateWorkload(); err != nil {
		return fmt.Errorf("spec.workload: %w", err)
	}
	checks := s.checks()
	for _, when := range slices.Sorted(maps.Keys(checks)) {
		for _, c := range checks[when] {
			if _, err := health.FindCheck(AllChecks(), c.Name, when); err != nil {
				return fmt.Errorf("line %d: %w", c.line, err)
			}
			if s.Spec.Cluster.Etcd == string(cluster.EtcdOnly) && slices.Contains(health.OfKubernetes(), c.Name) {
				return fmt.Errorf("line %d: %s is of Kubernetes, and the cluster is etcd: only: it would have nothing to judge by", c.line, c.Name)
			}
			if err := c.Params.Fits(c.Name); err != nil {
				return fmt.Errorf("line %d: %w", c.line, err)
			}
		}
	}
	cells, err := s.Cells()
	if err != nil {
		return err
	}
	return s.validateMembers(cells)
}

// checks are those that the scenario names, by when they are made.
func (s *Scenario) checks() map[string][]Check {
	out := map[string][]Check{"always": s.Spec.Always, "finally": s.Spec.Finally}
	for _, st := range s.Spec.Steps {
		out["during"] = append(out["during"], st.During...)
		for _, p := range st.Faults {
			out["during"] = append(out["during"], p.During...)
		}
	}
	return out
}

func (s *Scenario) validateWorkload() error {
	w := s.Spec.Workload
	if err := w.Validate(); err != nil {
		return err
	}
	if (w.Existing != nil || w.Replicas > 0) && s.Spec.Cluster.Etcd == string(cluster.EtcdOnly) {
		return errors.New("a cluster with etcd: only has no workload")
	}
	return nil
}

// procedure reports whether the step is carried out by steps of its own, which faults can be placed at.
func (st Step) procedure() bool { return st.Upgrade != nil || st.Remedy != nil }

func (st Step) validate() error {
	kinds := 0
	for _, set := range []bool{
		st.Fault != nil && st.Remedy == nil, st.Observe != 0, st.Upgrade != nil, st.Remedy != nil, st.Workload != nil, st.Storm != nil, !st.procedure() && len(st.Faults) > 0, len(st.Traffic) > 0 && st.Fault == nil,
	} {
		if set {
			kinds++
		}
	}
	expects := []string{"", ExpectQuorumLost, ExpectWritesRefused}
	if st.procedure() {
		expects = []string{"", ExpectRefused, ExpectFailed}
	}
	if st.Remedy != nil && st.Fault != nil {
		expects = append(expects, ExpectQuorumLost, ExpectWritesRefused)
	}
	switch {
	case kinds != 1:
		return errors.New("want one of fault, faults, storm, upgrade, remedy, workload, traffic and observe; a fault beside a remedy is what it mends, traffic beside a fault is sent while that holds")
	case st.Workload != nil && !st.Workload.BudgetOnly():
		return errors.New("workload: only its minAvailable can change; all else belongs to spec.workload")
	case st.Observe < 0:
		return fmt.Errorf("observe is %s; it cannot be negative", st.Observe)
	case !slices.Contains(expects, st.Expect):
		return fmt.Errorf("expect is %q; known here: %s", st.Expect, strings.Join(expects[1:], ", "))
	case !st.procedure() && (st.KillDriver != KillDriver{} || st.Says != ""):
		return errors.New("killDriver and says belong to an upgrade or a remedy")
	case slices.Contains([]string{ExpectRefused, ExpectFailed}, st.Expect) && st.Says == "":
		return fmt.Errorf("expect: %s needs says: a part of the error, so that another failure does not pass for it", st.Expect)
	case st.Remedy != nil && st.Times > 1:
		return errors.New("times belongs to faults that end by themselves: a remedy mends one, once")
	case len(st.Faults) > 0 && st.KillDriver != KillDriver{}:
		return errors.New("faults and killDriver cannot be combined: the faults are of this process, and the upgrade of another")
	}
	if err := errors.Join(st.validateFaults(), st.validateTraffic()); err != nil || st.Storm == nil {
		return err
	}
	return st.Storm.validate()
}

// AllChecks are the checks a scenario can name, of every package that has some.
func AllChecks() []health.CheckKind { return append(health.Checks(), upgrade.Checks()...) }

// Cell is one cluster of a scenario's matrix.
type Cell struct {
	Label    string // empty without a matrix
	Topology cluster.Topology
	Warnings []string
	Lacks    cluster.Lacks   // what the machines cannot do where it runs
	On       cluster.Cluster // that is up already; nil: one is made
	ReadOnly bool            // On is looked at only
}

// lacking says why the machines that the scenario asks for cannot be made where it would run; empty: they can.
func (c Cell) lacking() string {
	if c.Topology.VMWorkers == 0 || c.On != nil {
		return ""
	}
	return c.Lacks.Why(cluster.CanKernel)
}

// Cells multiplies the scenario out.
func (s *Scenario) Cells() ([]Cell, error) {
	if s.ofTwin() {
		return nil, nil
	}
	c := s.Spec.Cluster
	base := cluster.Topology{
		Name: s.Metadata.Label(), ControlPlanes: c.ControlPlanes, Workers: c.Workers, VMWorkers: c.VMWorkers, Etcd: cluster.EtcdLayout(c.Etcd), EtcdMembers: c.EtcdMembers,
		Version: c.Version, EtcdVersion: c.EtcdVersion, Timing: cluster.Timing(c.Timing), EtcdQuota: c.EtcdQuota, EtcdDisk: c.EtcdDisk, EtcdFlags: c.EtcdFlags, Called: called(c.Names),
	}
	if len(s.Spec.Matrix.EtcdMembers) == 0 {
		t, warnings, err := release.CompleteTopology(base)
		return []Cell{{Topology: t, Warnings: warnings}}, err
	}
	var out []Cell
	for _, n := range s.Spec.Matrix.EtcdMembers {
		t := base
		t.EtcdMembers = n
		t.Name = fmt.Sprintf("%s-%d", base.Name, n)
		full, warnings, err := release.CompleteTopology(t)
		if err != nil {
			return nil, err
		}
		out = append(out, Cell{Label: fmt.Sprintf("members=%d", n), Topology: full, Warnings: warnings})
	}
	return out, nil
}

// Load reads an embedded scenario by name, or a file by its path.
func Load(nameOrFile string) (*Scenario, error) {
	name, raw, err := Source(nameOrFile)
	if err != nil {
		return nil, err
	}
	return Parse(name, raw)
}

// Source is the text of an embedded scenario or of a file, and what that is called in messages.
func Source(nameOrFile string) (name string, raw []byte, err error) {
	if raw, err = scenarios.Read(nameOrFile); err == nil {
		return nameOrFile + ".yaml", raw, nil
	}
	raw, err = os.ReadFile(nameOrFile)
	if err != nil {
		if filepath.Ext(nameOrFile) == "" {
			return "", nil, cluster.Usagef("unknown scenario %q; known: %s; or give a file", nameOrFile, strings.Join(scenarios.Names(), ", "))
		}
		return "", nil, &cluster.UsageError{Err: err}
	}
	return nameOrFile, raw, nil
}
