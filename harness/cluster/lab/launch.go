package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/labinit"
	"drydock.dev/drydock/harness/cluster/lab/vm"
	"drydock.dev/drydock/harness/release"
)

// spaceNeeded is what a machine's disk may take; a lab on a fuller file system would fail half-way.
const spaceNeeded = 200 << 20

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
	if t.VMWorkers > 0 {
		if why := vm.Lacking(ctx, p.Kit, p.Program); why != "" {
			return cluster.Usagef("the topology asks for machines with a kernel of their own: %s", why)
		}
	}
	if err := checkInotify(t); err != nil {
		return err
	}
	if err := checkSpace(p.StateDir, len(t.Machines())); err != nil {
		return err
	}
	return release.ProvideFor(ctx, p, t)
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

// Provide gets the programs a lab's machines need of a version, which are its images as well; of Kubernetes that of the etcd which its kubeadm asks for is one. Running
// labs see them at once.
func (p *Provider) Provide(ctx context.Context, product, version string) error {
	v, err := release.Resolve(product, version)
	if err != nil {
		return err
	}
	if product == release.Etcd {
		return p.Store.Ensure(ctx, v, "etcd", "etcdctl", "etcdutl")
	}
	if err := p.Store.Ensure(ctx, v, "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubeadm", "kubectl"); err != nil {
		return err
	}
	etcd, err := p.EtcdOf(ctx, v.Version)
	if err != nil {
		return err
	}
	return p.Provide(ctx, release.Etcd, etcd)
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
	t.Named = nil
	t.Named = t.Machines()
	cfg := labinit.Config{Topology: t, Releases: p.Store.Root()}
	if t.VMWorkers > 0 {
		cfg.Kit = p.Kit
	}
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
	if cfg.Lacks, err = p.lacksOf(ctx, t); err != nil {
		return nil, fmt.Errorf("lab %s: %w", t.Name, err)
	}
	if err := cfg.Write(dir); err != nil {
		return nil, fmt.Errorf("lab %s: %w", t.Name, err)
	}
	owned, err := spawn(dir, p.Program, listener)
	if err != nil {
		return nil, fmt.Errorf("lab %s: %w", t.Name, err)
	}
	return newLab(p, dir, cfg, owned), nil
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
