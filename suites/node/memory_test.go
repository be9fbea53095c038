package node

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
)

// withAgent makes labs whose worker runs a daemon of 64 MiB that nobody starts again: the largest process there that does not protect itself.
type withAgent struct{ *lab.Provider }

func (p withAgent) Up(ctx context.Context, t cluster.Topology) (cluster.Cluster, error) {
	c, err := p.Provider.Up(ctx, t)
	if err != nil {
		return nil, err
	}
	m, err := c.Machine("worker-1")
	if err == nil {
		_, err = cluster.Shell(ctx, m, `ln -s /run/drydock-program /root/node-agent
			printf '[Service]\nExecStart=/root/node-agent fill-memory 67108864\n' > /etc/systemd/system/node-agent.service
			systemctl start node-agent; sleep 2`) // it is a daemon, not what somebody starts in passing
	}
	return c, err
}

var _ = Describe("a worker that has lost a process for want of memory", Label("tier: full", "fault: node", "needs: kubernetes"), func() {
	It("is in an unknown state when nobody starts it again: NO-GO, with its name", func(ctx context.Context) {
		sc, err := experiment.Parse("unknown-state.yaml", []byte(`apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: unknown-state}
spec:
  cluster: {controlPlanes: 1, workers: 1, timing: fast}
  steps:
    - observe: 6s
    - fault: {oomKill: {target: worker-1, for: 2s}}
    - observe: 3s
  finally: [nodesReady, knownState]
`))
		Expect(err).NotTo(HaveOccurred())
		res, err := suite.Run(ctx, sc, experiment.Options{Provider: withAgent{suite.Host.Lab()}})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Receipts).To(HaveExactElements(HaveField("State", plan.Confirmed)))
		Expect(res.Receipts[0].Evidence).To(ContainElement(HaveField("Saw", MatchRegexp(`Out of memory: Killed process \d+ \(node-agent\)`))))
		Expect(res.Verdict).To(Equal(plan.NoGo))
		Expect(res.Reasons).To(HaveExactElements(And(ContainSubstring("knownState"), ContainSubstring(`worker-1 runs 0 instead of 1 of "/root/node-agent fill-memory 67108864"`))))
	}, NodeTimeout(20*time.Minute))
})
