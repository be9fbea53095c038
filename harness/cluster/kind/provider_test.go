package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/lock"
)

func isUsage(err error) bool {
	var u *cluster.UsageError
	return errors.As(err, &u)
}

func TestOfferRefuses(t *testing.T) {
	info, none := answer{out: up}, answer{err: "Error: No such image: x", code: 1}
	for name, c := range map[string]struct {
		topology cluster.Topology
		answers  map[string]answer
		want     string
	}{
		"no docker program": {topology("a", 1, 0), map[string]answer{"info": {fail: exec.ErrNotFound}}, "no docker program"},
		"no daemon":         {topology("a", 1, 0), map[string]answer{"info": {err: "Cannot connect to the Docker daemon", code: 1}}, "does not answer"},
		"a client alone":    {topology("a", 1, 0), map[string]answer{"info": {out: `{"OSType":""}`}}, "does not answer"},
		"no permission":     {topology("a", 1, 0), map[string]answer{"info": {err: "permission denied while trying to connect", code: 1}}, "usermod -aG docker"},
		"no node image":     {topology("a", 1, 0), map[string]answer{"info": info, "image inspect": none}, "hack/kind/build v1.36.3"},
		"no balancer":       {topology("a", 3, 0), map[string]answer{"info": info, "image inspect --format {{.Id}} " + balancerImage: none}, balancerImage},
		"no privileges":     {topology("a", 1, 0), map[string]answer{"info": info, "run": {err: "unable to apply caps: operation not permitted", code: 125}}, "hack/kind/dockerd"},
		"external etcd":     {cluster.Topology{Name: "a", ControlPlanes: 1, Etcd: cluster.EtcdExternal, Version: "v1.36.3"}.Complete(), nil, "--provider lab"},
		"etcd by name":      {cluster.Topology{Name: "a", ControlPlanes: 1, Version: "v1.36.3", EtcdVersion: "v3.5.19"}.Complete(), nil, "name none, or use --provider lab"},
		"a name too long":   {topology(strings.Repeat("a", 50), 1, 0), nil, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			p, f := provider(t, c.answers)
			_, err := p.Offer(t.Context(), c.topology)
			if !isUsage(err) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v; want a usage error with %q", err, c.want)
			}
			if f.was("network create") {
				t.Error("something was made")
			}
			if _, err := p.Up(t.Context(), c.topology); !isUsage(err) {
				t.Errorf("Up: got %v; want a usage error", err)
			}
		})
	}
}

func TestOffer(t *testing.T) {
	p, f := provider(t, map[string]answer{"info": {out: up}, "image inspect --format {{.Id}} drydock/": {err: "No such image", code: 1}, "run": {err: "x\nnft: not found", code: 127}})
	made, o, err := p.offer(t.Context(), topology("a", 3, 2))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range o.Machines {
		names = append(names, m.Name)
	}
	want := []string{"drydock-a-control-plane", "drydock-a-control-plane2", "drydock-a-control-plane3", "drydock-a-worker", "drydock-a-worker2"}
	if !slices.Equal(names, want) {
		t.Errorf("names %v; want kind's %v", names, want)
	}
	if made.image != "kindest/node:v1.36.3" {
		t.Errorf("image %s", made.image)
	}
	if !slices.Equal(made.profile.IgnorePreflight, []string{"SystemVerification"}) {
		t.Errorf("on cgroup v1 kubeadm's check of it cannot pass: %v", made.profile.IgnorePreflight)
	}
	if why := o.Lacks[cluster.CanLinks]; !strings.Contains(why, "nft: not found") {
		t.Errorf("links: %q", why)
	}
	if _, _, err := p.offer(t.Context(), topology("a", 3, 2)); err != nil {
		t.Fatal(err)
	}
	if n := len(slices.DeleteFunc(f.asked, func(s string) bool { return !strings.HasPrefix(s, "run ") })); n != 1 {
		t.Errorf("the kernel was tried %d times", n)
	}
}

func TestDownOfWhatIsNotOurs(t *testing.T) {
	p, f := provider(t, map[string]answer{"ps --all --filter label=" + kindLabel + "=drydock-theirs": {out: "drydock-theirs-control-plane"}})
	if err := p.Down(t.Context(), "theirs"); !isUsage(err) {
		t.Errorf("got %v; want a usage error", err)
	}
	if err := p.Down(t.Context(), "none"); err != nil {
		t.Errorf("nothing of the name: %v", err)
	}
	if f.was("rm") {
		t.Error("something was removed")
	}
}

