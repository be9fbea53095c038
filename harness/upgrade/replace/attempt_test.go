package replace

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/azure/azuretest"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade"
	"drydock.dev/drydock/harness/upgrade/replace/manager"
)

// mortal is a transport of a process that dies at a call: when the twin has answered it, or before it is sent.
type mortal struct {
	*azuretest.Direct
	at     int // which call, from 1; 0: none
	unsent bool
	before string // METHOD and the end of a path: it dies before it sends such a call; empty: it does not
	after  string // a step: it dies when that has ended; empty: it does not
	sent   int
	die    context.CancelCauseFunc
}

var errKilled = errors.New("killed")

func (m *mortal) Do(req *http.Request) (*http.Response, error) {
	m.sent++
	last := m.sent == m.at
	method, end, named := strings.Cut(m.before, " ")
	if last && m.unsent || named && req.Method == method && strings.HasSuffix(req.URL.Path, end) {
		m.die(errKilled)
		return nil, errKilled
	}
	resp, err := m.Direct.Do(req)
	if last {
		m.die(errKilled)
		return nil, errKilled
	}
	return resp, err
}

// attempt is one process that upgrades.
type attempt struct {
	err   error
	steps []plan.StepDone
	sent  int
	spent manager.Spent
}

// said is what became of a step.
func (a attempt) said(step string) string {
	for _, d := range a.steps {
		if d.Name == step {
			return d.Status + " " + d.Error
		}
	}
	return "never ran"
}

// scratch is a directory in memory where there is one: hundreds of journals are synced.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "drydock")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// upgrade runs the strategy's steps in a process of its own, which dies at a call. Nothing says that it has ended well: verify is not among them.
func (f *fleet) upgrade(dir string, spec upgrade.Spec, at int, unsent bool) attempt {
	return f.process(dir, spec, &mortal{Direct: f.twin, at: at, unsent: unsent})
}

func (f *fleet) process(dir string, spec upgrade.Spec, wire *mortal) (out attempt) {
	spec.To, spec.Strategy = to, upgrade.Replace
	spec, err := spec.Complete()
	if err != nil {
		f.t.Fatal(err)
	}
	spec, came, err := upgrade.Resumed(dir, spec, f.oldest(), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	u, err := upgrade.New(spec, came, f.topology)
	if err != nil {
		f.t.Fatal(err)
	}
	u.Target, u.Dir = &observe.Target{Client: f.client}, filepath.Join(dir, "snapshots")
	r, err := New(u)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, die := context.WithCancelCause(f.t.Context())
	defer die(nil)
	wire.die = die
	r.Manager, r.Look = f.manager("drydock", wire), f.look
	held, err := plan.TakeClaim(dir, upgrade.Ended)
	if err == nil {
		err = held.Keep(u.Begun())
	}
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	runner := &plan.Runner{Journal: held.Journal}
	p := &plan.Plan{Steps: slices.DeleteFunc(r.Hop(came, to), func(s *plan.Step) bool {
		return !strings.HasPrefix(s.Name, f.only) && s.Name != "claim" && s.Name != "release"
	})}
	p.Number()
	p.Walk(func(s *plan.Step) {
		if run := s.Run; run != nil && s.Name == wire.after {
			s.Run = func(ctx context.Context) error {
				defer die(errKilled)
				return run(ctx)
			}
		}
	})
	out.err = runner.Run(ctx, p)
	out.steps, out.sent, out.spent = runner.Done(), wire.sent, r.Manager.Spent()
	return out
}

// logged is what the twin says that somebody called, and how much of it in vain.
func (f *fleet) logged(principal string) (sent, refused int) {
	all, _ := f.twin.Calls().Since(0)
	for _, c := range all {
		if c.Principal != principal || c.Beside() {
			continue
		}
		if sent++; c.Status == 0 || c.Status == http.StatusTooManyRequests || c.Status >= http.StatusInternalServerError {
			refused++
		}
	}
	return sent, refused
}

// oldest is the version that the command would see.
func (f *fleet) oldest() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.hosts {
		if h.version == from {
			return from
		}
	}
	return to
}

