package staging

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/cluster"
)

// kills is how many runs are killed, at moments that Ginkgo's seed chooses, before, in and after a fault.
const kills = 10

var _ = Describe("a run on machines that somebody else has, killed at any moment,", Label("tier: nightly", "needs: etcd"), Ordered, ContinueOnFailure, func() {
	var (
		s   *strangers
		rng *rand.Rand
	)

	BeforeAll(func(ctx SpecContext) {
		s = strange(ctx, cluster.Topology{Name: "killed", Etcd: cluster.EtcdOnly, EtcdMembers: 3})
		rng = rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 1)) //nolint:gosec // a seeded choice
	}, NodeTimeout(2*time.Minute))

	for i := range kills {
		It(fmt.Sprintf("leaves nothing (%d)", i+1), func(ctx SpecContext) {
			faults := []string{"etcdMemberCrash", "etcdMemberFreeze", "machineIsolate"}
			fault, after, healed := faults[i%len(faults)], time.Duration(1000+rng.IntN(11000))*time.Millisecond, i%2 == 0
			By(fmt.Sprintf("killed %s after its start, with %s; healed: %t", after, fault, healed))
			at, out := s.inventory(ctx, false, "faults: ["+strings.Join(faults, ", ")+"]", "deadMan: 10s"), filepath.Join(GinkgoT().TempDir(), "run")
			run := drydock(ctx, at, "run", scenario("killed", fault+": {target: any, for: 5s}"), typed, "killed", "--out", out)
			select {
			case <-time.After(after):
			case <-run.Exited: // a moment after its end is one as well
			}
			run.Kill()
			Eventually(run).WithTimeout(10 * time.Second).Should(gexec.Exit())
			if healed {
				heal := drydock(ctx, at, "heal", out)
				Eventually(heal).WithTimeout(time.Minute).Should(gexec.Exit())
				if heal.ExitCode() != 0 { // it was killed before it had a journal
					Expect(filepath.Join(out, "journal.jsonl")).NotTo(BeAnExistingFile())
				}
				Eventually(ctx, s.left).WithTimeout(5*time.Second).Should(BeEmpty(), "a timer that was disarmed sees so within a second")
				Expect(s.keys(ctx)).To(BeZero())
			} else {
				Eventually(ctx, s.broken).WithTimeout(30*time.Second).Should(BeEmpty(), "10s and what a timer needs to wake up")
				again := drydock(ctx, at, "run", scenario("again", crash), typed, "killed") // the lock of a dead process keeps nobody out
				Eventually(again).WithTimeout(time.Minute).Should(gexec.Exit(0))
				Eventually(ctx, s.left).WithTimeout(5 * time.Second).Should(BeEmpty())
			}
			look := drydock(ctx, at, "observe", "--for", "2s")
			Eventually(look).WithTimeout(time.Minute).Should(gexec.Exit(0))
		}, SpecTimeout(4*time.Minute))
	}
})
