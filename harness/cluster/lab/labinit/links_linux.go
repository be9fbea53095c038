package labinit

import (
	"fmt"
	"net/netip"

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
	var peers []Machine
	for _, a := range p.Peers {
		peer, err := s.at(a)
		if err != nil {
			return fmt.Errorf("cut %s off: %w", p.Name, err)
		}
		peers = append(peers, peer)
	}
	return cutOff(m, p.Way, peers)
}

func (s *switchboard) at(addr netip.Addr) (Machine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.cfg.Machines {
		if m.Addr == addr.String() {
			return m, nil
		}
	}
	return Machine{}, fmt.Errorf("no machine has the address %s", addr)
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
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("cut: nftables: %w", err)
	}
	t := c.AddTable(cutTable(m))
	accept := nftables.ChainPolicyAccept
	chain := func(name string, hook *nftables.ChainHook) *nftables.Chain {
		return c.AddChain(&nftables.Chain{
			Name: name, Table: t, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityRaw, Policy: &accept,
		})
	}
	in, out := chain("in", nftables.ChainHookPrerouting), chain("out", nftables.ChainHookPostrouting)
	rule := func(at *nftables.Chain, exprs ...[]expr.Any) {
		r := &nftables.Rule{Table: t, Chain: at}
		for _, e := range exprs {
			r.Exprs = append(r.Exprs, e...)
		}
		c.AddRule(r)
	}
	drop := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1}, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.BigEndian.PutUint16(unix.ETH_P_ARP)},
		&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop},
	}
	lose := func(from, to Machine) {
		rule(in, cable(expr.MetaKeyIIFNAME, from), mark(from))
		rule(out, cable(expr.MetaKeyOIFNAME, to), marked(from), drop)
	}
	if len(peers) == 0 {
		if way != cluster.Inbound {
			rule(in, cable(expr.MetaKeyIIFNAME, m), drop)
		}
		if way != cluster.Outbound {
			rule(out, cable(expr.MetaKeyOIFNAME, m), drop)
		}
	}
	for _, p := range peers {
		if way != cluster.Inbound {
			lose(m, p)
		}
		if way != cluster.Outbound {
			lose(p, m)
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("cut: nftables: %w", err)
	}
	return nil
}

// cable matches a packet by the lab's end of a machine's cable.
func cable(key expr.MetaKey, m Machine) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, m.Link)
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
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("heal: nftables: %w", err)
	}
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyBridge)
	if err != nil {
		return fmt.Errorf("heal: nftables: %w", err)
	}
	for _, t := range tables {
		if t.Name == cutTable(m).Name {
			c.DelTable(t)
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("heal: nftables: %w", err)
	}
	return nil
}

// droppedOf sums the packets a machine's cuts have dropped; none when nothing is cut.
func droppedOf(m Machine) (uint64, error) {
	c, err := nftables.New()
	if err != nil {
		return 0, fmt.Errorf("dropped: nftables: %w", err)
	}
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyBridge)
	if err != nil {
		return 0, fmt.Errorf("dropped: nftables: %w", err)
	}
	var sum uint64
	for _, chain := range chains {
		if chain.Table.Name != cutTable(m).Name {
			continue
		}
		rules, err := c.GetRules(chain.Table, chain)
		if err != nil {
			return 0, fmt.Errorf("dropped: nftables: %w", err)
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
