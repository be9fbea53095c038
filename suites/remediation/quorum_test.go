package remediation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/remedy"
)

// raised is a lab that stands until it is taken down or its spec ends.
func raised(ctx context.Context, t cluster.Topology) (cluster.Cluster, *etcd.Access) {
	GinkgoHelper()
	c := suite.Up(ctx, t)
	access, err := etcd.Open(context.WithoutCancel(ctx), c)
	Expect(err).NotTo(HaveOccurred())
	return c, access
}

// remedyOf begins a runbook's process.
func remedyOf(ctx context.Context, c cluster.Cluster, runbook string, args ...string) *gexec.Session {
	GinkgoHelper()
	args = append([]string{"remedy", runbook, "--name", c.Topology().Name, "--of-run", "--quiet", "--state-dir", suite.Host.StateDir, "--cache-dir", suite.Host.CacheDir}, args...)
	run, err := gexec.Start(exec.CommandContext(ctx, suite.Host.Program, args...), GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	return run
}

// endsWith runs a runbook to its end and gives what it says.
func endsWith(ctx context.Context, code int, c cluster.Cluster, runbook string, args ...string) string {
	GinkgoHelper()
	run := remedyOf(ctx, c, runbook, args...)
	Eventually(ctx, run).WithTimeout(4 * time.Minute).Should(gexec.Exit(code))
	return string(run.Out.Contents()) + string(run.Err.Contents())
}

// killed is gexec's exit code of what SIGKILL has ended.
const killed = 128 + 9

// killedAfterEach runs a runbook and kills it after each of its steps in turn, until it ends by itself; so many times at least, as it may be quicker.
func killedAfterEach(ctx context.Context, atLeast int, c cluster.Cluster, runbook string, args ...string) {
	GinkgoHelper()
	journal := filepath.Join(c.Dir(), "remedy", runbook)
	ended := func() map[string]bool { // an action may be done again after an interrupt: it is killed after the first time
		steps := map[string]bool{}
		entries, _, err := plan.ReadJournal(journal)
		if err != nil {
			return nil // there is none yet
		}
		for _, e := range entries {
			var d plan.StepDone
			if e.Kind == "step" && json.Unmarshal(e.Data, &d) == nil && d.Status == "done" {
				steps[d.Name] = true
			}
		}
		return steps
	}
	for kills := 0; ; kills++ {
		before := len(ended())
		run := remedyOf(ctx, c, runbook, args...)
		Eventually(ctx, func() error {
			if run.ExitCode() < 0 && len(ended()) == before {
				return errors.New("it runs, and no other step has ended")
			}
			return nil
		}).WithTimeout(4 * time.Minute).WithPolling(time.Millisecond).Should(Succeed())
		Eventually(ctx, run.Kill()).Should(gexec.Exit())
		if code := run.ExitCode(); code != killed || !plan.Unfinished(journal, remedy.Ended) { // it was quicker
			Expect(code).To(BeElementOf(0, killed))
			Expect(kills).To(BeNumerically(">=", atLeast), "it was killed after its steps")
			return
		}
	}
}

// put writes keys through the members on the machines, and gives the last revision that was acknowledged.
func put(ctx context.Context, access *etcd.Access, from, to int, machines ...string) (revision int64) {
	GinkgoHelper()
	client, err := access.Client(ctx, machines...)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = client.Close() }()
	for i := from; i < to; i++ {
		Eventually(ctx, func() error { // one that is not acknowledged is tried again: somebody else may have to be elected first
			got, err := client.Put(ctx, fmt.Sprintf("key-%03d", i), strings.Repeat("v", 100))
			if err == nil {
				revision = got.Header.Revision
			}
			return err
		}).WithTimeout(20 * time.Second).Should(Succeed())
	}
	return revision
}

func keys(ctx context.Context, access *etcd.Access) int64 {
	GinkgoHelper()
	client, err := access.Client(ctx)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = client.Close() }()
	got, err := client.Get(ctx, "key-", clientv3.WithPrefix(), clientv3.WithCountOnly())
	Expect(err).NotTo(HaveOccurred())
	return got.Count
}

// lose ends the members on machines at once, all of them at the same time, and takes the data of those that are lost.
func lose(ctx context.Context, c cluster.Cluster, lost []string, killed ...string) {
	GinkgoHelper()
	done := make(chan error)
	all := append(append([]string{}, lost...), killed...)
	for _, name := range all {
		m, err := c.Machine(name)
		Expect(err).NotTo(HaveOccurred())
		k, err := cluster.As[cluster.Killer](m)
		Expect(err).NotTo(HaveOccurred())
		go func() {
			_, err := k.Hold(ctx, etcd.Program)
			if err == nil {
				_, err = k.Kill(ctx, etcd.Program)
			}
			done <- err
		}()
	}
	for range all {
		Expect(<-done).To(Succeed())
	}
	for _, name := range lost {
		m, err := c.Machine(name)
		Expect(err).NotTo(HaveOccurred())
		Expect(etcd.Wipe(ctx, m)).To(Succeed())
	}
}

// again starts a member that was killed.
func again(ctx context.Context, c cluster.Cluster, name string) {
	GinkgoHelper()
	m, err := c.Machine(name)
	Expect(err).NotTo(HaveOccurred())
	k, err := cluster.As[cluster.Killer](m)
	Expect(err).NotTo(HaveOccurred())
	Expect(k.Release(ctx, etcd.Program)).To(Succeed())
	Expect(etcd.Start(ctx, m)).To(Succeed())
}

