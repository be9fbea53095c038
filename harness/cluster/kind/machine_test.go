package kind

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
)

func machine(t *testing.T, answers map[string]answer) (*Machine, *fake) {
	t.Helper()
	p, f := provider(t, answers)
	c := newCluster(p, t.TempDir(), record{Topology: topology("one", 1, 0), Machines: []place{{Name: "m", Role: cluster.ControlPlane, Addr: "10.0.0.7"}}})
	return c.machines[0], f
}

func TestExecTellsCommandFromDocker(t *testing.T) {
	m, f := machine(t, map[string]answer{"exec": {out: "o", err: "e", code: 7}})
	r, err := m.Exec(t.Context(), cluster.Command{Args: []string{"false"}, Env: []string{"A=b c"}, Stdin: strings.NewReader("in")})
	var failed *cluster.ExecError
	if !errors.As(err, &failed) || failed.Code != 7 || failed.Cause != nil || r.Stdout != "o" || r.Stderr != "e" {
		t.Errorf("got %+v %v", r, err)
	}
	if f.input[0] != "in" || !strings.Contains(f.asked[0], "--env A=b c --interactive m false") {
		t.Errorf("asked %q with %q", f.asked, f.input)
	}
	m, _ = machine(t, map[string]answer{"exec": {err: "Error response from daemon: container m is not running", code: 1}})
	if _, err = m.Exec(t.Context(), cluster.Command{Args: []string{"true"}}); !errors.As(err, &failed) || failed.Code != -1 {
		t.Errorf("a machine that is off ran nothing: %v", err)
	}
}

func TestOnAsksForTheAddressItHad(t *testing.T) {
	m, f := machine(t, map[string]answer{"container inspect": {out: `[{"Name":"/m","State":{"Running":false}}]`}})
	err := m.On(shortly(t))
	if err == nil || !strings.Contains(err.Error(), `has the address "" and not its own, 10.0.0.7`) {
		t.Errorf("got %v; want a refusal of the other address", err)
	}
	var made []string
	for _, a := range f.asked {
		if !strings.HasPrefix(a, "container inspect") {
			made = append(made, a)
		}
	}
	want := []string{"network disconnect drydock-one m", "network connect --ip 10.0.0.7 drydock-one m", "start m"}
	if len(made) < 3 || !slices.Equal(made[:3], want) {
		t.Errorf("asked %q; want %q", made, want)
	}
}

