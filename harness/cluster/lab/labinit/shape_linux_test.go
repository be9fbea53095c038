package labinit

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	mrand "math/rand/v2"
	"net"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// takes is how long packets are on their way from one node to another; the shortest of some, because a busy host makes them longer.
func (n *node) takes(t *testing.T, from *node, source, to string) time.Duration {
	t.Helper()
	shortest := time.Hour
	for range 3 {
		start := time.Now()
		if !n.hears(t, from, source, to, true) {
			t.Fatalf("%s does not hear %s at all", n.Name, from.Name)
		}
		shortest = min(shortest, time.Since(start))
	}
	return shortest
}

func addresses() map[string]func(n *node) string {
	return map[string]func(n *node) string{
		"IPv4": func(n *node) string { return n.Addr }, "IPv6": func(n *node) string { return n.six }, "pods": func(n *node) string { return n.pod },
	}
}

// A wire holds what it is to hold the way it is to, whatever it is sent as, and nothing of others; without it all is as before.
func TestDelayLinks(t *testing.T) {
	lab := newNetwork(t)
	lab.must(t, buildNetwork)
	a, b, c := newNode(t, lab, 1), newNode(t, lab, 2), newNode(t, lab, 3)
	const slow = 60 * time.Millisecond
	see := func(when string, way cluster.Way) {
		t.Helper()
		for kind, addr := range addresses() {
			for _, pair := range [][2]*node{{a, b}, {b, a}, {c, a}, {b, c}} {
				from, to := pair[0], pair[1]
				late := from == a && (way == cluster.Outbound || way == cluster.BothWays) || to == a && (way == cluster.Inbound || way == cluster.BothWays)
				if took := to.takes(t, from, addr(from), addr(to)); took >= slow != late {
					t.Errorf("%s, %s: from %s to %s it takes %s", when, kind, from.Name, to.Name, took)
				}
			}
		}
	}
	see("before", "")
	for _, way := range []cluster.Way{cluster.BothWays, cluster.Outbound, cluster.Inbound} {
		shapes := map[cluster.Shaping]cluster.Shape{cluster.Delays: {What: cluster.Delays, Way: way, Delay: slow}}
		var w *wire
		lab.must(t, func() (err error) {
			w, err = newWire(a.Machine, paceOf(cluster.Outbound, shapes), paceOf(cluster.Inbound, shapes))
			return err
		})
		see(string(way), way)
		if w.held.Load() == 0 || w.lost.Load() > 0 {
			t.Errorf("%s: held %d, lost %d", way, w.held.Load(), w.lost.Load())
		}
		lab.must(t, func() error { return cutOff(a.Machine, cluster.BothWays, []Machine{b.Machine}) })
		if a.hears(t, b, b.Addr, a.Addr, false) || b.hears(t, a, a.pod, b.pod, false) || !c.hears(t, a, a.Addr, c.Addr, true) {
			t.Error("a machine with a wire is not cut as it should be")
		}
		lab.must(t, func() error { return errors.Join(uncut(a.Machine), w.Close(), w.Close(), unwire(a.Machine)) })
		w.pumps.Wait()
		see("healed", "")
	}
}

// A wire carries from the moment there is one, and nothing is lost when it goes: TCP would send the first packet of a connection again after a second, which
// nobody would take for a delay of 100 ms.
func TestWireCarriesAtOnce(t *testing.T) {
	lab := newNetwork(t)
	lab.must(t, buildNetwork)
	a, b := newNode(t, lab, 1), newNode(t, lab, 2)
	once := func(when string, to, from *node) {
		t.Helper()
		word := rand.Text()
		from.must(t, func() error {
			c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from.Addr)}, &net.UDPAddr{IP: net.ParseIP(to.Addr), Port: 7})
			if err != nil {
				return err
			}
			_, err = c.Write([]byte(word))
			return errors.Join(err, c.Close())
		})
		if !to.heard(t, word, 2*time.Second) {
			t.Errorf("%s: %s did not hear %s", when, to.Name, from.Name)
		}
	}
	if !a.hears(t, b, b.Addr, a.Addr, true) || !b.hears(t, a, a.Addr, b.Addr, true) {
		t.Fatal("they do not hear each other")
	}
	for i := range 30 {
		var w *wire
		lab.must(t, func() (err error) {
			w, err = newWire(a.Machine, pace{}, pace{})
			return err
		})
		once(fmt.Sprintf("%d, with a wire", i), a, b)
		once(fmt.Sprintf("%d, with a wire", i), b, a)
		lab.must(t, func() error { return w.Close() })
		once(fmt.Sprintf("%d, without", i), a, b)
		once(fmt.Sprintf("%d, without", i), b, a)
	}
}

