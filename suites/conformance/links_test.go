package conformance

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/cluster"
)

// links are what machines must do that say they can cut or shape theirs.
func links() []must {
	shaped := []cluster.Capability{cluster.CanShape, cluster.CanDial}
	return []must{
		{"links are cut, counted and healed", []cluster.Capability{cluster.CanLinks, cluster.CanDial}, cuts},
		{"links are cut to one peer alone", []cluster.Capability{cluster.CanLinks, cluster.CanDial}, cutsOne},
		{"links are cut one way", []cluster.Capability{cluster.CanLinks, cluster.CanDial}, cutsOneWay},
		{"links are late, counted and as before", shaped, delays},
		{"links lose a share, counted, and are as before", shaped, loses},
		{"links let so much through, counted, and are as before", shaped, limits},
	}
}

func cuts(ctx context.Context, b *bed) {
	m, from := b.victim(), as[cluster.Dialer](b.peer()).Dial
	l := as[cluster.Links](m)
	DeferCleanup(l.HealLinks, NodeTimeout(time.Minute))
	Expect(l.Dropped(ctx)).To(BeZero())
	Expect(l.Cut(ctx, cluster.BothWays)).To(Succeed())
	err := reach(ctx, from, m.Addr().String(), port(m))
	Expect(cluster.FailureOf(err)).To(Equal(cluster.Deadline), fmt.Sprintf("%v is silence, not a refusal", err))
	Expect(l.Dropped(ctx)).To(BeNumerically(">", 0))
	_, err = exec(ctx, m, "true")
	Expect(err).NotTo(HaveOccurred(), "the harness does not come by the links")
	Expect(l.HealLinks(ctx)).To(Succeed())
	Expect(l.HealLinks(ctx)).To(Succeed(), "twice")
	Expect(reach(ctx, from, m.Addr().String(), port(m))).To(Succeed())
	Expect(l.Dropped(ctx)).To(BeZero())
}

func cutsOne(ctx context.Context, b *bed) {
	all := b.cluster.Machines()
	if len(all) < 3 {
		Skip("there is no third machine")
	}
	m, peer, third := b.victim(), all[0], all[1]
	l := as[cluster.Links](m)
	DeferCleanup(l.HealLinks, NodeTimeout(time.Minute))
	Expect(l.Cut(ctx, cluster.BothWays, peer.Addr())).To(Succeed())
	Expect(reach(ctx, as[cluster.Dialer](peer).Dial, m.Addr().String(), port(m))).NotTo(Succeed())
	Expect(reach(ctx, as[cluster.Dialer](m).Dial, peer.Addr().String(), port(peer))).NotTo(Succeed(), "the other way")
	Expect(reach(ctx, as[cluster.Dialer](third).Dial, m.Addr().String(), port(m))).To(Succeed(), "and nobody else")
	Expect(l.HealLinks(ctx)).To(Succeed())
	Expect(reach(ctx, as[cluster.Dialer](peer).Dial, m.Addr().String(), port(m))).To(Succeed())
}

func cutsOneWay(ctx context.Context, b *bed) {
	m, peer := b.victim(), b.peer()
	l := as[cluster.Links](m)
	DeferCleanup(l.HealLinks, NodeTimeout(time.Minute))
	talk := func(from, to cluster.Machine) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return reach(ctx, as[cluster.Dialer](from).Dial, to.Addr().String(), port(to))
	}
	for way, heard := range map[cluster.Way][2]cluster.Machine{cluster.Outbound: {peer, m}, cluster.Inbound: {m, peer}} {
		from, to := heard[0], heard[1]
		Eventually(ctx, knocked).WithArguments(ctx, from, to).WithTimeout(10 * time.Second).Should(BeFalseBecause("%s: nobody knocks from before", way))
		Expect(l.Cut(ctx, way, peer.Addr())).To(Succeed())
		Expect(talk(to, from)).NotTo(Succeed(), "%s: %s does not hear %s", way, from.Name(), to.Name())
		Expect(knocked(ctx, from, to)).To(BeFalseBecause("%s: not even its first word comes", way))
		Expect(talk(from, to)).NotTo(Succeed(), "%s: the answer of %s is lost", way, to.Name())
		Expect(knocked(ctx, to, from)).To(BeTrueBecause("%s: %s hears %s", way, to.Name(), from.Name()))
		Expect(l.HealLinks(ctx)).To(Succeed())
		Expect(talk(from, to)).To(Succeed())
		Expect(talk(to, from)).To(Succeed())
	}
}

