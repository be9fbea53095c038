package azure

import (
	"context"
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/azure/workers"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/release"
)

var _ = Describe("virtual machines that are machines of a lab", Label("tier: full", "needs: kubernetes"), func() {
	It("boot and join by a PUT, act on power, and go by a DELETE", func(ctx context.Context) {
		t, _, err := release.CompleteTopology(cluster.Topology{Name: fmt.Sprintf("arm-%x", time.Now().UnixNano()&0xffffff), ControlPlanes: 1, Workers: 1, Version: "v1.35"})
		Expect(err).NotTo(HaveOccurred())
		p := suite.Host.Lab()
		c, err := p.Up(ctx, t)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) error { return p.Down(ctx, t.Name) }, NodeTimeout(2*time.Minute))
		machines, err := workers.New(ctx, c)
		Expect(err).NotTo(HaveOccurred())
		policy, err := throttle.LoadPolicy("current")
		Expect(err).NotTo(HaveOccurred())
		clock, err := arm.ParseClock("20")
		Expect(err).NotTo(HaveOccurred())
		twin, err := azure.New(azure.Options{Clock: clock, Policy: policy, Machines: machines})
		Expect(err).NotTo(HaveOccurred())
		server, err := twin.Serve(context.WithoutCancel(ctx), azure.Listen{Address: "127.0.0.1:0"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(server.Close)
		client, err := azure.NewClient(ctx, server.Ready, server.CA, "tool")
		Expect(err).NotTo(HaveOccurred())
		const vm = "resourceGroups/g/providers/Microsoft.Compute/virtualMachines/worker-2"
		Expect(client.Do(ctx, http.MethodPut, "resourceGroups/g", map[string]any{"location": "westeurope"}, nil)).To(Succeed())

		Expect(client.Do(ctx, http.MethodPut, vm, map[string]any{"location": "westeurope", "tags": map[string]any{workers.VersionTag: "Kubernetes:1.35.4"}, "properties": map[string]any{}}, nil)).To(Succeed())
		Expect(client.Do(ctx, http.MethodPut, vm+"/extensions/cse", map[string]any{"location": "westeurope", "properties": map[string]any{}}, nil)).To(Succeed())
		state := func(path string) func(ctx context.Context) (string, error) {
			return func(ctx context.Context) (string, error) {
				var body struct {
					Properties struct{ ProvisioningState string }
				}
				err := client.Do(ctx, http.MethodGet, path, nil, &body)
				return body.Properties.ProvisioningState, err
			}
		}
		Eventually(state(vm+"/extensions/cse")).WithContext(ctx).WithTimeout(2*time.Minute).WithPolling(200*time.Millisecond).Should(Equal("Succeeded"), "the extension, which asks whether the node is Ready")
		kube, err := kubeadm.AdminClient(ctx, c)
		Expect(err).NotTo(HaveOccurred())
		node, err := kube.CoreV1().Nodes().Get(ctx, "worker-2", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(kubeadm.NodeReady(node)).To(Succeed())
		Expect(node.Status.NodeInfo.KubeletVersion).To(Equal("v1.35.4"))

		powered := func(ctx context.Context) (string, error) {
			m, err := c.Machine("worker-2")
			if err != nil {
				return "", err
			}
			power, err := cluster.As[cluster.Power](m)
			if err != nil {
				return "", err
			}
			on, err := power.Powered(ctx)
			return fmt.Sprintf("on: %v", on), err
		}
		Expect(client.Do(ctx, http.MethodPost, vm+"/powerOff", nil, nil)).To(Succeed())
		Eventually(powered).WithContext(ctx).WithTimeout(30 * time.Second).WithPolling(200 * time.Millisecond).Should(Equal("on: false"))
		Expect(client.Do(ctx, http.MethodDelete, vm, nil, nil)).To(Succeed())
		Eventually(func(ctx context.Context) error {
			_, err := powered(ctx)
			return err
		}).WithContext(ctx).WithTimeout(30*time.Second).WithPolling(200*time.Millisecond).Should(MatchError(ContainSubstring("no machine")), "the machine is gone")
	}, NodeTimeout(15*time.Minute))
})