// A stream arrives whole through a wire that lets it pass late, and no faster than its rate.
func TestStreamThroughWire(t *testing.T) {
	lab := newNetwork(t)
	lab.must(t, buildNetwork)
	a, b := newNode(t, lab, 1), newNode(t, lab, 2)
	sent := make([]byte, 4<<20)
	if _, err := rand.Read(sent); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		about string
		pace  func() pace // of one way: each has a chance of its own
		bytes int
		least time.Duration
	}{
		{"late", func() pace {
			return pace{delay: 2 * time.Millisecond, jitter: time.Millisecond, chance: mrand.New(mrand.NewPCG(1, 2))}
		}, len(sent), 0},
		{"slow", func() pace { return pace{rate: 4_000_000} }, 500_000, 500_000 * 8 / 4 * time.Microsecond * 8 / 10},
	} {
		var w *wire
		lab.must(t, func() (err error) { w, err = newWire(a.Machine, row.pace(), row.pace()); return err })
		var l net.Listener
		a.must(t, func() (err error) {
			l, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(a.Addr, "9000"))
			return err
		})
		var out net.Conn
		b.must(t, func() (err error) {
			out, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
			return err
		})
		start := time.Now()
		go func() {
			_, _ = out.Write(sent[:row.bytes])
			_ = out.Close()
		}()
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(in)
		took := time.Since(start)
		if err != nil || !bytes.Equal(got, sent[:row.bytes]) {
			t.Errorf("%s: of %d bytes %d came: %v", row.about, row.bytes, len(got), err)
		}
		if took < row.least || took > row.least+10*time.Second {
			t.Errorf("%s: it took %s, with %s the least", row.about, took, row.least)
		}
		t.Logf("%s: %d bytes in %s, held %d packets, lost %d", row.about, row.bytes, took, w.held.Load(), w.lost.Load())
		lab.must(t, func() error { return errors.Join(in.Close(), l.Close(), w.Close()) })
		w.pumps.Wait()
	}
}

