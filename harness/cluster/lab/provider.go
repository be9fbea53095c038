// Package lab is the embedded provider: a cluster whose machines are Linux namespaces in one process tree. It needs no
// Docker, no image registry and no root, and when the tree's PID 1 ends the kernel removes everything it made.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/labinit"
	"drydock.dev/drydock/harness/cluster/lab/vm"
	"drydock.dev/drydock/harness/release"
)

// Provider makes labs. It must not be copied once it is used.
type Provider struct {
	StateDir  string // labs live in StateDir/labs/NAME
	Images    string // saved clusters; empty: none are saved or used
	Program   string // the drydock binary
	Store     *release.Store
	Kit       string // the directory of what VM machines are made of (vm.ReadKit)
	Bootstrap func(t cluster.Topology) Bootstrapper
	Progress  cluster.Progress
	APIPort   int  // loopback port on the host for the API server: 0 chooses a free one
	NoImage   bool // always bootstrap, and save afresh

	mu    sync.Mutex
	mine  map[string]*Lab // the labs that are this process's, by name
	lacks cluster.Lacks   // nil: not tried yet
}

var (
	_ cluster.Provider = (*Provider)(nil)
	_ cluster.Sweeper  = (*Provider)(nil)
	_ cluster.Summed   = (*Provider)(nil)

	_ cluster.EtcdChooser = (*Provider)(nil)
)

// Bootstrapper turns bare machines into a working cluster.
type Bootstrapper interface {
	// Key names everything that shapes the outcome besides the topology; equal keys may share a saved cluster. An empty one: do not save it.
	Key(c cluster.Cluster) string
	// Bootstrap runs on bare machines that are powered on.
	Bootstrap(ctx context.Context, c cluster.Cluster) error
	// Ready returns when the cluster serves, on machines that booted from bootstrapped disks as well.
	Ready(ctx context.Context, c cluster.Cluster) error
}

// Name is lab.
func (*Provider) Name() string { return "lab" }

// Offer says which machines a lab of the topology has, and what the kernel does not let them do.
func (p *Provider) Offer(ctx context.Context, t cluster.Topology) (cluster.Offer, error) {
	if _, err := t.Validate(); err != nil {
		return cluster.Offer{}, &cluster.UsageError{Err: err}
	}
	if err := CheckHost(); err != nil {
		return cluster.Offer{}, err
	}
	lacks, err := p.lacksOf(ctx, t)
	t.Named = nil
	return cluster.Offer{Machines: t.Machines(), Lacks: lacks}, err
}

// lacksOf is what machines of the topology cannot do: beside what the kernel does not let them, what their disks do not.
func (p *Provider) lacksOf(ctx context.Context, t cluster.Topology) (cluster.Lacks, error) {
	tried, err := p.try(ctx)
	if err != nil {
		return nil, err
	}
	lacks := maps.Clone(tried)
	maps.Copy(lacks, Means().Never)
	if t.VMWorkers == 0 {
		maps.Copy(lacks, Means().Only)
	}
	if t.EtcdDisk == 0 {
		lacks[cluster.CanFillDisk] = "a machine's disk is this host's, which is never filled: give etcd one of its own (etcdDisk: 256Mi)"
	} else {
		lacks[cluster.CanLoseUnsynced] = "etcd has a disk of its own in memory (etcdDisk), and what it writes there is followed on the machine's disk only"
	}
	return lacks, nil
}

// try asks the kernel, once, by doing in namespaces like a machine's what a machine would be asked to do.
func (p *Provider) try(ctx context.Context) (cluster.Lacks, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lacks != nil {
		return p.lacks, nil
	}
	lacks, err := tryHost(ctx, p.Program)
	if err != nil {
		return nil, err
	}
	if why := vm.Lacking(ctx, p.Kit, p.Program); why != "" {
		lacks[cluster.CanKernel] = why
	}
	p.lacks = lacks
	return lacks, nil
}

// Sums are those of the cache, or of the user's own programs.
func (p *Provider) Sums(product, version string) (map[string]string, error) {
	return p.Store.Sums(product, version)
}

// EtcdOf asks the version's kubeadm.
func (p *Provider) EtcdOf(ctx context.Context, kubernetes string) (string, error) {
	return p.Store.EtcdOf(ctx, kubernetes)
}

