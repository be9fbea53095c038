package trust

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/release"
)

// start runs drydock as a process of its own.
func start(ctx context.Context, args ...string) *gexec.Session {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, suite.Host.Program, append(args, "--state-dir", suite.Host.StateDir, "--cache-dir", suite.Host.CacheDir, "--quiet")...)
	session, err := gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	return session
}

// crash is a scenario that keeps one of three members down.
func crash(hold time.Duration) string {
	GinkgoHelper()
	file := filepath.Join(GinkgoT().TempDir(), "crash.yaml")
	Expect(os.WriteFile(file, fmt.Appendf(nil, `
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: ownership}
spec:
  cluster: {etcd: only, etcdMembers: 3}
  steps:
    - observe: 1s
    - fault: {etcdMemberCrash: {target: follower, for: %s}}
    - observe: 1s
  always: [etcdQuorum]
  finally: [etcdHealthy]
`, hold), 0o600)).To(Succeed())
	return file
}

// broken waits until the run's fault has been seen.
func broken(ctx context.Context, out string) {
	GinkgoHelper()
	Eventually(ctx, func() ([]plan.Entry, error) { e, _, err := plan.ReadJournal(out); return e, err }).WithTimeout(time.Minute).
		Should(ContainElement(And(HaveField("Kind", "receipt"), HaveField("Data", ContainSubstring(`"state":"effective"`)))))
}

// leaveFault makes the journal of a run that was killed while it had members down of a cluster that another run has now.
func leaveFault(dir, cluster string) {
	GinkgoHelper()
	j, err := plan.CreateJournal(dir, nil)
	Expect(err).NotTo(HaveOccurred())
	machines := []string{"etcd-1", "etcd-2", "etcd-3"}
	armed := fault.Journalled{Spec: fault.Spec{Kind: "etcdMemberCrash", Machines: machines}, State: fault.Armed, Receipt: plan.Receipt{ID: "3", Machines: machines, Armed: time.Now()}}
	Expect(errors.Join(j.Write("run", experiment.Opening{Scenario: "earlier", Provider: "lab", Cluster: cluster}), j.Write("receipt", armed), j.Close())).To(Succeed())
}

// outstanding are the faults that a run has left and nobody has undone.
func outstanding(dir string) ([]*fault.Guard, error) {
	entries, _, err := plan.ReadJournal(dir)
	if err != nil {
		return nil, err
	}
	return fault.Outstanding(entries)
}

var _ = Describe("what belongs to a process", Label("tier: quick", "needs: etcd"), func() {
	It("is one up's of two that want the same name", func(ctx context.Context) {
		both := []*gexec.Session{}
		for range 2 {
			both = append(both, start(ctx, "up", "--etcd", "only", "--etcd-members", "1", "--name", "twice"))
		}
		codes := map[int]*gexec.Session{}
		for _, s := range both {
			Eventually(ctx, s).WithTimeout(time.Minute).Should(gexec.Exit())
			codes[s.ExitCode()] = s
		}
		Expect(codes).To(And(HaveLen(2), HaveKey(0), HaveKey(2)))
		Expect(string(codes[2].Err.Contents())).To(Or(ContainSubstring("belongs to process"), ContainSubstring("is running already")))
		Eventually(ctx, start(ctx, "status", "twice").Wait(10*time.Second).Out).Should(gbytes.Say("leader"))
		Eventually(ctx, start(ctx, "down", "twice")).WithTimeout(time.Minute).Should(gexec.Exit(0))
	}, NodeTimeout(3*time.Minute))

	It("is a run's while it lives: its faults, its lab and its directory", func(ctx context.Context) {
		out, dead := filepath.Join(suite.Host.StateDir, "runs", "living"), filepath.Join(suite.Host.StateDir, "labs", "dead")
		Expect(os.MkdirAll(dead, 0o755)).To(Succeed())
		run := start(ctx, "run", crash(10*time.Second), "--out", out)
		broken(ctx, out)
		name := lab.List(suite.Host.StateDir)[0]
		earlier := filepath.Join(suite.Host.StateDir, "runs", "earlier")
		leaveFault(earlier, name)

		heal := start(ctx, "heal")
		Eventually(ctx, heal).WithTimeout(time.Minute).Should(gexec.Exit(0))
		Expect(string(heal.Out.Contents())).To(And(ContainSubstring(out+": it belongs to process"), ContainSubstring("dead: no process")))
		Expect(dead).NotTo(BeADirectory(), "what nobody owns is healed")
		Expect(string(heal.Out.Contents())).To(ContainSubstring(earlier + ": its cluster is not healed"))
		Expect(outstanding(earlier)).To(HaveLen(1), "what is broken there now is the living run's to mend")
		Expect(start(ctx, "heal", out).Wait(time.Minute)).To(gexec.Exit(2), "it was asked for by name")
		second := start(ctx, "run", crash(time.Second), "--out", out).Wait(time.Minute)
		Expect(second).To(gexec.Exit(2))
		Expect(second.Err).To(gbytes.Say("belongs to process"))
		down := start(ctx, "down", name).Wait(time.Minute)
		Expect(down).To(gexec.Exit(2))
		Expect(down.Err).To(gbytes.Say("belongs to process"))

		Eventually(ctx, run).WithTimeout(time.Minute).Should(gexec.Exit(0), "somebody touched it")
	}, NodeTimeout(3*time.Minute))

	It("is nobody's when the run was killed, and is not lost", func(ctx context.Context) {
		out := filepath.Join(suite.Host.StateDir, "runs", "killed")
		run := start(ctx, "run", crash(time.Minute), "--out", out)
		broken(ctx, out)
		run.Kill().Wait(10 * time.Second)
		killed, err := os.ReadFile(filepath.Join(out, plan.JournalFile))
		Expect(err).NotTo(HaveOccurred())

		refused := start(ctx, "run", crash(time.Second), "--out", out).Wait(time.Minute)
		Expect(refused).To(gexec.Exit(2))
		Expect(refused.Err).To(gbytes.Say("`drydock heal` first"))
		Expect(os.ReadFile(filepath.Join(out, plan.JournalFile))).To(Equal(killed))

		Expect(start(ctx, "heal", out).Wait(time.Minute)).To(gexec.Exit(0))
		Eventually(ctx, start(ctx, "run", crash(time.Second), "--out", out)).WithTimeout(2 * time.Minute).Should(gexec.Exit(0))
		aside, err := filepath.Glob(filepath.Join(out, "20*", plan.JournalFile))
		Expect(err).NotTo(HaveOccurred())
		Expect(aside).To(HaveLen(1))
		Expect(os.ReadFile(aside[0])).To(HavePrefix(string(killed)))
	}, NodeTimeout(5*time.Minute))

	It("is no lab when up was killed before it was done", func(ctx context.Context) {
		up := start(ctx, "up", "--etcd", "only", "--etcd-members", "7", "--name", "unfinished")
		running := func() []string { return lab.List(suite.Host.StateDir) }
		Eventually(ctx, running).WithPolling(5 * time.Millisecond).Should(ContainElement("unfinished"))
		up.Kill().Wait(10 * time.Second)
		Eventually(ctx, running).ShouldNot(ContainElement("unfinished"))
		Expect(start(ctx, "down", "unfinished").Wait(time.Minute)).To(gexec.Exit(0))
	}, NodeTimeout(2*time.Minute))

	It("is no lab when its directory was removed", func(ctx context.Context) {
		Eventually(ctx, start(ctx, "up", "--etcd", "only", "--etcd-members", "1", "--name", "homeless")).WithTimeout(time.Minute).Should(gexec.Exit(0))
		dir, err := lab.Dir(suite.Host.StateDir, "homeless")
		Expect(err).NotTo(HaveOccurred())
		Expect(os.RemoveAll(dir)).To(Succeed())
		Eventually(ctx, func() ([]string, error) { return lab.Residue(dir) }).WithTimeout(10 * time.Second).Should(BeEmpty())
	}, NodeTimeout(2*time.Minute))
})

