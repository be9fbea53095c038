// Package observe reads a cluster: its etcd members, API servers, components, nodes, leases and objects. A reading says what was seen and never
// what to make of it; that is harness/health.
package observe

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	Quorum     etcd.Membership   `json:"quorum"`           // the member list, by a linearizable read
	Synced     *etcd.Synced      `json:"synced,omitempty"` // only of a Look
	APIServers []ServerHealth    `json:"apiServers,omitempty"`
	Nodes      []Node            `json:"nodes,omitempty"`  // empty when no API server answered
	Leases     []Lease           `json:"leases,omitempty"` // empty when no API server answered
	Components []Component       `json:"components,omitempty"`
	Workload   *WorkloadState    `json:"workload,omitempty"` // nil when there is none or no API server answered
	Versions   map[string]string `json:"versions,omitempty"`
	Pods       []Pod             `json:"pods,omitempty"`   // nil: not read at this one (see PodsEvery), or no API server answered
	Wanted     []Wanted          `json:"wanted,omitempty"` // read with Pods
	Unread     []Unread          `json:"unread,omitempty"` // what is not there although it was asked for
}

// Unread is a part of an observation that could not be read.
type Unread struct {
	What    string          `json:"what"`
	Why     string          `json:"why"`
	Failure cluster.Failure `json:"failure"` // a deadline may be the fault of who asked
}

// What may be unread.
const (
	PartNodes      = "nodes"
	PartLeases     = "leases"
	PartPods       = "pods"
	PartHeartbeats = "heartbeats"
)

// unread notes a part, if there is an error.
func (o *Observation) unread(what string, err error) {
	if err == nil {
		return
	}
	f := cluster.FailureOf(err)
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		f = cluster.Answered
	}
	o.Unread = append(o.Unread, Unread{What: what, Why: err.Error(), Failure: f})
}

// ServerHealth is one API server, asked past the balancer.
type ServerHealth struct {
	Machine string `json:"machine"`
	Live    string `json:"live"`  // empty: /livez answered 200; else why not
	Ready   string `json:"ready"` // the same of /readyz
	// Failure is of which kind the error of /readyz is.
	Failure cluster.Failure `json:"failure,omitempty"`
}

// Node is a Node object's state.
type Node struct {
	Name    string    `json:"name"`
	Ready   bool      `json:"ready"`
	BootID  string    `json:"bootID"`
	Version string    `json:"version"`
	Renewed time.Time `json:"renewed,omitzero"` // its heartbeat (the lease in kube-node-lease); only of a Look
	Expires time.Time `json:"expires,omitzero"` // when that is too old
	Booted  string    `json:"booted,omitempty"` // the boot id its machine has; only of a Look
	// Status is that of its Ready condition: True, False or Unknown, which is the node life cycle controller's word for a kubelet that is silent.
	Status    string  `json:"status,omitempty"`
	NoExecute []Taint `json:"noExecute,omitempty"` // its taints by which pods are evicted
}

