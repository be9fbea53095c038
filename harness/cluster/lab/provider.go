// Package lab is the embedded provider: a cluster whose machines are Linux namespaces in one process tree. It needs no
// Docker, no image registry and no root, and when the tree's PID 1 ends the kernel removes everything it made.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/labinit"
	"drydock.dev/drydock/harness/release"
)

// Provider makes labs.
type Provider struct {
	StateDir  string // labs live in StateDir/labs/NAME
	Images    string // saved clusters; empty: none are saved or used
	Program   string // the drydock binary
	Store     *release.Store
	Bootstrap cluster.Bootstrapper
	Progress  cluster.Progress
	Keep      bool // the lab outlives this process, until Down
	APIPort   int  // loopback port on the host for the API server: 0 chooses a free one
	NoImage   bool // always bootstrap, and save afresh
}

var _ cluster.Provider = (*Provider)(nil)

// spaceNeeded is what a machine's disk may take; a lab on a fuller file system would fail half-way.
const spaceNeeded = 200 << 20

// Up makes a lab and the cluster in it: from a saved image where there is a good one, else by bootstrap.
func (p *Provider) Up(ctx context.Context, t cluster.Topology) (_ cluster.Cluster, err error) {
	if _, err := t.Validate(); err != nil {
		return nil, &cluster.UsageError{Err: err}
	}
	if err := CheckHost(); err != nil {
		return nil, err
	}
	owner, err := own(p.StateDir, t.Name)
	if err != nil {
		return nil, err
	}
	c, err := p.launch(ctx, t)
	if err != nil {
		return nil, errors.Join(err, owner.Release())
	}
	c.owner = owner
	defer func() {
		if err != nil {
			err = errors.Join(err, p.saveFailure(c), p.Down(context.WithoutCancel(ctx), c))
		}
	}()
	if err := p.populate(ctx, c); err != nil {
		return nil, err
	}
	if !p.Keep {
		return c, nil
	}
	if err := c.owned.keep(); err != nil { // from here on it outlives this process, and nobody owns it
		return nil, fmt.Errorf("lab %s: %w", t.Name, err)
	}
	c.owner = nil
	return c, owner.Release()
}

// prepare finds everything that could stop a lab before anything is made.
func (p *Provider) prepare(ctx context.Context, dir string, t cluster.Topology) error {
	if _, err := os.Stat(dir); err == nil { // left by a crash, if it does not run
		if err := discard(dir, t.Name); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return cluster.Usagef("the state directory %s cannot be written (choose another with --state-dir): %w", p.StateDir, err)
	}
	if err := checkInotify(t); err != nil {
		return err
	}
	if err := checkSpace(p.StateDir, len(t.Machines())); err != nil {
		return err
	}
	return p.fetch(ctx, t)
}

func checkSpace(dir string, machines int) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return fmt.Errorf("state directory %s: %w", dir, err)
	}
	free, need := st.Bavail*uint64(st.Bsize), uint64(machines)*spaceNeeded
	if free < need {
		return cluster.Usagef("disk full: %s has %d MiB free, %d machines may need %d MiB; free some or choose another --state-dir", dir, free>>20, machines, need>>20)
	}
	return nil
}

// fetch gets the programs the topology needs and no others.
func (p *Provider) fetch(ctx context.Context, t cluster.Topology) error {
	etcd, err := release.Resolve(release.Etcd, t.EtcdVersion)
	if err != nil {
		return err
	}
	if err := p.Store.Ensure(ctx, etcd, "etcd", "etcdctl", "etcdutl"); err != nil {
		return err
	}
	if !t.Kubernetes() {
		return nil
	}
	return Provide(ctx, p.Store, t.Version)
}

// Provide gets the programs a lab's machines need of a Kubernetes version. Running labs see them at once.
func Provide(ctx context.Context, store *release.Store, version string) error {
	kubernetes, err := release.Resolve(release.Kubernetes, version)
	if err != nil {
		return err
	}
	return store.Ensure(ctx, kubernetes,
		"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubeadm", "kubectl")
}

