package azure

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/subject/aksengine"
)

// Scenarios of cells: of an availability set, and of a scale set.
const (
	ofSet      = "aks-engine-upgrade-faulted"
	ofScaleSet = "aks-engine-upgrade-vmss-faulted"
)

// upgradeOf is the scenario aks-engine-upgrade-faulted with the cells of AKS Engine that are chosen of it.
func upgradeOf(choose func(c aksengine.Cell) bool) *experiment.Scenario {
	GinkgoHelper()
	return cellsOf(ofSet, aksengine.ByAKSEngine, choose)
}

// cellsOf is such a scenario with the cells that are chosen of those in which somebody upgrades.
func cellsOf(scenario, by string, choose func(c aksengine.Cell) bool) *experiment.Scenario {
	GinkgoHelper()
	sc, err := experiment.Load(scenario)
	Expect(err).NotTo(HaveOccurred())
	story := sc.Spec.AKSEngine
	var cells []aksengine.Cell
	for _, c := range story.All() {
		if c.Strategy == by && choose(c) {
			cells = append(cells, c)
		}
	}
	Expect(cells).NotTo(BeEmpty())
	story.Throttled, story.Cells = nil, cells
	return sc
}

func calm(c aksengine.Cell) bool { return c.Fault == nil && c.Lost == nil && c.DeadKubelet == nil }

var _ = Describe("AKS Engine, unmodified", Label("tier: full", "needs: subjects"), func() {
	It("deploys a cluster of an availability set and upgrades it, with --force as well", func(ctx context.Context) {
		res, err := suite.Run(ctx, upgradeOf(calm), experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.Go), "%v", res.Reasons)
	}, NodeTimeout(30*time.Minute))

	It("is found out where it deletes a master while another is down: NO-GO, whatever its exit code says", func(ctx context.Context) {
		res, err := suite.Run(ctx, upgradeOf(func(c aksengine.Cell) bool {
			return c.Lost != nil && c.Name == "master 2 is lost after the upgrade failed at master 1"
		}), experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.NoGo))
		Expect(res.Checks).To(ContainElement(And(HaveField("Name", "etcdQuorum"), HaveField("Verdict", plan.Fail))))
	}, NodeTimeout(30*time.Minute))

	It("is held to what it reports where a rerun makes the wrong master anew: it ends 0 with two of three", func(ctx context.Context) {
		res, err := suite.Run(ctx, upgradeOf(func(c aksengine.Cell) bool { return c.Name == "no room for master 1" }), experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.NoGo))
		Expect(res.Checks).To(ContainElement(And(HaveField("Name", "driverReportedSuccess"), HaveField("Verdict", plan.Fail), HaveField("Message", ContainSubstring("the driver reported success")))))
	}, NodeTimeout(30*time.Minute))

	It("shows nothing where nothing was injected", func(ctx context.Context) {
		res, err := suite.Run(ctx, upgradeOf(func(c aksengine.Cell) bool { return c.Name == "no room for master 1" }), experiment.Options{NullFaults: true})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.Inconclusive))
	}, NodeTimeout(30*time.Minute))

	It("stands beside our own strategy, which stops, says what to do, and goes on by the same again", func(ctx context.Context) {
		sc := cellsOf(ofSet, aksengine.ByReplace, func(c aksengine.Cell) bool { return c.Name == "no room for master 1" })
		res, err := suite.Run(ctx, sc, experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.Go), "%v", res.Reasons)
		Expect(res.Checks).To(ContainElement(And(HaveField("Name", "saysWhatToDo"), HaveField("Verdict", plan.Pass), HaveField("Message", ContainSubstring("1 of 3 commands stopped")))))
	}, NodeTimeout(30*time.Minute))

	It("is found out where the scale set cannot be read: it ends 0, and its agents are as they were", func(ctx context.Context) {
		sc := cellsOf(ofScaleSet, aksengine.ByAKSEngine, func(c aksengine.Cell) bool { return c.Name == "reads of scale sets answered 503" })
		res, err := suite.Run(ctx, sc, experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.NoGo))
		Expect(res.Checks).To(ContainElement(And(HaveField("Name", "driverReportedSuccess"), HaveField("Verdict", plan.Fail), HaveField("Message", ContainSubstring("is of 1.23.17")))))
	}, NodeTimeout(30*time.Minute))

	It("stands beside our own strategy where machines have identities of their own: no role is left of those that are gone", func(ctx context.Context) {
		res, err := suite.Run(ctx, cellsOf(ofScaleSet, aksengine.ByReplace, calm), experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.Go), "%v", res.Reasons)
	}, NodeTimeout(30*time.Minute))
})

var _ = DescribeTable("AKS Engine, on lab machines, is found out", Label("tier: full", "needs: subjects", "needs: kubernetes"),
	func(ctx context.Context, scenario, check, says string) {
		sc, err := experiment.Load(scenario)
		Expect(err).NotTo(HaveOccurred())
		res, err := suite.Run(ctx, sc, experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.NoGo), "%v", res.Reasons)
		Expect(res.Checks).To(ContainElement(And(HaveField("Name", check), HaveField("Verdict", plan.Fail), HaveField("Message", ContainSubstring(says)))))
	},
	Entry("where polls are throttled for longer than it waits: the rerun takes the quorum away", "aks-engine-upgrade-throttled", "etcdQuorum", "", NodeTimeout(60*time.Minute)),
	Entry("where a master is back with a dead kubelet: it ends 0", "aks-engine-upgrade-dead-kubelet", "driverReportedSuccess", "k8s-master-26658069-0", NodeTimeout(60*time.Minute)),
)
