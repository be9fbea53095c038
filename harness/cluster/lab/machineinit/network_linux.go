package machineinit

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/uuid"
	"github.com/vishvananda/netlink"
)

func machineID(name string) string {
	return uuid.NewSHA1(uuid.NameSpaceDNS, []byte(name+".lab.drydock.dev")).String()
}

// configureNetwork gives eth0, which the lab has plugged in, the machine's address.
func configureNetwork(cfg Config) error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("network: %s: %w", name, err)
		}
		if name == "eth0" {
			addr, err := netlink.ParseAddr(cfg.Addr + "/16")
			if err != nil {
				return fmt.Errorf("network: %w", err)
			}
			if err := netlink.AddrAdd(link, addr); err != nil {
				return fmt.Errorf("network: %s: %w", name, err)
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("network: %s up: %w", name, err)
		}
	}
	if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(cfg.Gateway)}); err != nil {
		return fmt.Errorf("network: default route: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("network: forwarding: %w", err)
	}
	return nil
}

// The table that holds cuts. It goes with the machine, or with heal.
const cutTable = "drydock-cut"

// cut drops packets on eth0 from and to the peers, or all of them, counting what it drops. It acts on both
// directions and on forwarded packets, so that pods of the machine are cut off as well.
func cut(peers []netip.Addr) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("cut: nftables: %w", err)
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: cutTable})
	drop := nftables.ChainPolicyAccept
	for _, hook := range []struct {
		name   string
		hook   *nftables.ChainHook
		device expr.MetaKey
		offset uint32 // of the peer's address in the IPv4 header: source 12, destination 16
	}{
		{"in", nftables.ChainHookPrerouting, expr.MetaKeyIIFNAME, 12},
		{"out", nftables.ChainHookPostrouting, expr.MetaKeyOIFNAME, 16},
	} {
		chain := c.AddChain(&nftables.Chain{
			Name: hook.name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook.hook,
			Priority: nftables.ChainPriorityRaw, Policy: &drop,
		})
		match := []expr.Any{
			&expr.Meta{Key: hook.device, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: append([]byte("eth0"), make([]byte, 12)...)}, // IFNAMSIZ is 16
		}
		if len(peers) == 0 {
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(match, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})})
		}
		for _, p := range peers {
			a := p.As4()
			exprs := append(append([]expr.Any{}, match...),
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: hook.offset, Len: 4},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: a[:]},
				&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("cut: nftables: %w", err)
	}
	return nil
}

// healLinks removes every cut.
func healLinks() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("heal: nftables: %w", err)
	}
	t, err := c.ListTableOfFamily(cutTable, nftables.TableFamilyIPv4)
	if errors.Is(err, os.ErrNotExist) || (err == nil && t == nil) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("heal: nftables: %w", err)
	}
	c.DelTable(t)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("heal: nftables: %w", err)
	}
	return nil
}

// dropped sums the packets the cuts have dropped; none when nothing is cut.
func dropped() (uint64, error) {
	c, err := nftables.New()
	if err != nil {
		return 0, fmt.Errorf("dropped: nftables: %w", err)
	}
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return 0, fmt.Errorf("dropped: nftables: %w", err)
	}
	var sum uint64
	for _, chain := range chains {
		if chain.Table.Name != cutTable {
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
