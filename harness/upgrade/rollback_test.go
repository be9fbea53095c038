package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
)

// The snapshot takes all writes since with it: only what etcd's data can be the reason of may lead to it.
func TestOnlyTheDataIsTakenBackForItsOwnSake(t *testing.T) {
	const old = "v1.35.4"
	member := func(machine string, ok bool) etcd.Member {
		if ok {
			return etcd.Member{Machine: machine, ID: 1, Leader: 1}
		}
		return etcd.Member{Machine: machine, Error: "refused"}
	}
	three := func(a, b, c bool) []etcd.Member {
		return []etcd.Member{member("a", a), member("b", b), member("c", c)}
	}
	all, some := map[string]bool{"a": true, "b": true, "c": true}, map[string]bool{"c": true}
	newer := []observe.Component{at(observe.Kubelet, "a", "v1.36.3")}
	dead := []observe.ServerHealth{{Machine: "a", Live: "refused", Ready: "refused"}}
	for name, c := range map[string]struct {
		o       observe.Observation
		running map[string]bool
		etcdErr error
		blamed  bool
	}{
		"well":                                {observe.Observation{Members: three(true, true, true)}, all, nil, false},
		"nothing was seen":                    {observe.Observation{}, all, errors.New("no answer"), false},
		"its member is broken":                {observe.Observation{Members: three(false, true, true)}, all, nil, true},
		"its machine is off":                  {observe.Observation{Members: three(false, true, true)}, some, nil, false},
		"its kubelet is still the new one":    {observe.Observation{Members: three(false, true, true), Components: newer}, all, nil, false},
		"another's member is broken":          {observe.Observation{Members: three(true, false, true)}, all, errors.New("member on b"), false},
		"no quorum, all machines well":        {observe.Observation{Members: three(true, false, false)}, all, errors.New("no"), true},
		"no quorum, a machine is off":         {observe.Observation{Members: three(true, false, false)}, some, errors.New("no"), false},
		"members differ":                      {observe.Observation{Members: three(true, true, true)}, all, errors.New("other data"), true},
		"its API server cannot read the data": {observe.Observation{Members: three(true, true, true), APIServers: dead}, all, nil, true},
	} {
		if err := blame(c.o, "a", old, c.running, c.etcdErr); (err != nil) != c.blamed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A snapshot belongs to one hop of one cluster: the one of an earlier upgrade is not what to go back to.
func TestASnapshotBelongsToOneUpgrade(t *testing.T) {
	now := snapshotOf{Cluster: "abc", Revision: 900, From: "v1.35.4", To: "v1.36.3"}
	for name, c := range map[string]struct {
		beside *snapshotOf
		begun  bool
		stale  string
	}{
		"of this hop, which has begun": {&snapshotOf{Cluster: "abc", Revision: 800, From: "v1.35.4", To: "v1.36.3"}, true, ""},
		"the hop has not begun":        {&snapshotOf{Cluster: "abc", Revision: 800, From: "v1.35.4", To: "v1.36.3"}, false, "not begun"},
		"of another cluster":           {&snapshotOf{Cluster: "def", Revision: 800, From: "v1.35.4", To: "v1.36.3"}, true, "cluster def"},
		"of a later state":             {&snapshotOf{Cluster: "abc", Revision: 1000, From: "v1.35.4", To: "v1.36.3"}, true, "revision 1000"},
		"of another version":           {&snapshotOf{Cluster: "abc", Revision: 800, From: "v1.34.7", To: "v1.36.3"}, true, "v1.34.7"},
		"nobody knows what it is of":   {nil, true, "does not say"},
		"nobody knows, and not begun":  {nil, false, "does not say"},
	} {
		u := &Upgrade{Dir: t.TempDir()}
		if c.beside != nil {
			raw, err := json.Marshal(c.beside)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(u.snapshotFile("v1.36.3")+".json", raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got := u.stale("v1.36.3", now, c.begun)
		if (got == nil) != (c.stale == "") || got != nil && !strings.Contains(got.Error(), c.stale) {
			t.Errorf("%s: %v, want %q", name, got, c.stale)
		}
	}
}

func TestAStaleSnapshotIsSetAside(t *testing.T) {
	u := &Upgrade{Dir: t.TempDir()}
	file := u.snapshotFile("v1.36.3")
	for _, f := range []string{file, file + ".json"} {
		if err := os.WriteFile(f, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := setSnapshotAside(file); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(file + "*")
	if err != nil || len(left) != 2 || left[0] == file {
		t.Errorf("there are %v, %v", left, err)
	}
	if err := u.belongs("v1.36.3"); err == nil || !strings.Contains(err.Error(), "does not say") {
		t.Errorf("etcd would be taken back to a snapshot of nobody knows what: %v", err)
	}
}

func TestTheConfigGoesBackOnlyWithTheWholeHop(t *testing.T) {
	planes := []string{"a", "b"}
	for name, c := range map[string]struct {
		components []observe.Component
		others, ok bool
	}{
		"nobody else":         {[]observe.Component{at(observe.APIServer, "a", "v1.36.3"), at(observe.APIServer, "b", "v1.35.4"), at(observe.Kubelet, "w", "")}, false, true},
		"another one has it":  {[]observe.Component{at(observe.APIServer, "b", "v1.36.3")}, true, true},
		"another is silent":   {[]observe.Component{at(observe.APIServer, "b", "")}, false, false},
		"another is not seen": {nil, false, false},
	} {
		if others, err := onTheWay(c.components, planes, "a", "v1.36.3"); others != c.others || (err == nil) != c.ok {
			t.Errorf("%s: %v, %v", name, others, err)
		}
	}
}

// place is a cluster of one control plane, whose etcd tells a page of versions.
type place struct {
	cluster.Cluster
	control *control
	etcd    string // where the page is
}

func (p place) Topology() cluster.Topology { return cluster.Topology{Etcd: cluster.EtcdOnly} } // without TLS
func (p place) Machine(string) (cluster.Machine, error) {
	return p.control, nil
}
func (p place) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, p.etcd)
}

// control is a control plane that was upgraded from an etcd, and remembers what is done to it.
type control struct {
	cluster.Machine
	saved string // the tag of etcd's old manifest; empty: none was there
	done  []string
}

func (c *control) Name() string       { return "control-plane-1" }
func (c *control) Role() cluster.Role { return cluster.ControlPlane }
func (c *control) Addr() netip.Addr   { return netip.MustParseAddr("127.0.0.1") }
func (c *control) Exec(_ context.Context, cmd cluster.Command) (cluster.Result, error) {
	c.done = append(c.done, cmd.Args[len(cmd.Args)-1])
	return cluster.Result{}, nil
}

func (c *control) ReadFile(_ context.Context, name string) ([]byte, error) {
	if c.saved == "" || !strings.HasSuffix(name, "/etcd.yaml") {
		return nil, fs.ErrNotExist
	}
	return []byte("spec: {containers: [{image: 'registry.k8s.io/etcd:" + c.saved + "'}]}"), nil
}

// TestNoRollbackToAMemberThatWouldNotStart: kubeadm's members have raised etcd to 3.6, and nothing of the machine is touched for a 3.5 that ends at once.
func TestNoRollbackToAMemberThatWouldNotStart(t *testing.T) {
	const before = "3.5.24-0"
	for name, c := range map[string]struct {
		saved, page string
		snapshot    bool
		refused     bool
	}{
		"the cluster has gone on":           {before, `{"etcdserver":"3.6.6","etcdcluster":"3.6.0","storage":"3.6.0"}`, false, true},
		"its data is not yet down":          {before, `{"etcdserver":"3.6.6","etcdcluster":"3.5.0","storage":"3.6.0"}`, false, true},
		"it was taken down":                 {before, `{"etcdserver":"3.6.6","etcdcluster":"3.5.0","storage":"3.5.0"}`, false, false},
		"others are at 3.5":                 {before, `{"etcdserver":"3.5.24","etcdcluster":"3.5.0"}`, false, false},
		"etcd had that minor before":        {"3.6.4-0", `{"etcdserver":"3.6.6","etcdcluster":"3.6.0","storage":"3.6.0"}`, false, false},
		"the old manifest was not kept":     {"", `{"etcdserver":"3.6.6","etcdcluster":"3.6.0","storage":"3.6.0"}`, false, false},
		"nobody tells":                      {before, `nothing`, false, false},
		"the snapshot takes the data along": {before, `{"etcdserver":"3.6.6","etcdcluster":"3.6.0","storage":"3.6.0"}`, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(c.page)) }))
			defer server.Close()
			machine := &control{saved: c.saved}
			at := place{control: machine, etcd: server.Listener.Addr().String()}
			access, err := etcd.Open(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			m := &machineUpgrade{machine: "control-plane-1", from: "v1.33.13", version: "v1.34.4", Upgrade: &Upgrade{
				Spec: Spec{RestoreSnapshot: c.snapshot}, Topology: cluster.Topology{Etcd: cluster.EtcdStacked, ControlPlanes: 1}, Target: &observe.Target{Cluster: at, Etcd: access}, Dir: "/run/x",
			}}
			err = m.rollback(t.Context()) // ends in any case: what is put back needs an Installer
			if err == nil {
				t.Fatal("it went well on a machine that nothing can be installed on")
			}
			refused := strings.Contains(err.Error(), "nothing was put back: etcd is at 3.6 by now, on which no member of v3.5.24 starts") && strings.Contains(err.Error(), "etcdctl downgrade")
			if refused != c.refused || len(machine.done) != 1 { // it was looked whether files were kept
				t.Errorf("%v; done: %q", err, machine.done)
			}
		})
	}
}
