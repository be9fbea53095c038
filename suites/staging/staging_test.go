// Package staging attaches to machines of a lab as if they were strangers: by their sshd and the user's kubeconfig, and by nothing that a lab has.
package staging

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/suites/bootstrap"
)

var (
	suite    bootstrap.Suite
	launcher string // of sshd
)

func TestStaging(t *testing.T) { bootstrap.Run(t, "Staging", &suite) }

// drydock runs it as a process of its own.
func drydock(ctx context.Context, inventory string, args ...string) *gexec.Session {
	GinkgoHelper()
	own := []string{"--provider", "staging", "--inventory", inventory, "--state-dir", suite.Host.StateDir, "--cache-dir", suite.Host.CacheDir, "--quiet"}
	cmd := exec.CommandContext(ctx, suite.Host.Program, append(own, args...)...)
	session, err := gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	return session
}

// strange brings a lab up and makes strangers of its machines.
func strange(ctx context.Context, t cluster.Topology) *strangers {
	GinkgoHelper()
	if _, err := os.Stat(sshd); err != nil {
		Skip("there is no " + sshd + " on this host (Debian's openssh-server)")
	}
	if launcher == "" {
		program, err := gexec.BuildWithEnvironment("drydock.dev/drydock/suites/staging/sshd", []string{"CGO_ENABLED=0"})
		Expect(err).NotTo(HaveOccurred())
		launcher = program
	}
	return estrange(ctx, suite.Up(ctx, t))
}

