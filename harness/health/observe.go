// Package health observes a cluster and judges what was observed: observations, probes and recorded client histories on the one
// side, checks (pure functions from them to verdicts) and Gomega matchers on the other.
package health

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
)

// Observation is one reading of a cluster. It never judges.
type Observation struct {
	Time       time.Time         `json:"time"`
	Members    []etcd.Member     `json:"members"`
	APIServers []APIServer       `json:"apiServers,omitempty"`
	Nodes      []Node            `json:"nodes,omitempty"`  // empty when no API server answered
	Leases     []Lease           `json:"leases,omitempty"` // empty when no API server answered
	Versions   map[string]string `json:"versions,omitempty"`
}

// APIServer is one API server, asked past the balancer.
type APIServer struct {
	Machine string `json:"machine"`
	Live    string `json:"live"`  // empty: /livez answered 200; else why not
	Ready   string `json:"ready"` // the same of /readyz
}

// Node is a Node object's state.
type Node struct {
	Name    string `json:"name"`
	Ready   bool   `json:"ready"`
	BootID  string `json:"bootID"`
	Version string `json:"version"`
}

// Lease is the leader election of a component.
type Lease struct {
	Component   string        `json:"component"`
	Holder      string        `json:"holder"`
	Acquired    time.Time     `json:"acquired"`
	Renewed     time.Time     `json:"renewed"`
	Duration    time.Duration `json:"duration"`
	Transitions int32         `json:"transitions"`
}

// Reachable counts the members that answered and vote.
func (o Observation) Reachable() int {
	n := 0
	for _, m := range o.Members {
		if m.Error == "" && !m.Learner {
			n++
		}
	}
	return n
}

// Margin is how many more members could have been lost; negative when there was no quorum.
func (o Observation) Margin() int { return o.Reachable() - cluster.Quorum(len(o.Members)) }

// Observer reads a cluster again and again.
type Observer struct {
	cluster cluster.Cluster
	members *etcd.Watcher
	client  kubernetes.Interface // nil for etcd-only
	Keep    func(Observation)    // told of every observation; may be nil

	mu   sync.Mutex
	seen []Observation
}

// How often a cluster is read, and how long one part of a reading may take.
const (
	observeEvery = 500 * time.Millisecond
	observeFor   = time.Second
)

// NewObserver makes an observer; client is nil for etcd-only.
func NewObserver(c cluster.Cluster, members *etcd.Watcher, client kubernetes.Interface) *Observer {
	return &Observer{cluster: c, members: members, client: client}
}

// Run observes until the context ends.
func (o *Observer) Run(ctx context.Context) {
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		ob := o.Observe(ctx)
		if ctx.Err() != nil {
			return // a reading cut short says nothing about the cluster
		}
		o.mu.Lock()
		o.seen = append(o.seen, ob)
		o.mu.Unlock()
		if o.Keep != nil {
			o.Keep(ob)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// Seen returns the observations so far.
func (o *Observer) Seen() []Observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.seen)
}

// Observe reads everything once, the parts at the same time.
func (o *Observer) Observe(ctx context.Context) Observation {
	ob := Observation{Time: time.Now()}
	var wg sync.WaitGroup
	wg.Go(func() { ob.Members = o.members.Members(ctx, observeFor) })
	if o.client != nil {
		wg.Go(func() { ob.APIServers = o.apiServers(ctx) })
		wg.Go(func() { ob.Nodes = o.nodes(ctx) })
		wg.Go(func() { ob.Leases = o.leases(ctx) })
	}
	wg.Wait()
	ob.Versions = versions(ob)
	return ob
}

func (o *Observer) apiServers(ctx context.Context) []APIServer {
	names := o.cluster.Topology().ControlPlaneMachines()
	out := make([]APIServer, len(names))
	ctx, cancel := context.WithTimeout(ctx, observeFor)
	defer cancel()
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			out[i] = APIServer{Machine: name}
			if err := kubeadm.Health(ctx, o.cluster, name, "/livez"); err != nil {
				out[i].Live = err.Error()
			}
			if err := kubeadm.Health(ctx, o.cluster, name, "/readyz"); err != nil {
				out[i].Ready = err.Error()
			}
		})
	}
	wg.Wait()
	return out
}

func (o *Observer) nodes(ctx context.Context) []Node {
	ctx, cancel := context.WithTimeout(ctx, observeFor)
	defer cancel()
	list, err := o.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var out []Node
	for i := range list.Items {
		n := &list.Items[i]
		out = append(out, Node{
			Name: n.Name, Ready: kubeadm.NodeReady(n) == nil, BootID: n.Status.NodeInfo.BootID, Version: n.Status.NodeInfo.KubeletVersion,
		})
	}
	return out
}

func (o *Observer) leases(ctx context.Context) []Lease {
	ctx, cancel := context.WithTimeout(ctx, observeFor)
	defer cancel()
	var out []Lease
	for _, name := range kubeadm.Leases() {
		l, err := o.client.CoordinationV1().Leases("kube-system").Get(ctx, name, metav1.GetOptions{})
		if err != nil || l.Spec.HolderIdentity == nil || l.Spec.RenewTime == nil || l.Spec.AcquireTime == nil || l.Spec.LeaseDurationSeconds == nil {
			continue
		}
		x := Lease{
			Component: name, Holder: *l.Spec.HolderIdentity, Acquired: l.Spec.AcquireTime.Time, Renewed: l.Spec.RenewTime.Time,
			Duration: time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second,
		}
		if l.Spec.LeaseTransitions != nil {
			x.Transitions = *l.Spec.LeaseTransitions
		}
		out = append(out, x)
	}
	return out
}

func versions(ob Observation) map[string]string {
	out := map[string]string{}
	for _, m := range ob.Members {
		if m.Version != "" {
			out["etcd/"+m.Machine] = "v" + m.Version
		}
	}
	for _, n := range ob.Nodes {
		out["kubelet/"+n.Name] = n.Version
	}
	return out
}

// Settled says why the cluster is not whole: members that do not agree, API servers or nodes that are not ready.
func (o Observation) Settled(t cluster.Topology) error {
	if err := etcd.Agree(o.Members); err != nil {
		return err
	}
	if !t.Kubernetes() {
		return nil
	}
	for _, s := range o.APIServers {
		if s.Ready != "" {
			return fmt.Errorf("API server: %s", s.Ready)
		}
	}
	ready := 0
	for _, n := range o.Nodes {
		if !n.Ready {
			return fmt.Errorf("node %s is not ready", n.Name)
		}
		ready++
	}
	if want := t.ControlPlanes + t.Workers; ready != want {
		return fmt.Errorf("%d of %d nodes are ready", ready, want)
	}
	return nil
}

// runs reports whether the node's kubelet is of the version, vX.Y or vX.Y.Z.
func (n Node) runs(version string) bool {
	return n.Version == version || strings.HasPrefix(n.Version, version+".")
}
