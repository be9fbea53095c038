package experiment

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/release"
)

// Fault is one entry of fault.List with its target and duration.
type Fault struct {
	Kind    string
	Target  string
	For     time.Duration
	Apart   time.Duration // between two of its machines
	From    []string      // across from the target
	Way     cluster.Way   // of what is lost between the two
	Version string        // of the program, for faults in one version's programs
	until   bool          // no duration was given
}

// UnmarshalYAML reads `NAME: {target: T, for: D}`.
func (f *Fault) UnmarshalYAML(n *yaml.Node) error {
	name, body, err := single(n)
	if err != nil {
		return err
	}
	if _, err := fault.Find(name); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	var p struct {
		Target  string        `yaml:"target"`
		For     time.Duration `yaml:"for"`
		Apart   time.Duration `yaml:"apart"`
		Version string        `yaml:"version"`
		From    []string      `yaml:"from"`
		Way     cluster.Way   `yaml:"way"`
	}
	if err := strict(body, &p); err != nil {
		return err
	}
	if p.For < 0 || p.Apart < 0 {
		return fmt.Errorf("line %d: for is %s, apart %s; neither can be negative", n.Line, p.For, p.Apart)
	}
	if p.Apart > 0 && !fault.Staggers(name) {
		return fmt.Errorf("line %d: %s takes no apart: it is done to all its machines at once", n.Line, name)
	}
	if fault.Divides(name) && p.Way == "" {
		p.Way = cluster.BothWays
	}
	switch ways := []cluster.Way{cluster.BothWays, cluster.Outbound, cluster.Inbound}; {
	case !fault.Divides(name) && (len(p.From) > 0 || p.Way != ""):
		return fmt.Errorf("line %d: %s takes no from and no way: it is not between machines", n.Line, name)
	case fault.Divides(name) && !slices.Contains(ways, p.Way):
		return fmt.Errorf("line %d: way is %q; known: %s, %s (what the target sends is lost), %s (what is sent to it)", n.Line, p.Way, ways[0], ways[1], ways[2])
	}
	if p.Target == "" {
		p.Target = fault.Any
	}
	if p.Version != "" {
		v, err := release.Resolve(release.Kubernetes, p.Version)
		if err != nil {
			return fmt.Errorf("line %d: %w", n.Line, err)
		}
		p.Version = v.Version
	}
	if f.until = p.For == 0; f.until {
		p.For = defaultHold
	}
	*f = Fault{Kind: name, Target: p.Target, For: p.For, Apart: p.Apart, From: p.From, Way: p.Way, Version: p.Version, until: f.until}
	return nil
}

// choose makes all choices of the fault.
func (f *Fault) choose(t cluster.Topology, rng *rand.Rand) (fault.Spec, error) {
	s, err := fault.NewSpec(f.Kind, f.Target, f.For, t, rng)
	if err != nil {
		return s, err
	}
	s.Version, s.Apart, s.From, s.Way = f.Version, f.Apart, f.From, f.Way
	return s, s.Fits(t)
}
