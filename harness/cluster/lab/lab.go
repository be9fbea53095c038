package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/labinit"
	"drydock.dev/drydock/harness/lock"
)

// Lab is a running cluster of the provider.
type Lab struct {
	provider *Provider
	dir      string
	topology cluster.Topology
	lacks    cluster.Lacks
	apiPort  int
	owned    *owned // nil for a lab another process started

	mu       sync.Mutex
	machines []*Machine
	read     []byte     // the lab.json that machines are from
	owner    *lock.Lock // of its name; nil for a lab that is not this process's
}

var (
	_ cluster.Cluster   = (*Lab)(nil)
	_ cluster.Scaler    = (*Lab)(nil)
	_ cluster.DataDisks = (*Lab)(nil)
	_ cluster.Metered   = (*Lab)(nil)
	_ cluster.Host      = (*Lab)(nil)
	_ cluster.Loader    = (*Lab)(nil)
)

func newLab(p *Provider, dir string, cfg labinit.Config, o *owned) *Lab {
	c := &Lab{provider: p, dir: dir, topology: cfg.Topology, lacks: cfg.Lacks, apiPort: cfg.APIPort, owned: o}
	c.topology.Named = c.topology.Machines()
	c.know(cfg.Machines)
	return c
}

// know replaces the list of machines; one that stays as it was stays the same value.
func (c *Lab) know(machines []labinit.Machine) {
	old := c.machines
	c.machines = nil
	for _, m := range machines {
		mach := &Machine{lab: c, name: m.Name, role: m.Role, addr: netip.MustParseAddr(m.Addr), vm: m.VM}
		if i := slices.IndexFunc(old, func(o *Machine) bool { return *o == *mach }); i >= 0 {
			mach = old[i]
		}
		c.machines = append(c.machines, mach)
	}
}

// all lists the machines there are now: another process may have added or removed some. What is in lab.json tells, and not when it was written: two changes
// may fall within one tick of a file system's clock.
func (c *Lab) all() []*Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	raw, err := os.ReadFile(filepath.Join(c.dir, labinit.ConfigFile))
	if err != nil || bytes.Equal(raw, c.read) {
		return c.machines
	}
	if cfg, err := labinit.ParseConfig(raw); err == nil {
		c.know(cfg.Machines)
		c.read = raw
	}
	return c.machines
}

// AddMachine makes a machine with an empty disk and powers it on.
func (c *Lab) AddMachine(ctx context.Context, spec cluster.MachineSpec) (cluster.Machine, error) {
	return c.AddMachineWith(ctx, spec, nil)
}

// AddMachineWith makes one with disks of data.
func (c *Lab) AddMachineWith(ctx context.Context, spec cluster.MachineSpec, disks map[string]string) (cluster.Machine, error) {
	if err := cluster.CheckName("machine", spec.Name); err != nil {
		return nil, err
	}
	if err := c.call(ctx, "add", labinit.AddParams{MachineSpec: spec, Disks: disks}, nil); err != nil {
		return nil, err
	}
	return c.Machine(spec.Name)
}

// RemoveMachine cuts a machine's power and drops its disk.
func (c *Lab) RemoveMachine(ctx context.Context, name string) error {
	return c.RemoveMachineKeeping(ctx, name, nil)
}

// RemoveMachineKeeping moves directories of its disk aside first.
func (c *Lab) RemoveMachineKeeping(ctx context.Context, name string, disks map[string]string) error {
	return c.call(ctx, "remove", labinit.RemoveParams{Name: name, Keep: disks}, nil)
}

// Disks lists the disks of data that no machine has.
func (c *Lab) Disks(ctx context.Context) (names []string, err error) {
	err = c.call(ctx, "data", struct{}{}, &names)
	return names, err
}

// DropDisk drops a disk of data that no machine has.
func (c *Lab) DropDisk(ctx context.Context, disk string) error {
	return c.call(ctx, "dropData", labinit.MachineParams{Name: disk}, nil)
}

// Dir is the lab's state directory.
func (c *Lab) Dir() string { return c.dir }

// Topology is what the lab was asked to be, with the machines it was made of.
func (c *Lab) Topology() cluster.Topology { return c.topology }

