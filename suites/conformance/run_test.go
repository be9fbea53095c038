package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/suites/bootstrap"
)

// drydock starts the program on the suite's directories and its provider.
func drydock(ctx context.Context, args ...string) *gexec.Session {
	GinkgoHelper()
	s, err := gexec.Start(suite.Host.Drydock(bootstrap.Provider())(ctx, args...), GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	return s
}

// ends waits for a session's exit code.
func ends(ctx context.Context, s *gexec.Session, code int) {
	GinkgoHelper()
	Eventually(ctx, s).WithTimeout(2 * time.Minute).Should(gexec.Exit(code))
}

// scenario writes one on etcd alone, with what must hold at the end.
func scenario(name string, members int, observe time.Duration, finally string) string {
	GinkgoHelper()
	file := filepath.Join(GinkgoT().TempDir(), name+".yaml")
	Expect(os.WriteFile(file, fmt.Appendf(nil, `apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: %s}
spec:
  cluster: {etcd: only, etcdMembers: %d}
  steps:
    - observe: %s
    - fault: {etcdMemberCrash: {target: etcd-1, for: 2s}}
  always: [etcdQuorum]
  finally: [%s]
`, name, members, observe, finally), 0o600)).To(Succeed())
	return file
}

var _ = Describe("a cluster", Ordered, Label("tier: quick", "needs: etcd"), func() {
	const name = "lasting"
	var p cluster.Provider

	BeforeAll(func(ctx context.Context) {
		var err error
		p, err = suite.Host.Open(bootstrap.Provider())
		Expect(err).NotTo(HaveOccurred())
		t, _, err := release.CompleteTopology(cluster.Topology{Name: name, Etcd: cluster.EtcdOnly, EtcdMembers: 3})
		Expect(err).NotTo(HaveOccurred())
		if _, err := p.Offer(ctx, t); err != nil {
			Skip(err.Error())
		}
		ends(ctx, drydock(ctx, "up", "--etcd", "only", "--etcd-members", "3", "--name", name), 0)
		DeferCleanup(func(ctx context.Context) error { return p.Down(ctx, name) }, NodeTimeout(time.Minute))
	}, NodeTimeout(10*time.Minute))

	// written counts the keys that runs leave in its etcd.
	written := func(ctx context.Context) (int64, error) {
		c, err := p.Attach(ctx, name)
		if err != nil {
			return 0, err
		}
		access, err := etcd.Open(ctx, c)
		if err != nil {
			return 0, err
		}
		client, err := access.Client(ctx)
		if err != nil {
			return 0, err
		}
		defer func() { _ = client.Close() }()
		resp, err := client.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			return 0, err
		}
		return resp.Count, nil
	}

	It("that is up is run on, and is as it was", func(ctx context.Context) {
		out := GinkgoT().TempDir()
		for range 2 {
			ends(ctx, drydock(ctx, "run", scenario("again", 3, time.Second, "etcdHealthy"), "--on", name, "--out", out), 0)
		}
		Expect(p.List(ctx)).To(ContainElement(name))
		Expect(written(ctx)).To(BeZero())
	}, NodeTimeout(5*time.Minute))

	It("that is not what the scenario asks for is not touched", func(ctx context.Context) {
		s := drydock(ctx, "run", scenario("five", 5, time.Second, "etcdHealthy"), "--on", name)
		ends(ctx, s, 2)
		Expect(s.Err).To(gbytes.Say("5 etcd members asked for, 3 there"))
		s = drydock(ctx, "run", "upgrade-clean", "--on", name)
		ends(ctx, s, 2)
		Expect(s.Err).To(gbytes.Say("control planes asked for, 0 there"))
		ends(ctx, drydock(ctx, "run", "etcd-quorum-table", "--on", name), 2) // a matrix
		ends(ctx, drydock(ctx, "run", "upgrade-clean", "--on", "no-such-cluster"), 2)
		Expect(written(ctx)).To(BeZero())
	}, NodeTimeout(5*time.Minute))

	It("that is run on belongs to that run", func(ctx context.Context) {
		first := drydock(ctx, "run", scenario("first", 3, 8*time.Second, "etcdHealthy"), "--on", name)
		Eventually(ctx, first.Err).WithTimeout(time.Minute).Should(gbytes.Say("2 start probes"))
		second := drydock(ctx, "run", scenario("second", 3, time.Second, "etcdHealthy"), "--on", name)
		ends(ctx, second, 2)
		Expect(string(second.Err.Contents())).To(ContainSubstring("belongs to process"))
		down := drydock(ctx, "down", name)
		ends(ctx, down, 2)
		ends(ctx, first, 0)
	}, NodeTimeout(5*time.Minute))

	It("that is not whole is not run on", func(ctx context.Context) {
		c, err := p.Attach(ctx, name)
		Expect(err).NotTo(HaveOccurred())
		m, err := c.Machine("etcd-2")
		Expect(err).NotTo(HaveOccurred())
		_, err = exec(ctx, m, "systemctl", "stop", "etcd")
		Expect(err).NotTo(HaveOccurred())
		s := drydock(ctx, "run", scenario("broken", 3, time.Second, "etcdHealthy"), "--on", name)
		ends(ctx, s, 2)
		Expect(s.Err).To(gbytes.Say("etcd-2"))
		_, err = exec(ctx, m, "systemctl", "start", "etcd")
		Expect(err).NotTo(HaveOccurred())
	}, NodeTimeout(5*time.Minute))

	It("of a run that failed is kept where that was asked for", func(ctx context.Context) {
		file := scenario("failing", 3, time.Second, "etcdHealthy: {members: 2}")
		ends(ctx, drydock(ctx, "run", file), 1)
		Expect(p.List(ctx)).To(ConsistOf(name), "it is not kept otherwise")
		s := drydock(ctx, "run", file, "--keep-on-failure")
		ends(ctx, s, 1)
		all, err := p.List(ctx)
		Expect(err).NotTo(HaveOccurred())
		kept := ""
		for _, n := range all {
			if strings.HasPrefix(n, "failing-") {
				kept = n
			}
		}
		Expect(kept).NotTo(BeEmpty(), "of %v", all)
		Expect(string(s.Err.Contents())).To(And(ContainSubstring("drydock shell etcd-1 --name "+kept), ContainSubstring("drydock down "+kept)))
		ends(ctx, drydock(ctx, "run", scenario("after", 3, time.Second, "etcdHealthy"), "--on", kept), 0)
		ends(ctx, drydock(ctx, "down", kept), 0)
		ends(ctx, drydock(ctx, "run", scenario("fine", 3, time.Second, "etcdHealthy"), "--keep-on-failure"), 0)
		Expect(p.List(ctx)).To(ConsistOf(name), "what is GO is not kept")
	}, NodeTimeout(10*time.Minute))
})
