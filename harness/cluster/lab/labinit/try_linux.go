package labinit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/vishvananda/netlink"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab/unsynced"
)

// Try does in this process's namespaces, which are fresh and go with it, what machines and their links are asked to do by their capabilities, and
// writes what the kernel refuses as a cluster.Lacks in JSON.
func Try(to io.Writer) error {
	lacks := cluster.Lacks{}
	a, b := Machine{Addr: "10.77.1.1", Link: "m1"}, Machine{Addr: "10.77.1.2", Link: "m2"}
	err := cutOff(a, cluster.BothWays, []Machine{b})
	if err == nil {
		_, err = droppedOf(a)
	}
	if err == nil {
		err = uncut(a)
	}
	if err != nil {
		lacks[cluster.CanLinks] = fmt.Sprintf("this host's kernel gives a lab's bridge no packet filter (%v): load nf_tables, which needs CONFIG_NF_TABLES_BRIDGE", errors.Unwrap(err))
	}
	if err := tryShapes(a, b); err != nil {
		lacks[cluster.CanShape] = fmt.Sprintf("this host's kernel lets nobody shape a lab's links (%v): that needs CONFIG_PACKET, CONFIG_NF_TABLES_NETDEV and CONFIG_NFT_NUMGEN", err)
	}
	// The last of all: nobody answers what this process would fsync from here on.
	if l, err := unsynced.Install(); err != nil {
		why := fmt.Sprintf("this host's kernel does not tell what a machine's programs fsync (%v)", err)
		lacks[cluster.CanLoseUnsynced], lacks[cluster.CanSlowDisk] = why, why
	} else if err := l.Close(); err != nil {
		return err
	}
	return json.NewEncoder(to).Encode(lacks)
}

// tryShapes does to a cable of its own all that shapes need.
func tryShapes(a, b Machine) error {
	if err := buildNetwork(); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = a.Link
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0"}); err != nil {
		return err
	}
	w, err := newWire(a, pace{}, pace{})
	if err != nil {
		return err
	}
	return errors.Join(lossy(a, cluster.BothWays, []Machine{b}, 0.5), drop(lossTable(a)), w.Close())
}
