package lab

import (
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

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/control"
	"drydock.dev/drydock/harness/cluster/lab/labinit"
	"drydock.dev/drydock/harness/lock"
	"drydock.dev/drydock/harness/release"
)

// Lab is a running cluster of the provider.
type Lab struct {
	dir      string
	topology cluster.Topology
	apiPort  int
	store    *release.Store
	owned    *owned     // nil for a lab another process started
	owner    *lock.Lock // of its name; nil for a lab that is not this process's

	mu       sync.Mutex
	machines []*Machine
	written  time.Time // when the lab.json was written that machines are from
}

var (
	_ cluster.Cluster = (*Lab)(nil)
	_ cluster.Scaler  = (*Lab)(nil)
)

func newLab(dir string, cfg labinit.Config, store *release.Store, o *owned) *Lab {
	c := &Lab{dir: dir, topology: cfg.Topology, apiPort: cfg.APIPort, store: store, owned: o}
	c.know(cfg.Machines)
	return c
}

// know replaces the list of machines; one that stays as it was stays the same value.
func (c *Lab) know(machines []labinit.Machine) {
	old := c.machines
	c.machines = nil
	for _, m := range machines {
		mach := &Machine{lab: c, name: m.Name, role: m.Role, addr: netip.MustParseAddr(m.Addr)}
		if i := slices.IndexFunc(old, func(o *Machine) bool { return *o == *mach }); i >= 0 {
			mach = old[i]
		}
		c.machines = append(c.machines, mach)
	}
}

// all lists the machines there are now: another process may have added or removed some.
func (c *Lab) all() []*Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	st, err := os.Stat(filepath.Join(c.dir, labinit.ConfigFile))
	if err != nil || st.ModTime().Equal(c.written) {
		return c.machines
	}
	if cfg, err := labinit.ReadConfig(c.dir); err == nil {
		c.know(cfg.Machines)
		c.written = st.ModTime()
	}
	return c.machines
}

// AddMachine makes a machine with an empty disk and powers it on.
func (c *Lab) AddMachine(ctx context.Context, spec cluster.MachineSpec) (cluster.Machine, error) {
	if err := cluster.CheckName("machine", spec.Name); err != nil {
		return nil, err
	}
	if err := c.call(ctx, "add", spec, nil); err != nil {
		return nil, err
	}
	return c.Machine(spec.Name)
}

// RemoveMachine cuts a machine's power and drops its disk.
func (c *Lab) RemoveMachine(ctx context.Context, name string) error {
	return c.call(ctx, "remove", labinit.MachineParams{Name: name}, nil)
}

// Attach finds a running lab by name; the error lists those that run.
func Attach(stateDir, name string, store *release.Store) (*Lab, error) {
	dir, err := Dir(stateDir, name)
	if err != nil {
		return nil, err
	}
	if !Running(dir) {
		names := "none"
		if all := List(stateDir); len(all) > 0 {
			names = strings.Join(all, ", ")
		}
		return nil, cluster.Usagef("no lab named %q is running; running: %s", name, names)
	}
	cfg, err := labinit.ReadConfig(dir)
	if err != nil {
		return nil, fmt.Errorf("lab %s: %w", name, err)
	}
	return newLab(dir, cfg, store, nil), nil
}

// Dir is the lab's state directory.
func (c *Lab) Dir() string { return c.dir }

// Topology is what the lab was asked to be.
func (c *Lab) Topology() cluster.Topology { return c.topology }

// Machines lists the machines in the topology's order.
func (c *Lab) Machines() []cluster.Machine {
	var out []cluster.Machine
	for _, m := range c.all() {
		out = append(out, m)
	}
	return out
}

// Machine finds one by name.
func (c *Lab) Machine(name string) (cluster.Machine, error) {
	var known []string
	for _, m := range c.all() {
		if m.name == name {
			return m, nil
		}
		known = append(known, m.name)
	}
	return nil, cluster.Usagef("no machine %q; known: %s", name, strings.Join(known, ", "))
}

// Endpoint is the balanced API server inside the lab.
func (c *Lab) Endpoint() string {
	if !c.topology.Kubernetes() {
		return ""
	}
	return net.JoinHostPort(labinit.Gateway, strconv.Itoa(labinit.APIPort))
}

// HostEndpoint is the balanced API server on the host's loopback; empty for etcd-only.
func (c *Lab) HostEndpoint() string {
	if !c.topology.Kubernetes() {
		return ""
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.apiPort))
}

// Dial connects from the lab's own network namespace, where the balancer is.
func (c *Lab) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return control.DialThrough(ctx, filepath.Join(c.dir, labinit.SocketFile), network, addr)
}

// Usage is what the lab's processes take.
func (c *Lab) Usage(ctx context.Context) (labinit.Usage, error) {
	var u labinit.Usage
	return u, c.call(ctx, "usage", struct{}{}, &u)
}

// shutdown ends PID 1 of the lab and waits until its socket is no longer served.
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
		return nil
	})
}
