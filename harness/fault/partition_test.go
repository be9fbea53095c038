package fault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

// wires are the links of members: what is lost on them, by who sends and who does not get it.
type wires struct {
	cluster.Cluster // of which a partition asks nothing else

	members int
	lost    map[[2]string]bool
	mu      sync.Mutex
	knocked map[[2]string]bool // who has knocked at whom in vain, where he was heard
}

type wired struct {
	cluster.Machine

	name string
	addr netip.Addr
	on   *wires
}

func (w *wires) Machines() []cluster.Machine {
	var out []cluster.Machine
	for i := range w.members {
		out = append(out, &wired{name: fmt.Sprintf("etcd-%d", i+1), addr: netip.AddrFrom4([4]byte{10, 77, 1, byte(i + 1)}), on: w})
	}
	return out
}

func (w *wires) named(name string) *wired {
	for _, m := range w.Machines() {
		if m, ok := m.(*wired); ok && m.name == name {
			return m
		}
	}
	return nil
}

func (w *wires) Topology() cluster.Topology {
	return cluster.Topology{Name: "p", Etcd: cluster.EtcdOnly, EtcdMembers: w.members}
}
func (w *wires) Machine(name string) (cluster.Machine, error) { return w.named(name), nil }
func (m *wired) Name() string                                 { return m.name }
func (m *wired) Addr() netip.Addr                             { return m.addr }

func (m *wired) Dial(_ context.Context, _, addr string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(addr)
	for _, other := range m.on.Machines() {
		if other.Addr().String() != host {
			continue
		}
		if m.on.lost[[2]string{m.name, other.Name()}] {
			return nil, context.DeadlineExceeded
		}
		if m.on.lost[[2]string{other.Name(), m.name}] {
			m.on.mu.Lock()
			m.on.knocked[[2]string{m.name, other.Name()}] = true
			m.on.mu.Unlock()
			return nil, context.DeadlineExceeded
		}
		near, far := net.Pipe()
		return near, far.Close()
	}
	return nil, errors.New("nobody has " + addr)
}

func (m *wired) ReadFile(_ context.Context, path string) ([]byte, error) {
	var b strings.Builder
	m.on.mu.Lock()
	defer m.on.mu.Unlock()
	for i, other := range m.on.Machines() {
		if path == "/proc/net/tcp" && m.on.knocked[[2]string{other.Name(), m.name}] {
			fmt.Fprintf(&b, "%d: 00000000:%04X %02X014D0A:C350 03\n", i, etcd.ClientPort, i+1)
		}
	}
	return []byte(b.String()), nil
}

func (m *wired) Cut(context.Context, cluster.Way, ...netip.Addr) error { return nil }
func (m *wired) HealLinks(context.Context) error                       { return nil }
func (m *wired) Dropped(context.Context) (uint64, error)               { return uint64(len(m.on.lost)), nil }

// A partition that is only a part of one is not taken for it, nor one that is more.
func TestPartialPartition(t *testing.T) {
	const both, out, in = cluster.BothWays, cluster.Outbound, cluster.Inbound
	for name, c := range map[string]struct {
		way  cluster.Way
		from []string
		lost string // as 12 for what etcd-1 sends to etcd-2
		says string // empty: it is the partition
	}{
		"none":                         {both, nil, "", "still reaches"},
		"both ways":                    {both, nil, "12 21 13 31", ""},
		"one link is there":            {both, nil, "12 21", "still reaches"},
		"one link half":                {both, nil, "12 21 13", "still hears"},
		"the other half":               {both, nil, "12 21 31", "still hears"},
		"and the others are apart":     {both, nil, "12 21 13 31 23 32", "should not be affected"},
		"out":                          {out, nil, "12 13", ""},
		"out, both are lost":           {out, nil, "12 21 13 31", "which it should"},
		"out, the wrong one is":        {out, nil, "21 31", "which it should"},
		"out, of one link":             {out, nil, "12", "still reaches"},
		"in":                           {in, nil, "21 31", ""},
		"in, the wrong one is":         {in, nil, "12 13", "still hears"},
		"a bridge":                     {both, []string{"etcd-3"}, "13 31", ""},
		"a bridge that is down on one": {both, []string{"etcd-3"}, "13 31 12 21", "should not be affected"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := effect(t, &partition{from: c.from, way: c.way}, 3, c.lost, "etcd-1")
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v; want %q", err, c.says)
			}
		})
	}
}

// effect looks for a partition's effect among so many members, where so much is lost: 12 is what etcd-1 sends to etcd-2.
func effect(t *testing.T, f *partition, members int, lost string, machines ...string) ([]plan.Evidence, error) {
	t.Helper()
	w := &wires{members: members, lost: map[[2]string]bool{}, knocked: map[[2]string]bool{}}
	for _, l := range strings.Fields(lost) {
		w.lost[[2]string{"etcd-" + l[:1], "etcd-" + l[1:]}] = true
	}
	a, err := etcd.Open(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return f.Effective(t.Context(), &Env{Cluster: w, Etcd: a}, machines)
}

func TestPartitionsThatAreNone(t *testing.T) {
	topology := cluster.Topology{Name: "p", Etcd: cluster.EtcdOnly, EtcdMembers: 4}
	for name, c := range map[string]struct {
		target   string
		machines []string
		from     []string
		says     string
	}{
		"one of four":         {"etcd-1", []string{"etcd-1"}, nil, ""},
		"half":                {Majority, []string{"etcd-1", "etcd-2"}, nil, ""},
		"a bridge":            {"etcd-1", []string{"etcd-1"}, []string{"etcd-3"}, ""},
		"the leader":          {Leader, nil, nil, ""},
		"of the larger side":  {Majority, []string{"etcd-1", "etcd-2", "etcd-3"}, nil, "name the smaller side"},
		"of nobody":           {Minority, nil, nil, "no machine on one of the two sides"},
		"from itself":         {"etcd-1", []string{"etcd-1"}, []string{"etcd-1"}, "cannot be on both sides"},
		"from who is unknown": {"etcd-1", []string{"etcd-1"}, []string{"etcd-9"}, "unknown machine"},
		"of whoever it is":    {Leader, nil, []string{"etcd-1"}, "takes no from"},
	} {
		spec := Spec{Kind: "partition", Target: c.target, Machines: c.machines, Params: Params{From: c.from}}
		if c.target == Leader {
			spec.Among = topology.EtcdMachines()
		}
		err := fitsPartition(spec, topology)
		var usage *cluster.UsageError
		if (err == nil) != (c.says == "") || err != nil && (!errors.As(err, &usage) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all := across([]string{"a", "b", "c"}, []string{"b"}, nil); !slices.Equal(all, []string{"a", "c"}) {
		t.Errorf("across from b: %v", all)
	}
}
