package staging

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// way is a machine as the way to others: connections through it, which nobody can see end when the machine is cut off from those it leads to.
type way struct {
	mu      sync.Mutex
	closed  bool // the machine is cut off: it is asked last
	carried map[*carriedConn]netip.Addr
}

// carriedConn is a connection through a machine.
type carriedConn struct {
	net.Conn
	by *way
}

// Close ends it.
func (c *carriedConn) Close() error {
	c.by.mu.Lock()
	delete(c.by.carried, c)
	c.by.mu.Unlock()
	return c.Conn.Close()
}

// carry keeps a connection until it is closed.
func (w *way) carry(conn net.Conn, addr string) net.Conn {
	to, _ := netip.ParseAddrPort(addr) // what is no address is no machine's
	c := &carriedConn{Conn: conn, by: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.carried == nil {
		w.carried = map[*carriedConn]netip.Addr{}
	}
	w.carried[c] = to.Addr()
	return c
}

// close has others asked first, and ends the connections to the peers, or all: the loss is to be that of the machine, and not of those that are looked
// at through it.
func (w *way) close(peers ...netip.Addr) {
	w.mu.Lock()
	w.closed = true
	var ending []*carriedConn
	for c, to := range w.carried {
		if len(peers) == 0 || slices.Contains(peers, to) {
			ending = append(ending, c)
		}
	}
	w.mu.Unlock()
	for _, c := range ending {
		_ = c.Close() // whoever uses it is told by it
	}
}

func (w *way) open() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = false
}

func (w *way) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}