func TestOwner(t *testing.T) {
	p, f := provider(t, map[string]answer{"info": {out: up}, "container inspect": {out: `[{"Name":"/x","State":{"Running":true}}]`}})
	dir, err := p.registry().Dir("one")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := record{Topology: topology("one", 1, 0), Machines: []place{{Name: "drydock-one-control-plane", Role: cluster.ControlPlane, Addr: "10.0.0.2"}}}
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	c, err := p.Attach(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !f.was("exec drydock-one-control-plane /bin/sh -c for p in /proc/[0-9]*; do if grep -qz '^DRYDOCK_EXEC=' ") {
		t.Errorf("what a killed owner's commands do in the nodes goes on: %q", f.asked)
	}
	other := &Provider{StateDir: p.StateDir, docker: f.docker}
	again, err := other.Attach(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Claim(t.Context()); !isUsage(err) {
		t.Errorf("a second claim: %v", err)
	}
	if err := other.Down(t.Context(), "one"); !isUsage(err) {
		t.Errorf("down by another: %v", err)
	}
	told := ""
	if err := other.Sweep(t.Context(), func(_, found string) { told = found }); err != nil || !strings.Contains(told, "left alone") {
		t.Errorf("sweep: %q %v", told, err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := other.Sweep(t.Context(), func(_, found string) { told = found }); err != nil || !strings.Contains(told, "runs") {
		t.Errorf("sweep of a cluster that was kept: %q %v", told, err)
	}
	if err := errors.Join(other.Down(t.Context(), "one"), other.Down(t.Context(), "one"), p.Down(t.Context(), "one")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(dir) + "/one"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory: %v", err)
	}
}

func TestListNeedsDirectoryAndContainers(t *testing.T) {
	p, _ := provider(t, map[string]answer{"ps": {out: "drydock-one\ndrydock-one\ndrydock-theirs\nkind"}})
	for _, name := range []string{"one", "gone"} {
		dir, _ := p.registry().Dir(name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	got, err := p.List(t.Context())
	if err != nil || !slices.Equal(got, []string{"one"}) {
		t.Errorf("got %v %v", got, err)
	}
}

func TestNetworkTriesAnotherSubnet(t *testing.T) {
	p, f := provider(t, nil)
	tries := 0
	p.docker = func(ctx context.Context, s streams, args ...string) error {
		if tries++; tries < 3 {
			_, _ = s.err.Write([]byte("Pool overlaps with other one on this address space"))
			return exit(1)
		}
		return f.docker(ctx, s, args...)
	}
	if err := p.network(t.Context(), "one"); err != nil || tries != 3 || !f.was("network create") {
		t.Errorf("%d tries: %v", tries, err)
	}
}

func TestDownRemovesWhatAKilledMakerLocked(t *testing.T) {
	p, _ := provider(t, map[string]answer{"info": {out: up}})
	dir, err := p.registry().Dir("one")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := record{Topology: topology("one", 1, 0), Machines: []place{{Name: "m", Addr: "10.0.0.2"}}}
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	turn := func(pid int) string { return filepath.Join(p.StateDir, "kind", fmt.Sprint(turnFile, pid)) }
	if err := os.WriteFile(turn(1<<30), []byte("process 1073741824 (drydock)"), 0o600); err != nil {
		t.Fatal(err)
	}
	living, err := lock.Try(turn(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = living.Release() }()
	if err := p.Down(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(turn(0)[:len(turn(0))-1] + "*")
	if err != nil || len(left) != 1 || left[0] != turn(os.Getpid()) {
		t.Errorf("left are %q, %v", left, err)
	}
}

func TestSweepEndsWhatAKilledUserBegan(t *testing.T) {
	p, f := provider(t, map[string]answer{"info": {out: up}})
	dir, err := p.registry().Dir("one")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := record{Topology: topology("one", 1, 0), Machines: []place{{Name: "m", Addr: "10.0.0.2"}}, Kept: true}
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	sweep := func() string {
		told := ""
		if err := p.Sweep(t.Context(), func(_, found string) { told = found }); err != nil || !strings.Contains(told, "runs; remove it with") {
			t.Fatalf("%q, %v", told, err)
		}
		return told
	}
	if sweep(); f.was("exec") {
		t.Errorf("nobody was killed, and commands in the nodes were ended: %q", f.asked)
	}
	locked := filepath.Join(p.StateDir, "kind", "locks", "one")
	if err := os.MkdirAll(filepath.Dir(locked), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(locked, []byte("process 1073741824 (drydock)"), 0o600); err != nil {
		t.Fatal(err)
	}
	if told := sweep(); !f.was("exec m /bin/sh -c for p in /proc/[0-9]*; do if grep -qz '^DRYDOCK_EXEC='") || !strings.Contains(told, "killed") {
		t.Errorf("what its killed user began goes on: %q, %q", told, f.asked)
	}
	if _, err := os.Stat(locked); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its user's lock: %v", err)
	}
	if got, err := readRecord(dir); err != nil || !got.Kept {
		t.Errorf("it is not kept any more: %v", err)
	}
}