var _ = Describe("three machines with etcd that somebody else has", Label("tier: quick", "needs: etcd"), Ordered, func() {
	var s *strangers

	BeforeAll(func(ctx SpecContext) {
		s = strange(ctx, cluster.Topology{Name: "strangers", Etcd: cluster.EtcdOnly, EtcdMembers: 3})
	}, NodeTimeout(2*time.Minute))

	It("is looked at over SSH, straight and through a jump host", func(ctx SpecContext) {
		for _, jump := range []bool{false, true} {
			at := s.inventory(ctx, jump)
			look := drydock(ctx, at, "status")
			Eventually(look).WithTimeout(20 * time.Second).Should(gexec.Exit(0))
			Expect(look.Out).To(gbytes.Say("etcd-1 .*(leader|follower)"))
			run := drydock(ctx, at, "shell", "etcd-2", "--name", "strangers", "--", "sh", "-c", "hostname; exit 7")
			Eventually(run).WithTimeout(20 * time.Second).Should(gexec.Exit(7))
			Expect(run.Out).To(gbytes.Say("etcd-2"))
		}
	}, SpecTimeout(time.Minute))

	It("goes on through the crash of a leader that the inventory allows", func(ctx SpecContext) {
		before := s.touchable(ctx)
		run := drydock(ctx, s.inventory(ctx, false, allowed), "run", scenario("leader", "etcdMemberCrash: {target: leader, for: 5s}"), typed, "strangers")
		Eventually(run).WithTimeout(time.Minute).Should(gexec.Exit(0))
		Expect(s.left(ctx)).To(BeEmpty())
		Expect(s.touchable(ctx)).NotTo(Equal(before), "what was touched is seen")
	}, SpecTimeout(90*time.Second))

	DescribeTable("is not touched", func(ctx SpecContext, inventory, fault, name, why string) {
		before := s.touchable(ctx)
		args := []string{"run", scenario("refused", fault)}
		if name != "" {
			args = append(args, typed, name)
		}
		run := drydock(ctx, s.inventory(ctx, false, inventory), args...)
		Eventually(run).WithTimeout(30 * time.Second).Should(gexec.Exit(2))
		Expect(run.Err).To(gbytes.Say(why))
		Expect(s.touchable(ctx)).To(Equal(before))
	},
		Entry("when its name is not typed", allowed, crash, "", "--i-know-this-is-staging NAME"),
		Entry("when another name is typed", allowed, crash, "production", `calls itself "strangers", and not "production": nothing was touched`),
		Entry("by a fault that the inventory does not allow", "faults: [machineIsolate]", crash, "strangers", "etcdMemberCrash is not among the inventory's faults"),
		Entry("for longer than the machines wait", allowed+"\ndeadMan: 10s", "etcdMemberCrash: {target: leader, for: 20s}", "strangers", "the machines undo it after 10s"),
		Entry("through an inventory with a mistake", "blastradius: 9", crash, "strangers", "blastradius is unknown; known: cluster"),
	)

	It("is made and removed by nobody", func(ctx SpecContext) {
		for _, args := range [][]string{{"up", "--name", "strangers", "--etcd", "only"}, {"down", "strangers"}} {
			run := drydock(ctx, s.inventory(ctx, false), args...)
			Eventually(run).WithTimeout(30 * time.Second).Should(gexec.Exit(2))
			Expect(run.Err).To(gbytes.Say("makes and removes no machines"))
		}
	}, SpecTimeout(time.Minute))

	It("is not talked to when its key is another than the known", func(ctx SpecContext) {
		at := s.inventory(ctx, false)
		Expect(os.WriteFile(filepath.Join(s.dir, "no_hosts"), nil, 0o600)).To(Succeed())
		raw, err := os.ReadFile(at)
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(at, bytes.Replace(raw, []byte("known_hosts"), []byte("no_hosts"), 1), 0o600)).To(Succeed())
		look := drydock(ctx, at, "status")
		Eventually(look).WithTimeout(30 * time.Second).Should(gexec.Exit(2))
		Expect(look.Err).To(gbytes.Say("not in the known hosts"))
	}, SpecTimeout(time.Minute))

	It("has a machine cut off and let in again", func(ctx SpecContext) {
		if _, err := exec.LookPath("nft"); err != nil {
			Skip("there is no nft on this host, so none on its labs' machines (Debian's nftables)")
		}
		run := drydock(ctx, s.inventory(ctx, false, "faults: [machineIsolate]"), "run", scenario("isolate", "machineIsolate: {target: etcd-2, for: 5s}"), typed, "strangers")
		Eventually(run).WithTimeout(time.Minute).Should(gexec.Exit(0))
		Expect(s.left(ctx)).To(BeEmpty())
	}, SpecTimeout(90*time.Second))

	It("belongs to one run at a time, and heals by itself when SSH is cut in the middle of a fault", func(ctx SpecContext) {
		at := s.inventory(ctx, false, allowed, "deadMan: 12s")
		out := filepath.Join(GinkgoT().TempDir(), "run")
		first := drydock(ctx, at, "run", scenario("cut", "etcdMemberCrash: {target: etcd-1, for: 10s}"), typed, "strangers", "--out", out)
		broken(ctx, out)
		second := drydock(ctx, at, "run", scenario("second", crash), typed, "strangers")
		Eventually(second).WithTimeout(time.Minute).Should(gexec.Exit(2))
		Expect(second.Err).To(gbytes.Say("being worked on by .*drydock-"))

		for _, w := range s.wires {
			w.sever()
		}
		first.Kill()
		Eventually(first).WithTimeout(10 * time.Second).Should(gexec.Exit())
		etcd1, err := s.lab.Machine("etcd-1")
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() (string, error) { return cluster.Shell(ctx, etcd1, "cat /run/drydock-staging/dead-man.log") }).WithTimeout(30 * time.Second).
			Should(ContainSubstring("hold-etcd: undone by the dead-man timer"))
		Eventually(ctx, func() (string, error) { return cluster.Shell(ctx, etcd1, "pgrep -x etcd") }).WithTimeout(10 * time.Second).ShouldNot(BeEmpty())

		for _, w := range s.wires {
			w.mend()
		}
		heal := drydock(ctx, at, "heal", out)
		Eventually(heal).WithTimeout(time.Minute).Should(gexec.Exit(0))
		Expect(heal.Out).To(gbytes.Say("etcdMemberCrash on etcd-1 of strangers: undone"))
	}, SpecTimeout(3*time.Minute))

	It("is called NO-GO by who only looks, when something is planted in it", func(ctx SpecContext) {
		at := s.inventory(ctx, false)
		look := drydock(ctx, at, "observe", "--for", "3s")
		Eventually(look).WithTimeout(time.Minute).Should(gexec.Exit(0))
		etcd3, err := s.lab.Machine("etcd-3")
		Expect(err).NotTo(HaveOccurred())
		_, err = cluster.Shell(ctx, etcd3, "systemctl stop etcd")
		Expect(err).NotTo(HaveOccurred())
		look = drydock(ctx, at, "observe", "--for", "3s")
		Eventually(look).WithTimeout(2 * time.Minute).Should(gexec.Exit(1))
		Expect(look.Out).To(gbytes.Say("etcd-3"))
	}, SpecTimeout(4*time.Minute))
})

const (
	allowed = "faults: [etcdMemberCrash, etcdMemberFreeze]"
	typed   = "--i-know-this-is-staging"
	crash   = "etcdMemberCrash: {target: leader, for: 5s}"
)

// broken waits until the run's fault has been seen.
func broken(ctx context.Context, out string) {
	GinkgoHelper()
	Eventually(ctx, func() ([]plan.Entry, error) { e, _, err := plan.ReadJournal(out); return e, err }).WithTimeout(time.Minute).
		Should(ContainElement(And(HaveField("Kind", "receipt"), HaveField("Data", ContainSubstring(`"state":"effective"`)))))
}

// scenario writes one with a fault.
func scenario(name, fault string) string {
	GinkgoHelper()
	return written(name, `
  cluster: {etcd: only, etcdMembers: 3}
  steps:
    - observe: 1s
    - fault: {`+fault+`}
    - observe: 1s
  always: [etcdQuorum]
  finally: [etcdHealthy]
`)
}

// written is the file of a scenario.
func written(name, spec string) string {
	GinkgoHelper()
	file := filepath.Join(GinkgoT().TempDir(), name+".yaml")
	Expect(os.WriteFile(file, []byte("apiVersion: drydock.dev/v1alpha1\nkind: Scenario\nmetadata: {name: "+name+"}\nspec:"+spec), 0o600)).To(Succeed())
	return file
}
