package conformance

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/cluster"
)

// runsOut has a machine's memory run out, with and without a panic.
func runsOut(ctx context.Context, b *bed) {
	m := b.victim()
	mem := as[cluster.Memory](m)
	set := func(file, value string) {
		GinkgoHelper()
		_, err := cluster.Shell(ctx, m, "echo "+value+" > "+file)
		Expect(err).NotTo(HaveOccurred())
	}
	setting := func(ctx context.Context, file string) (string, error) {
		raw, err := m.ReadFile(ctx, file)
		return strings.TrimSpace(string(raw)), err
	}
	console := func(ctx context.Context) (string, error) {
		raw, err := mem.Console(ctx)
		return string(raw), err
	}
	bootID := func(ctx context.Context) (string, error) { return cluster.KernelBootID(ctx, m) }
	DeferCleanup(func(ctx context.Context) {
		if p, err := cluster.As[cluster.Power](m); err == nil {
			Expect(p.On(ctx)).To(Succeed())
		}
		Expect(mem.FreeMemory(ctx)).To(Succeed())
	}, NodeTimeout(2*time.Minute))
	elsewhere, err := b.peer().ReadFile(ctx, cluster.PanicOnOOM)
	Expect(err).NotTo(HaveOccurred())
	Expect(mem.FreeMemory(ctx)).To(Succeed(), "nothing is there to be freed")

	set(cluster.PanicOnOOM, "0")
	before, err := bootID(ctx)
	Expect(err).NotTo(HaveOccurred())
	said, err := console(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(mem.FillMemory(ctx)).To(Succeed())
	killed := func(ctx context.Context) (int, error) {
		now, err := console(ctx)
		return strings.Count(strings.TrimPrefix(now, said), cluster.SaysOOMKilled), err
	}
	Eventually(ctx, killed).WithTimeout(time.Minute).Should(Equal(1))
	Consistently(ctx, killed).WithTimeout(2*time.Second).Should(Equal(1), "it takes no more")
	Expect(mem.FreeMemory(ctx)).To(Succeed())
	Expect(mem.FreeMemory(ctx)).To(Succeed(), "twice")
	Expect(bootID(ctx)).To(Equal(before))
	serving(ctx, b, m)

	set(cluster.PanicOnOOM, "1")
	set(cluster.PanicReboots, "3")
	Expect(b.peer().ReadFile(ctx, cluster.PanicOnOOM)).To(Equal(elsewhere), "it is this machine's")
	said, err = console(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(mem.FillMemory(ctx)).To(Succeed())
	Eventually(ctx, func() error { return reach(ctx, b.cluster.Dial, m.Addr().String(), port(m)) }).WithTimeout(time.Minute).ShouldNot(Succeed())
	Eventually(ctx, console).WithTimeout(10 * time.Second).Should(And(HavePrefix(said), ContainSubstring(cluster.SaysPanic)))
	Eventually(ctx, bootID).WithTimeout(2 * time.Minute).ShouldNot(Or(BeEmpty(), Equal(before)))
	serving(ctx, b, m)
	Expect(setting(ctx, cluster.PanicOnOOM)).To(Equal("0"), "whoever boots has the kernel's default, and a kubelet sets its own")
}
