package throttling

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/azure/workers"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/subject"
)

// traces is all that the runbook could leave: kubelets and files of every machine, the components' processes, and what the host keeps with the cluster.
func traces(ctx context.Context, c cluster.Cluster) (out string) {
	GinkgoHelper()
	for _, m := range c.Machines() {
		found, err := cluster.Shell(ctx, m, `systemctl is-active kubelet || true; for p in /proc/[0-9]*; do case "$(cat $p/comm 2>/dev/null)" in cloud-provider) echo "${p#/proc/}";; esac; done; find /etc /root -xdev -type f -printf '%p %s %T@\n' | sort`)
		Expect(err).NotTo(HaveOccurred())
		out += m.Name() + "\n" + found
	}
	kept, err := os.ReadDir(c.Dir())
	Expect(err).NotTo(HaveOccurred())
	return out + fmt.Sprint(kept)
}

var _ = Describe("the runbook for throttled components", Label("tier: full", "needs: kubernetes", "needs: subjects"), func() {
	It("has nothing to do where none calls a cloud, and touches nothing by a dry run where they are throttled", func(ctx context.Context) {
		c := suite.Up(ctx, cluster.Topology{ControlPlanes: 1, Workers: 1, Version: "v1.36"})
		twin, err := workers.Begin(context.WithoutCancel(ctx), c, workers.Spec{Policy: "legacy", Clock: "60"}, GinkgoT().TempDir(), 1, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(twin.End, NodeTimeout(time.Minute))
		remedy := func(more ...string) string {
			GinkgoHelper()
			args := append([]string{"remedy", "throttled-control-plane", "--image", "cloud-provider=v1.36.5", "--name", c.Topology().Name, "--quiet", "--state-dir", suite.Host.StateDir, "--cache-dir", suite.Host.CacheDir}, more...)
			cmd := exec.CommandContext(ctx, suite.Host.Program, args...)
			cmd.Env = append(os.Environ(), experiment.TwinReadyEnv+"="+twin.Ready)
			run, err := gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
			Expect(err).NotTo(HaveOccurred())
			Eventually(ctx, run).WithTimeout(5 * time.Minute).Should(gexec.Exit(0))
			return string(run.Out.Contents())
		}
		out := filepath.Join(GinkgoT().TempDir(), "out")
		before := traces(ctx, c)
		Expect(remedy("--dry-run")).To(ContainSubstring("no component of a control plane calls a cloud"))
		Expect(traces(ctx, c)).To(Equal(before))

		component := subject.Component{Subject: "legacy-v0.17.4", Images: []string{"cloud-provider-azure"}, Nodes: []string{"vmss-gone000001", "vmss-gone000002", "vmss-gone000003"}, Every: time.Second, ScaleSets: 50}
		Expect(component.Deploy(ctx, suite.Host.Subjects(), c, twin.Twin, twin.OnMachines(), workers.CAOnMachine)).To(Succeed())
		Eventually(func(ctx context.Context) ([]string, error) {
			lines, _, err := observe.LogLines(ctx, c, "control-plane-1", observe.CloudControllerManager, "throttled: ")
			return lines, err
		}).WithContext(ctx).WithTimeout(2*time.Minute).ShouldNot(BeEmpty(), "it is throttled")
		before = traces(ctx, c)
		said := remedy("--dry-run")
		Expect(said).To(ContainSubstring("cloud-controller-manager on control-plane-1 tells of "))
		Expect(said).To(ContainSubstring("<     image: drydock.dev/cloud-provider:v0.17.4\n>     image: drydock.dev/cloud-provider:v1.36.5\n"))
		Expect(said).To(ContainSubstring("1 of 1 members of etcd are well, a quorum is 1, and while the kubelets are stopped nobody starts one again that ends: one that does leaves 0"))
		Expect(traces(ctx, c)).To(Equal(before))

		Expect(remedy("--of-run", "--out", out, "--every", "2s", "--unread", "45s", "--within", "5m", "--window", "5s")).To(ContainSubstring("throttled-control-plane has mended it"))
		Expect(traces(ctx, c)).NotTo(Equal(before), "a file that was changed is a trace")
		cfg, err := kubeadm.RESTConfig(ctx, c)
		Expect(err).NotTo(HaveOccurred())
		m, err := c.Machine("control-plane-1")
		Expect(err).NotTo(HaveOccurred())
		Expect(observe.AskComponent(ctx, cfg, m, observe.CloudControllerManager, observe.CloudControllerPort)).To(HaveField("Version", "v1.36.5"))
	}, NodeTimeout(15*time.Minute))
})
