package quorum

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
)

// Published bugs of real etcd releases: each release with the bug must end NO-GO in the words of what failed, each with the fix GO. Not in the quick
// tier, for which their releases would have to be built on every fresh machine.
var _ = DescribeTable("an exhibit of the museum", Label("tier: full", "needs: etcd"),
	func(ctx context.Context, name string, words ...string) {
		bad, err := experiment.Load(name)
		Expect(err).NotTo(HaveOccurred())
		res, err := suite.Run(ctx, bad, experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.NoGo))
		said := HaveField("Verdict", plan.Fail)
		for _, w := range words {
			said = And(said, HaveField("Message", ContainSubstring(w)))
		}
		Expect(res.Checks).To(ContainElement(And(HaveField("Name", "etcdHealthy"), said)))

		fixed, err := bad.Fixed()
		Expect(err).NotTo(HaveOccurred())
		res, err = suite.Run(ctx, fixed, experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Reasons).To(BeEmpty())
		Expect(res.Verdict).To(Equal(plan.Go))
	},
	Entry("a member panics at every restart", "museum/etcd-20340", "etcd-1", "failed to nodeToMember", NodeTimeout(15*time.Minute)),
	Entry("a repair is refused with a quorum there", "museum/etcd-21640", "etcdserver: unhealthy cluster", NodeTimeout(15*time.Minute)),
)
