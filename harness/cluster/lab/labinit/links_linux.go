package labinit

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster"
)

// A machine's cuts are a table of the bridge family in the lab's network namespace, where its end of the machines' cables is: no machine can undo
// them, and they hold while it is off. Packets are marked by the cable they come in by and dropped at the one they would leave by, so that those which
// the lab routes between pods go the same way as those which the bridge forwards. What the lab itself sends has no mark.
//
// ARP goes through: a link that loses what is sent one way would otherwise soon lose it the other way too, with nobody left to send to.
func cutTable(m Machine) *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyBridge, Name: "drydock-cut-" + m.Link}
}

func (s *switchboard) cut(p CutParams) error {
	m, _, err := s.machine(p.Name)
	if err != nil {
		return err
	}
	peers, err := s.machinesAt(p.Peers)
	if err != nil {
		return fmt.Errorf("cut %s off: %w", p.Name, err)
	}
	return cutOff(m, p.Way, peers)
}

func (s *switchboard) machinesAt(addrs []netip.Addr) (out []Machine, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, addr := range addrs {
		i := slices.IndexFunc(s.cfg.Machines, func(m Machine) bool { return m.Addr == addr.String() })
		if i < 0 {
			return nil, fmt.Errorf("no machine has the address %s", addr)
		}
		out = append(out, s.cfg.Machines[i])
	}
	return out, nil
}

func (s *switchboard) healLinks(name string) error {
	m, _, err := s.machine(name)
	if err != nil {
		return err
	}
	return uncut(m)
}

func (s *switchboard) dropped(name string) (uint64, error) {
	m, _, err := s.machine(name)
	if err != nil {
		return 0, err
	}
	return droppedOf(m)
}

// cutOff cuts a machine off from its peers, or from everybody.
func cutOff(m Machine, way cluster.Way, peers []Machine) error {
	drop := []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
	if err := between(cutTable(m), m, way, peers, drop); err != nil {
		return fmt.Errorf("cut: nftables: %w", err)
	}
	return nil
}

// between makes a table of what happens to the IP packets between a machine and its peers, or everybody, one way or both. ARP goes by it.
func between(table *nftables.Table, m Machine, way cluster.Way, peers []Machine, happens []expr.Any) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := c.AddTable(table)
	accept := nftables.ChainPolicyAccept
	chain := func(name string, hook *nftables.ChainHook) *nftables.Chain {
		return c.AddChain(&nftables.Chain{
			Name: name, Table: t, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityRaw, Policy: &accept,
		})
	}
	in, out := chain("in", nftables.ChainHookPrerouting), chain("out", nftables.ChainHookPostrouting)
	rule := func(at *nftables.Chain, exprs ...[]expr.Any) {
		c.AddRule(&nftables.Rule{Table: t, Chain: at, Exprs: slices.Concat(exprs...)})
	}
	notARP := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1}, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.BigEndian.PutUint16(unix.ETH_P_ARP)},
	}
	pair := func(from, to Machine) {
		for _, end := range from.ports() {
			rule(in, cable(expr.MetaKeyIIFNAME, end), mark(from))
		}
		for _, end := range to.ports() {
			rule(out, cable(expr.MetaKeyOIFNAME, end), marked(from), notARP, happens)
		}
	}
	for _, end := range m.ports() {
		if len(peers) == 0 && way != cluster.Inbound {
			rule(in, cable(expr.MetaKeyIIFNAME, end), notARP, happens)
		}
		if len(peers) == 0 && way != cluster.Outbound {
			rule(out, cable(expr.MetaKeyOIFNAME, end), notARP, happens)
		}
	}
	for _, p := range peers {
		if way != cluster.Inbound {
			pair(m, p)
		}
		if way != cluster.Outbound {
			pair(p, m)
		}
	}
	return c.Flush()
}

// ports are the names that a machine's port of the bridge may have: its cable's, and its wire's while it has one.
func (m Machine) ports() []string {
	port, _ := m.wired()
	return []string{m.Link, port}
}

// cable matches a packet by the lab's end of a machine's cable.
func cable(key expr.MetaKey, port string) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, port)
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name}}
}

// markOf is a machine's mark: its address, which no other has.
func markOf(m Machine) []byte {
	a := netip.MustParseAddr(m.Addr).As4()
	return a[:]
}

func mark(m Machine) []expr.Any {
	return []expr.Any{&expr.Immediate{Register: 1, Data: markOf(m)}, &expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1}}
}

func marked(m Machine) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: markOf(m)}}
}

// uncut removes every cut of a machine.
func uncut(m Machine) error {
	if err := drop(cutTable(m)); err != nil {
		return fmt.Errorf("heal: nftables: %w", err)
	}
	return nil
}

// drop removes a table, if it is there.
func drop(table *nftables.Table) error {
	if there, err := exists(table); err != nil || !there {
		return err
	}
	c, err := nftables.New()
	if err != nil {
		return err
	}
	c.DelTable(table)
	return c.Flush()
}

func exists(table *nftables.Table) (bool, error) {
	c, err := nftables.New()
	if err != nil {
		return false, err
	}
	tables, err := c.ListTablesOfFamily(table.Family)
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == table.Name }), err
}

// droppedOf sums the packets a machine's cuts have dropped; none when nothing is cut.
func droppedOf(m Machine) (uint64, error) {
	n, err := counted(cutTable(m))
	if err != nil {
		return 0, fmt.Errorf("dropped: nftables: %w", err)
	}
	return n, nil
}

// counted sums the packets that a table has counted; none when there is no such table.
func counted(table *nftables.Table) (uint64, error) {
	c, err := nftables.New()
	if err != nil {
		return 0, err
	}
	chains, err := c.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return 0, err
	}
	var sum uint64
	for _, chain := range chains {
		if chain.Table.Name != table.Name {
			continue
		}
		rules, err := c.GetRules(chain.Table, chain)
		if err != nil {
			return 0, err
		}
		for _, r := range rules {
			for _, e := range r.Exprs {
				if n, ok := e.(*expr.Counter); ok {
					sum += n.Packets
				}
			}
		}
	}
	return sum, nil
}
