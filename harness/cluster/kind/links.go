package kind

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// The tables that hold cuts and lose questions to DNS servers. They go with the node's network namespace, or are healed.
const (
	cutTable  = "drydock-cut"
	nameTable = "drydock-names"
)

// Cut drops packets on eth0 from and to the peers, or all of them, counting what it drops. Without peers that is also what the node's pods send and
// get; peers are known by their nodes' addresses, which what pods send to pods does not have.
func (m *Machine) Cut(ctx context.Context, way cluster.Way, peers ...netip.Addr) error {
	_, err := m.Exec(ctx, cluster.Command{Args: []string{"nft", "-f", "-"}, Stdin: strings.NewReader(cutRules(way, peers))})
	return err
}

func cutRules(way cluster.Way, peers []netip.Addr) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table ip %s {\n", cutTable)
	for _, dir := range []struct {
		name, hook, device, peer string
		spared                   cluster.Way
	}{{"in", "prerouting", "iifname", "saddr", cluster.Outbound}, {"out", "postrouting", "oifname", "daddr", cluster.Inbound}} {
		if way == dir.spared {
			continue
		}
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype filter hook %s priority -300; policy accept;\n", dir.name, dir.hook)
		if len(peers) == 0 {
			fmt.Fprintf(&b, "\t\t%s \"eth0\" counter drop\n", dir.device)
		}
		for _, p := range peers {
			fmt.Fprintf(&b, "\t\t%s \"eth0\" ip %s %s counter drop\n", dir.device, dir.peer, p)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// HealLinks removes all cuts.
func (m *Machine) HealLinks(ctx context.Context) error {
	_, err := cluster.Shell(ctx, m, "nft add table ip "+cutTable+"; nft delete table ip "+cutTable)
	return err
}

// Dropped sums the packets the cuts have dropped; none when nothing is cut.
func (m *Machine) Dropped(ctx context.Context) (uint64, error) {
	out, err := cluster.Shell(ctx, m, "nft -j list ruleset ip")
	if err != nil {
		return 0, err
	}
	return countDropped([]byte(out), cutTable)
}

// nameRules drop questions before kube-proxy's rules have seen them: those of pods, which come by any card but the cable, and those of the node's own
// programs. What others ask of a server on the node comes by the cable.
const nameRules = `table inet ` + nameTable + ` {
	chain pods {
		type filter hook prerouting priority -300; policy accept;
		iifname != "eth0" meta l4proto { tcp, udp } th dport 53 counter drop
	}
	chain own {
		type filter hook output priority -300; policy accept;
		meta l4proto { tcp, udp } th dport 53 counter drop
	}
}
`

// LoseNames drops them on the node, counting what it drops.
func (m *Machine) LoseNames(ctx context.Context) error {
	again := "table inet " + nameTable + "\ndelete table inet " + nameTable + "\n" // a second time it is not there twice
	_, err := m.Exec(ctx, cluster.Command{Args: []string{"nft", "-f", "-"}, Stdin: strings.NewReader(again + nameRules)})
	return err
}

// FindNames lets them through.
func (m *Machine) FindNames(ctx context.Context) error {
	_, err := cluster.Shell(ctx, m, "nft add table inet "+nameTable+"; nft delete table inet "+nameTable)
	return err
}

// LostQueries sums the packets dropped; none when none are.
func (m *Machine) LostQueries(ctx context.Context) (uint64, error) {
	out, err := cluster.Shell(ctx, m, "nft -j list ruleset inet")
	if err != nil {
		return 0, err
	}
	return countDropped([]byte(out), nameTable)
}

// countDropped sums the counters of a table.
func countDropped(raw []byte, table string) (uint64, error) {
	var ruleset struct {
		Nftables []struct {
			Rule *struct {
				Table string
				Expr  []struct {
					Counter *struct{ Packets uint64 }
				}
			}
		}
	}
	if err := json.Unmarshal(raw, &ruleset); err != nil {
		return 0, fmt.Errorf("dropped: nft: %w", err)
	}
	var sum uint64
	for _, o := range ruleset.Nftables {
		if o.Rule == nil || o.Rule.Table != table {
			continue
		}
		for _, e := range o.Rule.Expr {
			if e.Counter != nil {
				sum += e.Counter.Packets
			}
		}
	}
	return sum, nil
}
