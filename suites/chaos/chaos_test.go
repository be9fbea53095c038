// Package chaos runs the scenarios whose faults overlap, wait for events, are found by their role or are chosen by the seed, and proves that no scenario is
// believed of faults that were never injected.
package chaos

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
	"drydock.dev/drydock/scenarios"
	"drydock.dev/drydock/suites/bootstrap"
)

var suite bootstrap.Suite

func TestChaos(t *testing.T) { bootstrap.Run(t, "Chaos", &suite) }

var _ = DescribeTable("a scenario ends GO",
	func(ctx context.Context, name string) { suite.EndsGo(ctx, name, experiment.Options{}) },
	Entry(nil, "overlapping-faults", Label("tier: full", "fault: etcd", "needs: etcd"), NodeTimeout(10*time.Minute)),
	Entry(nil, "event-bound-faults", Label("tier: full", "fault: etcd", "needs: etcd"), NodeTimeout(10*time.Minute)),
	Entry(nil, "role-targets", Label("tier: full", "fault: roles", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "storm", Label("tier: nightly", "fault: storm", "needs: etcd"), NodeTimeout(40*time.Minute)),
	Entry(nil, "storm-kubernetes", Label("tier: nightly", "fault: storm", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
)

func parsed(steps string) *experiment.Scenario {
	GinkgoHelper()
	sc, err := experiment.Parse("chaos.yaml", []byte(`
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: chaos}
spec:
  cluster: {etcd: only, etcdMembers: 3}
  steps:
`+steps+`
  finally: [etcdHealthy, hashesEqual]
`))
	Expect(err).NotTo(HaveOccurred())
	return sc
}

var _ = DescribeTable("is refused before a cluster is made", Label("tier: quick", "fault: etcd"),
	func(ctx context.Context, steps, says string) {
		_, err := suite.Run(ctx, parsed(steps), experiment.Options{})
		var usage *cluster.UsageError
		Expect(err).To(MatchError(func(err error) bool { return errors.As(err, &usage) }, "a usage error"))
		Expect(err).To(MatchError(ContainSubstring(says)))
		Expect(suite.Host.Lab().List(ctx)).To(BeEmpty())
	},
	Entry("a sum that costs the quorum", "    - faults: [{etcdMemberCrash: {target: leader}}, {etcdMemberFreeze: {target: follower}}]", "leaves 1 of 3 members, a quorum is 2", NodeTimeout(time.Minute)),
	Entry("two faults on one machine", "    - faults: [{etcdMemberCrash: {target: etcd-1}}, {etcdMemberFreeze: {target: etcd-1}}]", "cannot overlap on etcd-1: both are on etcd", NodeTimeout(time.Minute)),
	Entry("a role that nobody has", "    - fault: {machinePowerOff: {target: leaseHolder/kube-scheduler}}", "target leaseHolder/kube-scheduler: the cluster has none", NodeTimeout(time.Minute)),
	Entry("a line of a program that does not run", "    - fault: {etcdMemberCrash: {}}\n      when: {log: x, of: kube-apiserver}", "runs on no machine", NodeTimeout(time.Minute)),
)

var _ = It("weathers a minute's storm: all that it did is confirmed and healed", Label("tier: full", "fault: storm", "needs: etcd"), func(ctx SpecContext) {
	sc, err := experiment.Load("storm")
	Expect(err).NotTo(HaveOccurred())
	sc.Metadata.Name = "storm-short"
	for i := range sc.Spec.Steps {
		if st := sc.Spec.Steps[i].Storm; st != nil {
			st.For = time.Minute
		}
	}
	res, err := suite.Run(ctx, sc, experiment.Options{})
	Expect(err).NotTo(HaveOccurred())
	Expect(res.Reasons).To(BeEmpty())
	Expect(res.Verdict).To(Equal(plan.Go))
	Expect(len(res.Receipts)).To(BeNumerically(">=", 2))
	Expect(res.Receipts).To(HaveEach(HaveField("State", plan.Confirmed)))
}, SpecTimeout(15*time.Minute))

var _ = Describe("a fault that waits", Label("tier: full", "fault: etcd", "needs: etcd"), func() {
	It("in vain is not injected, which is inconclusive, and the run goes on", func(ctx SpecContext) {
		res, err := suite.Run(ctx, parsed(`
    - fault: {etcdMemberCrash: {target: leader, for: 2s}}
      when: {log: "nobody ever says this", of: etcd, within: 2s}
      during: [etcdWritesContinue]
    - fault: {etcdMemberCrash: {target: leader, for: 2s}}
      when: {ack: 1000000, within: 2s}
    - fault: {etcdMemberCrash: {target: leader, for: 2s}}
      when: {ack: 5}
    - fault: {etcdMemberCrash: {target: etcd-2, for: 2s}}
      when: {metric: etcd_server_leader_changes_seen_total, above: 1} # of whichever member: one that was the leader began to count anew
`), experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.Inconclusive))
		Expect(res.Receipts).To(HaveExactElements(
			And(HaveField("State", plan.NotInjected), HaveField("Armed", BeZero()), HaveField("Error", ContainSubstring("no such line was written"))),
			And(HaveField("State", plan.NotInjected), HaveField("Armed", BeZero()), HaveField("Error", ContainSubstring("what it waited for never came: 1000000 writes"))),
			And(HaveField("State", plan.Confirmed), HaveField("Event", HaveField("Saw", HavePrefix("write 5 since it was waited for")))),
			And(HaveField("State", plan.Confirmed), HaveField("Event", HaveField("Saw", HavePrefix("etcd_server_leader_changes_seen_total is ")))),
		))
		Expect(res.Checks).To(ContainElement(And(HaveField("Name", "etcdWritesContinue"), HaveField("Verdict", plan.Unknown), HaveField("Message", "the fault was never seen to be effective"))))
		Expect(res.Checks).NotTo(ContainElement(HaveField("Verdict", plan.Fail)))
	}, SpecTimeout(5*time.Minute))
})

// nulls has an entry for every scenario whose faults are not an upgrade's: with nothing injected none may end GO.
func nulls() []any {
	out := []any{func(ctx context.Context, name string) {
		sc, err := experiment.Load(name)
		Expect(err).NotTo(HaveOccurred())
		hurry(sc)
		res, err := suite.Run(ctx, sc, experiment.Options{NullFaults: true})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.Inconclusive), "%v", res.Reasons)
		Expect(res.Receipts).NotTo(BeEmpty())
		Expect(res.Receipts).To(HaveEach(HaveField("State", plan.NotInjected)))
	}}
	for _, name := range scenarios.Names() {
		sc, err := experiment.Load(name)
		if err != nil { // which its own test says
			continue
		}
		if !breaks(sc) {
			continue
		}
		needs := "needs: kubernetes"
		if sc.Spec.Cluster.Etcd == string(cluster.EtcdOnly) {
			needs = "needs: etcd"
		}
		out = append(out, Entry(nil, name, Label("tier: nightly", needs), NodeTimeout(40*time.Minute)))
	}
	return out
}

// breaks reports whether a scenario has faults and no upgrade.
func breaks(sc *experiment.Scenario) bool {
	some := false
	for _, st := range sc.Spec.Steps {
		if st.Upgrade != nil {
			return false
		}
		some = some || st.Fault != nil || len(st.Faults) > 0 || st.Storm != nil
	}
	return some
}

// hurry shortens what holds: nothing would happen however long one waits.
func hurry(sc *experiment.Scenario) {
	const short = 100 * time.Millisecond
	for i := range sc.Spec.Steps {
		st := &sc.Spec.Steps[i]
		if st.Fault != nil {
			st.Fault.For = short
		}
		for j := range st.Faults {
			st.Faults[j].Fault.For = short
		}
		if st.Storm != nil {
			st.Storm.For = 30 * time.Second
		}
	}
}

var _ = DescribeTable("is inconclusive when nothing is injected", nulls()...)
