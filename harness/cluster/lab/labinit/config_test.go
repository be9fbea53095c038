package labinit

import (
	"testing"

	"drydock.dev/drydock/harness/cluster"
)

func TestAMachineGetsItsAddressAgain(t *testing.T) {
	cfg := Config{Topology: cluster.Topology{ControlPlanes: 1, Workers: 2, Etcd: cluster.EtcdStacked, EtcdMembers: 1}}
	place := func(name string) Machine {
		t.Helper()
		m, err := cfg.Place(cluster.MachineSpec{Name: name, Role: cluster.Worker})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Machines = append(cfg.Machines, m)
		return m
	}
	place("control-plane-1")
	first, second := place("worker-1"), place("worker-2")
	if extra := place("surge-1"); extra.Addr != "10.77.1.4" || extra.Link != "m4" {
		t.Errorf("the added machine is at %s, %s", extra.Addr, extra.Link)
	}
	if _, err := cfg.Place(cluster.MachineSpec{Name: "worker-1"}); err == nil {
		t.Error("a machine was placed twice")
	}
	cfg.Machines = append(cfg.Machines[:1:1], cfg.Machines[3:]...) // both workers leave
	if again := place("worker-2"); again != second {
		t.Errorf("worker-2 was %v and is %v", second, again)
	}
	if again := place("worker-1"); again != first {
		t.Errorf("worker-1 was %v and is %v", first, again)
	}
}

func TestAMachineIsRoutedPodsOnly(t *testing.T) {
	for cidr, ok := range map[string]bool{
		"10.244.3.0/24": true,
		"10.244.0.0/16": false, // all pods: those of the others too
		"10.77.1.2/32":  false, // another machine
		"0.0.0.0/0":     false,
		"fd00::/64":     false,
		"nothing":       false,
	} {
		if err := checkRange(cidr); (err == nil) != ok {
			t.Errorf("%s: error %v", cidr, err)
		}
	}
}

func TestANameIsNoPath(t *testing.T) {
	for _, name := range []string{"", "..", "../../elsewhere", "a/b", "A"} {
		if _, err := (Config{}).Place(cluster.MachineSpec{Name: name}); err == nil {
			t.Errorf("%q was placed", name)
		}
	}
}