// launch writes the lab's configuration and starts its PID 1.
func (p *Provider) launch(ctx context.Context, t cluster.Topology) (_ *Lab, err error) {
	dir, err := Dir(p.StateDir, t.Name)
	if err != nil {
		return nil, err
	}
	if err := p.prepare(ctx, dir, t); err != nil {
		return nil, err
	}
	cfg := labinit.Config{Topology: t, Releases: p.Store.Root()}
	for _, spec := range t.Machines() {
		m, err := cfg.Place(spec)
		if err != nil {
			return nil, cluster.Usagef("lab %s: %w", t.Name, err)
		}
		cfg.Machines = append(cfg.Machines, m)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	for _, d := range []string{"run", "disks", "logs"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("lab %s: %w", t.Name, err)
		}
	}
	for _, m := range cfg.Machines {
		if err := os.MkdirAll(filepath.Join(dir, "disks", m.Name), 0o755); err != nil {
			return nil, fmt.Errorf("lab %s: %w", t.Name, err)
		}
	}
	var listener *os.File
	if t.Kubernetes() {
		if listener, cfg.APIPort, err = listenAPI(ctx, p.APIPort); err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }()
	}
	if err := cfg.Write(dir); err != nil {
		return nil, fmt.Errorf("lab %s: %w", t.Name, err)
	}
	owned, err := spawn(dir, p.Program, listener)
	if err != nil {
		return nil, fmt.Errorf("lab %s: %w", t.Name, err)
	}
	return newLab(dir, cfg, p.Store, owned), nil
}

// listenAPI takes the host's loopback port; the lab inherits the listener and so keeps it in the host's network namespace.
func listenAPI(ctx context.Context, port int) (*os.File, int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, 0, cluster.Usagef("port %d on 127.0.0.1 cannot be used for the API server (choose another with --api-port): %w", port, err)
	}
	defer func() { _ = l.Close() }()
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, 0, fmt.Errorf("listener is a %T", l)
	}
	f, err := tcp.File()
	if err != nil {
		return nil, 0, fmt.Errorf("listener on 127.0.0.1: %w", err)
	}
	addr, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("listener on 127.0.0.1: %w", err), f.Close())
	}
	return f, int(addr.Port()), nil
}

// populate gives the machines their disks and brings the cluster up.
func (p *Provider) populate(ctx context.Context, c *Lab) error {
	img := p.image(c.topology)
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
	if err := p.Bootstrap.Bootstrap(ctx, c); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	if img == nil {
		return p.Bootstrap.Ready(ctx, c)
	}
	return p.save(ctx, c, img)
}

// Down ends the lab and removes its directory; idempotent. It refuses a lab that belongs to another process.
func (p *Provider) Down(ctx context.Context, cl cluster.Cluster) (err error) {
	c, ok := cl.(*Lab)
	if !ok {
		return fmt.Errorf("down: %T is not a lab", cl)
	}
	if c.owner == nil {
		if c.owner, err = own(p.StateDir, c.topology.Name); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, c.owner.Release()); c.owner = nil }()
	if err := c.shutdown(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("down: %w", err)
	}
	return nil
}

// CollectLogs copies each machine's service and container logs and the lab's own.
func (p *Provider) CollectLogs(_ context.Context, cl cluster.Cluster, dir string) error {
	c, ok := cl.(*Lab)
	if !ok {
		return fmt.Errorf("logs: %T is not a lab", cl)
	}
	return collectLogs(c, dir)
}

// saveFailure keeps the logs of a lab that did not come up, next to where it was.
func (p *Provider) saveFailure(c *Lab) error {
	dir := filepath.Join(p.StateDir, failedDir, c.topology.Name)
	if err := errors.Join(os.RemoveAll(dir), collectLogs(c, dir)); err != nil {
		return err
	}
	return fmt.Errorf("its logs are kept in %s", dir)
}

func collectLogs(c *Lab, dir string) error {
	errs := []error{copyLogs(filepath.Join(dir, "lab"), filepath.Join(c.dir, "logs"), ".")}
	for _, m := range c.all() {
		for _, sub := range []string{"var/log/units", "var/log/pods"} {
			errs = append(errs, copyLogs(filepath.Join(dir, m.Name(), filepath.Base(sub)), filepath.Join(c.dir, "disks", m.Name()), sub))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	return nil
}

// copyLogs copies the regular files below sub, a directory of disk; a log that is rotated away meanwhile is left out. Programs of the
// machine write there as they like: a link of theirs is followed on the disk and not out of it.
func copyLogs(dst, disk, sub string) error {
	root, err := os.OpenRoot(disk)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	from, err := root.OpenRoot(sub)
	if err != nil {
		return nil // a machine without such logs
	}
	defer func() { _ = from.Close() }()
	return fs.WalkDir(from.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // gone meanwhile
		}
		raw, err := from.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile
		}
		to := filepath.Join(dst, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, raw, 0o644)
	})
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
