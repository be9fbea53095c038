package conformance

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/cluster"
)

// serving waits for the machine's service to be reachable from outside.
func serving(ctx context.Context, b *bed, m cluster.Machine) {
	GinkgoHelper()
	Eventually(ctx, func() error { return reach(ctx, b.cluster.Dial, m.Addr().String(), port(m)) }).WithTimeout(2 * time.Minute).Should(Succeed())
}

func kills(ctx context.Context, b *bed) {
	m := b.victim()
	k, process := as[cluster.Killer](m), service(m)
	n, err := k.Kill(ctx, process)
	Expect(err).NotTo(HaveOccurred())
	Expect(n).To(BeNumerically(">=", 1))
	serving(ctx, b, m)
	n, err = k.Kill(ctx, "no-such-process")
	Expect(err).NotTo(HaveOccurred())
	Expect(n).To(BeZero())

	DeferCleanup(func(ctx context.Context) error { return k.Release(ctx, process) }, NodeTimeout(time.Minute))
	how, err := k.Hold(ctx, process)
	Expect(err).NotTo(HaveOccurred())
	switch lacks := b.offer.Lacks.Why(cluster.CanHoldStarts) != ""; {
	case !lacks:
		Expect(how).To(Equal(cluster.HeldStarts))
	case how == cluster.HeldStarts: // it is lacking to hold the starts of one version
		_, err = k.Hold(ctx, process+"@v0.0.1")
		usage(err)
	default:
		Expect(how).To(Equal(cluster.HeldAway))
	}
	_, err = k.Kill(ctx, process)
	Expect(err).NotTo(HaveOccurred())
	down := func() error { return reach(ctx, b.cluster.Dial, m.Addr().String(), port(m)) }
	Eventually(ctx, down).WithTimeout(30 * time.Second).ShouldNot(Succeed())
	Consistently(ctx, down).WithTimeout(4*time.Second).ShouldNot(Succeed(), "it is held")
	Expect(k.Release(ctx, process)).To(Succeed())
	Expect(k.Release(ctx, process)).To(Succeed(), "twice")
	serving(ctx, b, m)
}

func freezes(ctx context.Context, b *bed) {
	m := b.victim()
	f, process := as[cluster.Freezer](m), service(m)
	DeferCleanup(func(ctx context.Context) error { return f.Thaw(ctx, process) }, NodeTimeout(time.Minute))
	Expect(f.Freeze(ctx, process)).To(Succeed())
	Eventually(ctx, func() (string, error) { return f.State(ctx, process) }).Should(Equal("T"))
	Expect(reach(ctx, b.cluster.Dial, m.Addr().String(), port(m))).To(Succeed(), "its sockets stay open")
	Expect(f.Thaw(ctx, process)).To(Succeed())
	Expect(f.Thaw(ctx, process)).To(Succeed(), "twice")
	Eventually(ctx, func() (string, error) { return f.State(ctx, process) }).Should(BeElementOf("R", "S", "D"))
	Expect(f.State(ctx, "no-such-process")).To(BeEmpty())
	Expect(f.Freeze(ctx, "no-such-process")).NotTo(Succeed())
}

func pauses(ctx context.Context, b *bed) {
	m := b.victim()
	p, process := as[cluster.Pauser](m), service(m)
	DeferCleanup(p.Resume, NodeTimeout(time.Minute))
	Expect(p.Paused(ctx)).To(BeFalseBecause("nothing was stopped yet"))
	Expect(p.Pause(ctx)).To(Succeed())
	Expect(p.Paused(ctx)).To(BeTrueBecause("all is stopped"))
	Expect(reach(ctx, b.cluster.Dial, m.Addr().String(), port(m))).To(Succeed(), "its kernel goes on")
	Expect(p.Resume(ctx)).To(Succeed())
	Expect(p.Resume(ctx)).To(Succeed(), "twice")
	Expect(p.Paused(ctx)).To(BeFalseBecause("all goes on"))
	Expect(as[cluster.Freezer](m).State(ctx, process)).To(BeElementOf("R", "S", "D"))
}
