package fault

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
)

// roads are the links of three members, as bad as each is: by who sends and who gets it.
type roads struct {
	cluster.Cluster // of which a shape asks nothing else

	late map[[2]string]time.Duration
	lost map[[2]string]float64
	rate map[[2]string]float64 // bits a second

	mu    sync.Mutex
	dice  *rand.Rand
	bytes map[string]int // that have come in
	came  map[string][]time.Time
}

// stop is a machine on the roads.
type stop struct {
	cluster.Machine

	name string
	addr netip.Addr
	on   *roads
}

func (r *roads) Topology() cluster.Topology {
	return cluster.Topology{Name: "r", Etcd: cluster.EtcdOnly, EtcdMembers: 3}
}

func (r *roads) Machines() (out []cluster.Machine) {
	for i := range 3 {
		m, _ := r.Machine(fmt.Sprintf("etcd-%d", i+1))
		out = append(out, m)
	}
	return out
}

func (r *roads) Machine(name string) (cluster.Machine, error) {
	return &stop{name: name, addr: netip.AddrFrom4([4]byte{10, 77, 1, name[5] - '0'}), on: r}, nil
}

func (m *stop) Name() string     { return m.name }
func (m *stop) Addr() netip.Addr { return m.addr }

func (m *stop) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	to := fmt.Sprintf("etcd-%d", netip.MustParseAddrPort(addr).Addr().As4()[3])
	there, back := [2]string{m.name, to}, [2]string{to, m.name}
	if network == "udp" {
		return &stream{on: m.on, pair: there, since: time.Now()}, nil
	}
	m.on.mu.Lock()
	gone := m.on.dice.Float64() < m.on.lost[there] || m.on.dice.Float64() < m.on.lost[back]
	m.on.mu.Unlock()
	took := time.NewTimer(m.on.late[there] + m.on.late[back])
	defer took.Stop()
	if gone {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-took.C:
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *stop) ReadFile(_ context.Context, path string) ([]byte, error) {
	m.on.mu.Lock()
	defer m.on.mu.Unlock()
	switch path {
	case "/proc/net/dev":
	case "/proc/net/snmp":
		n := 0
		for _, t := range m.on.came[m.name] {
			if !t.After(time.Now()) {
				n++
			}
		}
		return fmt.Appendf(nil, "Tcp: ActiveOpens NoPorts\nTcp: 5 6\nUdp: InDatagrams NoPorts InErrors\nUdp: 1 %d 0\n", n), nil
	default:
		return nil, errors.New("no such file")
	}
	return fmt.Appendf(nil, "Inter-|   Receive\n face |bytes\n    lo: 77 1\n  eth0: %d 1 0\n", m.on.bytes[m.name]), nil
}

func (m *stop) Shape(context.Context, cluster.Shape) error     { return nil }
func (m *stop) Unshape(context.Context, cluster.Shaping) error { return nil }
func (m *stop) Shaped(context.Context, cluster.Shaping) (cluster.Shaped, error) {
	return cluster.Shaped{Lost: uint64(len(m.on.late) + len(m.on.lost) + len(m.on.rate))}, nil
}

// stream is what one machine sends to another, at most so fast.
type stream struct {
	net.Conn

	on    *roads
	pair  [2]string
	since time.Time
	sent  float64
}

func (s *stream) Write(b []byte) (int, error) {
	s.on.mu.Lock()
	defer s.on.mu.Unlock()
	if limit, ok := s.on.rate[s.pair]; !ok || s.sent*8 < limit*time.Since(s.since).Seconds() {
		s.on.bytes[s.pair[1]] += len(b) + 42
		s.sent += float64(len(b) + 42)
		if len(b) == 1 && s.on.dice.Float64() >= s.on.lost[s.pair] {
			s.on.came[s.pair[1]] = append(s.on.came[s.pair[1]], time.Now().Add(s.on.late[s.pair]))
		}
	}
	return len(b), nil
}

func (s *stream) Close() error { return nil }

