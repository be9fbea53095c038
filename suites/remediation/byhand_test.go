package remediation

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
)

var _ = It("is not gone on with where somebody has healed by hand meanwhile: it says so, says what to do, and takes nothing away", Label("tier: full", "needs: etcd"), func(ctx context.Context) {
	c := suite.Up(ctx, cluster.Topology{Name: "by-hand", Etcd: cluster.EtcdOnly, EtcdMembers: 3})
	sick, err := c.Machine("etcd-2")
	Expect(err).NotTo(HaveOccurred())
	freezer, err := cluster.As[cluster.Freezer](sick)
	Expect(err).NotTo(HaveOccurred())
	Expect(freezer.Freeze(ctx, etcd.Program)).To(Succeed())

	By("killing it in its middle") // whom a frozen member keeps waiting at each look, in the step after the diagnosis too
	out := GinkgoT().TempDir()
	run := remedyOf(ctx, c, "replace-etcd-member", "--out", out)
	err = cluster.Await(ctx, "the diagnosis kept", cluster.Wait{For: time.Minute, Every: 20 * time.Millisecond}, func(context.Context) error {
		_, err := os.Stat(filepath.Join(out, "spec.json"))
		return err
	})
	Expect(err).NotTo(HaveOccurred())
	Eventually(ctx, run.Kill()).WithTimeout(time.Minute).Should(gexec.Exit())

	By("healing by hand, and writing")
	Expect(freezer.Thaw(ctx, etcd.Program)).To(Succeed())
	access, members, err := etcd.Watch(ctx, c)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(members.Close)
	err = cluster.Await(ctx, "the members agree", cluster.Wait{For: time.Minute}, func(ctx context.Context) error {
		return errors.Join(etcd.Agree(members.Members(ctx, time.Second)))
	})
	Expect(err).NotTo(HaveOccurred())
	before := members.Membership(ctx, time.Second)
	client, err := access.Client(ctx, "etcd-2")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(client.Close)
	_, err = client.Put(ctx, "written", "by hand")
	Expect(err).NotTo(HaveOccurred())

	By("running it again")
	Expect(endsWith(ctx, 2, c, "replace-etcd-member", "--out", out)).To(And(ContainSubstring("the member on etcd-2 has become well since"), ContainSubstring("What to do: diagnose again: --anew")))
	Expect(members.Membership(ctx, time.Second).Members).To(Equal(before.Members), "the same members")
	got, err := client.Get(ctx, "written", clientv3.WithSerializable()) // of this member itself
	Expect(err).NotTo(HaveOccurred())
	Expect(got.Kvs).To(HaveLen(1))

	By("doing what it says")
	Expect(endsWith(ctx, 0, c, "replace-etcd-member", "--out", out, "--anew")).To(ContainSubstring("nothing to do"))
}, NodeTimeout(5*time.Minute))
