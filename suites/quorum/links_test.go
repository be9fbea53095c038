package quorum

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
)

// badLinks are the faults of links that are there, each way they can be.
func badLinks(hold string) string {
	var steps strings.Builder
	for _, f := range []string{
		"linkDelay: {target: follower, delay: 80ms, jitter: 30ms, for: HOLD}",
		"linkDelay: {target: leader, delay: 80ms, way: out, for: HOLD}",
		"linkLoss: {target: follower, loss: 20%, for: HOLD}",
		"linkLoss: {target: etcd-1, from: [etcd-3], way: in, loss: 30%, for: HOLD}",
		"linkRate: {target: follower, rate: 5mbit, for: HOLD}",
		"linkRate: {target: leader, rate: 2mbit, way: in, for: HOLD}",
	} {
		fmt.Fprintf(&steps, "\n    - observe: 1s\n    - fault: {%s}", strings.ReplaceAll(f, "HOLD", hold))
	}
	return steps.String()
}

var _ = Describe("links that are bad", Label("tier: full", "fault: links", "needs: etcd"), func() {
	run := func(ctx context.Context, name, hold string, o experiment.Options) *plan.Result {
		GinkgoHelper()
		if why := lacks(ctx).Why(cluster.CanShape, cluster.CanDial); why != "" {
			Skip(why)
		}
		sc, err := experiment.Parse(name+".yaml", fmt.Appendf(nil, `
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: %s}
spec:
  cluster: {etcd: only, etcdMembers: 3}
  steps:%s
  finally: [etcdHealthy, hashesEqual]
`, name, badLinks(hold)))
		Expect(err).NotTo(HaveOccurred())
		res, err := suite.Run(ctx, sc, o)
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Receipts).To(HaveLen(6))
		return res
	}

	It("bite", func(ctx context.Context) {
		res := run(ctx, "bad-links", "2s", experiment.Options{})
		Expect(res.Reasons).To(BeEmpty())
		Expect(res.Receipts).To(HaveEach(And(HaveField("State", plan.Confirmed), HaveField("Evidence", Not(BeEmpty())))))
	}, NodeTimeout(10*time.Minute))

	It("are red when nothing is injected", func(ctx context.Context) {
		res := run(ctx, "bad-links-null", "100ms", experiment.Options{NullFaults: true})
		Expect(res.Verdict).To(Equal(plan.Inconclusive))
		Expect(res.Receipts).To(HaveEach(And(HaveField("State", plan.NotInjected), HaveField("Error", ContainSubstring("nothing was injected, as asked for")))))
	}, NodeTimeout(10*time.Minute))
})