// judge says what is wrong at the end: what was not replaced, what was lost, and what was left behind.
func (f *fleet) judge(t *testing.T, version map[string]string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.wrong {
		t.Error(w)
	}
	if need := cluster.Quorum(f.topology.EtcdMembers); f.least < need {
		t.Errorf("%d members were well at the least; a quorum is %d", f.least, need)
	}
	names := f.topology.KubernetesMachines()
	for _, m := range names {
		h, want := f.hosts[m], to
		if v := version[m]; v != "" {
			want = v
		}
		if h == nil || h.version != want {
			t.Errorf("%s is %+v, want %s", m, h, want)
			continue
		}
		n, err := f.client.CoreV1().Nodes().Get(t.Context(), m, metav1.GetOptions{})
		if err != nil || n.Labels["example.com/rack"] != "rack-of-"+m || n.Annotations["example.com/owner"] != "somebody" || n.Spec.Unschedulable || n.Annotations[upgrade.CordonedBy] != "" ||
			!slices.ContainsFunc(n.Spec.Taints, func(x corev1.Taint) bool { return x.Key == "example.com/only" && x.Value == m }) || n.Status.NodeInfo.BootID != h.bootID {
			t.Errorf("node %s carries %v %v %v, unschedulable %t: %v", m, n.Labels, n.Annotations, n.Spec.Taints, n.Spec.Unschedulable, err)
		}
	}
	if len(f.hosts) != len(names)+f.instances {
		t.Errorf("%d machines run instead of %d", len(f.hosts), len(names)+f.instances)
	}
	nodes, err := f.client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) != len(names)+f.instances {
		t.Errorf("%d nodes instead of %d: %v", len(nodes.Items), len(names), err)
	}
	if l, err := f.client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(t.Context(), Claim, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the claim was left behind: %v %v", l, err)
	}
	f.residue(t)
}

// residue says what the resource group has that belongs to nothing, or has not that should be there.
func (f *fleet) residue(t *testing.T) {
	t.Helper()
	count, etcdDisks := map[string]int{}, 0
	for _, raw := range f.twin.State().Resources {
		var d struct {
			ID, Name, Type, ManagedBy string
			Tags                      map[string]string
			Properties                map[string]any
		}
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.Contains(d.ID, "/extensions/"), strings.Contains(d.ID, "/deployments/"):
		case strings.Contains(d.ID, manager.VirtualMachines+"/"):
			count["vm"]++
			if d.Tags["example.com/team"] != "blue" || d.Properties["provisioningState"] != "Succeeded" {
				t.Errorf("%s is %v and tagged %v", d.Name, d.Properties["provisioningState"], d.Tags)
			}
		case strings.Contains(d.ID, manager.NetworkInterfaces+"/"):
			if count["nic"]++; d.Properties["virtualMachine"] == nil {
				t.Errorf("the interface %s belongs to nothing", d.Name)
			}
			if machine := strings.TrimSuffix(d.Name, "-nic"); slices.Contains(f.topology.ControlPlaneMachines(), machine) {
				for _, in := range []string{"/backendAddressPools/masters", "/inboundNatRules/ssh-" + machine} {
					if !strings.Contains(string(raw), in+`"`) {
						t.Errorf("the interface of %s is not in %s, as that of the old one was: %s", machine, in, raw)
					}
				}
			}
		case strings.Contains(d.ID, manager.Disks+"/"):
			if count["disk"]++; d.ManagedBy == "" {
				t.Errorf("the disk %s belongs to nothing", d.Name)
			}
			if machine, is := strings.CutSuffix(d.Name, "-etcddisk"); is {
				if etcdDisks++; !strings.HasSuffix(d.ManagedBy, "/"+machine) {
					t.Errorf("the disk %s is attached to %q", d.Name, d.ManagedBy)
				}
			}
		}
	}
	f.permitted(t)
	n := len(f.topology.KubernetesMachines())
	if count["vm"] != n || count["nic"] != n || count["disk"] != n+f.topology.EtcdMembers || etcdDisks != f.topology.EtcdMembers {
		t.Errorf("there are %v and %d data disks, of %d machines", count, etcdDisks, n)
	}
}
