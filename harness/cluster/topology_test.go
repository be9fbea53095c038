package cluster

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestQuorumAndTolerance(t *testing.T) {
	for _, c := range []struct{ members, quorum, tolerance int }{{1, 1, 0}, {2, 2, 0}, {3, 2, 1}, {4, 3, 1}, {5, 3, 2}, {6, 4, 2}, {7, 4, 3}} {
		if q, tol := Quorum(c.members), Tolerance(c.members); q != c.quorum || tol != c.tolerance {
			t.Errorf("%d members: quorum %d, tolerance %d; want %d, %d", c.members, q, tol, c.quorum, c.tolerance)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		t    Topology
		want string // in the error; empty: valid
		warn string
	}{
		"three":               {t: Topology{ControlPlanes: 3}},
		"even members warn":   {t: Topology{ControlPlanes: 2}, warn: "as many as 1 do"},
		"negative":            {t: Topology{ControlPlanes: 3, Workers: -1}, want: "workers is -1"},
		"too many members":    {t: Topology{Etcd: EtcdOnly, EtcdMembers: 8}, want: "at most 7"},
		"no control plane":    {t: Topology{Workers: 1}, want: "controlPlanes is 0"},
		"etcd only, workers":  {t: Topology{Etcd: EtcdOnly, EtcdMembers: 3, Workers: 1}, want: "no workers"},
		"no name":             {t: Topology{Name: "../x", ControlPlanes: 1}, want: NamePattern},
		"unknown etcd layout": {t: Topology{ControlPlanes: 1, Etcd: "both"}, want: "known: stacked, external, only"},
		"a quota":             {t: Topology{Etcd: EtcdOnly, EtcdMembers: 3, EtcdQuota: MinEtcdQuota}},
		"a tiny quota":        {t: Topology{Etcd: EtcdOnly, EtcdMembers: 3, EtcdQuota: 1 << 20}, want: "etcdQuota is 1Mi; it is 16Mi to 8Gi"},
		"disks":               {t: Topology{Etcd: EtcdOnly, EtcdMembers: 3, EtcdDisk: MinEtcdDisk}},
		"tiny disks":          {t: Topology{Etcd: EtcdOnly, EtcdMembers: 3, EtcdDisk: 1 << 20}, want: "etcdDisk is 1Mi; it is 256Mi to 2Gi"},
		"flags":               {t: Topology{Etcd: EtcdOnly, EtcdMembers: 3, EtcdFlags: map[string]string{"snapshot-count": "100", "backend-batch-interval": "50ms"}}},
		"a flag of ours":      {t: Topology{Etcd: EtcdOnly, EtcdMembers: 3, EtcdFlags: map[string]string{"data-dir": "1"}}, want: `etcdFlags: "data-dir" is unknown; known: backend-batch-interval`},
		"two flags in one":    {t: Topology{Etcd: EtcdOnly, EtcdMembers: 3, EtcdFlags: map[string]string{"snapshot-count": "1 --data-dir=/"}}, want: "it is a number"},
		"flags, Kubernetes":   {t: Topology{ControlPlanes: 1, EtcdFlags: map[string]string{"snapshot-count": "100"}}, want: "etcdFlags is for etcd: only"},
		"disks, Kubernetes":   {t: Topology{ControlPlanes: 1, EtcdDisk: MinEtcdDisk}, want: "etcdDisk is for etcd: only"},
		"a quota, Kubernetes": {t: Topology{ControlPlanes: 1, EtcdQuota: MinEtcdQuota}, want: "etcd: only"},
		"unknown timing":      {t: Topology{ControlPlanes: 1, Timing: "slow"}, want: "known: fast, production"},
	} {
		t.Run(name, func(t *testing.T) {
			c.t.Name = cmp.Or(c.t.Name, "t")
			warnings, err := c.t.Complete().Validate()
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if got := strings.Join(warnings, " "); c.warn == "" && got != "" || !strings.Contains(got, c.warn) {
				t.Fatalf("warnings %q, want %q", got, c.warn)
			}
		})
	}
}

func TestMachinesAreNamedInOrder(t *testing.T) {
	top := Topology{ControlPlanes: 1, Workers: 2, Etcd: EtcdExternal, EtcdMembers: 1}
	var names []string
	for _, m := range top.Machines() {
		names = append(names, m.Name)
	}
	if got, want := strings.Join(names, " "), "etcd-1 control-plane-1 worker-1 worker-2"; got != want {
		t.Fatalf("machines %q, want %q", got, want)
	}
}

// TestMachinesAreCalledAsAToolCallsThem: whoever finds machines by their names, and numbers them from 0, finds the cluster's.
func TestMachinesAreCalledAsAToolCallsThem(t *testing.T) {
	top := Topology{ControlPlanes: 2, Workers: 1, Etcd: EtcdStacked, EtcdMembers: 2, Called: map[Role]string{ControlPlane: "k8s-master-%d"}}
	if got, want := strings.Join(top.MachineNames(), " "), "k8s-master-0 k8s-master-1 worker-1"; got != want {
		t.Errorf("machines %q, want %q", got, want)
	}
	if got, _ := top.Find("control-plane-2"); got != "k8s-master-1" {
		t.Errorf("the second control plane is %q", got)
	}
}

// TestAMachineIsFoundByItsPlace: a scenario says control-plane-2 on every provider.
func TestAMachineIsFoundByItsPlace(t *testing.T) {
	top := Topology{Etcd: EtcdStacked, Named: []MachineSpec{
		{Name: "x-control-plane", Role: ControlPlane}, {Name: "x-control-plane2", Role: ControlPlane}, {Name: "x-worker", Role: Worker},
	}}
	for name, want := range map[string]string{"control-plane-2": "x-control-plane2", "x-worker": "x-worker", "worker-1": "x-worker", "worker-2": "", "etcd-1": ""} {
		if got, _ := top.Find(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := strings.Join(top.EtcdMachines(), " "); got != "x-control-plane x-control-plane2" {
		t.Errorf("members on %s", got)
	}
}

func TestAwaitSaysWhatItSawLast(t *testing.T) {
	n := 0
	err := Await(context.Background(), "the thing", Wait{For: 30 * time.Millisecond, Every: 5 * time.Millisecond}, func(context.Context) error {
		n++
		return errors.New("it is blue")
	})
	if err == nil || !strings.Contains(err.Error(), "the thing") || !strings.Contains(err.Error(), "it is blue") {
		t.Fatalf("error %v", err)
	}
	if n < 2 {
		t.Fatalf("looked %d times", n)
	}
}

func TestAwaitEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := Await(ctx, "the thing", Wait{For: time.Hour}, func(context.Context) error { return errors.New("no") })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want one of the context", err)
	}
}
