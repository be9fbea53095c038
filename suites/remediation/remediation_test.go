// Package remediation runs the scenarios in which a runbook mends what was broken, and proves that runbooks refuse what would cost a quorum.
package remediation

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/suites/bootstrap"
)

var suite bootstrap.Suite

func TestRemediation(t *testing.T) { bootstrap.Run(t, "Remediation", &suite) }

var _ = DescribeTable("a scenario ends GO",
	func(ctx context.Context, name string) { suite.EndsGo(ctx, name, experiment.Options{}) },
	Entry(nil, "replace-member", Label("tier: quick", "needs: etcd"), NodeTimeout(5*time.Minute)),
	Entry(nil, "force-new-cluster", Label("tier: full", "needs: etcd"), NodeTimeout(5*time.Minute)),
	Entry(nil, "restore-quorum", Label("tier: full", "needs: etcd"), NodeTimeout(5*time.Minute)),
	Entry(nil, "restore-quorum-kubernetes", Label("tier: full", "needs: kubernetes"), NodeTimeout(15*time.Minute)),
	Entry(nil, "backup", Label("tier: full", "needs: etcd"), NodeTimeout(5*time.Minute)),
	Entry(nil, "etcd-nospace", Label("tier: full", "needs: etcd"), NodeTimeout(5*time.Minute)),
	Entry(nil, "replace-member-disturbed", Label("tier: full", "needs: etcd"), NodeTimeout(5*time.Minute)),
)

// broken is a member that is away while a runbook is asked for.
func broken(member string) *experiment.Scenario {
	GinkgoHelper()
	sc, err := experiment.Parse("refused.yaml", []byte(`
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: refused}
spec:
  cluster: {etcd: only, etcdMembers: 3}
  steps:
    - fault: {etcdMemberCrash: {target: `+member+`}}
      remedy: {runbook: replace-etcd-member, machine: etcd-2}
      expect: refused
      says: 1 of 2 are well; a quorum of 3 is 2
  always: [etcdQuorum]
  finally: [etcdHealthy, hashesEqual]
`))
	Expect(err).NotTo(HaveOccurred())
	return sc
}

var _ = Describe("replace-etcd-member", Label("needs: etcd", "tier: full"), func() {
	It("is refused with the sum while another member is away", func(ctx context.Context) {
		res, err := suite.Run(ctx, broken("etcd-3"), experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Reasons).To(BeEmpty())
		Expect(res.Verdict).To(Equal(plan.Go))
	}, NodeTimeout(3*time.Minute))

	It("is not taken for refused where it is done", func(ctx context.Context) {
		res, err := suite.Run(ctx, broken("etcd-2"), experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).NotTo(Equal(plan.Go))
		Expect(res.Reasons).To(ContainElement(ContainSubstring("should have been refused, and succeeded")))
	}, NodeTimeout(3*time.Minute))
})
