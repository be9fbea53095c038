package quorum

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
)

var _ = Describe("a disk that etcd has of its own", Label("tier: full", "needs: etcd"), func() {
	It("leaves nothing behind: drydock killed in the middle of a full one", func(ctx context.Context) {
		killedInTheMiddle(ctx, "disk-full")
	}, NodeTimeout(5*time.Minute))

	It("keeps what is on it through power cuts, is as full after a boot, and has its room again", func(ctx context.Context) {
		c := suite.Up(ctx, cluster.Topology{Name: "disks", Etcd: cluster.EtcdOnly, EtcdMembers: 1, EtcdDisk: cluster.MinEtcdDisk})
		m := c.Machines()[0]
		power, err := cluster.As[cluster.Power](m)
		Expect(err).NotTo(HaveOccurred())
		disk, err := cluster.As[cluster.Filler](m)
		Expect(err).NotTo(HaveOccurred())
		shell := func(script string) (string, error) {
			out, err := cluster.Shell(ctx, m, "cd "+etcd.DataDir+"; "+script)
			return strings.TrimSpace(out), err
		}
		large := "head -c 1000000 /dev/zero > large"
		_, err = shell("systemctl stop etcd; echo kept > kept; " + large)
		Expect(err).NotTo(HaveOccurred())

		Expect(disk.FillDisk(ctx, etcd.DataDir)).To(Succeed())
		Expect(disk.FillDisk(ctx, etcd.DataDir)).To(Succeed(), "twice")
		Expect(shell("stat -f -c %a .")).To(Equal("0"))
		_, err = shell("cat large > larger")
		Expect(err).To(MatchError(ContainSubstring("No space left on device")))
		_, err = shell("cat large > /root/elsewhere")
		Expect(err).NotTo(HaveOccurred(), "the machine's own disk is not full")
		Expect(power.Off(ctx)).To(Succeed())
		Expect(power.On(ctx)).To(Succeed())
		Expect(shell("cat kept")).To(Equal("kept"))
		_, err = shell("cat large > larger")
		Expect(err).To(MatchError(ContainSubstring("No space left on device")), "a boot makes no room")

		Expect(power.Off(ctx)).To(Succeed())
		Expect(disk.FreeDisk(ctx, etcd.DataDir)).To(Succeed(), "of a machine that is off")
		Expect(disk.FreeDisk(ctx, etcd.DataDir)).To(Succeed(), "twice")
		Expect(power.On(ctx)).To(Succeed())
		Expect(shell("cat large > larger; cat kept")).To(Equal("kept"))
		Expect(disk.FillDisk(ctx, "/root")).NotTo(Succeed(), "which is the machine's own")
		_, err = cluster.As[cluster.Forgetter](m)
		Expect(err).To(MatchError(cluster.ErrUnsupported), "what is written to memory is not followed")
	}, NodeTimeout(5*time.Minute))
})
