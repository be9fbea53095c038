package azure

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/azure/calibrate"
)

// The policy and the timings of a Resource Manager that nobody has: what is found again was found in the recording.
const (
	unheardOf = `
name: unheard-of
gateway:
  subscription: {reads: {capacity: 20, refill: 4, per: 1s}, writes: {capacity: 20, refill: 1, per: 1s}, deletes: {capacity: 20, refill: 1, per: 1s}}
  tenant: {reads: {capacity: 60, refill: 5, per: 1s}, writes: {capacity: 40, refill: 2, per: 1s}, deletes: {capacity: 30, refill: 1, per: 1s}}
  globalFactor: 15
providers:
  - policy: Microsoft.Compute/HighCostGet
    operations: [LIST Microsoft.Compute/virtualMachines]
    subscription: {capacity: 8, refill: 60, per: 1m}
`
	quick = `
types:
  Microsoft.Compute/virtualMachines: {form: async, delete: {min: 2500ms, max: 3500ms}, retryAfter: {delete: 1s, poll: 2s}}
  Microsoft.Network/publicIPAddresses: {create: {min: 1s, max: 2s}, delete: {min: 1s, max: 2s}, retryAfter: {write: 1s, delete: 1s, poll: 1s}}
`
)

// recordedWork runs the SDK against a twin behind a recording proxy: it drains two budgets and lets them fill, and does a few operations. It gives the
// recording.
func recordedWork(ctx context.Context, policy, timings string) string {
	GinkgoHelper()
	file := GinkgoT().TempDir() + "/recording.jsonl"
	real := start(4, "--policy", policy, "--timings", timings)
	t := behind(real, "--record", file)
	sdk := func(args ...string) {
		GinkgoHelper()
		Expect(t.drive(ctx, args...)).To(HaveField("Error", Or(BeEmpty(), Equal("SubscriptionRequestsThrottled"), Equal("OperationNotAllowed"))))
	}
	for i := range 3 {
		sdk("--vm", fmt.Sprintf("vm-%05d", i+1), "delete")
		sdk("address")
	}
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			defer GinkgoRecover()
			for range 8 {
				sdk("--vm", "vm-00004", "get")
			}
		})
	}
	all.Wait()
	fill(7 * time.Second)
	for range 2 {
		sdk("--vm", "vm-00004", "get")
	}
	for range 24 {
		sdk("list")
	}
	fill(10 * time.Second)
	for range 2 {
		sdk("list")
	}
	return file
}

// fill lets budgets fill, which they do by the wall's clock: whoever looked how far they are would draw on them.
func fill(d time.Duration) {
	GinkgoHelper()
	Eventually(time.Since).WithArguments(time.Now()).WithTimeout(2 * d).WithPolling(100 * time.Millisecond).Should(BeNumerically(">", d))
}

// calibrated runs `drydock arm calibrate`, as a user does.
func calibrated(ctx context.Context, args ...string) (r calibrate.Result) {
	GinkgoHelper()
	raw, err := exec.CommandContext(ctx, suite.Host.Program, append([]string{"arm", "calibrate", "--json"}, args...)...).Output()
	Expect(err).NotTo(HaveOccurred())
	Expect(json.Unmarshal(raw, &r)).To(Succeed())
	return r
}

func written(r calibrate.Result, name, scope string) (w calibrate.Written) {
	GinkgoHelper()
	Expect(r.Limits).To(ContainElement(HaveField("Limit", calibrate.Limit{Name: name, Scope: scope}), &w), name)
	return w
}

var _ = Describe("a twin that was made of a recording", Label("tier: full", "needs: arm"), func() {
	It("limits the SDK, tells it to wait, and takes its time as the recorded one did", func(ctx context.Context) {
		build(ctx)
		dir := GinkgoT().TempDir()
		policy, timings, policy2, timings2 := dir+"/policy.yaml", dir+"/timings.yaml", dir+"/policy2.yaml", dir+"/timings2.yaml"
		Expect(os.WriteFile(policy, []byte(unheardOf), 0o600)).To(Succeed())
		Expect(os.WriteFile(timings, []byte(quick), 0o600)).To(Succeed())
		first := calibrated(ctx, recordedWork(ctx, policy, timings), "--policy-out", policy2, "--timings-out", timings2)
		second := calibrated(ctx, recordedWork(ctx, policy2, timings2))
		for _, limit := range []struct {
			name, scope string
			holds       int
			rate        float64
		}{{"gateway/reads", "principal", 20, 4}, {"Microsoft.Compute/HighCostGet", "subscription", 8, 1}} {
			a, b := written(first, limit.name, limit.scope), written(second, limit.name, limit.scope)
			By(fmt.Sprintf("%s: %s of %s; and of the twin made of it %s of %s", limit.name, a.Is, a.Basis(), b.Is, b.Basis()))
			Expect([]int{a.Is.Capacity, b.Is.Capacity}).To(HaveEach(limit.holds), limit.name)
			Expect(limit.rate).To(And(BeNumerically(">=", a.Low), BeNumerically("<=", a.High)), "the bounds of what was recorded")
			Expect(a.Is.Rate()).To(BeNumerically("~", limit.rate, limit.rate/4), "what is written of it")
			Expect(a.Is.Rate()).To(And(BeNumerically(">=", b.Low), BeNumerically("<=", b.High)), "the twin made of it fills as it says")
			Expect([]int{a.Rejected, b.Rejected}).To(HaveEach(BeNumerically(">", 0)), limit.name)
			Expect(b.RetryAfter).To(HaveEach(BeNumerically("~", a.RetryAfter[0], 1)), limit.name)
		}
		told := func(r calibrate.Result) (out []string) {
			for _, d := range r.Told {
				out = append(out, fmt.Sprintf("%s, %s: %g s", d.Type, d.What, d.After))
			}
			return out
		}
		Expect(told(second)).To(ConsistOf(told(first)), "Retry-After of operations")
		Expect(second.Operations).To(HaveLen(3))
		Expect(first.Operations).To(HaveLen(3))
		for i, b := range second.Operations {
			a := first.Operations[i]
			Expect([]string{b.Type, b.Verb}).To(Equal([]string{a.Type, a.Verb}))
			Expect(a.Samples).To(Equal(3))
			Expect(b.Min).To(BeNumerically(">=", a.Min-0.1), "%+v, %+v", a, b)
			Expect(b.Max).To(BeNumerically("<=", a.Max+0.1), "%+v, %+v", a, b)
		}
	}, NodeTimeout(10*time.Minute)) // one and a half alone
})
