package labinit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster"
)

// A wire is a slow piece of a machine's cable: while it is there, the lab's end of the cable is no port of the bridge. What comes in by it is taken
// (packet(7)), held for as long as a slow link would, and sent on by a second cable that is a port, and the other way round. netem would do the same; few
// kernels without modules have it, and none shapes what comes in. Packets of a way keep their order.
type wire struct {
	machine Machine
	ends    [2]*os.File // packets of the machine, and of the bridge
	pumps   sync.WaitGroup

	held, lost atomic.Uint64 // packets
	bytes      atomic.Int64  // of the packets it now holds
}

// wireRoom is how much a wire holds: the packets of a link of 1 Gbit/s for half a second. More is lost.
const wireRoom = 64 << 20

// wired names the second cable of a machine with a wire: the port of the bridge, and the end that the wire has.
func (m Machine) wired() (port, inner string) { return m.Link + "w", m.Link + "v" }

// wireTable keeps the lab's own network from what is the wire's to pass on.
func wireTable(m Machine) *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyNetdev, Name: "drydock-wire-" + m.Link}
}

// newWire puts a wire into a machine's cable, with a pace for what the machine sends and for what it is sent.
func newWire(m Machine, out, in pace) (w *wire, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("wire of %s: %w", m.Name, err), unwire(m))
		}
	}()
	br, err := netlink.LinkByName(bridge)
	if err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	port, inner := m.wired()
	attrs.Name, attrs.MasterIndex = port, br.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: inner}
	if err := netlink.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("add %s: %w", port, err)
	}
	w = &wire{machine: m}
	defer func() {
		if err != nil {
			w.hangUp()
		}
	}()
	for i, name := range []string{m.Link, inner} {
		if w.ends[i], err = packets(name); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{port, inner} {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := carry(port, inner); err != nil {
		return nil, err
	}
	if err := divert(wireTable(m), m.Link, inner); err != nil {
		return nil, err
	}
	cable, err := netlink.LinkByName(m.Link)
	if err != nil {
		return nil, err
	}
	if err := netlink.LinkSetNoMaster(cable); err != nil {
		return nil, fmt.Errorf("%s: %w", m.Link, err)
	}
	w.pump(w.ends[0], w.ends[1], out)
	w.pump(w.ends[1], w.ends[0], in)
	return w, nil
}

// carry waits until a new cable carries. The kernel tells a bridge that a port has a carrier, and lets packets go out by it, in work of its own that a busy
// host comes to late (net/core/link_watch.c); what is sent before is lost.
func carry(ends ...string) error {
	for _, name := range ends {
		//nolint:forbidigo // nobody's to end: a cable that is changed by half is changed to its end, and not for longer than this
		err := cluster.Await(context.Background(), name+" carries", cluster.Wait{For: 5 * time.Second, Every: 2 * time.Millisecond}, func(context.Context) error {
			link, err := netlink.LinkByName(name)
			if err == nil && link.Attrs().OperState != netlink.OperUp {
				err = fmt.Errorf("it is %s", link.Attrs().OperState)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unwire makes a machine's cable as it was, whatever of a wire is there.
func unwire(m Machine) error {
	br, err := netlink.LinkByName(bridge)
	if err != nil {
		return err
	}
	if cable, err := netlink.LinkByName(m.Link); err == nil { // the machine may be off
		if err := netlink.LinkSetMaster(cable, br); err != nil {
			return fmt.Errorf("%s: %w", m.Link, err)
		}
	}
	if err := drop(wireTable(m)); err != nil {
		return err
	}
	port, _ := m.wired()
	if link, err := netlink.LinkByName(port); err == nil {
		if err := netlink.LinkDel(link); err != nil {
			return fmt.Errorf("%s: %w", port, err)
		}
	}
	return nil
}

// divert has the lab's own network drop what comes in by the interfaces. Whoever listens for packets has them before.
func divert(table *nftables.Table, interfaces ...string) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := c.AddTable(table)
	for _, name := range interfaces {
		chain := c.AddChain(&nftables.Chain{
			Name: name, Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityFilter, Device: name,
		})
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}})
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

// packets are those that come in by an interface, each with what the kernel has left for a network card to do (PACKET_VNET_HDR): checksums and cutting
// to size. What is written goes out by it.
func packets(name string) (*os.File, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	every := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) // deaf until it is bound
	if err != nil {
		return nil, fmt.Errorf("packets of %s: %w", name, err)
	}
	for option, value := range map[int]int{unix.PACKET_VNET_HDR: 1, unix.PACKET_IGNORE_OUTGOING: 1} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, option, value); err != nil {
			return nil, errors.Join(fmt.Errorf("packets of %s: %w", name, err), unix.Close(fd))
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil { // older kernels let nobody in a user namespace
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: every, Ifindex: link.Index}); err != nil {
		return nil, errors.Join(fmt.Errorf("packets of %s: %w", name, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

type packet struct {
	data []byte
	due  time.Time
}

// pump passes packets on at a pace, until the wire ends.
func (w *wire) pump(from, to *os.File, p pace) {
	line := make(chan packet, 1<<14)
	w.pumps.Go(func() {
		defer close(line)
		const largest = 10 + 14 + 4 + 1<<16 // virtio_net_hdr, Ethernet, a tag of it
		for buffer := make([]byte, largest); ; {
			n, err := from.Read(buffer)
			if errors.Is(err, unix.ENETDOWN) { // said once when an interface goes down
				continue
			}
			if err != nil {
				return
			}
			due, lose := p.due(time.Now(), n-10)
			if lose || w.bytes.Load() > wireRoom {
				w.lost.Add(1)
				continue
			}
			w.bytes.Add(int64(n))
			w.held.Add(1)
			line <- packet{append([]byte(nil), buffer[:n]...), due}
		}
	})
	w.pumps.Go(func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for next := range line {
			if wait := time.Until(next.due); wait > 0 {
				timer.Reset(wait)
				<-timer.C
			}
			w.bytes.Add(int64(-len(next.data)))
			_, _ = to.Write(next.data) // to a machine that is off: lost, as on any cable
		}
	})
}

// hangUp ends the wire's work; what it still holds is lost, as on a link that goes.
func (w *wire) hangUp() {
	for _, end := range w.ends {
		if end != nil {
			_ = end.Close()
		}
	}
}

// Close takes the wire out of the cable.
func (w *wire) Close() error {
	err := unwire(w.machine)
	w.hangUp()
	if err != nil {
		return fmt.Errorf("wire of %s: %w", w.machine.Name, err)
	}
	return nil
}

// pace is how long packets are on their way.
type pace struct {
	delay, jitter time.Duration
	rate          int64 // bits a second; 0: as fast as they come
	chance        *rand.Rand

	free, last time.Time // when the link is idle again; when the last packet leaves it
}

// backlog is how long packets wait for a link that is too slow for them; what would wait longer is lost, as at a router's full buffer.
const backlog = 400 * time.Millisecond

// due is when a packet of so many bytes leaves the link, or that it is lost.
func (p *pace) due(now time.Time, size int) (at time.Time, lose bool) {
	at = now
	if p.rate > 0 {
		if p.free.After(at) {
			at = p.free
		}
		if at.Sub(now) > backlog {
			return at, true
		}
		at = at.Add(time.Duration(float64(size) * 8 / float64(p.rate) * float64(time.Second)))
		p.free = at
	}
	at = at.Add(p.delay)
	if p.jitter > 0 {
		at = at.Add(time.Duration(p.chance.Int64N(2*int64(p.jitter)+1)) - p.jitter)
	}
	if at.Before(p.last) {
		at = p.last
	}
	p.last = at
	return at, false
}