// Attach finds a running lab.
func (p *Provider) Attach(_ context.Context, name string) (cluster.Cluster, error) {
	c, err := p.Find(name)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Find finds a running lab by name; the error lists those that run.
func (p *Provider) Find(name string) (*Lab, error) {
	dir, err := Dir(p.StateDir, name)
	if err != nil {
		return nil, err
	}
	if !Running(dir) {
		names := "none"
		if all := List(p.StateDir); len(all) > 0 {
			names = strings.Join(all, ", ")
		}
		return nil, cluster.Usagef("no lab named %q is running; running: %s", name, names)
	}
	cfg, err := labinit.ReadConfig(dir)
	if err != nil {
		return nil, fmt.Errorf("lab %s: %w", name, err)
	}
	return newLab(p, dir, cfg, nil), nil
}

// List names the labs that run.
func (p *Provider) List(context.Context) ([]string, error) { return List(p.StateDir), nil }

func (p *Provider) remember(c *Lab) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mine == nil {
		p.mine = map[string]*Lab{}
	}
	p.mine[c.topology.Name] = c
}

func (p *Provider) forget(c *Lab) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mine, c.topology.Name)
}

// Up makes a lab and the cluster in it: from a saved image where there is a good one, else by bootstrap.
func (p *Provider) Up(ctx context.Context, t cluster.Topology) (_ cluster.Cluster, err error) {
	if _, err := t.Validate(); err != nil {
		return nil, &cluster.UsageError{Err: err}
	}
	if err := CheckHost(); err != nil {
		return nil, err
	}
	owner, err := registry(p.StateDir).Take(t.Name)
	if err != nil {
		return nil, err
	}
	c, err := p.launch(ctx, t)
	if err != nil {
		return nil, errors.Join(err, owner.Release())
	}
	c.owner = owner
	p.remember(c)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.saveFailure(c), p.Down(context.WithoutCancel(ctx), t.Name))
		}
	}()
	if err := p.populate(ctx, c); err != nil {
		return nil, err
	}
	return c, nil
}

// populate gives the machines their disks and brings the cluster up.
func (p *Provider) populate(ctx context.Context, c *Lab) error {
	bootstrap := p.Bootstrap(c.topology)
	img := p.image(c, bootstrap.Key(c))
	if img != nil && !p.NoImage {
		ok, err := p.fromImage(ctx, c, img)
		if ok || err != nil {
			return err
		}
	}
	done := p.Progress.Phase("%d machines on", len(c.all()))
	err := c.each(ctx, func(ctx context.Context, m *Machine) error { return m.On(ctx) })
	done(err)
	if err != nil {
		return err
	}
	if err := bootstrap.Bootstrap(ctx, c); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	if img == nil {
		return bootstrap.Ready(ctx, c)
	}
	return p.save(ctx, c, img)
}

// Down ends the lab and removes its directory; idempotent. It refuses a lab that belongs to another process.
func (p *Provider) Down(ctx context.Context, name string) (err error) {
	dir, err := Dir(p.StateDir, name)
	if err != nil {
		return err
	}
	p.mu.Lock()
	c := p.mine[name]
	p.mu.Unlock()
	if c == nil {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		owner, err := registry(p.StateDir).Take(name)
		if err != nil {
			return err
		}
		c = &Lab{provider: p, dir: dir, topology: cluster.Topology{Name: name}, owner: owner}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.shutdown(ctx); err != nil {
		return err // it stays this process's
	}
	err = os.RemoveAll(dir)
	p.forget(c)
	err = errors.Join(err, c.owner.Release())
	c.owner = nil
	if err != nil {
		return fmt.Errorf("down: %w", err)
	}
	return nil
}

// each does something on all machines at once and joins what went wrong.
func (c *Lab) each(ctx context.Context, do func(context.Context, *Machine) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, m := range c.all() {
		g.Go(func() error { return do(ctx, m) })
	}
	return g.Wait()
}

// call asks the lab's PID 1.
func (c *Lab) call(ctx context.Context, op string, body, into any) error {
	_, err := control.Call(ctx, filepath.Join(c.dir, labinit.SocketFile), op, body, into)
	if err != nil {
		return fmt.Errorf("lab %s: %w", c.topology.Name, err)
	}
	return nil
}