func TestPowerOffTwice(t *testing.T) {
	m, _ := machine(t, map[string]answer{
		"kill":              {err: "Error response from daemon: Cannot kill container: m: Container abc is not running", code: 1},
		"container inspect": {out: `[{"Name":"/m","State":{"Running":false}}]`},
	})
	if err := m.Off(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCuts(t *testing.T) {
	rules := cutRules(cluster.BothWays, []netip.Addr{netip.MustParseAddr("10.0.0.1")})
	for _, want := range []string{`iifname "eth0" ip saddr 10.0.0.1 counter drop`, `oifname "eth0" ip daddr 10.0.0.1 counter drop`} {
		if !strings.Contains(rules, want) {
			t.Errorf("no %q in\n%s", want, rules)
		}
	}
	for way, other := range map[cluster.Way]string{cluster.Outbound: "saddr", cluster.Inbound: "daddr"} {
		if one := cutRules(way, []netip.Addr{netip.MustParseAddr("10.0.0.1")}); strings.Contains(one, other) || strings.Count(one, "counter drop") != 1 {
			t.Errorf("%s:\n%s", way, one)
		}
	}
	if all := cutRules(cluster.BothWays, nil); strings.Contains(all, "addr") || strings.Count(all, "counter drop") != 2 {
		t.Errorf("everybody:\n%s", all)
	}
	const listed = `{"nftables":[{"metainfo":{"version":"1.0.6"}},{"table":{"name":"drydock-cut"}},
{"rule":{"table":"drydock-cut","expr":[{"match":{}},{"counter":{"packets":3,"bytes":9}},{"drop":null}]}},
{"rule":{"table":"nat","expr":[{"counter":{"packets":100,"bytes":9}}]}},
{"rule":{"table":"drydock-cut","expr":[{"counter":{"packets":4,"bytes":9}}]}}]}`
	if n, err := countDropped([]byte(listed), cutTable); err != nil || n != 7 {
		t.Errorf("dropped %d %v; want 7", n, err)
	}
	if n, err := countDropped([]byte(listed), nameTable); err != nil || n != 0 {
		t.Errorf("dropped %d %v; want none", n, err)
	}
}

// What pods ask comes by any card but the cable, by which others ask a server on the node; a second time the rules are there once.
func TestNamesAreLostOfTheNodesOwn(t *testing.T) {
	m, f := machine(t, map[string]answer{"exec": {}})
	if err := errors.Join(m.LoseNames(t.Context()), m.FindNames(t.Context())); err != nil {
		t.Fatal(err)
	}
	want := "table inet drydock-names\ndelete table inet drydock-names\ntable inet drydock-names {"
	if !strings.HasPrefix(f.input[0], want) || strings.Count(f.input[0], "dport 53 counter drop") != 2 || !strings.Contains(f.input[0], `iifname != "eth0" meta l4proto { tcp, udp }`) {
		t.Errorf("asked for %s", f.input[0])
	}
	if last := f.asked[len(f.asked)-1]; !strings.Contains(last, "nft delete table inet drydock-names") {
		t.Errorf("asked %q", last)
	}
}

func TestSocatSaysWhy(t *testing.T) {
	for line, want := range map[string]error{
		"socat[9] E connect(5, AF=2 127.0.0.1:9, 16): Connection refused": syscall.ECONNREFUSED,
		"socat[9] N starting data transfer loop with FDs [0,1] and [5,5]": nil,
	} {
		if err := connected(strings.NewReader("socat[9] N opening connection\n" + line + "\n")); !errors.Is(err, want) {
			t.Errorf("%s: got %v", line, err)
		}
	}
	if connected(strings.NewReader("")) == nil {
		t.Error("who says nothing is not connected")
	}
}

const documents = `
kind: ClusterConfiguration
networking: {podSubnet: 10.244.0.0/16}
apiServer: {extraArgs: [{name: request-timeout, value: 5s}]}
controllerManager: {extraArgs: [{name: node-monitor-period, value: 1s}]}
scheduler: {extraArgs: [{name: leader-elect-retry-period, value: 1s}]}
---
kind: KubeletConfiguration
syncFrequency: 1s
`

func TestPatches(t *testing.T) {
	merge, ops, err := patches([]byte(documents), "v1.35.4")
	if err != nil || len(merge) != 2 || len(ops) != 0 {
		t.Fatalf("%q %v %v", merge, ops, err)
	}
	for _, want := range []string{"request-timeout: 5s", "node-monitor-period: 1s", "leader-elect-retry-period: 1s"} {
		if !strings.Contains(merge[0], want) {
			t.Errorf("before v1.36 arguments are a map: no %q in\n%s", want, merge[0])
		}
	}
	if strings.Contains(merge[0], "podSubnet") {
		t.Error("the networks are kind's")
	}
	merge, ops, err = patches([]byte(documents), "v1.36.3")
	if err != nil || len(merge) != 2 || len(ops) != 1 {
		t.Fatalf("%q %v %v", merge, ops, err)
	}
	if strings.Contains(merge[0], "apiServer") || !strings.Contains(ops[0].Patch, `"/apiServer/extraArgs/-"`) {
		t.Errorf("kind's own list is appended to:\n%s\n%s", merge[0], ops[0].Patch)
	}
}

func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestInstallGivesEveryNodeWhatAnyMayRun(t *testing.T) {
	const version = "v1.36.3"
	p, f := provider(t, map[string]answer{"exec": {}})
	f.answers["exec"] = answer{code: 1} // nothing is there yet
	f.answers["container inspect"] = answer{out: `[{"State":{"Running":true}}]`}
	p.docker = func(ctx context.Context, s streams, args ...string) error {
		if line := strings.Join(args, " "); strings.Contains(line, "images import") || strings.Contains(line, "mv -f") {
			f.mu.Lock()
			f.asked = append(f.asked, line)
			f.mu.Unlock()
			return nil
		}
		return f.docker(ctx, s, args...)
	}
	p.Store = &release.Store{Dir: t.TempDir()}
	if err := os.MkdirAll(p.archives(version), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etcd", "registry.k8s.io_kube-apiserver_v1.36.3", "pause", "kube-proxy"} {
		if err := os.WriteFile(filepath.Join(p.archives(version), name+".tar"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	programs := filepath.Join(p.Store.Root(), release.Kubernetes, version)
	if err := os.MkdirAll(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(programs, "kubeadm"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCluster(p, t.TempDir(), record{Topology: topology("one", 1, 1), Profile: cluster.Profile{Programs: "/usr/bin"}, Machines: []place{
		{Name: "cp", Role: cluster.ControlPlane, Addr: "10.0.0.7"}, {Name: "w", Role: cluster.Worker, Addr: "10.0.0.8"},
	}})
	if err := c.machines[0].Install(t.Context(), release.Kubernetes, version, "kubeadm"); err != nil {
		t.Fatal(err)
	}
	imports := map[string]int{}
	for _, line := range f.asked {
		for _, name := range []string{" cp ", " w "} {
			if strings.Contains(line, name+"ctr") {
				imports[name]++
			}
		}
	}
	if imports[" cp "] != 4 || imports[" w "] != 2 {
		t.Errorf("imports %v; want all four on the control plane and what is not of it on the worker", imports)
	}
	if err := c.machines[0].Install(t.Context(), release.Kubernetes, "v0.0.1", "kubeadm"); err == nil {
		t.Error("a version that is not there was installed")
	}
}
