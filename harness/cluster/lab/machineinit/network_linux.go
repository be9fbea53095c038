package machineinit

import (
	"fmt"
	"net"
	"os"

	"github.com/google/uuid"
	"github.com/vishvananda/netlink"
)

// MachineID is the same for every machine of the name: its card's address is made of it.
func MachineID(name string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceDNS, []byte(name+".lab.drydock.dev"))
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