// A link that is only half as bad as it should be is not taken for it, nor one that is worse, nor one that is bad to whom it should not be.
func TestHalfShapedLinks(t *testing.T) {
	delay := func(way cluster.Way) Spec {
		return Spec{Kind: "linkDelay", Params: Params{Delay: 100 * time.Millisecond, Jitter: 40 * time.Millisecond, Way: way}}
	}
	loss := func(way cluster.Way, from ...string) Spec {
		return Spec{Kind: "linkLoss", Params: Params{Loss: 0.2, Way: way, From: from}}
	}
	rate := func(way cluster.Way) Spec { return Spec{Kind: "linkRate", Params: Params{Rate: 2_000_000, Way: way}} }
	for name, c := range map[string]struct {
		spec Spec
		bad  string // links as 12 for what etcd-1 sends to etcd-2; 12* is twice as bad
		says string // empty: it is as it should be
	}{
		"delay, none":               {delay(""), "", "late ones would take 160ms at least"},
		"delay, both ways":          {delay(""), "12 21 13 31", ""},
		"delay, half":               {delay(""), "12 13", "etcd-2 has its answers from etcd-1 after 100ms"},
		"delay, to one peer":        {delay(""), "12 21", "etcd-3 has its answers from etcd-1 after 0s"},
		"delay, out":                {delay("out"), "12 13", ""},
		"delay, out, to one peer":   {delay("out"), "12", "etcd-3 has its answers from etcd-1 after 0s"},
		"delay, in":                 {delay("in"), "21 31", ""},
		"delay, in, and it is out":  {delay("in"), "12 13", "what etcd-2 sends to etcd-1 should be late"},
		"delay, out, and it is in":  {delay("out"), "21 31", "what etcd-2 sends to etcd-1 should not be late"},
		"delay, out, and both":      {delay("out"), "12 21 13 31", "what etcd-2 sends to etcd-1 should not be late"},
		"delay, in, and both":       {delay("in"), "12 21 13 31", "what etcd-1 sends to etcd-2 should not be late"},
		"delay, everybody":          {delay(""), "12 21 13 31 23 32", "where nothing is late it would be 80ms at most"},
		"loss, none":                {loss(""), "", "0% are lost"},
		"loss, both ways":           {loss(""), "12 21 13 31", ""},
		"loss, half":                {loss(""), "12 13", "are lost; it would be"},
		"loss, to one peer":         {loss(""), "12 21", "0% are lost"},
		"loss, worse":               {loss(""), "12* 21* 13* 31*", "are lost; it would be"},
		"loss, in":                  {loss("in"), "21 31", ""},
		"loss, out":                 {loss("out"), "12 13", ""},
		"loss, in, and it is out":   {loss("in"), "12 13", "what etcd-2 sends to etcd-1 should get lost"},
		"loss, out, and it is in":   {loss("out"), "21 31", "what etcd-2 sends to etcd-1 should not get lost"},
		"loss, in, all is lost":     {loss("in"), "21* 31*", "are lost; it would be"},
		"loss, everybody":           {loss(""), "12 21 13 31 23 32", "are lost, and none should"},
		"loss, of one link":         {loss("", "etcd-2"), "12 21", ""},
		"loss, of another as well":  {loss("", "etcd-2"), "12 21 13 31", "are lost, and none should"},
		"rate, none":                {rate(""), "", "it should be 2mbit"},
		"rate, both ways":           {rate(""), "12 21 13 31", ""},
		"rate, half":                {rate(""), "12 13", "it should be 2mbit"},
		"rate, more gets through":   {rate(""), "12* 21* 13* 31*", "it should be 2mbit"},
		"rate, out":                 {rate("out"), "12 13", ""},
		"rate, out, and in as well": {rate("out"), "12 21 13 31", "nothing should be in its way"},
		"rate, everybody":           {rate(""), "12 21 13 31 23 32", "nothing should be in its way"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &roads{
					late: map[[2]string]time.Duration{}, lost: map[[2]string]float64{}, rate: map[[2]string]float64{}, bytes: map[string]int{},
					came: map[string][]time.Time{},
					dice: rand.New(rand.NewPCG(1, 2)),
				}
				for _, l := range strings.Fields(c.bad) {
					pair, times := [2]string{"etcd-" + l[:1], "etcd-" + l[1:2]}, float64(len(l)-1)
					switch p := c.spec.Params; c.spec.Kind {
					case "linkDelay":
						r.late[pair] = p.Delay * time.Duration(times)
					case "linkLoss":
						r.lost[pair] = float64(p.Loss) * times * times
					case "linkRate":
						r.rate[pair] = float64(p.Rate) * times
					}
				}
				k, err := Find(c.spec.Kind)
				if err != nil {
					t.Fatal(err)
				}
				f := k.New(c.spec)
				e := &Env{Cluster: r, Etcd: &etcd.Access{}}
				_, err = f.Effective(t.Context(), e, []string{"etcd-1"})
				if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("error %v; want %q", err, c.says)
				}
				var control controlError
				if among := strings.Contains(name, "everybody") || strings.Contains(name, "another"); err != nil && errors.As(err, &control) != among {
					t.Errorf("of the control: %t: %v", !among, err)
				}
			})
		})
	}
}

