package throttling

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/azure/workers"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/upgrade/replace"
)

const instances = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines"

// pooled makes a scale set whose instances join the cluster, and gives it when they are nodes that are Ready. A node is labelled after its first place.
func pooled(ctx context.Context, kube kubernetes.Interface, twin *workers.Beside, group string, nodes ...string) {
	GinkgoHelper()
	admin, err := azure.NewClient(ctx, twin.Server.Ready, twin.Server.CA, "admin")
	Expect(err).NotTo(HaveOccurred())
	type m = map[string]any
	subnet := "/subscriptions/" + azure.DefaultSubscription + "/resourceGroups/" + group + "/providers/Microsoft.Network/virtualNetworks/" + workers.Network + "/subnets/" + workers.Subnet
	ip := m{"name": "ipconfig", "properties": m{"subnet": m{"id": subnet}}}
	Expect(admin.Do(ctx, http.MethodPut, "resourceGroups/"+group+"/providers/Microsoft.Compute/virtualMachineScaleSets/pool", m{
		"location": azure.DefaultRegion, "tags": m{provider.VersionTag: provider.VersionTagged("v1.35.4"), provider.PoolTag: "pool"}, "sku": m{"name": "Standard_D2s_v3", "tier": "Standard", "capacity": len(nodes)},
		"properties": m{"upgradePolicy": m{"mode": "Manual"}, "virtualMachineProfile": m{
			"osProfile": m{"computerNamePrefix": "pool"}, "storageProfile": m{"osDisk": m{"createOption": "FromImage"}},
			"networkProfile": m{"networkInterfaceConfigurations": []any{m{"name": "nic", "properties": m{"primary": true, "ipConfigurations": []any{ip}}}}},
		}},
	}, nil)).To(Succeed())
	for _, name := range nodes {
		Eventually(func(ctx context.Context) error {
			n, err := kube.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			return kubeadm.NodeReady(n)
		}).WithContext(ctx).WithTimeout(3*time.Minute).WithPolling(time.Second).Should(Succeed(), name)
		_, err := kube.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{"example.com/place":%q}}}`, name), metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred())
	}
}

// watched counts the replicas that are ready until it is asked for the fewest, and how often it has looked.
func watched(ctx context.Context, ready func(ctx context.Context) int) func() (fewest, looks int) {
	ctx, stop := context.WithCancel(ctx)
	fewest, looks := -1, 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for tick := time.NewTicker(200 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			if n := ready(ctx); n >= 0 && ctx.Err() == nil {
				if looks++; fewest < 0 || n < fewest {
					fewest = n
				}
			}
		}
	})
	return func() (int, int) {
		stop()
		wg.Wait()
		return fewest, looks
	}
}

var _ = Describe("an upgrade by replacement", Label("tier: full", "needs: kubernetes"), func() {
	It("puts new instances of a scale set in the place of the old, also where the polls of their deletion are throttled, and the workload keeps its budget", func(ctx context.Context) {
		c := suite.Up(ctx, cluster.Topology{ControlPlanes: 3, Version: "v1.35"}, "v1.36.3")
		twin, err := workers.Begin(context.WithoutCancel(ctx), c, workers.Spec{Clock: "20"}, GinkgoT().TempDir(), 1, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(twin.End, NodeTimeout(time.Minute))
		kube, err := kubeadm.AdminClient(ctx, c)
		Expect(err).NotTo(HaveOccurred())
		pooled(ctx, kube, twin, c.Topology().Name, "pool000000", "pool000001")
		workload, err := load.StartWorkload(ctx, kube, load.WorkloadSpec{Replicas: 3, MinAvailable: 2}, nil)
		Expect(err).NotTo(HaveOccurred())
		_, err = twin.Twin.Arm(azure.Fault{Kind: azure.FaultThrottle, Operations: []string{"DELETE " + instances}, Polls: true, RetryAfter: 20, Count: 2})
		Expect(err).NotTo(HaveOccurred())
		fewest := watched(ctx, func(ctx context.Context) int {
			if s := workload.Observe(ctx); s != nil {
				return s.Ready
			}
			return -1
		})

		cmd := exec.CommandContext(ctx, suite.Host.Program, "upgrade", "--to", "v1.36", "--strategy", "replace", "--scale-sets", "pool", "--drain-timeout", "2m", "--machine-timeout", "5m", "--of-run",
			"--name", c.Topology().Name, "--quiet", "--state-dir", suite.Host.StateDir, "--cache-dir", suite.Host.CacheDir)
		cmd.Env = append(os.Environ(), experiment.TwinReadyEnv+"="+twin.Ready)
		run, err := gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, run).WithTimeout(15 * time.Minute).Should(gexec.Exit(0))
		least, looks := fewest()
		Expect(looks).To(BeNumerically(">", 100), "somebody watched the workload")
		Expect(least).To(BeNumerically(">=", 2), "replicas that were ready")

		nodes, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		places := map[string]string{}
		for _, n := range nodes.Items {
			Expect(kubeadm.NodeReady(&n)).To(Succeed(), n.Name)
			Expect(n).To(HaveField("Status.NodeInfo.KubeletVersion", "v1.36.3"), n.Name)
			if place, is := n.Labels["example.com/place"]; is {
				places[n.Name] = place
			}
		}
		Expect(nodes.Items).To(HaveLen(5))
		Expect(nodes.Items).To(ContainElements(HaveField("Name", "pool000002"), HaveField("Name", "pool000003")))
		Expect(places).To(Equal(map[string]string{"pool000002": "pool000000", "pool000003": "pool000001"}), "what an old node carried is on the one that came for it")
		Expect(nodes.Items).To(HaveEach(HaveField("Spec.Unschedulable", BeFalseBecause("nothing is left cordoned"))))
		Expect(c.Machines()).To(HaveLen(5), "the old machines are gone")

		calls, lost := twin.Calls()
		Expect(lost).To(BeZero())
		deleted, throttled, sent, passed := 0, 0, 0, 0
		for _, call := range calls {
			if call.Principal != replace.Principal || call.Beside() {
				continue
			}
			sent++
			if call.Status == http.StatusTooManyRequests {
				throttled++
			} else {
				passed++
			}
			if call.Operation == "DELETE "+instances && !call.Poll && call.Status < http.StatusBadRequest {
				deleted++
			}
		}
		Expect(deleted).To(Equal(2), "instances that the upgrade has deleted")
		Expect(throttled).To(BeNumerically(">", 0), "the fault bit")
		Expect(float64(sent)/float64(passed)).To(BeNumerically("<=", 1.1), "%d calls for %d that were needed", sent, passed)
		AddReportEntry("calls", fmt.Sprintf("%d sent, %d throttled; the fewest replicas that were ready: %d in %d looks", sent, throttled, least, looks))
	}, NodeTimeout(25*time.Minute))
})
