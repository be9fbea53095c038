package staging

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"drydock.dev/drydock/harness/cluster"
)

// TestAllow: what is refused, and that the name is asked for first.
func TestAllow(t *testing.T) {
	c := &Cluster{
		typed: "shop", topology: cluster.Topology{Name: "shop", EtcdMembers: 3},
		inventory: &Inventory{Faults: []string{"etcdMemberCrash"}, BlastRadius: 2, DeadMan: time.Minute},
	}
	fine := cluster.Act{Fault: "etcdMemberCrash", Machines: 1, Members: 1, For: 10 * time.Second}
	change := func(f func(a *cluster.Act)) cluster.Act { a := fine; f(&a); return a }
	for name, tc := range map[string]struct {
		typed string
		act   cluster.Act
		says  string
	}{
		"allowed":             {"shop", fine, ""},
		"nothing typed":       {"", fine, "type its name"},
		"another typed":       {"prod", fine, `calls itself "shop"`},
		"a fault not listed":  {"shop", change(func(a *cluster.Act) { a.Fault = "machinePowerOff" }), "not among the inventory's faults"},
		"too many machines":   {"shop", change(func(a *cluster.Act) { a.Machines = 3 }), "breaks 3 machines at a time, and blastRadius is 2"},
		"beyond a quorum":     {"shop", change(func(a *cluster.Act) { a.Machines, a.Members = 2, 2 }), "which tolerate 1"},
		"longer than a timer": {"shop", change(func(a *cluster.Act) { a.For = time.Minute }), "the machines undo it after 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			c.typed = tc.typed
			err := c.Allow([]cluster.Act{fine, tc.act})
			var usage *cluster.UsageError
			switch {
			case tc.says == "" && err != nil:
				t.Fatal(err)
			case tc.says != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), tc.says)):
				t.Fatalf("want a UsageError with %q, got %v", tc.says, err)
			}
		})
	}
	c.typed = ""
	if err := c.Allow(nil); err != nil {
		t.Errorf("who breaks nothing types nothing: %v", err)
	}
}

// TestUnclaimed: a machine of a cluster that was not claimed is not broken, whoever asks.
func TestUnclaimed(t *testing.T) {
	m := &Machine{name: "a", cluster: &Cluster{topology: cluster.Topology{Name: "shop"}, inventory: &Inventory{}}}
	ctx := t.Context()
	_, held := m.Hold(ctx, "etcd")
	_, killed := m.Kill(ctx, "etcd")
	for name, err := range map[string]error{"hold": held, "kill": killed, "freeze": m.Freeze(ctx, "etcd"), "cut": m.Cut(ctx, cluster.BothWays), "off": m.Off(ctx)} {
		var usage *cluster.UsageError
		if !errors.As(err, &usage) {
			t.Errorf("%s: want a UsageError, got %v", name, err)
		}
	}
}