// Answers that do not come are not late, and a delay can be seen as far as it is allowed.
func TestDelayIsNoCut(t *testing.T) {
	for name, c := range map[string]struct {
		params Params
		late   float64 // times the delay, each way
		lost   float64
		says   string // empty: it is as it should be
	}{
		"a second, both ways":      {Params{Delay: time.Second, Jitter: 500 * time.Millisecond}, 1, 0, ""},
		"half a second, both ways": {Params{Delay: 500 * time.Millisecond}, 1, 0, ""},
		"half a second, all lost":  {Params{Delay: 500 * time.Millisecond}, 0, 1, "they are not late but lost"},
		"little, all lost":         {Params{Delay: 50 * time.Millisecond}, 0, 1, "they are not late but lost"},
		"a few lost":               {Params{Delay: 50 * time.Millisecond}, 1, 0.1, ""},
		"far more":                 {Params{Delay: 300 * time.Millisecond}, 2, 0, "late by no more than 1.1s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &roads{late: map[[2]string]time.Duration{}, lost: map[[2]string]float64{}, dice: rand.New(rand.NewPCG(1, 2))}
				for _, pair := range [][2]string{{"etcd-1", "etcd-2"}, {"etcd-2", "etcd-1"}, {"etcd-1", "etcd-3"}, {"etcd-3", "etcd-1"}} {
					r.late[pair], r.lost[pair] = time.Duration(c.late*float64(c.params.Delay)), c.lost
				}
				if err := validDelay(c.params); err != nil {
					t.Fatal(err)
				}
				f := newLinkDelay(Spec{Kind: "linkDelay", Params: c.params})
				_, err := f.Effective(t.Context(), &Env{Cluster: r, Etcd: &etcd.Access{}}, []string{"etcd-1"})
				if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("error %v; want %q", err, c.says)
				}
			})
		})
	}
}

func TestLossBounds(t *testing.T) {
	for share := leastLoss; share <= mostLoss; share += 0.05 {
		for _, ways := range []int{1, 2} {
			tries, low, high := lossGauge{share: share, ways: ways}.bounds()
			all, half := 1-math.Pow(1-share, float64(ways)), 0.0
			if ways == 2 {
				half = share
			}
			sigma := func(p float64) float64 { return math.Sqrt(p*(1-p)/float64(tries)) + 1e-9 }
			if tries > 1000 || low <= half || low >= all || high <= all || high >= 1 || (all-low)/sigma(all) < 3.4 || (low-half)/sigma(half) < 3.4 || (high-all)/sigma(all) < 3.4 {
				t.Errorf("%.2f, %d ways: %d tries, from %.3f to %.3f; half %.3f, all %.3f", share, ways, tries, low, high, half, all)
			}
		}
	}
}