// knocked tells whether a machine's kernel has heard another that wants a connection, and not how it liked the answer (SYN_RECV in /proc/net/tcp).
func knocked(ctx context.Context, at, who cluster.Machine) (bool, error) {
	addr := who.Addr().As4()
	slices.Reverse(addr[:]) // as words of a little-endian machine
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		raw, err := at.ReadFile(ctx, table)
		if err != nil {
			return false, err
		}
		for line := range strings.Lines(string(raw)) {
			words := strings.Fields(line)
			if len(words) > 3 && words[3] == "03" && strings.Contains(words[2], fmt.Sprintf("%X:", addr)) {
				return true, nil
			}
		}
	}
	return false, nil
}

// discard is a port that nobody serves: a kernel answers at once, with a refusal.
const discard = 9

// asks has one machine ask another so many times at once, and tells how long the answers took that came within a second.
func asks(ctx context.Context, from, to cluster.Machine, times int) []time.Duration {
	GinkgoHelper()
	answers := make(chan time.Duration, times)
	for range times {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, 900*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := as[cluster.Dialer](from).Dial(ctx, "tcp", netip.AddrPortFrom(to.Addr(), discard).String())
			if cluster.FailureOf(err) != cluster.Refused {
				answers <- 0
				return
			}
			answers <- time.Since(start)
		}()
	}
	var took []time.Duration
	for range times {
		if d := <-answers; d > 0 {
			took = append(took, d)
		}
	}
	slices.Sort(took)
	return took
}

// third is a machine that is neither, if there is one.
func third(b *bed) cluster.Machine {
	for _, m := range b.cluster.Machines() {
		if m.Name() != b.victim().Name() && m.Name() != b.peer().Name() {
			return m
		}
	}
	return nil
}

func delays(ctx context.Context, b *bed) {
	m, peer := b.victim(), b.peer()
	s := as[cluster.Shaper](m)
	DeferCleanup(func(ctx context.Context) error { return s.Unshape(ctx, cluster.Delays) }, NodeTimeout(time.Minute))
	Expect(s.Shape(ctx, cluster.Shape{What: cluster.Delays, Way: cluster.BothWays, Delay: time.Second, Rate: 1})).NotTo(Succeed(), "one thing at a time")
	for way, least := range map[cluster.Way]time.Duration{cluster.BothWays: 200 * time.Millisecond, cluster.Outbound: 100 * time.Millisecond, cluster.Inbound: 100 * time.Millisecond} {
		Expect(asks(ctx, peer, m, 5)[0]).To(BeNumerically("<", 50*time.Millisecond), "before")
		Expect(s.Shaped(ctx, cluster.Delays)).To(BeZero())
		Expect(s.Shape(ctx, cluster.Shape{What: cluster.Delays, Way: way, Delay: 100 * time.Millisecond})).To(Succeed())
		Expect(s.Shape(ctx, cluster.Shape{What: cluster.Delays, Way: way, Delay: time.Millisecond})).NotTo(Succeed(), "%s: twice", way)
		Expect(asks(ctx, peer, m, 5)).To(And(HaveLen(5), HaveEach(BeNumerically(">=", least))), "%s: to the machine", way)
		Expect(asks(ctx, m, peer, 5)).To(And(HaveLen(5), HaveEach(BeNumerically(">=", least))), "%s: from the machine", way)
		if o := third(b); o != nil {
			Expect(asks(ctx, peer, o, 5)[0]).To(BeNumerically("<", 50*time.Millisecond), "%s: nobody else", way)
		}
		Expect(s.Shaped(ctx, cluster.Delays)).To(HaveField("Held", BeNumerically(">", 10)))
		Expect(s.Unshape(ctx, cluster.Delays)).To(Succeed())
		Expect(s.Unshape(ctx, cluster.Delays)).To(Succeed(), "%s: undone twice", way)
	}
	Expect(asks(ctx, m, peer, 5)[0]).To(BeNumerically("<", 50*time.Millisecond), "after")
}