// Lacks is what the host's kernel does not let machines do.
func (c *Lab) Lacks() cluster.Lacks { return c.lacks }

// Machines lists the machines in the topology's order.
func (c *Lab) Machines() []cluster.Machine {
	return cluster.All(c.all())
}

// Machine finds one by name.
func (c *Lab) Machine(name string) (cluster.Machine, error) {
	return cluster.Find(c.all(), name)
}

// Endpoint is the balanced API server inside the lab.
func (c *Lab) Endpoint() string {
	if !c.topology.Kubernetes() {
		return ""
	}
	return net.JoinHostPort(labinit.Gateway, strconv.Itoa(labinit.APIPort))
}

// Kubeconfig is the administrator's, from the first control plane that answers, with the balanced API server's port on the host's loopback.
func (c *Lab) Kubeconfig(ctx context.Context) ([]byte, error) {
	if !c.topology.Kubernetes() {
		return nil, cluster.Usagef("cluster %q is etcd-only: it has no API server", c.topology.Name)
	}
	var errs []error
	for _, m := range c.all() {
		if m.role != cluster.ControlPlane {
			continue
		}
		raw, err := m.ReadFile(ctx, "/etc/kubernetes/admin.conf")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		cfg, err := clientcmd.Load(raw)
		if err != nil {
			return nil, fmt.Errorf("kubeconfig: %w", err)
		}
		for _, cl := range cfg.Clusters {
			cl.Server = "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(c.apiPort))
		}
		return clientcmd.Write(*cfg)
	}
	return nil, fmt.Errorf("kubeconfig: no control plane has one: %w", errors.Join(errs...))
}

// Claim takes the lab's name for this process.
func (c *Lab) Claim(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner != nil {
		return nil
	}
	owner, err := registry(c.provider.StateDir).Take(c.topology.Name)
	if err != nil {
		return err
	}
	c.owner = owner
	c.provider.remember(c)
	return nil
}

// Release lets the lab outlive this process, and its name go.
func (c *Lab) Release(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner == nil {
		return nil
	}
	if c.owned != nil { // from here on it outlives this process, and nobody owns it
		if err := c.owned.keep(); err != nil {
			return fmt.Errorf("lab %s: %w", c.topology.Name, err)
		}
	}
	c.provider.forget(c)
	err := c.owner.Release()
	c.owner = nil
	return err
}

// Dial connects from the lab's own network namespace, where the balancer is.
func (c *Lab) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return control.DialThrough(ctx, filepath.Join(c.dir, labinit.SocketFile), network, addr)
}

// Listen listens in the lab's own network namespace, at its gateway.
func (c *Lab) Listen(ctx context.Context) (net.Listener, error) {
	l, err := control.ListenThrough(ctx, filepath.Join(c.dir, labinit.SocketFile))
	if err != nil {
		return nil, fmt.Errorf("lab %s: %w", c.topology.Name, err)
	}
	return l, nil
}

// Usage is what the lab's processes take.
func (c *Lab) Usage(ctx context.Context) (u cluster.Usage, err error) {
	err = c.call(ctx, "usage", struct{}{}, &u)
	return u, err
}

// shutdown ends PID 1 of the lab and waits until all that it began has ended: its socket closes before the kernel kills the others, and
// they write to the lab's directory until then.
func (c *Lab) shutdown(ctx context.Context) error {
	if Running(c.dir) {
		// The answer may be lost with the lab: what counts is that it ends.
		_ = c.call(ctx, "shutdown", struct{}{}, nil)
	}
	if c.owned != nil {
		return c.owned.end(ctx)
	}
	return cluster.Await(ctx, "the end of lab "+c.topology.Name, cluster.Wait{For: 30 * time.Second, Every: 20 * time.Millisecond}, func(context.Context) error {
		if Running(c.dir) {
			return errors.New("it still answers")
		}
		if left := inhabitants(c.dir); len(left) > 0 {
			return fmt.Errorf("there remain: %s", strings.Join(left, "; "))
		}
		return nil
	})
}

// LoadImage puts the program into the cache of releases, which every machine's runtime looks into.
func (c *Lab) LoadImage(_ context.Context, name, version, program string) error {
	return c.provider.Store.Keep(name, version, program)
}
