package staging

import (
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/cluster"
)

var _ = Describe("a control plane and a worker that somebody else has", Label("tier: full", "needs: kubernetes"), Ordered, func() {
	var s *strangers

	BeforeAll(func(ctx SpecContext) {
		s = strange(ctx, cluster.Topology{Name: "shop", ControlPlanes: 1, Workers: 1, Version: "v1.35"})
	}, NodeTimeout(5*time.Minute))

	It("are called GO by who only looks, and NO-GO when a component is gone", func(ctx SpecContext) {
		at := s.inventory(ctx, false)
		look := drydock(ctx, at, "observe", "--for", "5s")
		Eventually(look).WithTimeout(3 * time.Minute).Should(gexec.Exit(0))
		m, err := s.lab.Machine("control-plane-1")
		Expect(err).NotTo(HaveOccurred())
		_, err = cluster.Shell(ctx, m, "mv /etc/kubernetes/manifests/kube-scheduler.yaml /root/")
		Expect(err).NotTo(HaveOccurred())
		look = drydock(ctx, at, "observe", "--for", "5s")
		Eventually(look).WithTimeout(5 * time.Minute).Should(gexec.Exit(1))
		Expect(look.Out).To(gbytes.Say("kube-scheduler"))
		_, err = cluster.Shell(ctx, m, "mv /root/kube-scheduler.yaml /etc/kubernetes/manifests/")
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() int { return drydock(ctx, at, "observe", "--for", "2s").Wait(time.Minute).ExitCode() }).WithTimeout(2 * time.Minute).Should(Equal(0))
	}, SpecTimeout(8*time.Minute))

	It("have a worker cut off, and are one run's at a time", func(ctx SpecContext) {
		at, out := s.inventory(ctx, true, "faults: [machineIsolate]"), filepath.Join(GinkgoT().TempDir(), "run")
		isolate := kubernetes("isolate", "{controlPlanes: 1, workers: 1}", "fault: {machineIsolate: {target: worker-1, for: 5s}}")
		first := drydock(ctx, at, "run", isolate, typed, "drydock", "--out", out)
		broken(ctx, out)
		second := drydock(ctx, at, "run", isolate, typed, "drydock")
		Eventually(second).WithTimeout(2 * time.Minute).Should(gexec.Exit(2))
		Expect(second.Err).To(gbytes.Say("being worked on by .*drydock-"))
		Eventually(first).WithTimeout(5 * time.Minute).Should(gexec.Exit(0))
		Expect(s.left(ctx)).To(BeEmpty())
	}, SpecTimeout(8*time.Minute))

	It("are not touched by who types the name of another", func(ctx SpecContext) {
		run := drydock(ctx, s.inventory(ctx, false, "faults: [machineIsolate]"), "run", kubernetes("refused", "{controlPlanes: 1, workers: 1}", "fault: {machineIsolate: {target: worker-1, for: 5s}}"), typed, "shop")
		Eventually(run).WithTimeout(time.Minute).Should(gexec.Exit(2))
		Expect(run.Err).To(gbytes.Say(`calls itself "drydock", and not "shop"`)) // as kubeadm was told, whatever the lab is called
	}, SpecTimeout(2*time.Minute))
})

// kubernetes writes a scenario with one step.
func kubernetes(name, topology, step string) string {
	GinkgoHelper()
	return written(name, `
  cluster: `+topology+`
  steps:
    - observe: 2s
    - `+step+`
    - observe: 2s
  always: [etcdQuorum]
  finally: [etcdHealthy]
`)
}
