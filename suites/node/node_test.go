// Package node runs the scenarios about the loss of nodes, and proves that nothing is believed of a loss that never was.
package node

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/suites/bootstrap"
)

var suite bootstrap.Suite

func TestNode(t *testing.T) { bootstrap.Run(t, "Node", &suite) }

var _ = DescribeTable("a scenario ends GO",
	func(ctx context.Context, name string) { suite.EndsGo(ctx, name, experiment.Options{}) },
	Entry(nil, "node-loss-eviction", Label("tier: full", "fault: node", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "node-loss-short", Label("tier: full", "fault: node", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "all-workers-lost", Label("tier: full", "fault: node", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "kubelet-stop", Label("tier: full", "fault: service", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "kubelet-restart", Label("tier: full", "fault: service", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "kubelet-certificate-expired", Label("tier: full", "fault: service", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "api-server-freeze", Label("tier: full", "fault: service", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "oom-panic", Label("tier: full", "fault: node", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "oom-killer-unknown-state", Label("tier: full", "fault: node", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "node-loss-eviction-production", Label("tier: nightly", "fault: node", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
)

var _ = It("is no loss where there is nothing to lose: refused before a cluster is made", Label("tier: quick", "fault: node"), func(ctx SpecContext) {
	sc, err := experiment.Load("all-workers-lost")
	Expect(err).NotTo(HaveOccurred())
	sc.Spec.Cluster.Workers = 0
	_, err = suite.Run(ctx, sc, experiment.Options{})
	var usage *cluster.UsageError
	Expect(err).To(MatchError(func(err error) bool { return errors.As(err, &usage) }, "a usage error"))
	Expect(err).To(MatchError(ContainSubstring("target workers: the cluster has none")))
	Expect(suite.Host.Lab().List(ctx)).To(BeEmpty())
}, SpecTimeout(time.Minute))

var _ = DescribeTable("a scenario is inconclusive when nothing is injected", Label("tier: full", "fault: node", "needs: kubernetes"),
	func(ctx context.Context, name string) {
		sc, err := experiment.Load(name)
		Expect(err).NotTo(HaveOccurred())
		during := 0
		for i := range sc.Spec.Steps {
			if f := sc.Spec.Steps[i].Fault; f != nil { // nothing would happen however long one waits
				f.For, during = 100*time.Millisecond, len(sc.Spec.Steps[i].During)
			}
		}
		res, err := suite.Run(ctx, sc, experiment.Options{NullFaults: true})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.Inconclusive))
		Expect(res.Receipts).To(HaveExactElements(And(HaveField("State", plan.NotInjected), HaveField("Error", ContainSubstring("nothing was injected, as asked for")))))
		Expect(res.Tables).To(BeEmpty())
		unseen := 0
		for _, c := range res.Checks {
			if c.Message == "the fault was never seen to be effective" {
				unseen++
				Expect(c.Verdict).To(Equal(plan.Unknown), c.Name)
			}
		}
		Expect(unseen).To(Equal(during))
	},
	Entry(nil, "node-loss-eviction", NodeTimeout(20*time.Minute)),
	Entry(nil, "node-loss-short", NodeTimeout(20*time.Minute)),
	Entry(nil, "all-workers-lost", NodeTimeout(20*time.Minute)),
	Entry(nil, "oom-panic", NodeTimeout(20*time.Minute)),
	Entry(nil, "oom-killer-unknown-state", NodeTimeout(20*time.Minute)),
)
