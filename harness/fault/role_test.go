package fault

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	prng "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

func seeded() *prng.Rand { return prng.New(prng.NewPCG(1, 1)) }

func TestRolesThatTheClusterLacks(t *testing.T) {
	stacked := cluster.Topology{ControlPlanes: 3, Workers: 2}.Complete()
	external := cluster.Topology{ControlPlanes: 2, Etcd: cluster.EtcdExternal, EtcdMembers: 3}.Complete()
	alone := cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 1}.Complete()
	for _, c := range []struct {
		t            cluster.Topology
		kind, target string
		among        []string // whom it can be
		want         string   // of the refusal; empty: it is fine
	}{
		{stacked, "etcdMemberCrash", "leaseHolder/kube-scheduler", stacked.ControlPlaneMachines(), ""},
		{stacked, "machinePowerOff", "apiServerBehindBalancer", stacked.ControlPlaneMachines(), ""},
		{stacked, "machinePowerOff", "nodeOf/drydock-workload", stacked.WorkerMachines(), ""},
		{stacked, "machinePowerOff", "nodeOf/kube-system/coredns", stacked.KubernetesMachines(), ""},
		{external, "machinePowerOff", "leaseHolder/kube-controller-manager", external.ControlPlaneMachines(), ""},
		{stacked, "machinePowerOff", "leaseHolder/kubelet", nil, `"kubelet" holds no lease; known: kube-controller-manager, kube-scheduler`},
		{stacked, "machinePowerOff", "leaseHolder", nil, "known: leader, follower"},
		{stacked, "machinePowerOff", "leader/etcd", nil, "unknown target"},
		{stacked, "machinePowerOff", "nodeOf/", nil, "the pod is missing"},
		{stacked, "etcdMemberCrash", "nodeOf/kube-system/coredns", nil, "does not run on worker-1"},
		{external, "etcdMemberCrash", "apiServerBehindBalancer", nil, "does not run on control-plane-1"},
		{external, "machinePowerOff", "workers", nil, "the cluster has none"},
		{alone, "machinePowerOff", "apiServerBehindBalancer", nil, "the cluster has none"},
		{alone, "machinePowerOff", "leaseHolder/kube-scheduler", nil, "the cluster has none"},
		{alone, "machinePowerOff", "nodeOf/drydock-workload", nil, "the cluster has none"},
		{alone, "etcdMemberCrash", Follower, nil, "follows nobody"},
	} {
		s, err := NewSpec(c.kind, c.target, 0, Params{}, c.t, seeded())
		var usage *cluster.UsageError
		switch {
		case c.want == "" && (err != nil || !slices.Equal(s.Among, c.among) || len(s.Machines) > 0):
			t.Errorf("%s of %s: among %v, machines %v, %v", c.kind, c.target, s.Among, s.Machines, err)
		case c.want != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s of %s: %v, want %q", c.kind, c.target, err, c.want)
		}
	}
}