// disks is every file that a runbook could leave or change, data of members included, and what the host keeps.
func disks(ctx context.Context, c cluster.Cluster) string {
	GinkgoHelper()
	var b strings.Builder
	for _, m := range c.Machines() {
		out, err := cluster.Shell(ctx, m, "systemctl is-active etcd || true; find /etc /root /tmp /var/lib -xdev -printf '%p %s %T@\\n' | sort")
		Expect(err).NotTo(HaveOccurred())
		fmt.Fprintf(&b, "%s\n%s\n", m.Name(), out)
	}
	kept, err := os.ReadDir(c.Dir())
	Expect(err).NotTo(HaveOccurred())
	fmt.Fprintf(&b, "%v\n", kept)
	return b.String()
}

// bereaved is an etcd of three whose second member has all that was acknowledged on its disk, since the third was away, and is killed with the first one
// right after the last write of so many. The data of the others is gone.
func bereaved(ctx context.Context, c cluster.Cluster, access *etcd.Access, from, to int) {
	GinkgoHelper()
	lose(ctx, c, []string{"etcd-3"})
	acknowledged := put(ctx, access, from, to, "etcd-1", "etcd-2")
	lose(ctx, c, []string{"etcd-1"}, "etcd-2")
	left, err := access.Remains(ctx, "etcd-2")
	Expect(err).NotTo(HaveOccurred())
	Expect(left.Log.Commit).To(BeNumerically("<", left.Log.Last), "its log was not told of the last one")
	Expect(left.Revision).To(BeNumerically("<=", acknowledged))
	GinkgoWriter.Printf("acknowledged: revision %d; on disk: %s, commit %d, database at %d\n", acknowledged, left.Log, left.Log.Commit, left.Revision)
}

var _ = Describe("restore-quorum", Label("needs: etcd"), func() {
	It("loses no acknowledged write of a survivor that was killed with the others, and is killed itself after each step", Label("tier: full"), func(ctx context.Context) {
		c, access := raised(ctx, cluster.Topology{Name: "killed", Etcd: cluster.EtcdOnly, EtcdMembers: 3})
		put(ctx, access, 0, 50)
		bereaved(ctx, c, access, 50, 120)
		before := disks(ctx, c)
		Expect(endsWith(ctx, 0, c, "restore-quorum", "--dry-run")).To(ContainSubstring("the best of what is left is on etcd-2: its log goes to entry"))
		Expect(disks(ctx, c)).To(Equal(before))
		killedAfterEach(ctx, 5, c, "restore-quorum")
		Expect(keys(ctx, access)).To(Equal(int64(120)))
		Expect(put(ctx, access, 120, 121)).To(BeNumerically(">", 1_000_000_000), "nobody takes the past for the present")
		Expect(endsWith(ctx, 0, c, "restore-quorum")).To(ContainSubstring("nothing to do: a quorum confirms the list of members"))
		survivor, err := c.Machine("etcd-2")
		Expect(err).NotTo(HaveOccurred())
		kept, err := cluster.Shell(ctx, survivor, "ls -d "+etcd.ReplacedDir+"-*/member/wal; test ! -e /var/lib/drydock-salvage && echo clean")
		Expect(err).NotTo(HaveOccurred())
		Expect(kept).To(MatchRegexp("(?s)^[^\n]*/member/wal\nclean"), "the data of before is kept once, and nothing else")
	}, NodeTimeout(4*time.Minute))

	It("begins from a survivor that was started again and serves nobody, and from a snapshot only where nothing better is left", Label("tier: full"), func(ctx context.Context) {
		c, access := raised(ctx, cluster.Topology{Name: "given", Etcd: cluster.EtcdOnly, EtcdMembers: 3})
		put(ctx, access, 0, 50)
		saved := filepath.Join(GinkgoT().TempDir(), "saved.db")
		Expect(access.SnapshotOf(ctx, "etcd-1", saved)).To(Succeed())
		bereaved(ctx, c, access, 50, 120)
		again(ctx, c, "etcd-2")
		Eventually(ctx, func() (float64, error) { return access.Metric(ctx, "etcd-2", "etcd_server_has_leader") }).WithTimeout(20 * time.Second).Should(BeZero())
		Expect(endsWith(ctx, 2, c, "restore-quorum", "--snapshot", saved)).To(MatchRegexp(`the log of etcd-2 goes to entry \d+, the snapshot .*saved.db to entry \d+: \d+ entries less`))
		Expect(endsWith(ctx, 0, c, "restore-quorum")).To(ContainSubstring("has mended it"))
		Expect(keys(ctx, access)).To(Equal(int64(120)))
		Expect(endsWith(ctx, 2, c, "restore-quorum", "--snapshot", saved)).To(MatchRegexp(`etcd is at revision 1000000\d+, the snapshot at 5\d`))

		lose(ctx, c, []string{"etcd-1", "etcd-2", "etcd-3"})
		Expect(endsWith(ctx, 2, c, "restore-quorum")).To(ContainSubstring("no member has data that can be read"))
		Expect(endsWith(ctx, 0, c, "restore-quorum", "--snapshot", saved)).To(ContainSubstring("has mended it"))
		Expect(keys(ctx, access)).To(Equal(int64(50)))
	}, NodeTimeout(5*time.Minute))
})
