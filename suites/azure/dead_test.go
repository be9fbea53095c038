package azure

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
)

// provisioning is somebody who has the twin run a machine's provisioning script, again when it has ended.
func provisioning(machine string) func(ctx context.Context, c *azure.Client) {
	const succeeded, failed = "Succeeded", "Failed"
	times, state := 0, succeeded
	return func(ctx context.Context, c *azure.Client) {
		var all struct{ Value []struct{ ID string } }
		if c.Do(ctx, http.MethodGet, virtualMachines, nil, &all) != nil {
			return
		}
		for _, vm := range all.Value {
			_, group, _ := strings.Cut(vm.ID, "/resourceGroups/")
			if !strings.HasSuffix(group, "/"+machine) {
				continue
			}
			path := func() string { return fmt.Sprintf("resourceGroups/%s/extensions/provision-%d", group, times) }
			var is struct {
				Properties struct{ ProvisioningState string }
			}
			switch {
			case state == succeeded || state == failed:
				times++
				if c.Do(ctx, http.MethodPut, path(), map[string]any{"location": azure.DefaultRegion, "properties": map[string]any{}}, nil) == nil {
					state = ""
				}
			case c.Do(ctx, http.MethodGet, path(), nil, &is) == nil:
				state = is.Properties.ProvisioningState
			}
		}
	}
}

var _ = Describe("a machine that is dead on arrival", Label("tier: full", "needs: kubernetes"), func() {
	// What is asked of is the receipt: no step of an upgrade accounts here for a kubelet that is away, and whoever provisions goes on to the end of the run.
	run := func(ctx context.Context, o experiment.Options) *plan.Result {
		GinkgoHelper()
		sc, err := experiment.Parse("dead.yaml", []byte(`
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: dead}
spec:
  cluster: {controlPlanes: 1, workers: 1, version: v1.35}
  twin: {clock: "20"}
  steps:
    - fault: {machineDeadOnArrival: {resource: worker-1, for: 3s}}
  finally: [nodesReady]
`))
		Expect(err).NotTo(HaveOccurred())
		return asked(ctx, sc, provisioning("worker-1"), o)
	}

	It("is seen to be by its own service manager, and runs in the end", func(ctx context.Context) {
		res := run(ctx, experiment.Options{})
		Expect(res.Receipts).To(HaveExactElements(And(HaveField("State", plan.Confirmed), HaveField("Evidence", ConsistOf(
			And(HaveField("Observer", "service manager of worker-1"), HaveField("Saw", "the kubelet is inactive")),
			And(HaveField("Observer", "service manager of worker-1"), HaveField("Saw", "the kubelet is active")),
		)))))
	}, NodeTimeout(10*time.Minute))

	It("is none when nothing is injected, while machines are provisioned as before", func(ctx context.Context) {
		res := run(ctx, experiment.Options{NullFaults: true})
		Expect(res.Verdict).NotTo(Equal(plan.Go))
		Expect(res.Receipts).To(HaveExactElements(And(HaveField("State", plan.NotInjected), HaveField("Error", ContainSubstring("nothing was injected, as asked for, and: ")))))
		Expect(res.ARMCalls).To(ContainElement(And(HaveField("Operation", ContainSubstring("extensions")), HaveField("Status", BeNumerically("<", http.StatusMultipleChoices)))), "somebody has called what would have shown it")
	}, NodeTimeout(10*time.Minute))
})