func TestShapesThatAreNone(t *testing.T) {
	members := cluster.Topology{Name: "p", Etcd: cluster.EtcdOnly, EtcdMembers: 3}
	for name, c := range map[string]struct {
		kind, target string
		params       Params
		topology     cluster.Topology
		says         string // empty: it can be done
	}{
		"loss":                  {"linkLoss", Follower, Params{Loss: 0.2}, members, ""},
		"loss from one":         {"linkLoss", "etcd-1", Params{Loss: 0.2, From: []string{"etcd-2"}, Way: cluster.Inbound}, members, ""},
		"no loss":               {"linkLoss", Follower, Params{}, members, "loss is 0%; it can be seen from 10% to 50%"},
		"all is lost":           {"linkLoss", Follower, Params{Loss: 1}, members, "loss is 100%"},
		"loss from whoever":     {"linkLoss", Leader, Params{Loss: 0.2, From: []string{"etcd-2"}}, members, "takes no from"},
		"loss from nobody":      {"linkLoss", "etcd-1", Params{Loss: 0.2, From: []string{"etcd-7"}}, members, "unknown machine"},
		"of a sort":             {"linkLoss", "etcd-1", Params{Loss: 0.2, Way: "up"}, members, `way is "up"`},
		"delay":                 {"linkDelay", Leader, Params{Delay: time.Second, Jitter: 500 * time.Millisecond}, members, ""},
		"delay from one":        {"linkDelay", "etcd-1", Params{Delay: time.Second, From: []string{"etcd-2"}}, members, "takes no from"},
		"no delay":              {"linkDelay", Leader, Params{Jitter: time.Second}, members, "delay is 0s"},
		"a jitter that is more": {"linkDelay", Leader, Params{Delay: time.Second, Jitter: time.Second}, members, "it can be up to 500ms"},
		"delay of all":          {"linkDelay", Members, Params{Delay: time.Second}, members, "nobody to see it"},
		"delay of the only one": {"linkDelay", Leader, Params{Delay: time.Second}, cluster.Topology{Name: "p", Etcd: cluster.EtcdOnly, EtcdMembers: 1}, "nobody to see it"},
		"rate":                  {"linkRate", Leader, Params{Rate: 1_000_000}, members, ""},
		"rate of nothing":       {"linkRate", Leader, Params{}, members, "rate is 0bit"},
		"rate and loss":         {"linkRate", Leader, Params{Rate: 1_000_000, Loss: 0.2}, members, "takes no loss"},
	} {
		_, err := NewSpec(c.kind, c.target, time.Second, c.params, c.topology, rand.New(rand.NewPCG(1, 2)))
		var usage *cluster.UsageError
		if (err == nil) != (c.says == "") || err != nil && (!errors.As(err, &usage) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestQuantities(t *testing.T) {
	for text, want := range map[string]Share{"20%": 0.2, "0.5%": 0.005, "100%": 1, "20": -1, "": -1, "-1%": -1, "101%": -1, "x%": -1} {
		var s Share
		if err := s.UnmarshalText([]byte(text)); (err == nil) != (want >= 0) || err == nil && s != want {
			t.Errorf("%q: %v, %v", text, s, err)
		}
		if back, _ := s.MarshalText(); want > 0 && string(back) != text {
			t.Errorf("%q is written as %s", text, back)
		}
	}
	for text, want := range map[string]Rate{"10mbit": 10_000_000, "1.5mbit": 1_500_000, "500kbit": 500_000, "800bit": 800, "1gbit": 1_000_000_000, "10": -1, "10mb": -1, "-1mbit": -1, "mbit": -1} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); (err == nil) != (want >= 0) || err == nil && r != want {
			t.Errorf("%q: %v, %v", text, r, err)
		}
		var back Rate
		if raw, _ := r.MarshalText(); want > 0 && (back.UnmarshalText(raw) != nil || back != want || r.String() != text) {
			t.Errorf("%q is written as %s and %s", text, raw, r)
		}
	}
}
