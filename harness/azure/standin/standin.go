// Package standin is a cluster that is a model, for tools that replace machines by the twin's calls: what the twin's virtual machines are where no lab is
// needed to see what a tool does to them. A master carries a member of etcd, an API server and a kubelet; the cluster answers while a majority of the members
// is up, and refuses what needs one when it is not. Nothing in it is Kubernetes: what a real kubelet, etcd or API server does beyond that is not in it.
package standin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/azure/provider"
)

// Options make a cluster.
type Options struct {
	// Grace is how long a node is still told to be Ready whose kubelet has gone (kube-controller-manager, --node-monitor-grace-period: AKS Engine's default is 40s).
	Grace time.Duration
	// Provisioning is how long a machine's provisioning script tries (AKS Engine's cse_helpers.sh asks etcd 120 times, every 5 s).
	Provisioning time.Duration
}

// Change is a moment from which on the masters are others.
type Change struct {
	Time    time.Time `json:"time"` // of the wall's clock
	What    string    `json:"what"`
	Members int       `json:"members"` // of etcd, whether they are up or not
	Alive   int       `json:"alive"`   // of these
	Quorum  bool      `json:"quorum"`
	Node    *Node     `json:"node,omitempty"` // the machine, as it is from then on
}

// What a Change says of what was done to a master, behind its name.
const (
	KubeletEnded = "its kubelet has ended"
	PoweredOff   = "powerOff"
	Gone         = " is gone" // it was deleted
)

// Node is what is true of a machine, whatever is told of it.
type Node struct {
	Name    string `json:"name"`
	Master  bool   `json:"master"`
	Up      bool   `json:"up"`      // the machine has power
	Kubelet bool   `json:"kubelet"` // and its kubelet runs
	Version string `json:"version"` // of that
	Boot    int    `json:"boot"`    // the machines of that name so far
	Told    bool   `json:"told"`    // there is a Node of it, and it says Ready
}

// Cluster is one. It is a provider.Machines of the twin, and the API server that a tool's kubeconfig leads to.
type Cluster struct {
	options Options

	mu      sync.Mutex
	nodes   map[string]*node
	members map[string]bool // masters that ever were: nobody removes one
	changes []Change
	dying   map[string]bool // whose kubelet ends when its machine is provisioned

	leases map[string]map[string]any
	claims int // leases that were ever made
}

type node struct {
	Node
	object  map[string]any // metadata and spec of the Node; nil: there is none
	beat    time.Time      // the kubelet's last word to the API
	seen    string         // the version that the kubelet told
	of      int            // and which of the machines of that name told it
	removed int            // the boot whose Node somebody has deleted: a kubelet registers when it starts, and not again
}

// New makes a cluster without machines.
func New(o Options) *Cluster {
	return &Cluster{options: o, nodes: map[string]*node{}, members: map[string]bool{}, dying: map[string]bool{}, leases: map[string]map[string]any{}}
}

// Create is a machine that has booted: its kubelet runs the version of its tag, and the data of etcd is what it was, on a disk of its own.
func (c *Cluster) Create(_ context.Context, vm provider.Machine) error {
	name, tags := vm.Name, vm.Tags
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[name]
	if n == nil {
		n = &node{Node: Node{Name: name, Master: vm.ForControlPlane()}}
		c.nodes[name] = n
	}
	if n.Up {
		return fmt.Errorf("there is a machine %s already", name)
	}
	n.Up, n.Kubelet, n.Version, n.Boot = true, true, provider.TaggedVersion(tags), n.Boot+1
	if n.Master {
		c.members[name] = true
	}
	c.changed(n, " is up")
	return nil
}

// Delete takes a machine's power and its system disk. Its Node stays until somebody deletes it.
func (c *Cluster) Delete(_ context.Context, vm provider.Machine) error {
	name := vm.Name
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	if n := c.nodes[name]; n != nil {
		n.Up, n.Kubelet = false, false
		c.changed(n, Gone)
	}
	return nil
}

