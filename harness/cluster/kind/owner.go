package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/owner"
	"drydock.dev/drydock/harness/lock"
	"drydock.dev/drydock/harness/wholefile"
)

// A cluster has a directory of this host, StateDir/kind/clusters/NAME, from before its first container until after its last. What Docker has and no
// directory speaks of was not made by us, and is left alone. Its owner is as the lab's: who makes or removes it, and until it is released its maker.

const recordFile = "cluster.json"

// record is what is kept of a cluster.
type record struct {
	Topology cluster.Topology `json:"topology"`
	Lacks    cluster.Lacks    `json:"lacks,omitempty"`
	Profile  cluster.Profile  `json:"profile"`
	Image    string           `json:"image"`
	Machines []place          `json:"machines,omitempty"` // none: it is not made yet
	Balancer *place           `json:"balancer,omitempty"` // of several control planes
	Kept     bool             `json:"kept"`               // it was released: it goes on without its maker
}

// place is a container and the address it has for good.
type place struct {
	Name string       `json:"name"`
	Role cluster.Role `json:"role,omitempty"`
	Addr string       `json:"addr"`
}

func (p *Provider) registry() owner.Registry {
	return owner.Registry{Word: "cluster", StateDir: p.StateDir, Clusters: filepath.Join("kind", "clusters"), Locks: filepath.Join("kind", "locks")}
}

func readRecord(dir string) (record, error) {
	var r record
	raw, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("%s: %w", filepath.Join(dir, recordFile), err)
	}
	return r, nil
}

func (r record) write(dir string) error {
	return wholefile.WriteJSON(filepath.Join(dir, recordFile), 0o600, r)
}

// List names the clusters that have containers.
func (p *Provider) List(ctx context.Context) ([]string, error) {
	ours := p.registry().Names()
	if len(ours) == 0 {
		return nil, nil
	}
	raw, err := p.cli().out(ctx, "ps", "--all", "--filter", "label="+kindLabel, "--format", `{{.Label "`+kindLabel+`"}}`)
	if err != nil {
		return nil, err
	}
	there := strings.Fields(raw)
	return slices.DeleteFunc(ours, func(name string) bool { return !slices.Contains(there, prefix+name) }), nil
}

// Sweep removes what killed makers have left: clusters that were never released and belong to nobody.
func (p *Provider) Sweep(ctx context.Context, tell func(name, found string)) error {
	names := p.registry().Names()
	if len(names) == 0 {
		return nil
	}
	if _, err := p.cli().check(ctx); err != nil {
		return fmt.Errorf("clusters of kind are in %s, and nobody can look at them: %w", p.StateDir, err)
	}
	var errs []error
	for _, name := range names {
		found, err := p.sweep(ctx, name)
		if err == nil {
			tell(name, found)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (p *Provider) sweep(ctx context.Context, name string) (string, error) {
	dir, err := p.registry().Dir(name)
	if err != nil {
		return "", err
	}
	found := "its maker is gone: its containers, network and directory are removed"
	if r, kept := readRecord(dir); kept == nil && r.Kept {
		found, err = p.sweepKept(ctx, newCluster(p, dir, r))
	} else {
		err = p.Down(ctx, name)
	}
	var held *lock.HeldError
	if errors.As(err, &held) {
		return "it belongs to " + held.Holder + ": left alone", nil
	}
	return found, err
}

// sweepKept leaves a cluster that was kept as it is, but for what a user of it that was killed has left: a command that goes on in a node, kubeadm say,
// and the lock of the name. Where there is no lock nobody was killed, and commands are somebody's who only reads.
func (p *Provider) sweepKept(ctx context.Context, c *Cluster) (string, error) {
	name := c.record.Topology.Name
	found := fmt.Sprintf("runs; remove it with `drydock down %s --provider kind`", name)
	if !p.registry().Locked(name) {
		return found, nil
	}
	if err := c.Claim(ctx); err != nil {
		return "", err
	}
	return found + "; commands that a killed user of it had left are ended", c.Release(ctx)
}

// Down removes the containers, the network and the directory of a cluster, or what is left of them.
func (p *Provider) Down(ctx context.Context, name string) (err error) {
	dir, err := p.registry().Dir(name)
	if err != nil {
		return err
	}
	p.mu.Lock()
	c := p.mine[name]
	p.mu.Unlock()
	if c == nil {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return p.notOurs(ctx, name)
		}
		owner, err := p.registry().Take(name)
		if err != nil {
			return err
		}
		c = &Cluster{provider: p, dir: dir, record: record{Topology: cluster.Topology{Name: name}}, owner: owner}
	}
	if err := p.remove(ctx, dir, name); err != nil {
		return errors.Join(fmt.Errorf("down: %w", err), p.letGoUnlessMine(c))
	}
	p.forget(name)
	err = c.owner.Release()
	c.owner = nil
	return err
}

// letGoUnlessMine gives back a name that was taken only to remove the cluster.
func (p *Provider) letGoUnlessMine(c *Cluster) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mine[c.record.Topology.Name] == c {
		return nil
	}
	return c.owner.Release()
}

// notOurs refuses a cluster that has containers of the name and no directory; nothing of that name is nothing to do.
func (p *Provider) notOurs(ctx context.Context, name string) error {
	there, err := p.cli().named(ctx, kindLabel+"="+prefix+name)
	if err != nil || len(there) == 0 {
		return nil //nolint:nilerr // without Docker there is no such cluster either
	}
	return cluster.Usagef("cluster %q was not made from the state directory %s: use the one it was made from, or `kind delete cluster --name %s`", name, p.StateDir, prefix+name)
}

// remove looks again until nothing comes any more: docker commands of a maker that was killed go on without it.
func (p *Provider) remove(ctx context.Context, dir, name string) error {
	r, err := readRecord(dir)
	quiet := 1
	if err != nil || len(r.Machines) == 0 {
		quiet = 8
	}
	err = cluster.Await(ctx, "the end of the containers of cluster "+name, cluster.Wait{For: removeWithin}, func(ctx context.Context) error {
		gone, err := p.removeContainers(ctx, name)
		if err != nil {
			return err
		}
		if quiet--; gone > 0 || quiet > 0 {
			return fmt.Errorf("%d containers were removed this moment", gone)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := p.cli().out(ctx, "network", "rm", prefix+name); err != nil && !said(err, "not found", "no such network") {
		return err
	}
	return errors.Join(os.RemoveAll(dir), p.dropTurns())
}

func (p *Provider) removeContainers(ctx context.Context, name string) (int, error) {
	var there []string
	for _, label := range []string{kindLabel + "=" + prefix + name, ownLabel + "=" + name} {
		some, err := p.cli().named(ctx, label)
		if err != nil {
			return 0, err
		}
		there = append(there, some...)
	}
	if len(there) == 0 {
		return 0, nil
	}
	_, err := p.cli().out(ctx, append([]string{"rm", "--force", "--volumes"}, there...)...)
	if said(err, "no such container", "already in progress") {
		err = nil
	}
	return len(there), err
}
