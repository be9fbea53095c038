// Package throttling runs the scenario in which a runbook takes throttled components of control planes out of it, disturbs it, and proves that it waits for what it must;
// and an upgrade that replaces the instances of a throttled scale set.
package throttling

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/remedy/quota"
	"drydock.dev/drydock/scenarios"
	"drydock.dev/drydock/suites/bootstrap"
)

var suite bootstrap.Suite

func TestThrottling(t *testing.T) { bootstrap.Run(t, "Throttling", &suite) }

const scenario = "arm-throttled-remediation"

var _ = Describe("the wait for budgets", Label("tier: quick"), func() {
	It("ends when a twin's windows have, and has never asked before it was told to", func(ctx context.Context) {
		policy, err := throttle.LoadPolicy("legacy")
		Expect(err).NotTo(HaveOccurred())
		clock, err := arm.ParseClock("30") // a window of three minutes is six seconds
		Expect(err).NotTo(HaveOccurred())
		twin, err := azure.New(azure.Options{Clock: clock, Policy: policy})
		Expect(err).NotTo(HaveOccurred())
		dir := GinkgoT().TempDir()
		server, err := twin.Serve(context.WithoutCancel(ctx), azure.Listen{Address: "127.0.0.1:0", CAOut: dir + "/ca.pem", ReadyFile: dir + "/ready.json"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(server.Close)
		admin, err := azure.NewClient(ctx, server.Ready, server.CA, "admin")
		Expect(err).NotTo(HaveOccurred())
		Expect(admin.Do(ctx, http.MethodPut, "resourceGroups/g", map[string]any{"location": "westeurope"}, nil)).To(Succeed())
		const sets = "resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets"
		Eventually(func() error { return admin.Do(ctx, http.MethodGet, sets, nil, nil) }).WithPolling(time.Millisecond).Should(MatchError(ContainSubstring("too many requests")), "the window is used up")
		account, err := quota.ReadAccount(fmt.Appendf(nil, `{"tenantId":"adfs","aadClientId":"reader","aadClientSecret":"x","resourceGroup":"g","vmType":"vmss","subscriptionId":%q}`, server.Ready.Subscription), nil)
		Expect(err).NotTo(HaveOccurred())
		account, err = account.Via(dir + "/ready.json")
		Expect(err).NotTo(HaveOccurred())
		account.Audience = "https://management.azure.com/"
		reader, err := quota.Open(account)
		Expect(err).NotTo(HaveOccurred())
		settings, err := quota.Settings{Every: time.Second, Unread: time.Second, Within: 30 * time.Second}.Complete()
		Expect(err).NotTo(HaveOccurred())
		var told []quota.Reading
		Expect(settings.Refilled(ctx, reader.Ask, func(context.Context) error { return nil }, func(r quota.Reading) { told = append(told, r) })).To(Succeed())
		Expect(told).To(HaveLen(2), "one call that was told to come later, and one that came then")
		Expect(told[0]).To(And(HaveField("Status", http.StatusTooManyRequests), HaveField("RetryAfter", BeNumerically(">", time.Second))))
		Expect(told[1].At.Sub(told[0].At)).To(BeNumerically(">=", told[0].RetryAfter))
		Expect(told[1].Left).To(HaveKeyWithValue("Microsoft.Compute/HighCostGetVMScaleSet3Min", 189))
	}, NodeTimeout(time.Minute))
})

// disturbed is the scenario with something done to its runbook.
func disturbed(what string) *experiment.Scenario {
	GinkgoHelper()
	raw, err := scenarios.Read(scenario)
	Expect(err).NotTo(HaveOccurred())
	const images = "        images: {cloud-provider: v1.36.5}\n"
	Expect(string(raw)).To(ContainSubstring(images))
	before, after, _ := strings.Cut(string(raw), "  always:")
	sc, err := experiment.Parse(scenario+".yaml", []byte(before+what+"  always:"+after))
	Expect(err).NotTo(HaveOccurred())
	return sc
}

var _ = Describe("throttled components of control planes", Label("tier: full", "needs: kubernetes", "needs: subjects"), func() {
	It("come out of it by the runbook, and stay out", func(ctx context.Context) {
		suite.EndsGo(ctx, scenario, experiment.Options{})
	}, NodeTimeout(20*time.Minute))

	It("are throttled at their new version as well where the runbook does not wait", func(ctx context.Context) {
		// Where rejected calls count, and nobody else makes any, a window lasts for its full length from the last: else it may end by itself meanwhile. The
		// shortest, of three minutes, is a minute of this clock: more than what is stopped takes to be started.
		sc := disturbed("")
		sc.Spec.Twin.Hostile, sc.Spec.Twin.CoTenants, sc.Spec.Twin.Clock = true, nil, "3"
		res, err := suite.Run(ctx, sc, experiment.Options{Hasty: true})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.NoGo))
		Expect(res.Checks).To(ContainElement(And(HaveField("Name", "armRemedied"), HaveField("Verdict", plan.Fail), HaveField("Message", ContainSubstring("when it began to start again; the first at")))))
	}, NodeTimeout(20*time.Minute))

	It("come out of it although a machine loses its power while the budgets are waited for", func(ctx context.Context) {
		res, err := suite.Run(ctx, disturbed("      faults: [{at: throttled-control-plane/during-await-budget, machinePowerOff: {target: control-plane-2, for: 8s}}]\n"), experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Reasons).To(BeEmpty())
		Expect(res.Verdict).To(Equal(plan.Go))
	}, NodeTimeout(20*time.Minute))

	It("come out of it although the runbook's process is killed after each of its steps", func(ctx context.Context) {
		res, err := suite.Run(ctx, disturbed("      killDriver: {after: \"throttled-control-plane/[^g]*\"}\n"), experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Reasons).To(BeEmpty())
		Expect(res.Verdict).To(Equal(plan.Go))
	}, NodeTimeout(25*time.Minute))
})
