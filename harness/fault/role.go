package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
)

// Targets that are roles. Those with something behind a slash are made by Role.
const (
	Leader                  = "leader"
	Follower                = "follower"
	Any                     = "any"
	Minority                = "minority"
	Majority                = "majority"
	Workers                 = "workers" // all of them
	Members                 = "members" // all of etcd's
	APIServerBehindBalancer = "apiServerBehindBalancer"
	LeaseHolder             = "leaseHolder"
	NodeOf                  = "nodeOf"
	Cluster                 = "cluster"
)

// Role names machines by what they are or do, where a target has its name. Some are chosen when the plan is made; of one that changes hands the plan
// knows only whom it can be, and it is found when the fault happens.
type Role struct {
	Name  string
	Of    string // what the target says of it behind a slash; empty: nothing
	About string
	// Among are the machines it can be; a UsageError says why the cluster has no such role.
	Among func(t cluster.Topology, of string) ([]string, error)
	// Choose picks of them, in an order of chance, when the plan is made; nil: Find does when it happens.
	Choose func(among []string) []string
	// Find finds the one machine that it is now. Machines that another fault holds and this one cannot are in e.taken.
	Find func(ctx context.Context, e *Env, s Spec, of string) (string, error)
}

// String is the role as a target is written.
func (r Role) String() string {
	if r.Of == "" {
		return r.Name
	}
	return r.Name + "/" + r.Of
}

// Roles is every one there is.
func Roles() []Role {
	members := func(t cluster.Topology, _ string) ([]string, error) { return t.EtcdMachines(), nil }
	workers := func(t cluster.Topology, _ string) ([]string, error) { return some(t.WorkerMachines()) }
	servers := func(t cluster.Topology, _ string) ([]string, error) { return some(t.ControlPlaneMachines()) }
	all := func(among []string) []string { return among }
	return []Role{
		{Name: Leader, About: "the member of etcd that leads when it happens", Among: members, Find: leader},
		{Name: Follower, About: "a member that follows it", Among: followers, Find: follower},
		{Name: Any, About: "a member, chosen by the seed", Among: members, Choose: func(among []string) []string { return among[:1] }},
		{Name: Minority, About: "as many members as may be lost", Among: members, Choose: func(among []string) []string { return among[:cluster.Tolerance(len(among))] }},
		{Name: Majority, About: "one more", Among: members, Choose: func(among []string) []string { return among[:cluster.Tolerance(len(among))+1] }},
		{Name: Members, About: "all members", Among: members, Choose: all},
		{Name: Workers, About: "all workers", Among: workers, Choose: all},
		{Name: Cluster, About: "no machine: of faults that are done to the cluster as a whole", Among: func(cluster.Topology, string) ([]string, error) { return nil, nil }, Choose: all},
		{Name: APIServerBehindBalancer, About: "the API server that a client's connection through the balancer has come to", Among: servers, Find: behindBalancer},
		{Name: LeaseHolder, Of: "COMPONENT", About: "the machine whose " + strings.Join(kubeadm.Leases(), " or ") + " leads", Among: holders, Find: holder},
		{Name: NodeOf, Of: "[NAMESPACE/]POD", About: "the node of a pod that runs, of the first by name that begins so", Among: nodes, Find: nodeOf},
	}
}

// Targets are those that a cluster has, machines by name and roles: what may be drawn of when nobody says. Pods are not among them: what is there is not known.
func Targets(t cluster.Topology) []string {
	var out []string
	for _, r := range Roles() {
		of := []string{""}
		switch r.Name {
		case LeaseHolder:
			of = kubeadm.Leases()
		case NodeOf:
			continue
		}
		for _, o := range of {
			if among, err := r.Among(t, o); err == nil && len(among) > 0 {
				r.Of = o
				out = append(out, r.String())
			}
		}
	}
	return append(out, t.MachineNames()...)
}

// roleOf takes a target apart; no role has its name: it is a machine's.
func roleOf(target string) (r Role, of string, found bool) {
	name, of, slash := strings.Cut(target, "/")
	for _, r := range Roles() {
		if r.Name == name && slash == (r.Of != "") {
			return r, of, true
		}
	}
	return Role{}, "", false
}

func some(names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, errors.New("the cluster has none")
	}
	return names, nil
}

func followers(t cluster.Topology, _ string) ([]string, error) {
	if len(t.EtcdMachines()) < 2 {
		return nil, errors.New("the only member follows nobody")
	}
	return t.EtcdMachines(), nil
}

func holders(t cluster.Topology, of string) ([]string, error) {
	if !slices.Contains(kubeadm.Leases(), of) {
		return nil, fmt.Errorf("%q holds no lease; known: %s", of, strings.Join(kubeadm.Leases(), ", "))
	}
	return some(t.ControlPlaneMachines())
}

// nodes: pods without a namespace are those of a workload, which a control plane's taint keeps away from it. Should one be there all the same, nothing is
// injected: the plan did not reckon with it.
func nodes(t cluster.Topology, of string) ([]string, error) {
	namespace, pod := podOf(of)
	if pod == "" {
		return nil, errors.New("the pod is missing: nodeOf/POD or nodeOf/NAMESPACE/POD")
	}
	if workers := t.WorkerMachines(); namespace == metav1.NamespaceDefault && len(workers) > 0 {
		return workers, nil
	}
	return some(t.KubernetesMachines())
}

