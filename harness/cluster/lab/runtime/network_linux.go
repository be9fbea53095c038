package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster/lab/process"
)

// podNetwork gives pods addresses from the node's range on a bridge of the machine. It is done by netlink and not by CNI
// plugins: one bridge, one veth a pod and a counter are less than three binaries to build, install and configure on
// every machine, and no scenario replaces the plugin.
type podNetwork struct {
	file     string // keeps the range over a reboot
	announce func(ctx context.Context, cidr string) error

	mu   sync.Mutex
	cidr netip.Prefix
	used map[netip.Addr]string // address -> sandbox
	last netip.Addr
}

const podBridge = "cni0"

// restore sets up the range the machine had before it was switched off.
func (n *podNetwork) restore(ctx context.Context) error {
	raw, err := os.ReadFile(n.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pod network: %w", err)
	}
	return n.setRange(ctx, strings.TrimSpace(string(raw)))
}

func (n *podNetwork) setRange(ctx context.Context, cidr string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return fmt.Errorf("pod network: %w", err)
	}
	if n.cidr == prefix {
		return nil
	}
	gateway := prefix.Masked().Addr().Next()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = podBridge
	br := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(br); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("pod network: add %s: %w", podBridge, err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: gateway.AsSlice(), Mask: net.CIDRMask(prefix.Bits(), gateway.BitLen())}}
	if err := netlink.AddrReplace(br, addr); err != nil {
		return fmt.Errorf("pod network: address of %s: %w", podBridge, err)
	}
	if err := netlink.LinkSetUp(br); err != nil {
		return fmt.Errorf("pod network: %s up: %w", podBridge, err)
	}
	if err := n.announce(ctx, cidr); err != nil {
		return fmt.Errorf("pod network: announce %s: %w", cidr, err)
	}
	if err := os.WriteFile(n.file, []byte(cidr), 0o644); err != nil {
		return fmt.Errorf("pod network: %w", err)
	}
	n.cidr, n.used, n.last = prefix, map[netip.Addr]string{}, gateway
	return nil
}

// reserve takes the next free address. It goes round, so that an address is not given out again at once.
func (n *podNetwork) reserve(owner string) (addr, gateway netip.Addr, bits int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.cidr.IsValid() {
		return addr, gateway, 0, errors.New("pod network: the node has no pod range yet")
	}
	gateway = n.cidr.Masked().Addr().Next()
	a := n.last
	for {
		if a = a.Next(); !n.cidr.Contains(a) || !n.cidr.Contains(a.Next()) { // the last one is the broadcast address
			a = gateway.Next()
		}
		if _, taken := n.used[a]; !taken {
			break
		}
		if a == n.last {
			return addr, gateway, 0, fmt.Errorf("pod network: no address left in %s", n.cidr)
		}
	}
	n.used[a], n.last = owner, a
	return a, gateway, n.cidr.Bits(), nil
}

func (n *podNetwork) release(a netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.used, a)
}

// attach connects the namespace of process pid to the bridge.
func (n *podNetwork) attach(id string, pid int) (netip.Addr, error) {
	addr, gateway, bits, err := n.reserve(id)
	if err != nil {
		return addr, err
	}
	if err := connect(id, pid, addr, gateway, bits); err != nil {
		n.release(addr)
		return netip.Addr{}, fmt.Errorf("pod network: %w", err)
	}
	return addr, nil
}

func connect(id string, pid int, addr, gateway netip.Addr, bits int) error {
	br, err := netlink.LinkByName(podBridge)
	if err != nil {
		return fmt.Errorf("%s: %w", podBridge, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = "veth"+id[:8], br.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsPid(pid)}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("add %s: %w", attrs.Name, err)
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return fmt.Errorf("%s up: %w", attrs.Name, err)
	}
	return process.Inside(process.Namespaces{Net: pid}, func() error {
		// A handle of its own: the package's is bound to the machine's namespace.
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("netlink: %w", err)
		}
		defer h.Close()
		for _, name := range []string{"lo", "eth0"} {
			link, err := h.LinkByName(name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if name == "eth0" {
				a := &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(bits, addr.BitLen())}}
				if err := h.AddrAdd(link, a); err != nil {
					return fmt.Errorf("address: %w", err)
				}
			}
			if err := h.LinkSetUp(link); err != nil {
				return fmt.Errorf("%s up: %w", name, err)
			}
		}
		return h.RouteAdd(&netlink.Route{Gw: gateway.AsSlice()})
	})
}
