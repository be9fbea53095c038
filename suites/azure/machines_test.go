package azure

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/azure/workers"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
)

var _ = Describe("virtual machines that are machines of a lab", Label("tier: full", "needs: kubernetes"), func() {
	It("boot and join by a PUT, act on power, and go by a DELETE", func(ctx context.Context) {
		c := suite.Up(ctx, cluster.Topology{ControlPlanes: 1, Workers: 1, Version: "v1.35"})
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

		Expect(client.Do(ctx, http.MethodPut, vm, map[string]any{"location": "westeurope", "tags": map[string]any{provider.VersionTag: "Kubernetes:1.35.4"}, "properties": map[string]any{}}, nil)).To(Succeed())
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

var _ = Describe("control planes that are machines of a twin", Label("tier: full", "needs: kubernetes"), func() {
	It("are replaced with their disk of etcd, which keeps name, address and place in the quorum", func(ctx context.Context) {
		c := suite.Up(ctx, cluster.Topology{ControlPlanes: 3, Version: "v1.35"}, "v1.36.3")
		b, err := workers.Begin(context.WithoutCancel(ctx), c, workers.Spec{Clock: "20", Versions: map[string]string{"1.24.17": "v1.36.3"}}, GinkgoT().TempDir(), 1, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(b.End)
		client, err := azure.NewClient(ctx, b.Server.Ready, b.Server.CA, "tool")
		Expect(err).NotTo(HaveOccurred())
		const (
			name = "control-plane-2"
			vms  = "/providers/Microsoft.Compute/virtualMachines/"
		)
		group := "resourceGroups/" + c.Topology().Name
		machine, err := c.Machine(name)
		Expect(err).NotTo(HaveOccurred())
		boot, err := cluster.KernelBootID(ctx, machine)
		Expect(err).NotTo(HaveOccurred())
		was, err := kubeadm.Members(ctx, machine)
		Expect(err).NotTo(HaveOccurred())
		_, err = cluster.Shell(ctx, machine, "touch /var/lib/etcd/of-before /etc/of-before")
		Expect(err).NotTo(HaveOccurred())
		status := func(path string) func(ctx context.Context) (string, error) {
			return func(ctx context.Context) (string, error) {
				var body struct {
					Properties struct{ ProvisioningState string }
				}
				err := client.Do(ctx, http.MethodGet, path, nil, &body)
				if e, ok := err.(*arm.Error); ok && e.Status == http.StatusNotFound { //nolint:errorlint // Do returns it as it is
					return "gone", nil
				}
				return body.Properties.ProvisioningState, err
			}
		}
		become := func(path, state string, within time.Duration) {
			GinkgoHelper()
			Eventually(status(path)).WithContext(ctx).WithTimeout(within).WithPolling(200*time.Millisecond).Should(Equal(state), path)
		}
		for _, path := range []string{vms + name, "/providers/Microsoft.Network/networkInterfaces/" + name + workers.InterfaceSuffix, "/providers/Microsoft.Compute/disks/" + name + workers.SystemSuffix} {
			Expect(client.Do(ctx, http.MethodDelete, group+path, nil, nil)).To(Succeed())
			become(group+path, "gone", time.Minute)
		}
		_, err = c.Machine(name)
		Expect(err).To(MatchError(ContainSubstring("no machine")))

		disk := "/subscriptions/" + azure.DefaultSubscription + "/" + group + "/providers/Microsoft.Compute/disks/" + name + workers.EtcdSuffix
		nic := group + "/providers/Microsoft.Network/networkInterfaces/" + name + workers.InterfaceSuffix
		subnet := "/subscriptions/" + azure.DefaultSubscription + "/" + group + "/providers/Microsoft.Network/virtualNetworks/" + workers.Network + "/subnets/" + workers.Subnet
		type m = map[string]any
		Expect(client.Do(ctx, http.MethodPut, nic, m{"location": "westeurope", "properties": m{"ipConfigurations": []any{m{"name": "ipconfig", "properties": m{"subnet": m{"id": subnet}}}}}}, nil)).To(Succeed())
		become(nic, "Succeeded", time.Minute)
		Expect(client.Do(ctx, http.MethodPut, group+vms+name, m{"location": "westeurope", "tags": m{provider.VersionTag: "Kubernetes:1.24.17", provider.PoolTag: "master"}, "properties": m{
			"osProfile": m{"computerName": name}, "networkProfile": m{"networkInterfaces": []any{m{"id": "/subscriptions/" + azure.DefaultSubscription + "/" + nic}}},
			"storageProfile": m{"osDisk": m{"createOption": "FromImage", "osType": "Linux"}, "dataDisks": []any{m{"lun": 0, "name": name + workers.EtcdSuffix, "createOption": "Attach", "managedDisk": m{"id": disk}}}},
		}}, nil)).To(Succeed())
		become(group+vms+name, "Succeeded", 2*time.Minute)
		b.Pool.Spoil("*-2")
		Expect(client.Do(ctx, http.MethodPut, group+vms+name+"/extensions/cse-master-1", m{"location": "westeurope", "properties": m{}}, nil)).To(Succeed())
		become(group+vms+name+"/extensions/cse-master-1", "Succeeded", 3*time.Minute)

		machine, err = c.Machine(name)
		Expect(err).NotTo(HaveOccurred())
		b.Pool.Spoil("")
		Expect(b.Pool.Spoilt()).To(Equal([]string{name}))
		_, err = cluster.Shell(ctx, machine, "systemctl is-active kubelet")
		Expect(err).To(HaveOccurred(), "it has died when all had been asked")
		_, err = cluster.Shell(ctx, machine, "systemctl start kubelet")
		Expect(err).NotTo(HaveOccurred())
		Expect(machine.Role()).To(Equal(cluster.ControlPlane))
		Expect(cluster.KernelBootID(ctx, machine)).NotTo(Equal(boot))
		_, err = machine.ReadFile(ctx, "/var/lib/etcd/of-before")
		Expect(err).NotTo(HaveOccurred(), "the disk of etcd is the one of before")
		_, err = machine.ReadFile(ctx, "/etc/of-before")
		Expect(err).To(MatchError(os.ErrNotExist), "and the system's is not")
		Expect(kubeadm.Members(ctx, machine)).To(Equal(was), "no member was added or removed")
		kube, err := kubeadm.AdminClient(ctx, c)
		Expect(err).NotTo(HaveOccurred())
		Eventually(func(ctx context.Context) (string, error) {
			n, err := kube.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return "", err
			}
			return n.Status.NodeInfo.KubeletVersion, kubeadm.NodeReady(n)
		}).WithContext(ctx).WithTimeout(time.Minute).WithPolling(time.Second).Should(Equal("v1.36.3"))
		for _, other := range []string{"control-plane-1", name, "control-plane-3"} {
			Eventually(kubeadm.Health).WithContext(ctx).WithArguments(c, other, "/readyz").WithTimeout(time.Minute).WithPolling(time.Second).Should(Succeed(), other)
		}

		// Its disk is lost: an empty one under the member's name would answer for what it has forgotten.
		Expect(client.Do(ctx, http.MethodDelete, group+vms+name, nil, nil)).To(Succeed())
		become(group+vms+name, "gone", time.Minute)
		Expect(client.Do(ctx, http.MethodPut, group+vms+name, m{"location": "westeurope", "tags": m{provider.VersionTag: "Kubernetes:1.24.17", provider.PoolTag: "master"}, "properties": m{
			"osProfile": m{"computerName": name}, "storageProfile": m{"osDisk": m{"createOption": "FromImage", "osType": "Linux"}, "dataDisks": []any{m{"lun": 0, "name": "new" + workers.EtcdSuffix, "createOption": "Empty", "diskSizeGB": 8}}},
		}}, nil)).To(Succeed())
		become(group+vms+name, "Failed", 2*time.Minute)
	}, NodeTimeout(20*time.Minute))
})