// TestAwayIsTheWorstCase: one that is found late may be any that it can be, but not one that is away anyway and not more than there are.
func TestAwayIsTheWorstCase(t *testing.T) {
	five := cluster.Topology{ControlPlanes: 5, Workers: 3}.Complete()
	external := cluster.Topology{ControlPlanes: 2, Etcd: cluster.EtcdExternal, EtcdMembers: 3}.Complete()
	make := func(t cluster.Topology, of ...string) (out []Spec) {
		for _, f := range of {
			kind, target, _ := strings.Cut(f, " ")
			p := Params{}
			if kind == "apiServerCrashLoop" {
				p.Version = "v1.36.3"
			}
			s, err := NewSpec(kind, target, 0, p, t, seeded())
			if err != nil {
				panic(err)
			}
			out = append(out, s)
		}
		return out
	}
	for _, c := range []struct {
		t      cluster.Topology
		down   []string
		faults []string
		want   int
	}{
		{five, nil, []string{"etcdMemberCrash leader", "machinePowerOff leaseHolder/kube-scheduler"}, 2},
		{five, nil, []string{"etcdMemberCrash control-plane-1", "etcdMemberFreeze control-plane-1"}, 1},
		{five, []string{"control-plane-1"}, []string{"etcdMemberCrash control-plane-1", "etcdMemberCrash leader"}, 2},
		{five, nil, []string{"etcdMemberCrash minority", "machinePowerOff follower", "machinePowerOff worker-1"}, 3},
		{five, nil, []string{"etcdMemberCrash members", "etcdMemberCrash leader"}, 5},
		{five, nil, []string{"machinePowerOff nodeOf/drydock-workload"}, 0},
		{five, nil, []string{"machinePowerOff nodeOf/kube-system/coredns"}, 1},
		{five, nil, []string{"apiServerCrashLoop leader", "etcdMemberCrash leader"}, 1}, // the first leaves etcd alone
		{external, nil, []string{"machinePowerOff apiServerBehindBalancer"}, 0},
		{external, nil, []string{"machinePowerOff leader", "machinePowerOff apiServerBehindBalancer"}, 1},
		{external, []string{"etcd-1", "control-plane-1"}, []string{"machinePowerOff leader"}, 2},
	} {
		if got := Impact(c.t, c.down, make(c.t, c.faults...)...); got != c.want {
			t.Errorf("%v down, %v: %d members away, want %d", c.down, c.faults, got, c.want)
		}
	}
}

func TestWhatCannotBeThereTogether(t *testing.T) {
	five := cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 5}.Complete()
	for _, c := range []struct{ a, b, target, want string }{
		{"etcdMemberCrash", "etcdMemberCrash", "etcd-2", ""},
		{"etcdMemberCrash", "etcdMemberCrash", "etcd-1", "on etcd-1: both are on etcd"},
		{"machineIsolate", "partition", "etcd-1", "both are done by links, and what undoes one would undo the other"},
		{"etcdMemberCrash", "etcdMemberFreeze", "etcd-1", "both are on etcd"},
		{"machinePowerOff", "etcdMemberFreeze", "etcd-1", "takes all that runs there"},
		{"etcdMemberDataLoss", "etcdMemberFreeze", "etcd-2", "while a member is replaced"},
		{"etcdMemberFreeze", "etcdMemberDataLoss", Leader, "while a member is replaced"},
		{"etcdMemberCrash", "etcdMemberCrash", Leader, ""}, // seen when it happens
	} {
		a, errA := NewSpec(c.a, "etcd-1", 0, Params{}, five, seeded())
		b, errB := NewSpec(c.b, c.target, 0, Params{}, five, seeded())
		err := errors.Join(errA, errB, Together(a, b))
		var usage *cluster.UsageError
		if (err == nil) != (c.want == "") || err != nil && (!errors.As(err, &usage) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s on etcd-1, %s on %s: %v, want %q", c.a, c.b, c.target, err, c.want)
		}
	}
}

// TestWithoutItsKubelet: what a kubelet has to start anew, or to tell of, cannot be had beside a kubelet that is away; where it is back at once it can.
func TestWithoutItsKubelet(t *testing.T) {
	stacked := cluster.Topology{ControlPlanes: 3, Workers: 2}.Complete()
	kubelet := Params{Service: "kubelet"}
	for _, c := range []struct {
		a, b    string
		of      Params // of b
		target  string
		refused bool
	}{
		{"serviceStop", "etcdMemberCrash", Params{}, "control-plane-1", true},
		{"serviceFreeze", "etcdMemberCrash", Params{}, "control-plane-1", true},
		{"serviceKill", "etcdMemberCrash", Params{}, "control-plane-1", false},
		{"serviceRestart", "etcdMemberCrash", Params{}, "control-plane-1", false},
		{"serviceStop", "etcdMemberCrash", Params{}, "control-plane-2", false},
		{"serviceStop", "etcdMemberFreeze", Params{}, "control-plane-1", false},
		{"serviceStop", "serviceKill", Params{Service: "kube-scheduler"}, "control-plane-1", true},
		{"serviceStop", "serviceStop", Params{Service: "kube-scheduler"}, "control-plane-1", true},
		{"serviceStop", "serviceFreeze", Params{Service: "kube-scheduler"}, "control-plane-1", false},
		{"serviceStop", "imagePullFails", Params{}, "control-plane-1", true},
	} {
		a, errA := NewSpec(c.a, "control-plane-1", 0, kubelet, stacked, seeded())
		b, errB := NewSpec(c.b, c.target, 0, c.of, stacked, seeded())
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		err, back := Together(a, b), Together(b, a)
		if (err != nil) != c.refused || (back != nil) != c.refused || err != nil && !strings.Contains(err.Error(), "the kubelet of a machine is away") {
			t.Errorf("%s of the kubelet, %s on %s: %v, %v", c.a, c.b, c.target, err, back)
		}
	}
}

