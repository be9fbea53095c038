package staging

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
)

// Cluster is one that exists.
type Cluster struct {
	inventory *Inventory
	typed     string // as --i-know-this-is-staging says
	holder    string // of the maintenance lock, when it is this one's
	stateDir  string
	kube      *kube // nil for etcd-only
	topology  cluster.Topology
	machines  []*Machine
	direct    bool         // the API server's address is reached from this host
	lastWay   atomic.Int64 // the machine that connected us last

	mu    sync.Mutex
	claim *claim // nil: not this process's
}

var (
	_ cluster.Cluster  = (*Cluster)(nil)
	_ cluster.Reserved = (*Cluster)(nil)
)

func newCluster(inv *Inventory, l *logins, k *kube, p *plot) *Cluster {
	c := &Cluster{inventory: inv, kube: k, topology: p.Topology, holder: whoami()}
	for _, at := range p.Places {
		addr, err := netip.ParseAddr(at.Address)
		if err != nil { // it was parsed when it was found
			continue
		}
		c.machines = append(c.machines, &Machine{
			cluster: c, name: at.Name, role: at.Role, addr: addr, host: at.Host, remote: newRemote(at.Name, at.Login, l),
		})
	}
	return c
}

// ask asks all machines what they can do. One that does not answer is away: it can do nothing, and says why.
func (c *Cluster) ask(ctx context.Context) error {
	var g errgroup.Group
	var silent atomic.Int64
	for _, m := range c.machines {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, 2*connectWithin)
			defer cancel()
			err := m.ask(ctx)
			if err == nil {
				return nil
			}
			silent.Add(1)
			m.found.lacks = cluster.Lacks{}
			lack(m.found.lacks, err.Error(), cluster.Capabilities()...)
			return err
		})
	}
	if err := g.Wait(); err != nil && int(silent.Load()) == len(c.machines) {
		return fmt.Errorf("cluster %q: no machine lets us in: %w", c.topology.Name, err)
	}
	if c.kube != nil {
		c.direct = reachable(ctx, c.kube.server)
	}
	return nil
}

// reachable reports whether somebody at the address answers this host, if only by refusing.
func reachable(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil || cluster.FailureOf(err) == cluster.Refused
}

// Topology is what was found.
func (c *Cluster) Topology() cluster.Topology { return c.topology }

// Profile is what the machines said: nothing is ignored on them.
func (c *Cluster) Profile() cluster.Profile {
	p := cluster.Profile{IgnorePreflight: []string{}}
	for _, m := range c.machines {
		if m.found.socket != "" && p.CRISocket == "" {
			p.CRISocket = m.found.socket
		}
		if m.found.programs != "" && p.Programs == "" {
			p.Programs = m.found.programs
		}
	}
	return p
}

// Lacks is what any of the machines lacks: a fault may choose each.
func (c *Cluster) Lacks() cluster.Lacks {
	out := cluster.Lacks{}
	for _, m := range c.machines {
		for can, why := range m.found.lacks {
			if out[can] == "" {
				out[can] = why
			}
		}
	}
	return out
}

// Machines lists them in the topology's order.
func (c *Cluster) Machines() []cluster.Machine {
	return cluster.All(c.machines)
}

// Machine finds one by name.
func (c *Cluster) Machine(name string) (cluster.Machine, error) {
	return cluster.Find(c.machines, name)
}

// Endpoint is the API server as the kubeconfig has it.
func (c *Cluster) Endpoint() string {
	if c.kube == nil {
		return ""
	}
	return c.kube.server
}

// Kubeconfig is the user's own.
func (c *Cluster) Kubeconfig(context.Context) ([]byte, error) {
	if c.kube == nil {
		return nil, cluster.Usagef("cluster %q is etcd-only: it has no API server", c.topology.Name)
	}
	return slices.Clone(c.kube.raw), nil
}

// Dir is where this host keeps what goes with the cluster.
func (c *Cluster) Dir() string { return Dir(c.stateDir, c.topology.Name) }

// nextWay is how long one machine may take to connect us before the next is asked as well.
const nextWay = 300 * time.Millisecond

// Dial connects to the machines' addresses through one of them that is not the one that is meant; where that is slow, because it is away, through
// the next. So it works while there is no API server, and one machine that was lost loses nothing else. The API server's own address is this host's
// to reach, if it can.
func (c *Cluster) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if c.direct && addr == c.Endpoint() {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	ways := c.ways(addr)
	type outcome struct {
		way  int
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan outcome, len(ways))
	next := time.NewTimer(0)
	defer next.Stop()
	var errs []error
	begun, running := 0, 0
	defer func() {
		go func() { // those that were slower
			for range running {
				if late := <-results; late.conn != nil {
					_ = late.conn.Close()
				}
			}
		}()
	}()
	for {
		select {
		case <-next.C:
			if begun < len(ways) {
				way := ways[begun]
				begun, running = begun+1, running+1
				go func() {
					conn, err := c.machines[way].remote.dial(ctx, network, addr)
					if err == nil {
						conn = c.machines[way].way.carry(conn, addr)
					}
					results <- outcome{way, conn, err}
				}()
				next.Reset(nextWay)
			}
		case r := <-results:
			running--
			if r.err == nil || answered(r.err) {
				c.lastWay.Store(int64(r.way))
				return r.conn, r.err
			}
			errs = append(errs, r.err)
			if running == 0 && begun == len(ways) {
				return nil, errors.Join(errs...)
			}
			next.Reset(0)
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to %s through %d machines: %w", addr, begun, context.Cause(ctx))
		}
	}
}

// ways are the machines to go through, the one that did it last first and those that were cut off last. The one that is meant reaches itself whatever
// cuts it off from others: it is the way only where there is no other, or only such as are cut off.
func (c *Cluster) ways(addr string) []int {
	host, _, _ := net.SplitHostPort(addr) // what is no address is no machine's
	var open, closed, own []int
	first := int(c.lastWay.Load())
	for i := range c.machines {
		n := (first + i) % len(c.machines)
		switch {
		case c.machines[n].addr.String() == host:
			own = append(own, n)
		case c.machines[n].way.isClosed():
			closed = append(closed, n)
		default:
			open = append(open, n)
		}
	}
	itself := len(own) > 0 && (len(closed) == 0 || !c.machines[own[0]].way.isClosed())
	if len(open) == 0 && itself {
		return own
	}
	return append(open, closed...)
}
