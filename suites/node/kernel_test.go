package node

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
)

// ownKernels skips where no machine with a kernel of its own can be made.
func ownKernels(ctx context.Context, sc *experiment.Scenario) {
	cells, err := sc.Cells()
	Expect(err).NotTo(HaveOccurred())
	offer, err := suite.Host.Lab().Offer(ctx, cells[0].Topology)
	Expect(err).NotTo(HaveOccurred())
	if why := offer.Lacks.Why(cluster.CanKernel); why != "" {
		Skip(why)
	}
}

var _ = Describe("a worker with a kernel of its own", Label("fault: node", "needs: kubernetes"), func() {
	var sc *experiment.Scenario
	BeforeEach(func() {
		var err error
		sc, err = experiment.Load("oom-panic-kernel")
		Expect(err).NotTo(HaveOccurred())
	})

	It("panics when its memory runs out, and says so itself", Label("tier: nightly"), func(ctx context.Context) {
		ownKernels(ctx, sc)
		res, err := suite.Run(ctx, sc, experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Reasons).To(BeEmpty())
		Expect(res.Verdict).To(Equal(plan.Go))
		Expect(res.Receipts).To(HaveExactElements(And(HaveField("State", plan.Confirmed), HaveField("Evidence", ContainElements(
			And(HaveField("Observer", "console of worker-3"), HaveField("Saw", MatchRegexp(`^\[ *[0-9.]+\] `+cluster.SaysPanic))),
			And(HaveField("Observer", "kubelet of worker-3"), HaveField("Saw", ContainSubstring("the settings do not survive one"))),
			HaveField("Saw", MatchRegexp(`worker-3 has booted and nobody switched it on: [0-9a-f-]{36}, before [0-9a-f-]{36}`)),
		)))))
	}, NodeTimeout(40*time.Minute))

	It("has not panicked when nothing is injected: inconclusive", Label("tier: nightly"), func(ctx context.Context) {
		ownKernels(ctx, sc)
		res, err := suite.Run(ctx, sc, experiment.Options{NullFaults: true})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.Inconclusive))
		Expect(res.Receipts).To(HaveExactElements(HaveField("State", plan.NotInjected)))
	}, NodeTimeout(40*time.Minute))

	It("is not made where kernel and QEMU are missing: nothing is, which is inconclusive and says what to do", Label("tier: quick"), func(ctx context.Context) {
		p := suite.Host.Lab()
		p.Kit = GinkgoT().TempDir()
		res, err := suite.Run(ctx, sc, experiment.Options{Provider: p})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.Inconclusive))
		Expect(res.Gaps).To(ContainElement(And(ContainSubstring("nothing was tested"), ContainSubstring("kernel: there is no kernel and no QEMU"), ContainSubstring("make vm"))))
		Expect(res.Steps).To(BeEmpty())
		Expect(p.List(ctx)).To(BeEmpty())
	}, NodeTimeout(time.Minute))
})

var _ = It("has a clock of its own, which is set behind and ahead: its heartbeats are, and it is Ready in the end", Label("tier: full", "fault: clock", "needs: kubernetes"), func(ctx context.Context) {
	sc, err := experiment.Load("clock-skew")
	Expect(err).NotTo(HaveOccurred())
	ownKernels(ctx, sc)
	res, err := suite.Run(ctx, sc, experiment.Options{})
	Expect(err).NotTo(HaveOccurred())
	Expect(res.Reasons).To(BeEmpty())
	Expect(res.Verdict).To(Equal(plan.Go))
	set := func(way string) types.GomegaMatcher {
		return And(HaveField("State", plan.Confirmed), HaveField("Emulated", BeEmpty()), HaveField("Evidence", ContainElements(
			HaveField("Saw", MatchRegexp("the kubelet on worker-2 says that it is .*, (9m5[0-9]s|10m[0-9]s) "+way+" of this host's clock")),
			HaveField("Saw", ContainSubstring("the last heartbeat of worker-2 is of")),
			HaveField("Saw", ContainSubstring("the kubelet on worker-1, which is not affected, says that it is")),
		)))
	}
	Expect(res.Receipts).To(HaveExactElements(set("behind"), set("ahead")))
}, NodeTimeout(40*time.Minute))