// TestWhatIsHeldIsNobodyElses: a fault takes its machines when it is armed, others see it, and its end gives them back.
func TestWhatIsHeldIsNobodyElses(t *testing.T) {
	j, err := plan.CreateJournal(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	e := &Env{Held: &Held{}}
	guard := func(kind, id string, machines ...string) *Guard {
		return newGuard(Spec{Kind: kind, Target: "m", Machines: machines}, id, j, &scripted{})
	}
	first, same, beside := guard("etcdMemberCrash", "1", "a"), guard("machineIsolate", "2", "a"), guard("etcdMemberFreeze", "3", "b")
	ctx := t.Context()
	if err := first.Inject(ctx, e); err != nil {
		t.Fatal(err)
	}
	if err := same.Inject(ctx, e); err == nil || !strings.Contains(err.Error(), "a is held by etcdMemberCrash 1: both are on etcd") || !strings.Contains(same.Receipt().Error, "held by") {
		t.Errorf("a machine was taken twice: %v", err)
	}
	if err := beside.Inject(ctx, e); err != nil {
		t.Errorf("another machine: %v", err)
	}
	if got := beside.env(e).besides; !slices.Equal(got, []string{"a"}) {
		t.Errorf("besides %v", got)
	}
	if got := beside.env(e).taken["a"]; !strings.Contains(got, "etcdMemberCrash 1") {
		t.Errorf("taken: %q", got)
	}
	if err := errors.Join(first.Recover(ctx, e), first.AwaitRecovered(ctx, e)); err != nil {
		t.Fatal(err)
	}
	if got := beside.env(e).besides; len(got) > 0 {
		t.Errorf("besides %v when nobody else holds anything", got)
	}
}

// TestWhoLeadsAndFollows: of those that no other fault holds; a leader that is held may lead on, and has followers all the same.
func TestWhoLeadsAndFollows(t *testing.T) {
	members := []etcd.Member{
		{Machine: "c", ID: 3, Leader: 1}, {Machine: "a", ID: 1, Leader: 1}, {Machine: "b", ID: 2, Leader: 1}, {Machine: "d", ID: 4, Error: "away"},
	}
	for _, c := range []struct {
		taken     []string
		leaders   []string
		following []string
		others    int
	}{
		{nil, []string{"a"}, []string{"b", "c"}, 0}, {[]string{"a"}, nil, []string{"b", "c"}, 1}, {[]string{"c"}, []string{"a"}, []string{"b"}, 0},
	} {
		taken := map[string]string{}
		for _, m := range c.taken {
			taken[m] = "held"
		}
		leaders, following, others := roles(members, taken)
		if !slices.Equal(leaders, c.leaders) || !slices.Equal(following, c.following) || others != c.others {
			t.Errorf("%v held: %v lead, %v follow, %d besides", c.taken, leaders, following, others)
		}
	}
}

// serverOf is an API server with a certificate of its own, as kubeadm gives each.
func serverOf(t *testing.T, name string) *httptest.Server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"kubernetes", name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]string{
		"/version": `{"gitVersion":"v1.36.3"}`,
		"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler":          `{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","spec":{"holderIdentity":"control-plane-2_8a1c"}}`,
		"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager": `{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","spec":{"holderIdentity":"stranger_8a1c"}}`,
		"/api/v1/namespaces/default/pods": `{"kind":"PodList","apiVersion":"v1","items":[
			{"metadata":{"name":"web-2"},"spec":{"nodeName":"worker-1"},"status":{"phase":"Running"}},{"metadata":{"name":"web-1"},"spec":{"nodeName":"worker-3"},"status":{"phase":"Running"}},
			{"metadata":{"name":"web-0"},"spec":{"nodeName":"worker-2"},"status":{"phase":"Pending"}}]}`,
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer, there := answers[r.URL.Path]
		if !there {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = fmt.Fprint(w, answer)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// planes are control planes without anything but names.
type planes struct{ cluster.Cluster }

func (planes) Endpoint() string { return "balancer:6443" }
func (planes) Topology() cluster.Topology {
	return cluster.Topology{ControlPlanes: 3, Workers: 3}.Complete()
}
func (planes) Machine(name string) (cluster.Machine, error) { return &wired{name: name}, nil }

// TestRolesAreFoundWhenItHappens: over the client's own connection, wherever the balancer would lead a new one.
func TestRolesAreFoundWhenItHappens(t *testing.T) {
	servers := []*httptest.Server{serverOf(t, "control-plane-2"), serverOf(t, "control-plane-3")}
	dialled := 0
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host: "https://balancer:6443", QPS: -1, TLSClientConfig: rest.TLSClientConfig{Insecure: true},
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			s := servers[dialled%len(servers)]
			dialled++
			return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := &Env{Cluster: planes{}, Client: client}
	for range 2 { // the connection is kept
		for target, want := range map[string]string{APIServerBehindBalancer: "control-plane-2", "leaseHolder/kube-scheduler": "control-plane-2", "nodeOf/web": "worker-3"} {
			s, err := NewSpec("machinePowerOff", target, 0, Params{}, e.Cluster.Topology(), seeded())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := newGuard(s, "1", nil, nil).resolve(t.Context(), e); err != nil || !slices.Equal(got, []string{want}) {
				t.Errorf("%s is %v, %v; want %s", target, got, err, want)
			}
		}
	}
	for target, want := range map[string]string{"leaseHolder/kube-controller-manager": "it is stranger, and the plan has reckoned with control-plane-1", "nodeOf/db": "of 3 pods of namespace default none runs"} {
		s, err := NewSpec("machinePowerOff", target, 0, Params{}, e.Cluster.Topology(), seeded())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		if got, err := newGuard(s, "1", nil, nil).resolve(ctx, e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %v, %v; want %q", target, got, err, want)
		}
		cancel()
	}
}

// TestAFaultLooksAtItsOwnMachines: another that can be on the same machine takes the victim out of nobody's sight. A member that is down and whose machine
// pulls no images is down.
func TestAFaultLooksAtItsOwnMachines(t *testing.T) {
	e := &Env{Held: &Held{}}
	crash := newGuard(Spec{Kind: "etcdMemberCrash", Machines: []string{"a"}}, "1", nil, never{})
	pulls := newGuard(Spec{Kind: "imagePullFails", Machines: []string{"a", "b"}}, "2", nil, never{})
	for _, g := range []*Guard{crash, pulls} {
		if err := e.take(g, g.Spec.Machines); err != nil {
			t.Fatal(err)
		}
	}
	if got := crash.env(e).besides; !slices.Equal(got, []string{"b"}) {
		t.Errorf("what the crash takes for another's: %v", got)
	}
	e.Held.drop(crash) // its end was seen, and is looked at again
	if got := crash.env(e).besides; !slices.Equal(got, []string{"b"}) {
		t.Errorf("what the crash takes for another's afterwards: %v", got)
	}
}
