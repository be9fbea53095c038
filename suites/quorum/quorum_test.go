// Package quorum runs the scenarios about etcd's quorum and the control plane, and proves that every fault bites.
package quorum

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"
	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/suites/bootstrap"
)

var suite bootstrap.Suite

func TestQuorum(t *testing.T) { bootstrap.Run(t, "Quorum", &suite) }

var _ = DescribeTable("a scenario ends GO",
	func(ctx context.Context, name string) { suite.EndsGo(ctx, name, experiment.Options{}) },
	Entry(nil, "etcd-quorum-table", Label("tier: quick", "needs: etcd"), NodeTimeout(10*time.Minute)),
	Entry(nil, "control-plane-power-loss", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "partition-leader", Label("tier: full", "needs: etcd"), NodeTimeout(10*time.Minute)),
	Entry(nil, "etcd-watches", Label("tier: full", "needs: etcd"), NodeTimeout(10*time.Minute)),
	Entry(nil, "partition-minority", Label("tier: full", "needs: etcd"), NodeTimeout(10*time.Minute)),
	Entry(nil, "partition-ring", Label("tier: full", "needs: etcd"), NodeTimeout(10*time.Minute)),
	Entry(nil, "partition-one-way", Label("tier: full", "needs: etcd"), NodeTimeout(10*time.Minute)),
	Entry(nil, "slow-disk", Label("tier: full", "needs: etcd"), NodeTimeout(10*time.Minute)),
	Entry(nil, "disk-full", Label("tier: full", "needs: etcd"), NodeTimeout(10*time.Minute)),
	Entry(nil, "etcd-disk-full", Label("tier: full", "needs: etcd"), NodeTimeout(10*time.Minute)),
	Entry(nil, "slow-follower", Label("tier: full", "needs: etcd"), NodeTimeout(10*time.Minute)),
	Entry(nil, "slow-leader", Label("tier: full", "needs: etcd"), NodeTimeout(10*time.Minute)),
	Entry(nil, "etcd-leader-crash", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "etcd-leader-freeze", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "etcd-member-data-loss", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "etcd-quorum-loss", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
)

// small is one fault on three members.
func small(kind string, hold time.Duration) *experiment.Scenario {
	GinkgoHelper()
	sc, err := experiment.Parse("bite.yaml", fmt.Appendf(nil, `
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: bite}
spec:
  cluster: {etcd: only, etcdMembers: 3}
  steps:
    - observe: 2s
    - fault: {%s: {target: follower, for: %s}}
      during: [{etcdWritesContinue: {maxGap: 10s}}]
  always: [etcdQuorum]
  finally: [etcdHealthy, hashesEqual]
`, kind, hold))
	Expect(err).NotTo(HaveOccurred())
	return sc
}

// lacks is what the kernel of this host does not let a lab's machines do.
func lacks(ctx context.Context) cluster.Lacks {
	GinkgoHelper()
	t, _, err := release.CompleteTopology(cluster.Topology{Name: "asked", Etcd: cluster.EtcdOnly, EtcdMembers: 1})
	Expect(err).NotTo(HaveOccurred())
	offer, err := suite.Host.Lab().Offer(ctx, t)
	Expect(err).NotTo(HaveOccurred())
	return offer.Lacks
}

// here are the faults that a cluster of etcd alone can have, with nothing said but a target and a duration. Latent ones show only in an upgrade:
// suites/upgrade has their bites and their null tests.
func here() []fault.Kind {
	members := cluster.Topology{Name: "asked", Etcd: cluster.EtcdOnly, EtcdMembers: 3}
	return slices.DeleteFunc(fault.List(), func(k fault.Kind) bool {
		return k.Latent || k.Check(fault.Params{}) != nil || k.On != nil && len(k.On(members)) == 0 ||
			k.Fits != nil && k.Fits(fault.Spec{Kind: k.Name, Machines: members.EtcdMachines()}, members) != nil // of a cluster with something special
	})
}

var _ = Describe("every fault", Label("needs: etcd"), func() {
	// The others have scenarios of their own, or take longer than a quick tier may: they are in the full one.
	quick := []string{"etcdMemberCrash", "etcdMemberFreeze", "etcdMemberDataLoss", "machinePowerOff", "machineIsolate"}
	bites := func(ctx context.Context, kind fault.Kind) {
		res, err := suite.Run(ctx, small(kind.Name, 2*time.Second), experiment.Options{})
		Expect(err).NotTo(HaveOccurred(), kind.Name)
		Expect(res.Reasons).To(BeEmpty(), kind.Name)
		Expect(res.Receipts).To(HaveExactElements(HaveField("State", plan.Confirmed)), kind.Name)
		Expect(res.Receipts[0].Evidence).NotTo(BeEmpty(), kind.Name)
	}
	isRed := func(ctx context.Context, kind fault.Kind) {
		res, err := suite.Run(ctx, small(kind.Name, 100*time.Millisecond), experiment.Options{NullFaults: true})
		Expect(err).NotTo(HaveOccurred(), kind.Name)
		Expect(res.Verdict).To(Equal(plan.Inconclusive), kind.Name)
		Expect(res.Receipts).To(HaveExactElements(And(HaveField("State", plan.NotInjected), HaveField("Error", ContainSubstring("nothing was injected, as asked for")))), kind.Name)
	}
	// together does it with all kinds of a tier at the same time, each on a cluster of its own: most of it is waiting for an effect.
	together := func(ctx context.Context, tier string, do func(context.Context, fault.Kind)) {
		GinkgoHelper()
		var g errgroup.Group
		lacks, some := lacks(ctx), false
		for _, kind := range here() {
			if slices.Contains(quick, kind.Name) != (tier == "quick") {
				continue
			}
			if why := lacks.Why(kind.Needs...); why != "" {
				GinkgoWriter.Println("without", kind.Name+":", why)
				continue
			}
			some = true
			g.Go(func() error {
				defer GinkgoRecover()
				do(ctx, kind)
				return nil
			})
		}
		Expect(g.Wait()).To(Succeed())
		if !some {
			Skip("this host lets a lab's machines have none of these faults")
		}
	}

	It("bites: "+strings.Join(quick, ", "), Label("tier: quick"), func(ctx context.Context) { together(ctx, "quick", bites) }, NodeTimeout(5*time.Minute))
	for _, kind := range here() {
		if slices.Contains(quick, kind.Name) {
			continue
		}
		It("bites: "+kind.Name, Label("tier: full"), func(ctx context.Context) {
			if why := lacks(ctx).Why(kind.Needs...); why != "" {
				Skip(why)
			}
			bites(ctx, kind)
		}, NodeTimeout(5*time.Minute))
	}
	for _, tier := range []string{"quick", "full"} {
		It("is red when nothing is injected", Label("tier: "+tier), func(ctx context.Context) { together(ctx, tier, isRed) }, NodeTimeout(5*time.Minute))
	}

	It("is not begun when its effect is there already, and says so", Label("tier: full"), func(ctx context.Context) {
		sc := small("etcdMemberCrash", 2*time.Second)
		sc.Metadata.Name = "already"
		sc.Spec.Steps[0].Observe = 10 * time.Second
		sc.Spec.Steps[1].Fault.Target = "etcd-2"
		killed := make(chan error, 1)
		go func() { killed <- holdMember(ctx, sc.Metadata.Name, "etcd-2") }()
		res, err := suite.Run(ctx, sc, experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(<-killed).NotTo(HaveOccurred())
		Expect(res.Receipts).To(HaveExactElements(And(HaveField("State", plan.NotInjected), HaveField("Error", ContainSubstring("etcd-2 was so before it was injected")))))
		Expect(res.Verdict).NotTo(Equal(plan.Go))
	}, NodeTimeout(5*time.Minute))
})

var _ = Describe("what nobody planned", Label("tier: quick", "needs: etcd"), func() {
	It("is never GO: a member killed behind Drydock's back", func(ctx context.Context) {
		killed := make(chan error, 1)
		go func() { killed <- killSomebodyElse(ctx) }()
		res, err := suite.Run(ctx, small("etcdMemberCrash", 8*time.Second), experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(<-killed).NotTo(HaveOccurred())
		Expect(res.Verdict).NotTo(Equal(plan.Go))
		Expect(res.Reasons).To(ContainElement(ContainSubstring("no fault of the scenario did it")))
	}, NodeTimeout(5*time.Minute))

	It("leaves nothing behind: drydock killed in the middle of a fault", func(ctx context.Context) {
		killedInTheMiddle(ctx, "etcd-quorum-table")
	}, NodeTimeout(5*time.Minute))
})

// killedInTheMiddle kills a run when its fault is seen to be effective: its lab ends with it, and heal finds nothing.
func killedInTheMiddle(ctx context.Context, scenario string) {
	GinkgoHelper()
	out := filepath.Join(suite.Host.StateDir, "runs", "killed-"+scenario)
	cmd := exec.CommandContext(ctx, suite.Host.Program, "run", scenario, "--out", out, "--state-dir", suite.Host.StateDir,
		"--cache-dir", suite.Host.CacheDir, "--quiet")
	session, err := gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	Eventually(ctx, func() ([]plan.Entry, error) { e, _, err := plan.ReadJournal(out); return e, err }).WithTimeout(2 * time.Minute).
		Should(ContainElement(And(HaveField("Kind", "receipt"), HaveField("Data", ContainSubstring(`"state":"effective"`)))))
	labs := lab.List(suite.Host.StateDir)
	Expect(labs).NotTo(BeEmpty())
	session.Kill().Wait(10 * time.Second)
	for _, name := range labs {
		dir, err := lab.Dir(suite.Host.StateDir, name)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() ([]string, error) { return lab.Residue(dir) }).WithTimeout(10 * time.Second).Should(BeEmpty())
	}
	heal, err := gexec.Start(exec.CommandContext(ctx, suite.Host.Program, "heal", "--state-dir", suite.Host.StateDir), GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	Eventually(ctx, heal).WithTimeout(time.Minute).Should(gexec.Exit(0))
	Expect(heal.Out).To(gbytes.Say("no process, mount, interface or port of the lab remains"))
}

// holdMember kills a member for good while a run of the scenario observes.
func holdMember(ctx context.Context, scenario, name string) error {
	return cluster.Await(ctx, "kill the member on "+name, cluster.Wait{For: time.Minute}, func(ctx context.Context) error {
		runs, err := filepath.Glob(filepath.Join(suite.Host.StateDir, "runs", scenario+"-*"))
		if err != nil || len(runs) != 1 {
			return errors.Join(err, fmt.Errorf("%d runs", len(runs)))
		}
		entries, _, err := plan.ReadJournal(runs[0])
		if err != nil || !slices.ContainsFunc(entries, func(e plan.Entry) bool { return e.Kind == "observation" }) {
			return errors.Join(err, errors.New("nothing was observed"))
		}
		names := lab.List(suite.Host.StateDir)
		if len(names) != 1 {
			return fmt.Errorf("%d labs", len(names))
		}
		l, err := suite.Host.Lab().Find(names[0])
		if err != nil {
			return err
		}
		m, err := l.Machine(name)
		if err != nil {
			return err
		}
		k, err := cluster.As[cluster.Killer](m)
		if err != nil {
			return err
		}
		if _, err := k.Hold(ctx, etcd.Program); err != nil {
			return err
		}
		n, err := k.Kill(ctx, etcd.Program)
		if err == nil && n == 0 {
			err = errors.New("there was none")
		}
		return err
	})
}

// killSomebodyElse waits for the crash of one member and kills another by hand.
func killSomebodyElse(ctx context.Context) error {
	var l *lab.Lab
	for l == nil {
		if names := lab.List(suite.Host.StateDir); len(names) > 0 {
			var err error
			if l, err = suite.Host.Lab().Find(names[0]); err != nil {
				return err
			}
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	for up := false; ; { // one that is down before all were up is still being brought up
		down, err := whoIsDown(ctx, l)
		if err != nil {
			return err
		}
		up = up || down == ""
		if up && down != "" {
			if n, err := other(l, down).Kill(ctx, etcd.Program); err != nil || n == 1 {
				return err
			}
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// whoIsDown names a machine whose member does not run; nobody when all do. A machine that does not answer counts as down.
func whoIsDown(ctx context.Context, l *lab.Lab) (string, error) {
	for _, m := range l.Machines() {
		machine, ok := m.(*lab.Machine)
		if !ok {
			return "", fmt.Errorf("%T is not a machine of a lab", m)
		}
		if state, err := machine.State(ctx, etcd.Program); err != nil || state == "" {
			return m.Name(), nil //nolint:nilerr // who does not answer is down
		}
	}
	return "", nil
}

func other(l *lab.Lab, name string) *lab.Machine {
	for _, m := range l.Machines() {
		if machine, ok := m.(*lab.Machine); ok && m.Name() != name {
			return machine
		}
	}
	return nil
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(200 * time.Millisecond):
		return nil
	}
}