func loses(ctx context.Context, b *bed) {
	m, peer := b.victim(), b.peer()
	s := as[cluster.Shaper](m)
	DeferCleanup(func(ctx context.Context) error { return s.Unshape(ctx, cluster.Loses) }, NodeTimeout(time.Minute))
	const times = 60
	Expect(asks(ctx, peer, m, times)).To(HaveLen(times), "before")
	Expect(s.Shaped(ctx, cluster.Loses)).To(BeZero())
	Expect(s.Shape(ctx, cluster.Shape{What: cluster.Loses, Way: cluster.Outbound, Share: 0.5, Peers: []netip.Addr{peer.Addr()}})).To(Succeed())
	n := len(asks(ctx, peer, m, times))
	Expect(n).To(And(BeNumerically(">", times/8), BeNumerically("<", times*7/8)), "half of %d, within 5.8 standard deviations", times)
	Expect(s.Shaped(ctx, cluster.Loses)).To(HaveField("Lost", BeNumerically(">=", times-n)))
	if o := third(b); o != nil {
		Expect(asks(ctx, o, m, times)).To(HaveLen(times), "from nobody else")
	}
	Expect(s.Unshape(ctx, cluster.Loses)).To(Succeed())
	Expect(s.Unshape(ctx, cluster.Loses)).To(Succeed(), "twice")
	Expect(asks(ctx, peer, m, times)).To(HaveLen(times), "after")
	Expect(s.Shaped(ctx, cluster.Loses)).To(BeZero())
}

func limits(ctx context.Context, b *bed) {
	m, peer := b.victim(), b.peer()
	s := as[cluster.Shaper](m)
	DeferCleanup(func(ctx context.Context) error { return s.Unshape(ctx, cluster.Limits) }, NodeTimeout(time.Minute))
	const packets, size = 200, 1200 // 2 s of the rate, sent at once
	gets := func() int64 {
		GinkgoHelper()
		conn, err := as[cluster.Dialer](peer).Dial(ctx, "udp", netip.AddrPortFrom(m.Addr(), discard).String())
		Expect(err).NotTo(HaveOccurred())
		defer func(c net.Conn) { _ = c.Close() }(conn)
		before := received(ctx, m)
		start := time.Now()
		for range packets {
			_, _ = conn.Write(make([]byte, size)) // what it says is of those before
		}
		Eventually(ctx, func() time.Duration { return time.Since(start) }).Should(BeNumerically(">", time.Second))
		return received(ctx, m) - before
	}
	Expect(gets()).To(BeNumerically(">=", packets*size), "before")
	Expect(s.Shaped(ctx, cluster.Limits)).To(BeZero())
	Expect(s.Shape(ctx, cluster.Shape{What: cluster.Limits, Way: cluster.Inbound, Rate: 1_000_000})).To(Succeed())
	Expect(gets()).To(BeNumerically("<", packets*size*2/3))
	Expect(s.Shaped(ctx, cluster.Limits)).To(HaveField("Lost", BeNumerically(">", 0)), "what would wait too long")
	Expect(s.Unshape(ctx, cluster.Limits)).To(Succeed())
	Expect(s.Unshape(ctx, cluster.Limits)).To(Succeed(), "twice")
	Expect(gets()).To(BeNumerically(">=", packets*size), "after")
}

// received is how many bytes have come in by a machine's network card.
func received(ctx context.Context, m cluster.Machine) int64 {
	GinkgoHelper()
	raw, err := m.ReadFile(ctx, "/proc/net/dev")
	Expect(err).NotTo(HaveOccurred())
	_, counts, found := bytes.Cut(raw, []byte("eth0:"))
	Expect(found).To(BeTrueBecause("there is an eth0: %s", raw))
	n, err := strconv.ParseInt(strings.Fields(string(counts))[0], 10, 64)
	Expect(err).NotTo(HaveOccurred())
	return n
}
