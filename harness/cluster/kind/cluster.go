package kind

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/lock"
)

const (
	apiPort   = 6443
	adminFile = "admin.conf" // of the cluster's directory: never the user's own kubeconfig
)

// Cluster is one of kind's.
type Cluster struct {
	provider *Provider
	dir      string
	record   record
	machines []*Machine
	outside  *namespace // where Dial connects from

	mu    sync.Mutex
	owner *lock.Lock // of its name; nil for a cluster that is not this process's
}

var _ cluster.Cluster = (*Cluster)(nil)

func newCluster(p *Provider, dir string, r record) *Cluster {
	c := &Cluster{provider: p, dir: dir, record: r}
	c.outside = &namespace{docker: p.cli(), container: outsideName(r.Topology.Name)}
	c.know()
	return c
}

// know makes the machines of the record.
func (c *Cluster) know() {
	c.machines = nil
	for _, m := range c.record.Machines {
		addr, _ := netip.ParseAddr(m.Addr) // it was one when it was written
		c.machines = append(c.machines, &Machine{cluster: c, name: m.Name, role: m.Role, addr: addr, inside: &namespace{docker: c.provider.cli(), container: m.Name}})
	}
}

func outsideName(cluster string) string { return prefix + cluster + "-outside" }

// furnish finds out what kind made and adds what Drydock needs beside it: a place to connect from, and the workload's image.
func (c *Cluster) furnish(ctx context.Context) error {
	cli, t := c.provider.cli(), c.record.Topology
	names := []string{}
	for _, m := range t.Machines() {
		names = append(names, m.Name)
	}
	if t.ControlPlanes > 1 {
		names = append(names, prefix+t.Name+"-external-load-balancer")
	}
	c.record.Machines = nil
	for i, name := range names {
		got, there, err := cli.inspect(ctx, name)
		if err != nil {
			return err
		}
		at := place{Name: name, Addr: got.NetworkSettings.Networks[prefix+t.Name].IPAddress}
		if !there || at.Addr == "" {
			return fmt.Errorf("kind made no container %s with an address in the network %s", name, prefix+t.Name)
		}
		if i == len(t.Machines()) {
			c.record.Balancer = &at
			break
		}
		at.Role = t.Machines()[i].Role
		c.record.Machines = append(c.record.Machines, at)
	}
	c.know()
	if c.record.Balancer != nil && t.Timing == cluster.TimingFast {
		if err := c.hastenBalancer(ctx); err != nil {
			return err
		}
	}
	if err := c.stepOutside(ctx); err != nil {
		return err
	}
	archive, err := c.provider.workload()
	if err != nil {
		return err
	}
	g, each := errgroup.WithContext(ctx)
	for _, m := range c.machines {
		g.Go(func() error { return m.importImages(each, archive) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return c.record.write(c.dir)
}

// stepOutside starts a container beside the nodes that reaches machines and pods and is neither: cut links of a machine are cut for it as for any peer.
// The host itself has no routes to pods, and where Docker runs in a virtual machine none to nodes.
func (c *Cluster) stepOutside(ctx context.Context) error {
	cli, t := c.provider.cli(), c.record.Topology
	_, err := cli.out(ctx, "run", "--detach", "--name", outsideName(t.Name), "--label", ownLabel+"="+t.Name, "--network", prefix+t.Name,
		"--cap-add", "NET_ADMIN", "--entrypoint", "/bin/sleep", c.record.Image, "infinity")
	if err != nil {
		return err
	}
	return cluster.Await(ctx, "routes to the pods of every node", cluster.Wait{For: podNetworksWithin}, func(ctx context.Context) error {
		routes, err := c.podRoutes(ctx)
		if err != nil {
			return err
		}
		_, err = cli.out(ctx, "exec", outsideName(t.Name), "/bin/sh", "-ec", routes)
		return err
	})
}

// podNetworksWithin is how long the controller-manager may take to give every node its pod network; it does so when it first sees the node.
const podNetworksWithin = 2 * time.Minute

// podRoutes is the script that routes each node's pod network to the node.
func (c *Cluster) podRoutes(ctx context.Context) (string, error) {
	raw, err := cluster.Shell(ctx, c.machines[0], `kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.spec.podCIDR}{"\n"}{end}'`)
	if err != nil {
		return "", err
	}
	nets := map[string]string{}
	for line := range strings.Lines(raw) {
		node, net, _ := strings.Cut(strings.TrimSpace(line), " ")
		nets[node] = net
	}
	var script strings.Builder
	for _, m := range c.machines {
		if nets[m.name] == "" {
			return "", fmt.Errorf("node %s has no pod network; those there are: %q", m.name, raw)
		}
		fmt.Fprintf(&script, "ip route replace %s via %s\n", nets[m.name], m.addr)
	}
	return script.String(), nil
}

// Dir is its directory on this host.
func (c *Cluster) Dir() string { return c.dir }

// Topology is what it was asked to be, with the machines it has.
func (c *Cluster) Topology() cluster.Topology { return c.record.Topology }

// Profile is what kind's nodes are like on this host.
func (c *Cluster) Profile() cluster.Profile { return c.record.Profile }

// Lacks is what its nodes cannot do.
func (c *Cluster) Lacks() cluster.Lacks { return c.record.Lacks }

// Machines lists the nodes in the topology's order.
func (c *Cluster) Machines() []cluster.Machine {
	return cluster.All(c.machines)
}

// Machine finds one by name.
func (c *Cluster) Machine(name string) (cluster.Machine, error) {
	return cluster.Find(c.machines, name)
}

// Endpoint is the load balancer, or the only control plane, by the name that is in the API server's certificate.
func (c *Cluster) Endpoint() string {
	host := prefix + c.record.Topology.Name + "-control-plane"
	if c.record.Balancer != nil {
		host = c.record.Balancer.Name
	}
	return net.JoinHostPort(host, strconv.Itoa(apiPort))
}

// Dial connects from beside the nodes.
func (c *Cluster) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	places := c.record.Machines
	if c.record.Balancer != nil {
		places = append([]place{*c.record.Balancer}, places...)
	}
	for _, p := range places {
		if p.Name == host {
			addr = net.JoinHostPort(p.Addr, port)
		}
	}
	return c.outside.dial(ctx, network, addr)
}

// Kubeconfig is the administrator's as kind wrote it, for a port of this host's loopback.
func (c *Cluster) Kubeconfig(context.Context) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(c.dir, adminFile))
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return raw, nil
}

// Claim takes the cluster's name for this process. What it was another's for goes on in the nodes when that was killed, a kubeadm say: it is ended, so
// that nobody does the same beside it.
func (c *Cluster) Claim(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner != nil {
		return nil
	}
	owner, err := c.provider.registry().Take(c.record.Topology.Name)
	if err != nil {
		return err
	}
	c.owner = owner
	c.provider.remember(c)
	var wg sync.WaitGroup
	for _, m := range c.machines {
		wg.Go(func() { m.end(ctx, "") })
	}
	wg.Wait()
	return nil
}

// Release lets it outlive this process.
func (c *Cluster) Release(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner == nil {
		return nil
	}
	c.record.Kept = true
	if err := c.record.write(c.dir); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	c.provider.forget(c.record.Topology.Name)
	err := c.owner.Release()
	c.owner = nil
	return err
}