// moody makes etcd clusters that are saved, and is not always in the mood to find them ready, or to make one.
type moody struct {
	etcd    etcd.Bootstrap
	unready int // looks that fail
	lazy    bool
	made    int
}

func (*moody) Key(cluster.Cluster) string { return "moody" }

func (m *moody) Bootstrap(ctx context.Context, c cluster.Cluster) error {
	if m.lazy {
		return errors.New("not today")
	}
	m.made++
	return m.etcd.Bootstrap(ctx, c)
}

func (m *moody) Ready(ctx context.Context, c cluster.Cluster) error {
	if m.unready > 0 {
		m.unready--
		return errors.New("it is slow today")
	}
	return m.etcd.Ready(ctx, c)
}

var _ = Describe("a saved cluster", Label("tier: quick", "needs: etcd"), func() {
	It("outlives a boot that was too slow", func(ctx context.Context) {
		version, err := release.Resolve(release.Etcd, "")
		Expect(err).NotTo(HaveOccurred())
		t := cluster.Topology{Name: "saved", Etcd: cluster.EtcdOnly, EtcdMembers: 1, EtcdVersion: version.Version}.Complete()
		images := GinkgoT().TempDir()
		up := func(m *moody) error {
			m.etcd.Progress = suite.Host.Progress
			p := suite.Host.Lab()
			p.Images, p.Bootstrap = images, func(cluster.Topology) lab.Bootstrapper { return m }
			_, err := p.Up(ctx, t)
			if err != nil {
				return err
			}
			return p.Down(ctx, t.Name)
		}
		first := &moody{}
		Expect(up(first)).To(Succeed())
		Expect(first.made).To(Equal(1))
		manifests, err := filepath.Glob(filepath.Join(images, "*", "manifest.json"))
		Expect(err).NotTo(HaveOccurred())
		Expect(manifests).To(HaveLen(1))
		saved, err := os.ReadFile(manifests[0])
		Expect(err).NotTo(HaveOccurred())

		slow := &moody{unready: 1, lazy: true}
		Expect(up(slow)).To(MatchError(ContainSubstring("not today")))
		Expect(os.ReadFile(manifests[0])).To(Equal(saved))

		again := &moody{}
		Expect(up(again)).To(Succeed())
		Expect(again.made).To(BeZero(), "it was made anew although there was a good one")
		left, err := filepath.Glob(filepath.Join(images, ".*-*"))
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(BeEmpty())
	}, NodeTimeout(3*time.Minute))
})