// Power acts on a machine's switch.
func (c *Cluster) Power(_ context.Context, vm provider.Machine, action string) error {
	name := vm.Name
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	n := c.nodes[name]
	if n == nil {
		return fmt.Errorf("there is no machine %s", name)
	}
	switch action {
	case PoweredOff, "deallocate", "simulateEviction":
		n.Up, n.Kubelet = false, false
	default:
		n.Up, n.Kubelet = true, true
	}
	c.changed(n, ": "+action)
	return nil
}

// KubeletDies has a machine's kubelet end as soon as its next provisioning script has ended well.
func (c *Cluster) KubeletDies(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dying[name] = true
}

// script is what the extensions are called that AKS Engine's provisioning script is in.
const script = "cse-"

// Extension is the verdict of a machine's provisioning script: it ends well once the kubelet runs and, on a master, etcd has a quorum. Others always do.
func (c *Cluster) Extension(ctx context.Context, vm provider.Machine, extension string) error {
	machine := vm.Name
	if !strings.HasPrefix(extension, script) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Provisioning)
	defer cancel()
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for {
		lacks := c.provisioned(machine)
		if lacks == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the provisioning script of %s gave up after %s: %s", machine, c.options.Provisioning, lacks)
		case <-every.C:
		}
	}
}

// provisioned says what a machine lacks to be provisioned; empty: nothing.
func (c *Cluster) provisioned(machine string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[machine]
	switch {
	case n == nil || !n.Up:
		return "the machine is not up"
	case !n.Kubelet:
		return "kubelet is not running"
	case !c.quorum():
		return fmt.Sprintf("etcd has no quorum: %d of %d members are up", c.alive(), len(c.members))
	}
	c.settle()
	if c.dying[machine] {
		delete(c.dying, machine)
		n.Kubelet = false
		c.changed(n, ": "+KubeletEnded)
	}
	return ""
}

// quorum reports whether a majority of the members is up. The caller holds the lock, as for what follows.
func (c *Cluster) quorum() bool { return len(c.members) > 0 && c.alive() > len(c.members)/2 }

func (c *Cluster) alive() (n int) {
	for name := range c.members {
		if c.nodes[name].Up {
			n++
		}
	}
	return n
}

func (c *Cluster) changed(n *node, what string) {
	is := n.Node
	c.changes = append(c.changes, Change{Time: time.Now(), What: n.Name + what, Node: &is, Members: len(c.members), Alive: c.alive(), Quorum: c.quorum()})
}

// settle lets every running kubelet tell of itself, if there is anybody to tell.
func (c *Cluster) settle() {
	if !c.quorum() {
		return
	}
	for _, n := range c.nodes {
		if !n.Up || !n.Kubelet {
			continue
		}
		if n.object == nil && n.removed != n.Boot {
			n.object = n.register()
		}
		n.beat, n.seen, n.of = time.Now(), n.Version, n.Boot
	}
}

// BootID is what the kernel of a machine calls the boot of it that is the first, the second and so on of its name.
func BootID(machine string, boot int) string { return fmt.Sprintf("boot-%s-%d", machine, boot) }

// Grace is how long a node is told to be Ready after its kubelet's last word.
func (c *Cluster) Grace() time.Duration { return c.options.Grace }

// ready is what is told of a node.
func (c *Cluster) ready(n *node) bool { return time.Since(n.beat) < c.options.Grace }

// Changes are those so far.
func (c *Cluster) Changes() []Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.changes)
}

// Nodes are the machines by name, as they are and not as they are told to be.
func (c *Cluster) Nodes() []Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	var out []Node
	for _, n := range c.nodes {
		now := n.Node
		now.Told = n.object != nil && c.ready(n)
		if n.Up || n.object != nil {
			out = append(out, now)
		}
	}
	slices.SortFunc(out, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return out
}
