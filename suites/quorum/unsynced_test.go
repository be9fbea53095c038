package quorum

import (
	"context"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
)

// noFsync is an etcd that acknowledges what it has not fsynced (ETCD_UNSAFE_NO_FSYNC is --unsafe-no-fsync), made so before anybody looks.
type noFsync struct{ lab.Bootstrapper }

func (b noFsync) Bootstrap(ctx context.Context, c cluster.Cluster) error {
	if err := b.Bootstrapper.Bootstrap(ctx, c); err != nil {
		return err
	}
	for _, m := range c.Machines() {
		if _, err := cluster.Shell(ctx, m, "echo ETCD_UNSAFE_NO_FSYNC=true >> /etc/default/etcd; systemctl restart etcd"); err != nil {
			return err
		}
	}
	return nil
}

var _ = Describe("a power cut that loses what was not fsynced", Label("tier: full", "needs: etcd"), func() {
	var provider *lab.Provider
	BeforeEach(func(ctx context.Context) {
		provider = suite.Host.Lab()
		if why := lacks(ctx).Why(cluster.CanLoseUnsynced); why != "" {
			Skip(why)
		}
	}, NodeTimeout(time.Minute))

	It("ends GO with etcd as released", func(ctx context.Context) {
		suite.EndsGo(ctx, "power-loss-unsynced", experiment.Options{})
	}, NodeTimeout(5*time.Minute))

	It("leaves nothing behind: drydock killed in the middle of it", func(ctx context.Context) {
		killedInTheMiddle(ctx, "power-loss-unsynced")
	}, NodeTimeout(5*time.Minute))

	// The other half of what that shows.
	It("ends NO-GO with an etcd that does not fsync: acknowledged writes are lost", func(ctx context.Context) {
		sc, err := experiment.Load("power-loss-unsynced")
		Expect(err).NotTo(HaveOccurred())
		sc.Metadata.Name += "-no-fsync"
		released := provider.Bootstrap
		provider.Bootstrap = func(t cluster.Topology) lab.Bootstrapper { return noFsync{released(t)} }
		res, err := suite.Run(ctx, sc, experiment.Options{Provider: provider})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Receipts).To(HaveExactElements(HaveField("State", plan.Confirmed)))
		Expect(res.Verdict).To(Equal(plan.NoGo))
		Expect(res.Checks).To(ContainElement(And(HaveField("Name", "noAcknowledgedWriteLost"), HaveField("Verdict", plan.Fail))))
	}, NodeTimeout(5*time.Minute))

	// fsynced knows by itself what it fsynced.
	It("leaves just that, and nothing is lost that was fsynced or nobody asked to be lost", func(ctx context.Context) {
		const dir, program = "/var/lib/drydock/walk", "/root/fsynced"
		c := suite.Up(ctx, cluster.Topology{Name: "fsynced", Etcd: cluster.EtcdOnly, EtcdMembers: 1})
		m := c.Machines()[0]
		power, err := cluster.As[cluster.Power](m)
		Expect(err).NotTo(HaveOccurred())
		forgets, err := cluster.As[cluster.Forgetter](m)
		Expect(err).NotTo(HaveOccurred())
		built, err := gexec.BuildWithEnvironment("drydock.dev/drydock/harness/cluster/lab/unsynced/fsynced", []string{"CGO_ENABLED=0"})
		Expect(err).NotTo(HaveOccurred())
		raw, err := os.ReadFile(built)
		Expect(err).NotTo(HaveOccurred())
		Expect(m.WriteFile(ctx, program, raw, 0o755)).To(Succeed())

		// cut writes on a fresh directory, cuts the power, and tells what the program says must be left, what was there and what is there.
		cut := func(ask func() error, write string) (must, before, after string) {
			GinkgoHelper()
			shell := func(script string) string {
				out, err := cluster.Shell(ctx, m, script)
				Expect(err).NotTo(HaveOccurred())
				return out
			}
			shell("rm -rf " + dir + "; mkdir -p " + dir)
			Expect(ask()).To(Succeed())
			must, before = shell(program+" write "+dir+" "+write), shell(program+" show "+dir)
			Expect(power.Reboot(ctx)).To(Succeed())
			return must, before, shell(program + " show " + dir)
		}
		lose := func() error { return forgets.LoseUnsynced(ctx, dir) }

		must, before, after := cut(lose, "1 300")
		Expect(before).NotTo(Equal(must), "something was unsynced")
		Expect(after).To(Equal(must))

		must, before, after = cut(lose, "1 300 settle")
		Expect(before).To(Equal(must), "all was fsynced")
		Expect(after).To(Equal(before))

		_, before, after = cut(func() error { return nil }, "1 300")
		Expect(after).To(Equal(before), "nobody asked")

		_, before, after = cut(func() error {
			Expect(lose()).To(Succeed())
			Expect(forgets.KeepUnsynced(ctx)).To(Succeed())
			return forgets.KeepUnsynced(ctx)
		}, "1 300")
		Expect(after).To(Equal(before), "it was undone")
		Expect(forgets.LoseUnsynced(ctx, "/no/such/directory")).NotTo(Succeed())
		Expect(forgets.LoseUnsynced(ctx, "/proc/../..")).NotTo(Succeed())
	}, NodeTimeout(5*time.Minute))
})