func podOf(of string) (namespace, pod string) {
	if namespace, pod, found := strings.Cut(of, "/"); found {
		return namespace, pod
	}
	return metav1.NamespaceDefault, of
}

// resolveWithin is how long a role may be nobody's, or somebody's who cannot be taken: an election, or the time-out of a lease.
const resolveWithin = 15 * time.Second

// resolve finds the machines of a target that depends on who does something now, and takes them. It is one that the plan has reckoned with, and that no
// other fault holds which this one cannot overlap with.
func (g *Guard) resolve(ctx context.Context, e *Env) ([]string, error) {
	s := g.Spec
	r, of, known := roleOf(s.Target)
	if !s.Late() || !known {
		return s.Machines, e.take(g, s.Machines)
	}
	var out []string
	err := cluster.Await(ctx, "target "+s.Target, cluster.Wait{For: resolveWithin}, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, look)
		defer cancel()
		name, err := r.Find(ctx, g.env(e), s, of)
		switch {
		case err != nil:
			return err
		case !slices.Contains(s.Among, name):
			return fmt.Errorf("it is %s, and the plan has reckoned with %s", name, strings.Join(s.Among, ", "))
		}
		out = []string{name}
		return e.take(g, out)
	})
	return out, err
}

// roles are the members that lead, and those that follow, of those that this fault can be done to, and how many lead of those that it cannot: one that is
// slow leads on, and one that is cut off may think so.
func roles(members []etcd.Member, taken map[string]string) (leaders, following []string, others int) {
	for _, m := range members {
		switch {
		case m.IsLeader() && taken[m.Machine] != "":
			others++
		case taken[m.Machine] != "":
		case m.IsLeader():
			leaders = append(leaders, m.Machine)
		case m.Healthy():
			following = append(following, m.Machine)
		}
	}
	slices.Sort(following)
	return leaders, following, others
}

func leader(ctx context.Context, e *Env, _ Spec, _ string) (string, error) {
	leaders, _, others := roles(e.Members.Members(ctx, look), e.taken)
	if len(leaders) != 1 {
		return "", fmt.Errorf("%d members take themselves for the leader, and %d that other faults hold", len(leaders), others)
	}
	return leaders[0], nil
}

func follower(ctx context.Context, e *Env, s Spec, _ string) (string, error) {
	leaders, following, others := roles(e.Members.Members(ctx, look), e.taken)
	if len(leaders) > 1 || len(leaders)+others == 0 {
		return "", fmt.Errorf("%d members take themselves for the leader", len(leaders))
	}
	if len(following) == 0 {
		return "", errors.New("there is no follower")
	}
	return following[s.Pick%len(following)], nil
}

// client is the one whose connections are meant: the run's own clients', or, where there are none, a new one's.
func (e *Env) client(ctx context.Context) (kubernetes.Interface, error) {
	if e.Client != nil {
		return e.Client, nil
	}
	return kubeadm.AdminClient(ctx, e.Cluster)
}

// behindBalancer asks over the client's own connection who answers: kubeadm gives each API server a certificate of its own, for its machine's name and
// address.
func behindBalancer(ctx context.Context, e *Env, _ Spec, _ string) (string, error) {
	client, err := e.client(ctx)
	if err != nil {
		return "", err
	}
	rc, ok := client.CoreV1().RESTClient().(*rest.RESTClient)
	if !ok {
		return "", fmt.Errorf("the connection of a %T is not known", client)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+e.Cluster.Endpoint()+"/version", nil)
	if err != nil {
		return "", fmt.Errorf("through the balancer: %w", err)
	}
	resp, err := rc.Client.Do(req)
	if err != nil {
		return "", fmt.Errorf("through the balancer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.TLS == nil || len(resp.TLS.PeerCertificates) == 0 {
		return "", errors.New("through the balancer: who answered has shown no certificate")
	}
	cert := resp.TLS.PeerCertificates[0]
	var whose []string
	for _, name := range e.Cluster.Topology().ControlPlaneMachines() {
		m, err := e.Cluster.Machine(name)
		if err != nil {
			return "", err
		}
		if cert.VerifyHostname(name) == nil || cert.VerifyHostname(m.Addr().String()) == nil {
			whose = append(whose, name)
		}
	}
	if len(whose) != 1 {
		return "", fmt.Errorf("through the balancer: the certificate of who answered is that of %d control planes %v: who it was cannot be told", len(whose), whose)
	}
	return whose[0], nil
}

func holder(ctx context.Context, e *Env, _ Spec, of string) (string, error) {
	client, err := e.client(ctx)
	if err != nil {
		return "", err
	}
	l, err := client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, of, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("lease %s: %w", of, err)
	}
	if l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity == "" {
		return "", fmt.Errorf("lease %s is held by nobody", of)
	}
	machine, _, _ := strings.Cut(*l.Spec.HolderIdentity, "_") // MACHINE_uuid
	return machine, nil
}

func nodeOf(ctx context.Context, e *Env, _ Spec, of string) (string, error) {
	client, err := e.client(ctx)
	if err != nil {
		return "", err
	}
	namespace, prefix := podOf(of)
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("pods of namespace %s: %w", namespace, err)
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	for _, p := range pods.Items {
		if strings.HasPrefix(p.Name, prefix) && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
			return p.Spec.NodeName, nil
		}
	}
	return "", fmt.Errorf("of %d pods of namespace %s none runs whose name begins with %q", len(pods.Items), namespace, prefix)
}
