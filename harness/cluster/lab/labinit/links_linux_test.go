package labinit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"drydock.dev/drydock/harness/cluster"
)

// network is a network namespace that a thread of its own is in, and that ends with it.
type network struct {
	do chan func() error
	is chan error
	fd int
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{do: make(chan func() error), is: make(chan error)}
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		n.is <- unix.Unshare(unix.CLONE_NEWNET)
		for do := range n.do {
			n.is <- do()
		}
	}()
	if err := <-n.is; errors.Is(err, unix.EPERM) {
		t.Skip("only root may make network namespaces without a user namespace")
	} else if err != nil {
		t.Fatal(err)
	}
	n.must(t, func() (err error) {
		n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	t.Cleanup(func() { close(n.do); _ = unix.Close(n.fd) })
	return n
}

func (n *network) must(t *testing.T, do func() error) {
	t.Helper()
	n.do <- do
	if err := <-n.is; err != nil {
		t.Fatal(err)
	}
}

// node is a machine as far as its network goes: an address of each family, one of a pod, and an ear on all of them.
type node struct {
	*network
	Machine

	six, pod string
	ear      *net.UDPConn
}

func newNode(t *testing.T, lab *network, i int) *node {
	t.Helper()
	n := &node{
		network: newNetwork(t), Machine: Machine{Name: fmt.Sprint("n", i), Addr: fmt.Sprintf("10.77.1.%d", i), Link: fmt.Sprint("m", i)},
		six: fmt.Sprintf("fd00::%d", i), pod: fmt.Sprintf("10.244.%d.5", i),
	}
	lab.must(t, func() error { return plug(n.Machine, netlink.NsFd(n.fd)) })
	n.must(t, func() (err error) {
		for dev, addrs := range map[string][]string{"lo": {n.pod + "/32"}, "eth0": {n.Addr + "/16", n.six + "/64"}} {
			link, err := netlink.LinkByName(dev)
			if err != nil {
				return err
			}
			for _, a := range addrs {
				addr, err := netlink.ParseAddr(a)
				if err != nil {
					return err
				}
				addr.Flags = unix.IFA_F_NODAD
				if err := netlink.AddrAdd(link, addr); err != nil {
					return err
				}
			}
			if err := netlink.LinkSetUp(link); err != nil {
				return err
			}
		}
		if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(Gateway)}); err != nil {
			return err
		}
		n.ear, err = net.ListenUDP("udp", &net.UDPAddr{Port: 7})
		return err
	})
	t.Cleanup(func() { _ = n.ear.Close() })
	lab.must(t, func() error { return route(fmt.Sprintf("10.244.%d.0/24", i), n.Machine) })
	return n
}

// hears has another node send a packet from one of its addresses to one of this one's. What should come may be late on a busy host, and is sent again:
// nobody promises that a datagram is not lost.
func (n *node) hears(t *testing.T, from *node, source, to string, should bool) bool {
	t.Helper()
	tries, wait := 1, 100*time.Millisecond
	if should {
		tries, wait = 10, 500*time.Millisecond
	}
	for range tries {
		word := rand.Text()
		from.must(t, func() error {
			c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(source)}, &net.UDPAddr{IP: net.ParseIP(to), Port: 7})
			if err != nil {
				return err
			}
			_, err = c.Write([]byte(word))
			return errors.Join(err, c.Close())
		})
		if n.heard(t, word, wait) {
			return true
		}
	}
	return false
}

// heard waits for a word.
func (n *node) heard(t *testing.T, word string, wait time.Duration) bool {
	t.Helper()
	_ = n.ear.SetReadDeadline(time.Now().Add(wait))
	for heard := make([]byte, 100); ; {
		switch got, _, err := n.ear.ReadFrom(heard); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false
		case err != nil:
			t.Fatal(err)
		case string(heard[:got]) == word:
			return true
		}
	}
}

// What is cut is lost whatever it is sent as, the way it is cut; everything else goes on.
func TestCutLinks(t *testing.T) {
	lab := newNetwork(t)
	lab.must(t, buildNetwork)
	a, b, c := newNode(t, lab, 1), newNode(t, lab, 2), newNode(t, lab, 3)
	kinds := map[string]func(n *node) string{
		"IPv4": func(n *node) string { return n.Addr }, "IPv6": func(n *node) string { return n.six }, "pods": func(n *node) string { return n.pod },
	}
	see := func(when string, lost ...[2]*node) {
		t.Helper()
		for kind, addr := range kinds {
			for _, pair := range [][2]*node{{a, b}, {b, a}, {a, c}, {c, a}, {b, c}, {c, b}} {
				from, to := pair[0], pair[1]
				want := !slices.Contains(lost, pair)
				if kind == "IPv6" && want && slices.Contains(lost, [2]*node{to, from}) {
					continue // neighbours find each other by IPv6 itself, both ways
				}
				if got := to.hears(t, from, addr(from), addr(to), want); got != want {
					t.Errorf("%s, %s: %s hears %s: %t", when, kind, to.Name, from.Name, got)
				}
			}
		}
	}
	dropped := func() (n uint64) {
		lab.must(t, func() (err error) { n, err = droppedOf(a.Machine); return err })
		return n
	}
	see("before")
	for _, cut := range []struct {
		way   cluster.Way
		peers []*node
		lost  [][2]*node
	}{
		{cluster.BothWays, []*node{b}, [][2]*node{{a, b}, {b, a}}},
		{cluster.Outbound, []*node{b}, [][2]*node{{a, b}}},
		{cluster.Inbound, []*node{b, c}, [][2]*node{{b, a}, {c, a}}},
		{cluster.BothWays, nil, [][2]*node{{a, b}, {b, a}, {a, c}, {c, a}}},
		{cluster.Outbound, nil, [][2]*node{{a, b}, {a, c}}},
	} {
		var peers []Machine
		for _, p := range cut.peers {
			peers = append(peers, p.Machine)
		}
		lab.must(t, func() error { return cutOff(a.Machine, cut.way, peers) })
		see(fmt.Sprintf("%s, %d peers", cut.way, len(peers)), cut.lost...)
		if dropped() == 0 {
			t.Errorf("%s: nothing was counted", cut.way)
		}
		lab.must(t, func() error { return errors.Join(uncut(a.Machine), uncut(a.Machine)) })
		if n := dropped(); n != 0 {
			t.Errorf("%s: healed, and %d dropped", cut.way, n)
		}
		see("healed")
	}
	if m := markOf(a.Machine); netip.AddrFrom4([4]byte(m)).String() != a.Addr {
		t.Errorf("the mark of %s is %v", a.Addr, m)
	}
}