// Taint is one by which pods are evicted from a node, unless they tolerate it.
type Taint struct {
	Key   string    `json:"key"`
	Added time.Time `json:"added,omitzero"` // whole seconds, by the clock of whoever put it there
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

// Reachable counts the members that answered, vote and follow a leader.
func (o Observation) Reachable() int {
	n := 0
	for _, m := range o.Members {
		if m.Healthy() {
			n++
		}
	}
	return n
}

// Observer reads a cluster again and again.
type Observer struct {
	cluster cluster.Cluster
	members *etcd.Watcher
	client  kubernetes.Interface // nil for etcd-only
	Keep    func(Observation)    // told of every observation; may be nil
	// ReadOnly: a Look writes nothing, and compares what members hold at a revision that is there.
	ReadOnly bool

	components *componentProbes
	workload   *Workload // nil: none was started
	service    *Service  // nil: no workload of the user's own is used

	mu   sync.Mutex
	seen []Observation
}

// How often a cluster is read, and how long one part of a reading may take. Run reads the pods less often: they are most of what a reading weighs.
const (
	Every     = 500 * time.Millisecond
	For       = time.Second
	PodsEvery = 5 * time.Second
)

// NewObserver makes an observer.
func NewObserver(t *Target) (*Observer, error) {
	o := &Observer{cluster: t.Cluster, members: t.Members, client: t.Client, workload: t.Workload, service: t.Service}
	if t.Config == nil {
		return o, nil
	}
	var err error
	o.components, err = newComponentProbes(t.Cluster, t.Config)
	return o, err
}

// Run observes until the context ends.
func (o *Observer) Run(ctx context.Context) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	var podsRead time.Time
	for ctx.Err() == nil {
		podsFor := time.Duration(0)
		if time.Since(podsRead) >= PodsEvery {
			podsRead, podsFor = time.Now(), For
		}
		ob := o.read(ctx, podsFor)
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
func (o *Observer) Observe(ctx context.Context) Observation { return o.read(ctx, For) }

// read reads everything; podsFor is how long the pods may take, nothing: they are not read.
func (o *Observer) read(ctx context.Context, podsFor time.Duration) Observation {
	ob := Observation{Time: time.Now()}
	var nodes, leases, pods error
	var wg sync.WaitGroup
	wg.Go(func() { ob.Members = o.members.Members(ctx, For) })
	wg.Go(func() { ob.Quorum = o.members.Membership(ctx, For) })
	if o.client != nil {
		wg.Go(func() { ob.APIServers = o.apiServers(ctx) })
		wg.Go(func() { ob.Nodes, nodes = o.nodes(ctx) })
		wg.Go(func() { ob.Leases, leases = o.leases(ctx) })
		wg.Go(func() { ob.Components = o.Components(ctx) })
	}
	if o.client != nil && podsFor > 0 {
		wg.Go(func() { ob.Pods, ob.Wanted, pods = o.pods(ctx, podsFor) })
	}
	if o.workload != nil {
		wg.Go(func() { ob.Workload = o.workload.Observe(ctx) })
	}
	if o.service != nil {
		wg.Go(func() { _ = o.service.Observe(ctx) }) // what cannot be read stays as it was
	}
	wg.Wait()
	ob.unread(PartNodes, nodes)
	ob.unread(PartLeases, leases)
	ob.unread(PartPods, pods)
	ob.Versions = versions(ob)
	return ob
}

func (o *Observer) apiServers(ctx context.Context) []ServerHealth {
	names := o.cluster.Topology().ControlPlaneMachines()
	out := make([]ServerHealth, len(names))
	ctx, cancel := context.WithTimeout(ctx, For)
	defer cancel()
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			out[i] = ServerHealth{Machine: name}
			if err := kubeadm.Health(ctx, o.cluster, name, "/livez"); err != nil {
				out[i].Live = err.Error()
			}
			if err := kubeadm.Health(ctx, o.cluster, name, "/readyz"); err != nil {
				out[i].Ready, out[i].Failure = err.Error(), cluster.FailureOf(err)
			}
		})
	}
	wg.Wait()
	return out
}

func (o *Observer) nodes(ctx context.Context) ([]Node, error) {
	ctx, cancel := context.WithTimeout(ctx, For)
	defer cancel()
	list, err := o.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []Node
	for i := range list.Items {
		out = append(out, nodeOf(&list.Items[i]))
	}
	return out, nil
}

func nodeOf(n *corev1.Node) Node {
	out := Node{Name: n.Name, Ready: kubeadm.NodeReady(n) == nil, BootID: n.Status.NodeInfo.BootID, Version: n.Status.NodeInfo.KubeletVersion}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			out.Status = string(c.Status)
		}
	}
	for _, t := range n.Spec.Taints {
		if t.Effect != corev1.TaintEffectNoExecute {
			continue
		}
		taint := Taint{Key: t.Key}
		if t.TimeAdded != nil {
			taint.Added = t.TimeAdded.Time
		}
		out.NoExecute = append(out.NoExecute, taint)
	}
	return out
}

// leases are those that are held. That one is not there is no error.
func (o *Observer) leases(ctx context.Context) ([]Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, For)
	defer cancel()
	var out []Lease
	var errs []error
	for _, name := range kubeadm.Leases() {
		l, err := o.client.CoordinationV1().Leases("kube-system").Get(ctx, name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
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
	return out, errors.Join(errs...)
}

func versions(ob Observation) map[string]string {
	out := map[string]string{}
	for _, m := range ob.Members {
		if m.Version != "" {
			out["etcd/"+m.Machine] = "v" + m.Version
		}
	}
	for _, c := range ob.Components {
		if c.Version != "" {
			out[c.Name+"/"+c.Machine] = c.Version
		}
	}
	return out
}
