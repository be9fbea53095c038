// Package staging attaches to a cluster that exists, by its kubeconfig and by SSH, and never makes or removes a machine. Nothing of Drydock is
// installed on the machines: what is done there is done by a shell, and what can be undone there undoes itself after a time.
//
// Of sigs.k8s.io/e2e-framework it uses klient's resources, to read what the cluster is (Nodes, the control plane's pods, kubeadm's ConfigMap) and to
// take and renew the maintenance Lease, with klient's wait around it. Whatever runs while things are broken is the engine's own, and goes by the contract.
package staging

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// Provider attaches to the one cluster that the inventory describes.
type Provider struct {
	Inventory string // path of the file
	Typed     string // the cluster's own name, typed by whoever knows what may be broken
	StateDir  string
}

var (
	_ cluster.Provider = (*Provider)(nil)
	_ cluster.Lasting  = (*Provider)(nil)
	_ cluster.Sweeper  = (*Provider)(nil)
)

// Name is staging.
func (*Provider) Name() string { return "staging" }

// Lasts is true: the clusters were there before and stay.
func (*Provider) Lasts() bool { return true }

// errNeverMade is why Up, Offer and Down are refused.
var errNeverMade = cluster.Usagef("the staging provider makes and removes no machines: it attaches to the cluster of --inventory, whose own name is to be typed: --i-know-this-is-staging NAME")

// Offer refuses.
func (*Provider) Offer(context.Context, cluster.Topology) (cluster.Offer, error) {
	return cluster.Offer{}, errNeverMade
}

// Up refuses.
func (*Provider) Up(context.Context, cluster.Topology) (cluster.Cluster, error) {
	return nil, errNeverMade
}

// Down refuses.
func (*Provider) Down(context.Context, string) error { return errNeverMade }

// Provide has nothing to get: the user's own program upgrades, with what it brings.
func (*Provider) Provide(context.Context, string, string) error { return nil }

// List names the cluster of the inventory; that it cannot be found is an error and not an empty list.
func (p *Provider) List(ctx context.Context) ([]string, error) {
	_, _, found, err := p.find(ctx)
	if err != nil {
		return nil, err
	}
	return []string{found.Topology.Name}, nil
}

// Attach finds the cluster and asks its machines what they can do.
func (p *Provider) Attach(ctx context.Context, name string) (cluster.Cluster, error) {
	inv, k, found, err := p.find(ctx)
	if err != nil {
		return nil, err
	}
	if own := found.Topology.Name; name != own {
		return nil, cluster.Usagef("the cluster of inventory %s calls itself %q, and not %q: nothing was touched", p.Inventory, own, name)
	}
	c, err := p.open(ctx, inv, k, found)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// open connects to the machines of the cluster that was found.
func (p *Provider) open(ctx context.Context, inv *Inventory, k *kube, found *plot) (*Cluster, error) {
	l, err := inv.logins()
	if err != nil {
		return nil, err
	}
	c := newCluster(inv, l, k, found)
	c.typed, c.stateDir = p.Typed, p.StateDir
	if err := c.ask(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// Sweep removes the maintenance lock of a process that was killed. What it has broken is undone by its journal, or by the machines.
func (p *Provider) Sweep(ctx context.Context, tell func(name, found string)) error {
	inv, k, found, err := p.find(ctx)
	if err != nil {
		return err
	}
	c, err := p.open(ctx, inv, k, found)
	if err != nil {
		return err
	}
	removed, err := c.sweep(ctx)
	for _, who := range removed {
		tell(c.topology.Name, "the maintenance lock of "+who+", which has ended, is removed")
	}
	return errors.Join(err, c.close())
}

// find reads the inventory and asks the API server what the cluster is. One that does not answer was asked before, perhaps.
func (p *Provider) find(ctx context.Context) (*Inventory, *kube, *plot, error) {
	inv, err := readInventory(p.Inventory)
	if err != nil {
		return nil, nil, nil, err
	}
	if inv.Etcd == cluster.EtcdOnly {
		found := &plot{Topology: cluster.Topology{Name: inv.Cluster, Etcd: cluster.EtcdOnly, Timing: cluster.TimingFast}} // etcd's defaults are fast
		for _, h := range inv.Machines {
			found.Places = append(found.Places, outside(h, inv))
		}
		found.complete()
		return inv, nil, found, found.keep(p.StateDir)
	}
	k, err := readKubeconfig(inv.path(inv.Kubeconfig))
	if err != nil {
		return nil, nil, nil, err
	}
	found, err := k.survey(ctx, inv)
	if err == nil {
		if err := cluster.CheckName("cluster", found.Topology.Name); err != nil {
			return nil, nil, nil, err
		}
		return inv, k, found, found.keep(p.StateDir)
	}
	var usage *cluster.UsageError
	if before := remembered(p.StateDir, k.server, inv); before != nil && !errors.As(err, &usage) {
		return inv, k, before, nil
	}
	return nil, nil, nil, cluster.Usagef("the API server at %s was asked what the cluster is: %w", k.server, err)
}

// close ends all connections.
func (c *Cluster) close() error {
	var errs []error
	for _, m := range c.machines {
		errs = append(errs, m.remote.close())
	}
	return errors.Join(errs...)
}

// Allow refuses what the inventory does not allow, what would break more at a time than it allows or than etcd tolerates, and what would last longer
// than the machines wait before they undo it; also everything while the cluster's own name was not typed.
func (c *Cluster) Allow(acts []cluster.Act) error {
	if len(acts) == 0 {
		return nil
	}
	if err := c.named(); err != nil {
		return err
	}
	var bad []string
	for _, a := range acts {
		if !slices.Contains(c.inventory.Faults, a.Fault) {
			bad = append(bad, a.Fault+" is not among the inventory's faults ("+strings.Join(c.inventory.Faults, ", ")+")")
		}
		if a.Machines > c.inventory.BlastRadius {
			bad = append(bad, fmt.Sprintf("%s breaks %d machines at a time, and blastRadius is %d", a.Fault, a.Machines, c.inventory.BlastRadius))
		}
		if most := cluster.Tolerance(c.topology.EtcdMembers); a.Members > most {
			bad = append(bad, fmt.Sprintf("%s takes %d of %d etcd members away, which tolerate %d", a.Fault, a.Members, c.topology.EtcdMembers, most))
		}
		if a.For >= c.inventory.DeadMan {
			bad = append(bad, fmt.Sprintf("%s is to last %s, and the machines undo it after %s (deadMan)", a.Fault, a.For, c.inventory.DeadMan))
		}
	}
	if len(bad) > 0 {
		return cluster.Usagef("cluster %q: %s: nothing was touched", c.topology.Name, strings.Join(bad, "; "))
	}
	return nil
}

// named refuses everybody who has not typed the cluster's own name.
func (c *Cluster) named() error {
	if c.typed == c.topology.Name {
		return nil
	}
	if c.typed == "" {
		return cluster.Usagef("cluster %q exists for somebody: type its name, --i-know-this-is-staging NAME, to have it broken or changed: nothing was touched", c.topology.Name)
	}
	return cluster.Usagef("--i-know-this-is-staging %s: the cluster calls itself %q: nothing was touched", c.typed, c.topology.Name)
}
