package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/suites/bootstrap"
)

// broken writes a scenario that breaks what there is of etcd on one control plane.
func broken(name, kind string) string {
	GinkgoHelper()
	file := filepath.Join(GinkgoT().TempDir(), name+".yaml")
	Expect(os.WriteFile(file, fmt.Appendf(nil, `apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: %s}
spec:
  cluster: {controlPlanes: 1, workers: 1, version: v1.35}
  steps:
    - fault: {%s: {target: majority, for: 2m}}
      expect: quorumLost
  finally: [etcdHealthy]
`, name, kind), 0o600)).To(Succeed())
	return file
}

// harmed reports whether the run has a fault in.
func harmed(dir string) error {
	entries, _, err := plan.ReadJournal(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Kind == "receipt" && strings.Contains(string(e.Data), fmt.Sprintf(`"state":%q`, fault.Effective)) {
			return nil
		}
	}
	return fmt.Errorf("none of the %d entries of %s tells of a fault that is effective", len(entries), dir)
}

// What a killed drydock leaves is removed by whoever is asked to, whatever it was doing. Each moment is its seed's.
var _ = Describe("a drydock that is killed", Ordered, ContinueOnFailure, Label("tier: nightly", "needs: kubernetes"), func() {
	const kept = "kept"
	var p cluster.Provider
	var bare traces            // of the host before anything was made
	upTakes := 2 * time.Minute // undisturbed

	// killed starts drydock and kills it at some moment of the time, which begins when ready says so.
	killed := func(ctx context.Context, seed uint64, within time.Duration, ready func() error, args ...string) {
		GinkgoHelper()
		at := time.Duration(rand.New(rand.NewPCG(seed, 0)).Int64N(int64(within)))
		s := drydock(ctx, args...)
		Eventually(ctx, func() error {
			if s.ExitCode() >= 0 {
				return StopTrying(fmt.Sprintf("it ended with exit code %d", s.ExitCode()))
			}
			return ready()
		}).WithTimeout(5 * time.Minute).WithPolling(20 * time.Millisecond).Should(Succeed())
		select {
		case <-time.After(at):
		case <-s.Exited:
		}
		GinkgoWriter.Printf("killed %s after it was so far\n", at.Round(10*time.Millisecond))
		Eventually(ctx, s.Kill()).WithTimeout(soon).Should(gexec.Exit())
		Expect(s.ExitCode()).NotTo(BeZero(), "it was killed in time")
	}
	now := func() error { return nil }

	// nothingOf is what must be after what was killed was cleared away.
	nothingOf := func(ctx context.Context, since traces) {
		GinkgoHelper()
		Eventually(ctx, func() []string { return traced(ctx, suite.Host.StateDir, kept).beside(since) }).WithTimeout(soon).Should(BeEmpty())
	}

	BeforeAll(func(ctx context.Context) {
		var err error
		p, err = suite.Host.Open(bootstrap.Provider())
		Expect(err).NotTo(HaveOccurred())
		t, _, err := release.CompleteTopology(cluster.Topology{Name: kept, ControlPlanes: 1, Workers: 1, Version: "v1.35"})
		Expect(err).NotTo(HaveOccurred())
		if _, err := p.Offer(ctx, t); err != nil {
			Skip(err.Error())
		}
		Expect(p.Provide(ctx, release.Kubernetes, "v1.36")).To(Succeed())
		DeferCleanup(func(ctx context.Context) error { return p.Down(ctx, kept) }, NodeTimeout(5*time.Minute))
		bare = traced(ctx, suite.Host.StateDir, kept)
	}, NodeTimeout(30*time.Minute))

	It("or not: a cluster is made, and taken down without a trace", func(ctx context.Context) {
		begun := time.Now()
		ends(ctx, drydock(ctx, "up", "--control-planes", "1", "--workers", "1", "--name", kept), 0)
		upTakes = time.Since(begun)
		ends(ctx, drydock(ctx, "down", kept), 0)
		nothingOf(ctx, bare)
	}, NodeTimeout(20*time.Minute))

	DescribeTable("while it makes a cluster leaves nothing",
		func(ctx context.Context, seed uint64) {
			name := fmt.Sprintf("killed-%d", seed)
			killed(ctx, seed, upTakes, now, "up", "--control-planes", "1", "--workers", "1", "--name", name)
			if seed%2 == 0 {
				ends(ctx, drydock(ctx, "down", name), 0)
			} else {
				ends(ctx, drydock(ctx, "heal"), 0)
			}
			nothingOf(ctx, bare)
		},
		Entry("seed 1", uint64(1), NodeTimeout(10*time.Minute)), Entry("seed 2", uint64(2), NodeTimeout(10*time.Minute)), Entry("seed 3", uint64(3), NodeTimeout(10*time.Minute)),
	)

	DescribeTable("while a fault is in a cluster of its own leaves nothing",
		func(ctx context.Context, seed uint64, kind string) {
			dir := filepath.Join(suite.Host.StateDir, "runs", fmt.Sprintf("own-%d", seed))
			killed(ctx, seed, 5*time.Second, func() error { return harmed(dir) }, "run", broken("own", kind), "--out", dir)
			ends(ctx, drydock(ctx, "heal"), 0)
			entries, _, err := plan.ReadJournal(dir)
			Expect(err).NotTo(HaveOccurred())
			Expect(fault.Settled(entries)).To(Succeed())
			nothingOf(ctx, bare)
		},
		Entry("seed 4", uint64(4), "machinePowerOff", NodeTimeout(10*time.Minute)), Entry("seed 5", uint64(5), "etcdMemberFreeze", NodeTimeout(10*time.Minute)),
	)

	Context("on a cluster that stays", Ordered, func() {
		var before traces

		BeforeAll(func(ctx context.Context) {
			ends(ctx, drydock(ctx, "up", "--control-planes", "1", "--workers", "1", "--version", "v1.35", "--name", kept), 0)
			before = traced(ctx, suite.Host.StateDir, kept)
		}, NodeTimeout(10*time.Minute))

		DescribeTable("while a fault is in leaves it whole",
			func(ctx context.Context, seed uint64, kind string) {
				dir := filepath.Join(suite.Host.StateDir, "runs", fmt.Sprintf("on-%d", seed))
				killed(ctx, seed, 5*time.Second, func() error { return harmed(dir) }, "run", broken("on", kind), "--on", kept, "--out", dir)
				s := drydock(ctx, "heal")
				Eventually(ctx, s).WithTimeout(5 * time.Minute).Should(gexec.Exit(0))
				unharmed(ctx, p, kept)
				nothingOf(ctx, before)
				s = drydock(ctx, "run", quiet(), "--on", kept)
				Eventually(ctx, s).WithTimeout(5 * time.Minute).Should(gexec.Exit())
				Expect(s.ExitCode()).To(BeElementOf(0, 3), "of a cluster that is whole, on a host that may be busy")
			},
			Entry("seed 6", uint64(6), "machineIsolate", NodeTimeout(15*time.Minute)), Entry("seed 7", uint64(7), "etcdMemberFreeze", NodeTimeout(15*time.Minute)),
			Entry("seed 8", uint64(8), "etcdMemberCrash", NodeTimeout(15*time.Minute)),
		)

		DescribeTable("while it upgrades leaves what goes down without a trace, or on with the same command",
			func(ctx context.Context, seed uint64) {
				killed(ctx, seed, 20*time.Second+2*upTakes, now, "upgrade", "--to", "v1.36", "--name", kept)
				ends(ctx, drydock(ctx, "heal"), 0)
				nothingOf(ctx, before)
			},
			Entry("seed 9", uint64(9), NodeTimeout(10*time.Minute)), Entry("seed 10", uint64(10), NodeTimeout(10*time.Minute)),
		)

		It("and taken down it leaves nothing", func(ctx context.Context) {
			ends(ctx, drydock(ctx, "heal"), 0)
			Expect(p.List(ctx)).To(ContainElement(kept), "heal leaves alone what was made to stay")
			ends(ctx, drydock(ctx, "down", kept), 0)
			nothingOf(ctx, bare)
		}, NodeTimeout(10*time.Minute))
	})
})

// quiet writes a scenario that looks, and breaks nothing.
func quiet() string {
	GinkgoHelper()
	file := filepath.Join(GinkgoT().TempDir(), "quiet.yaml")
	Expect(os.WriteFile(file, []byte(`apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: quiet}
spec:
  cluster: {controlPlanes: 1, workers: 1, version: v1.35}
  steps: [{observe: 3s}]
  finally: [etcdHealthy, nodesReady]
`), 0o600)).To(Succeed())
	return file
}
