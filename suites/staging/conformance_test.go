package staging

import (
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/cluster"
)

var _ = DescribeTable("what every provider must do, it does on machines that somebody else has:", Label("tier: nightly", "needs: etcd"),
	func(ctx SpecContext, t cluster.Topology, name string) {
		s := strange(ctx, t)
		program := filepath.Join(GinkgoT().TempDir(), "conformance.test")
		out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "drydock.dev/drydock/suites/conformance").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		cmd := exec.CommandContext(ctx, program, "-drydock.provider", "staging", "-ginkgo.v", "-ginkgo.no-color")
		cmd.Env = append(cmd.Environ(), "DRYDOCK_CLUSTER="+name, "DRYDOCK_STAGING="+name, "DRYDOCK_INVENTORY="+s.inventory(ctx, false, "deadMan: 1m"))
		conformance, err := gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		Eventually(conformance).WithTimeout(12 * time.Minute).Should(gexec.Exit(0))
		Expect(conformance.Out).To(gbytes.Say("0 Failed"))
		Expect(s.left(ctx)).To(BeEmpty())
	},
	Entry("etcd alone", cluster.Topology{Name: "conform", Etcd: cluster.EtcdOnly, EtcdMembers: 3}, "conform", NodeTimeout(15*time.Minute)),
	Entry("with Kubernetes", cluster.Topology{Name: "conformk", ControlPlanes: 1, Workers: 1}, "drydock", NodeTimeout(15*time.Minute)),
)
