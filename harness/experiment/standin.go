package experiment

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/azure/standin"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
)

// standInObserver sees of a stand-in what an observer sees of a cluster: of each machine what runs on it, as if it were asked itself, and the Nodes as the
// API tells them, which may be of a machine before.
type standInObserver struct {
	cluster  *standin.Cluster
	client   kubernetes.Interface
	topology cluster.Topology
}

// refused is what a connection to what does not run ends with.
const refused = "connection refused"

// look is one of an observer's.
func (s *standInObserver) look(ctx context.Context) observe.Observation {
	o := observe.Observation{Time: time.Now(), Synced: &etcd.Synced{Revision: 1, Applied: map[string]int64{}, Hashes: map[string]uint32{}}}
	machines := map[string]standin.Node{}
	for _, n := range s.cluster.Nodes() {
		machines[n.Name] = n
	}
	s.members(&o, machines)
	quorum := o.Quorum.Error == ""
	for name, n := range machines {
		if n.Up || slices.Contains(s.topology.KubernetesMachines(), name) {
			s.components(&o, n, quorum)
		}
	}
	s.nodes(ctx, &o, machines)
	if !quorum {
		return o
	}
	holder := o.Members[slices.IndexFunc(o.Members, etcd.Member.Healthy)].Machine // whose controller manager and scheduler lead
	for _, name := range kubeadm.Leases() {
		o.Leases = append(o.Leases, observe.Lease{Component: name, Holder: holder, Renewed: o.Time, Duration: time.Minute})
	}
	return o
}

// members are those of etcd: each votes as long as its machine is up.
func (s *standInObserver) members(o *observe.Observation, machines map[string]standin.Node) {
	var leader uint64
	for i, name := range s.topology.EtcdMachines() {
		id := uint64(i + 1)
		o.Quorum.Members = append(o.Quorum.Members, etcd.Listed{ID: id, Machine: name})
		m := etcd.Member{Machine: name, Error: refused}
		if machines[name].Up {
			if leader == 0 {
				leader = id
			}
			m = etcd.Member{Machine: name, ID: id, Term: 1}
			o.Synced.Applied[name], o.Synced.Hashes[name] = 1, 1
		}
		o.Members = append(o.Members, m)
	}
	if len(o.Synced.Applied) < cluster.Quorum(s.topology.EtcdMembers) {
		o.Quorum, o.Synced = etcd.Membership{Error: "no linearizable read succeeded"}, nil
		return
	}
	for i := range o.Members {
		if o.Members[i].Error == "" {
			o.Members[i].Leader = leader
		}
	}
}

// components are what runs on a machine. Static pods run as long as the machine does; whether a kubelet is there to start them again is its own affair.
func (s *standInObserver) components(o *observe.Observation, n standin.Node, quorum bool) {
	component := func(name string, runs bool) {
		c := observe.Component{Name: name, Machine: n.Name, Error: refused}
		if runs {
			c = observe.Component{Name: name, Machine: n.Name, Version: "v" + n.Version, Started: o.Time}
		}
		o.Components = append(o.Components, c)
	}
	component(observe.Kubelet, n.Up && n.Kubelet)
	if !n.Master {
		return
	}
	component(observe.APIServer, n.Up)
	component(observe.ControllerManager, n.Up)
	component(observe.Scheduler, n.Up)
	server, pod := observe.ServerHealth{Machine: n.Name}, observe.Pod{Name: metav1.NamespaceSystem + "/kube-apiserver-" + n.Name, Node: n.Name, Phase: string(corev1.PodRunning), Ready: n.Up, Owner: "Node/" + n.Name}
	switch {
	case !n.Up:
		server.Live, server.Ready = refused, refused
	case !quorum:
		server.Ready = "etcd: no quorum"
	}
	o.APIServers, o.Pods = append(o.APIServers, server), append(o.Pods, pod)
}

// nodes are the Nodes, through the API.
func (s *standInObserver) nodes(ctx context.Context, o *observe.Observation, machines map[string]standin.Node) {
	list, err := s.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		o.Unread = append(o.Unread, observe.Unread{What: observe.PartNodes, Why: err.Error(), Failure: cluster.FailureOf(err)})
		return
	}
	for i := range list.Items {
		n := &list.Items[i]
		seen := observe.Node{Name: n.Name, BootID: n.Status.NodeInfo.BootID, Version: n.Status.NodeInfo.KubeletVersion, Ready: kubeadm.NodeReady(n) == nil}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady {
				seen.Status, seen.Renewed = string(c.Status), c.LastHeartbeatTime.Time
				seen.Expires = seen.Renewed.Add(s.cluster.Grace())
			}
		}
		if m := machines[n.Name]; m.Up {
			seen.Booted = standin.BootID(n.Name, m.Boot)
		}
		o.Nodes = append(o.Nodes, seen)
	}
}
