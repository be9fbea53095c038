package experiment

import (
	"fmt"
	"math/rand/v2"
	"time"

	"go.yaml.in/yaml/v3"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/release"
)

// Fault is one entry of fault.List with its target, its duration and what else it takes.
type Fault struct {
	Kind   string
	Target string
	For    time.Duration
	fault.Params
	until bool // no duration was given
}

// UnmarshalYAML reads `NAME: {target: T, for: D}`, beside these what the fault takes.
func (f *Fault) UnmarshalYAML(n *yaml.Node) error {
	name, body, err := single(n)
	if err != nil {
		return err
	}
	k, err := fault.Find(name)
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	var p faultBody
	if err := strict(body, &p); err != nil {
		return err
	}
	if p.For < 0 {
		return fmt.Errorf("line %d: for is %s; it cannot be negative", n.Line, p.For)
	}
	if err := k.Check(p.Params); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	if p.Target == "" {
		p.Target = k.Target()
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
	*f = Fault{Kind: name, Target: p.Target, For: p.For, Params: p.Params, until: f.until}
	return nil
}

// choose makes all choices of the fault.
func (f *Fault) choose(t cluster.Topology, rng *rand.Rand) (fault.Spec, error) {
	return fault.NewSpec(f.Kind, f.Target, f.For, f.Params, t, rng)
}