// A share of what goes that way between the peers is lost, and of nothing else.
func TestLoseShare(t *testing.T) {
	lab := newNetwork(t)
	lab.must(t, buildNetwork)
	a, b, c := newNode(t, lab, 1), newNode(t, lab, 2), newNode(t, lab, 3)
	const tries, share = 200, 0.3
	lost := func(from, to *node, addr func(n *node) string) float64 {
		n := 0
		from.must(t, func() error {
			c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(addr(from))}, &net.UDPAddr{IP: net.ParseIP(addr(to)), Port: 7})
			for i := 0; err == nil && i < tries; i++ {
				_, err = fmt.Fprint(c, i)
			}
			return errors.Join(err, c.Close())
		})
		heard := make([]byte, 100)
		_ = to.ear.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		for ; n < tries; n++ {
			if _, _, err := to.ear.ReadFrom(heard); err != nil {
				break
			}
		}
		return 1 - float64(n)/tries
	}
	for _, addr := range addresses() { // neighbours find each other while nothing is lost
		for _, pair := range [][2]*node{{a, b}, {b, a}, {a, c}, {c, a}, {b, c}} {
			pair[1].takes(t, pair[0], addr(pair[0]), addr(pair[1]))
		}
	}
	for _, row := range []struct {
		way   cluster.Way
		peers []*node
		lossy [][2]*node
	}{
		{cluster.BothWays, nil, [][2]*node{{a, b}, {b, a}, {a, c}, {c, a}}},
		{cluster.Outbound, []*node{b}, [][2]*node{{a, b}}},
		{cluster.Inbound, []*node{b}, [][2]*node{{b, a}}},
	} {
		var peers []Machine
		for _, p := range row.peers {
			peers = append(peers, p.Machine)
		}
		lab.must(t, func() error { return lossy(a.Machine, row.way, peers, share) })
		for kind, addr := range addresses() {
			for _, pair := range [][2]*node{{a, b}, {b, a}, {a, c}, {c, a}, {b, c}} {
				want := 0.0
				for _, p := range row.lossy {
					if p == pair {
						want = share
					}
				}
				if got := lost(pair[0], pair[1], addr); math.Abs(got-want) > 0.15*want/share { // 4.6 standard deviations; none of nothing
					t.Errorf("%s, %d peers, %s: from %s to %s %.2f is lost, not %.2f", row.way, len(peers), kind, pair[0].Name, pair[1].Name, got, want)
				}
			}
		}
		lab.must(t, func() error {
			n, err := counted(lossTable(a.Machine))
			if err == nil && n == 0 {
				err = errors.New("nothing was counted")
			}
			if lossy(a.Machine, row.way, peers, share) == nil {
				err = errors.New("it was lossy twice")
			}
			return errors.Join(err, drop(lossTable(a.Machine)), drop(lossTable(a.Machine)))
		})
		if got := lost(a, b, addresses()["IPv4"]); got != 0 {
			t.Errorf("healed, and %.2f is lost", got)
		}
	}
}

func TestPace(t *testing.T) {
	start := time.Now()
	t.Run("packets wait their turn, and too many are lost", func(t *testing.T) {
		p := pace{rate: 1_000_000} // 1000 bytes in 8 ms
		var lost int
		for i := range 100 {
			at, lose := p.due(start, 1000)
			if lose {
				lost++
			} else if want := start.Add(time.Duration(i+1) * 8 * time.Millisecond); at.Sub(want).Abs() > time.Microsecond {
				t.Fatalf("packet %d leaves after %s, not %s", i, at.Sub(start), want.Sub(start))
			}
		}
		if lost != 100-51 { // 50 wait for 400 ms, and one more comes when there are just so many
			t.Errorf("%d of 100 are lost", lost)
		}
		if at, lose := p.due(start.Add(time.Minute), 1000); lose || at.Sub(start) != time.Minute+8*time.Millisecond {
			t.Errorf("an idle link: %s, lost %t", at.Sub(start), lose)
		}
	})
	t.Run("packets are late, each its own, in their order, the same by the same seed", func(t *testing.T) {
		times := func() (out []time.Duration) {
			p := paceOf(cluster.Outbound, map[cluster.Shaping]cluster.Shape{
				cluster.Delays: {What: cluster.Delays, Way: cluster.Outbound, Delay: 100 * time.Millisecond, Jitter: 50 * time.Millisecond, Seed: 7},
			})
			last, differ := start, 0
			for i := range 100 {
				now := start.Add(time.Duration(i) * 20 * time.Millisecond)
				at, _ := p.due(now, 100)
				if late := at.Sub(now); late < 50*time.Millisecond || late > 150*time.Millisecond && at != last || at.Before(last) {
					t.Fatalf("packet %d is %s late, the one before left %s earlier", i, late, at.Sub(last))
				}
				if at.Sub(last) != 20*time.Millisecond {
					differ++
				}
				last, out = at, append(out, at.Sub(start))
			}
			if differ < 50 {
				t.Errorf("there is no jitter: only %d of 100 differ", differ)
			}
			return out
		}
		if a, b := times(), times(); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Error("the same seed makes two series")
		}
	})
	if p := paceOf(cluster.Inbound, map[cluster.Shaping]cluster.Shape{cluster.Delays: {What: cluster.Delays, Way: cluster.Outbound, Delay: time.Second}}); p.delay != 0 {
		t.Error("what is sent to it is late too")
	}
}