// TestInventory: mistakes are named, with what is known.
func TestInventory(t *testing.T) {
	for says, text := range map[string]string{
		"":                              "kubeconfig: k\n",
		"is unknown; known: cluster, k": "kubeconfig: k\nfault: [x]\n",
		"is unknown; known: user":       "kubeconfig: k\nssh: {username: x}\n",
		"is unknown; known: name":       "kubeconfig: k\nmachines: [{name: a, addr: x}]\n",
		"kubeconfig is missing":         "ssh: {user: root}\n",
		"belong together":               "kubeconfig: k\nmachines: [{name: a, powerOff: [x]}]\n",
		"is there twice":                "kubeconfig: k\nmachines: [{name: a}, {name: a}]\n",
		"address is missing":            "etcd: only\ncluster: c\nmachines: [{name: a}]\n",
		"deadMan is 1s":                 "kubeconfig: k\ndeadMan: 1s\n",
		"blastRadius is 0":              "kubeconfig: k\nblastRadius: 0\n",
	} {
		file := filepath.Join(t.TempDir(), "i.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readInventory(file)
		if (err == nil) != (says == "") || (err != nil && !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: want %q, got %v", text, says, err)
		}
	}
}

// TestAbandoned: only of a process of this host that is no more is it known that it will not come back.
func TestAbandoned(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	const nobody = 1<<22 + 1 // beyond the most that Linux gives (PID_MAX_LIMIT)
	for holder, want := range map[string]bool{
		whoami(): false,
		fmt.Sprintf("me@%s/drydock-%d-12ab", host, nobody): true,
		fmt.Sprintf("me@not-%s/drydock-%d", host, nobody):  false,
		"":                       false,
		"somebody else entirely": false,
	} {
		if got := abandoned(holder); got != want {
			t.Errorf("%q: %t, want %t", holder, got, want)
		}
	}
}

// TestRefused: what an sshd says of a connection is the kernel's word.
func TestRefused(t *testing.T) {
	err := error(&dialError{from: "a", addr: "b:1", err: &ssh.OpenChannelError{Reason: ssh.ConnectionFailed, Message: "Connection refused"}})
	if !errors.Is(err, syscall.ECONNREFUSED) || !answered(err) {
		t.Errorf("not known for a refusal: %v", err)
	}
	if err := error(&dialError{err: &ssh.OpenChannelError{Reason: ssh.Prohibited, Message: "administratively prohibited"}}); answered(err) {
		t.Errorf("an sshd that forbids it knows nothing of who is meant: %v", err)
	}
}

// TestQuote: a word of a command stays one, whatever is in it.
func TestQuote(t *testing.T) {
	if got := quote(`it's $(x)`); got != `'it'\''s $(x)'` {
		t.Error(got)
	}
}

// TestTable: a cut leaves our own login through, and only that.
func TestTable(t *testing.T) {
	m := &Machine{found: found{from: "10.0.0.9", sshPort: "22"}}
	table := m.table(cluster.BothWays, []netip.Addr{netip.MustParseAddr("10.0.0.2")})
	for _, want := range []string{"ip saddr 10.0.0.9 tcp dport 22 accept", "ip daddr 10.0.0.9 tcp sport 22 accept", "ip saddr 10.0.0.2 counter drop", "ip daddr 10.0.0.2 counter drop"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	if !strings.Contains(m.table(cluster.BothWays, nil), "accept; counter drop;") {
		t.Errorf("nobody is cut off by\n%s", m.table(cluster.BothWays, nil))
	}
	for way, other := range map[cluster.Way]string{cluster.Outbound: "saddr 10.0.0.2", cluster.Inbound: "daddr 10.0.0.2"} {
		if one := m.table(way, []netip.Addr{netip.MustParseAddr("10.0.0.2")}); strings.Contains(one, other) || strings.Count(one, "counter drop") != 2 {
			t.Errorf("%s:\n%s", way, one)
		}
	}
}

// TestWays: who is cut off is asked last, and what went through it to those it is cut off from ends; the rest goes on.
func TestWays(t *testing.T) {
	c := &Cluster{}
	for _, addr := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
		c.machines = append(c.machines, &Machine{addr: netip.MustParseAddr(addr)})
	}
	if got := c.ways("10.0.0.3:2379"); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("while all is well through %v", got)
	}
	var near, far [2]net.Conn
	for i, addr := range []string{"10.0.0.2:2379", "10.0.0.3:2379"} {
		near[i], far[i] = net.Pipe()
		c.machines[0].way.carry(near[i], addr)
	}
	c.machines[0].way.close(netip.MustParseAddr("10.0.0.3"))
	if got := c.ways("10.0.0.3:2379"); !slices.Equal(got, []int{1, 0}) {
		t.Errorf("while the first is cut off through %v", got)
	}
	for i, cut := range []bool{false, true} {
		_ = far[i].SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // a closed pipe takes none
		if _, err := far[i].Read(make([]byte, 1)); errors.Is(err, io.EOF) != cut {
			t.Errorf("connection %d: cut %t, and %v", i, cut, err)
		}
	}
	c.machines[1].way.close()
	if got := c.ways("10.0.0.3:2379"); !slices.Equal(got, []int{2}) {
		t.Errorf("while both others are cut off through %v", got)
	}
	if got := c.ways("10.0.0.2:2379"); !slices.Equal(got, []int{2, 0}) {
		t.Errorf("to one that is cut off through %v", got)
	}
	c.machines[2].way.close()
	if got := c.ways("10.0.0.3:2379"); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("while all are cut off through %v", got)
	}
	c.machines[0].way.open()
	if got := c.ways("10.0.0.3:2379"); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("healed, through %v", got)
	}
}

// TestHoldOfAUnit: whatever systemd had is there afterwards. That /run/systemd/system is there says that systemd has booted the machine (sd_booted(3)), and it
// is empty more often than not.
func TestHoldOfAUnit(t *testing.T) {
	for _, booted := range []bool{true, false} {
		root := t.TempDir()
		bin, units := filepath.Join(root, "bin"), filepath.Join(root, "run/systemd/system")
		put := func(file, data string) {
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(data), 0o755)); err != nil {
				t.Fatal(err)
			}
		}
		put(bin+"/systemctl", "#!/bin/sh\nif [ $1 = is-active ]; then echo active; fi\n")
		put(bin+"/systemd-run", "#!/bin/sh\n")
		put(bin+"/setsid", "#!/bin/sh\n")
		put(root+"/run/other", "")
		if booted {
			if err := os.MkdirAll(units, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		run := func(script string) string {
			script = strings.NewReplacer(runDir, root+"/drydock", "/run/systemd", root+"/run/systemd").Replace(script)
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-ec", script, "sh", "hold-etcd", "60", "etcd", "etcd")
			cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return strings.TrimSpace(string(out))
		}
		if out := run(holdScript); out != "unit" {
			t.Errorf("held: %q", out)
		}
		if raw, err := os.ReadFile(units + "/etcd.service.d/drydock.conf"); !strings.Contains(string(raw), "ConditionPathExists=!"+root+"/drydock/hold-etcd.on") {
			t.Errorf("the drop-in: %v: %s", err, raw)
		}
		run(prelude + "undo")
		if _, err := os.Stat(units); (err == nil) != booted {
			t.Errorf("systemd's directory was there: %t, and afterwards: %v", booted, err)
		}
		for _, dir := range []string{units, root + "/drydock"} {
			if left, err := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("%s: %v, %v", dir, left, err)
			}
		}
	}
}
