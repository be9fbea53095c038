package experiment

import (
	"context"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
)

// Provide gets all programs of the scenario's clusters, those they are taken to included, which may take long the first time: a run that comes after it does
// not wait for any, and takes the time that it takes.
func (s *Scenario) Provide(ctx context.Context, o Options) error {
	if s.ofTwin() {
		return nil
	}
	cells, err := s.sited(ctx, o)
	if err != nil {
		return err
	}
	for _, c := range cells {
		ol, err := s.choose(c, o.Seed)
		if err != nil {
			return err
		}
		if err := ol.provide(ctx, o.Provider, s); err != nil {
			return err
		}
		if err := release.ProvideFor(ctx, o.Provider, c.Topology); err != nil {
			return err
		}
	}
	return nil
}

// provide gets the programs of what the cluster is taken to, and of the machines that a twin beside it makes; its own its provider gets with it.
func (o *outline) provide(ctx context.Context, p cluster.Provider, s *Scenario) error {
	for _, u := range o.upgrades {
		if err := u.Provide(ctx, p); err != nil {
			return err
		}
	}
	for _, v := range s.twinVersions() {
		if err := p.Provide(ctx, release.Kubernetes, v); err != nil {
			return err
		}
	}
	return nil
}
