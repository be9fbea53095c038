package labinit

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
)

// buildNetwork makes the lab's bridge and lets it forward between the pod ranges of the machines.
func buildNetwork() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("network: lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("network: lo up: %w", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge
	// Else it has the lowest of its ports', and another whenever that one comes or goes: what machines know of their way to the pods was wrong then.
	attrs.HardwareAddr = net.HardwareAddr{0x02, 0, 10, 77, 0, 1}
	br := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(br); err != nil {
		return fmt.Errorf("network: add bridge %s (is the kernel's bridge module there?): %w", bridge, err)
	}
	addr, err := netlink.ParseAddr(Gateway + "/16")
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if err := netlink.AddrAdd(br, addr); err != nil {
		return fmt.Errorf("network: address of %s: %w", bridge, err)
	}
	if err := netlink.LinkSetUp(br); err != nil {
		return fmt.Errorf("network: %s up: %w", bridge, err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("network: forwarding: %w", err)
	}
	return nil
}

// plug makes a cable between the bridge and the machine in a network namespace, a netlink.NsPid or NsFd; the machine's end is eth0.
func plug(m Machine, namespace any) error {
	br, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("plug %s: %w", m.Name, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = m.Link, br.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: namespace, PeerHardwareAddr: card(m)}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("plug %s: add %s: %w", m.Name, m.Link, err)
	}
	if m.VM {
		if err := wholeFrames(m.Link); err != nil {
			return fmt.Errorf("plug %s: %w", m.Name, err)
		}
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return fmt.Errorf("plug %s: %s up: %w", m.Name, m.Link, err)
	}
	return nil
}

// card is the hardware address of a machine's end, which a power cut does not change: who has just heard from it sends to that address for up to 45 s
// (base_reachable_time_ms in the kernel's ip-sysctl.rst) before he asks for another, and took a machine that had come back for dead meanwhile.
func card(m Machine) net.HardwareAddr {
	ip := net.ParseIP(m.Addr).To4()
	if ip == nil {
		return nil // the kernel gives it one
	}
	return append(net.HardwareAddr{0x02, 0}, ip...) // 02: locally administered, as the bridge's
}

// unplug removes the cable; what the machine still sends after it goes nowhere.
func unplug(m Machine) error {
	link, err := netlink.LinkByName(m.Link)
	if err != nil {
		var gone netlink.LinkNotFoundError
		if errors.As(err, &gone) {
			return nil
		}
		return fmt.Errorf("unplug %s: %w", m.Name, err)
	}
	if err := netlink.LinkDel(link); err != nil {
		return fmt.Errorf("unplug %s: %w", m.Name, err)
	}
	return nil
}

// route sends a pod range to the machine that has it. A machine asks for itself only, and for pods only.
func route(cidr string, m Machine) error {
	if err := checkRange(cidr); err != nil {
		return fmt.Errorf("route: %w", err)
	}
	_, dst, err := net.ParseCIDR(cidr)
	if err != nil {
		return fmt.Errorf("route: %w", err)
	}
	br, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("route: %w", err)
	}
	if err := netlink.RouteReplace(&netlink.Route{LinkIndex: br.Attrs().Index, Dst: dst, Gw: net.ParseIP(m.Addr)}); err != nil {
		return fmt.Errorf("route %s via %s: %w", cidr, m.Addr, err)
	}
	return nil
}
