package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/suites/bootstrap"
)

// bites is a scenario of faults on one cluster, one after another.
func bites(name, cluster, hold string, faults ...string) *experiment.Scenario {
	GinkgoHelper()
	var steps strings.Builder
	for _, f := range faults {
		fmt.Fprintf(&steps, "\n    - observe: 2s\n    - fault: {%s}", strings.ReplaceAll(f, "HOLD", hold))
		if strings.HasPrefix(f, "controlPlaneExpired") { // there is one member only
			steps.WriteString("\n      expect: quorumLost")
		}
	}
	sc, err := experiment.Parse(name+".yaml", fmt.Appendf(nil, `
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: %s}
spec:
  cluster: {%s}
  steps:%s
  finally: [etcdHealthy]
`, name, cluster, steps.String()))
	Expect(err).NotTo(HaveOccurred())
	return sc
}

// lacked skips where none of the faults can be done, with the reason.
func lacked(ctx context.Context, sc *experiment.Scenario) {
	GinkgoHelper()
	p, err := suite.Host.Open(bootstrap.Provider())
	Expect(err).NotTo(HaveOccurred())
	cells, err := sc.Cells()
	Expect(err).NotTo(HaveOccurred())
	offer, err := p.Offer(ctx, cells[0].Topology)
	Expect(err).NotTo(HaveOccurred())
	var why []string
	for _, step := range sc.Spec.Steps {
		if step.Fault == nil {
			continue
		}
		k, err := fault.Find(step.Fault.Kind)
		Expect(err).NotTo(HaveOccurred())
		lacks := offer.Lacks.Why(k.Needs...)
		if lacks == "" {
			return
		}
		why = append(why, lacks)
	}
	Skip(strings.Join(why, "; "))
}

// ofMembers are the faults of a member that systemd supervises, ofCluster those of a cluster's services.
func ofMembers() []string {
	return []string{
		"serviceStop: {service: etcd, target: leader, for: HOLD}",
		"serviceKill: {service: etcd, target: follower, for: HOLD}",
		"serviceRestart: {service: etcd, target: leader, for: HOLD}",
	}
}

func ofCluster() []string {
	return []string{
		"serviceStop: {service: kubelet, target: worker-1, for: HOLD}",
		"serviceFreeze: {service: kubelet, target: worker-1, for: HOLD}",
		"serviceKill: {service: kubelet, target: worker-1, for: HOLD}",
		"serviceRestart: {service: kubelet, target: control-plane-1, for: HOLD}",
		"serviceStop: {service: kube-scheduler, target: control-plane-1, for: HOLD}",
		"serviceFreeze: {service: kube-controller-manager, target: control-plane-1, for: HOLD}",
		"serviceKill: {service: kube-scheduler, target: control-plane-1, for: HOLD}",
		"serviceKill: {service: kube-apiserver, target: control-plane-1, for: HOLD}",
	}
}

// ofOthers are those of what services hang on.
func ofOthers() []string {
	return []string{
		"certificateExpired: {target: control-plane-1, for: HOLD}",
		"certificateExpired: {service: kubelet, target: worker-1, for: HOLD}",
		"controlPlaneExpired: {target: control-plane-1, for: HOLD}",
		"webhookDead: {for: HOLD}",
		"imagePullFails: {target: worker-1, for: HOLD}",
	}
}

// ofNames are those of DNS, which not every provider's clusters have.
func ofNames() []string {
	return []string{"dnsLost: {target: worker-1, for: HOLD}"}
}

var _ = DescribeTable("every fault of a service",
	func(ctx context.Context, cluster string, faults func() []string) {
		lacked(ctx, bites("offered", cluster, "2s", faults()...))
		By("biting")
		res, err := suite.Run(ctx, bites("services", cluster, "2s", faults()...), experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Reasons).To(BeEmpty())
		Expect(res.Receipts).To(HaveLen(len(faults())))
		Expect(res.Receipts).To(HaveEach(And(HaveField("State", plan.Confirmed), HaveField("Evidence", Not(BeEmpty())))))

		By("being red when nothing is injected")
		res, err = suite.Run(ctx, bites("services-null", cluster, "100ms", faults()...), experiment.Options{NullFaults: true})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.Inconclusive))
		Expect(res.Receipts).To(HaveLen(len(faults())))
		Expect(res.Receipts).To(HaveEach(And(HaveField("State", plan.NotInjected), HaveField("Error", ContainSubstring("nothing was injected, as asked for")))))
	},
	Entry("of members", Label("tier: full", "fault: service", "needs: etcd"), "etcd: only, etcdMembers: 3", ofMembers, NodeTimeout(10*time.Minute)),
	Entry("of a cluster", Label("tier: full", "fault: service", "needs: kubernetes"), "controlPlanes: 1, workers: 1", ofCluster, NodeTimeout(20*time.Minute)),
	Entry("of what it hangs on", Label("tier: full", "fault: service", "needs: kubernetes"), "controlPlanes: 1, workers: 1", ofOthers, NodeTimeout(20*time.Minute)),
	Entry("of its DNS", Label("tier: full", "fault: service", "needs: kubernetes"), "controlPlanes: 1, workers: 1", ofNames, NodeTimeout(20*time.Minute)),
)
