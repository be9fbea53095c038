package trust

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
)

// A run that injects nothing looks for the effect of a fault all the same. What somebody does by hand meanwhile is seen when it is the whole of it, and is
// not believed when it only looks like it.
var _ = Describe("a fault by hand, in a run that injects nothing", Label("tier: nightly", "needs: etcd"), func() {
	DescribeTable("is what it is taken for", func(ctx context.Context, name, fault string, do planting, receipt types.GomegaMatcher) {
		sc, err := experiment.Parse(name+".yaml", []byte("apiVersion: drydock.dev/v1alpha1\nkind: Scenario\nmetadata: {name: "+name+`}
spec:
  cluster: {etcd: only, etcdMembers: 3}
  steps:
    - observe: 5s
    - fault: `+fault+`
  finally: [etcdHealthy]
`))
		Expect(err).NotTo(HaveOccurred())
		done := make(chan error, 1)
		go func() { done <- byHand(ctx, name, do) }()
		res, err := suite.Run(ctx, sc, experiment.Options{NullFaults: true})
		Expect(err).NotTo(HaveOccurred())
		Expect(<-done).NotTo(HaveOccurred())
		Expect(res.Verdict).NotTo(Equal(plan.Go))
		Expect(res.Receipts).To(HaveExactElements(receipt))
	},
		Entry("a whole partition", "hand-whole", "{partition: {target: etcd-1, for: 1s}}", cutByHand("etcd-1", "etcd-2", "etcd-3"),
			refuted("its effect was seen all the same"), NodeTimeout(5*time.Minute)),
		Entry("a partition that forgot one pair", "hand-partial", "{partition: {target: etcd-1, for: 1s}}", cutByHand("etcd-1", "etcd-2"),
			refuted("still reaches", "etcd-3"), NodeTimeout(5*time.Minute)),
		Entry("a panic that only its console tells of", "hand-console", "{oomPanic: {target: etcd-3, for: 1s}}", claim("etcd-3"),
			refuted("etcd-3 still answers on the network"), NodeTimeout(5*time.Minute)),
		Entry("a machine that is away and did not panic", "hand-away", "{oomPanic: {target: etcd-3, for: 1s}}", cutByHand("etcd-3"),
			refuted("the kernel of etcd-3 has not said"), NodeTimeout(5*time.Minute)),
		Entry("a fake panic: its console tells of one, it is away, and comes back with the old boot id", "hand-fake", "{oomPanic: {target: etcd-3, for: 1s}}",
			then(claim("etcd-3"), cutByHand("etcd-3")), refuted("etcd-3 has the boot id from before: it has not panicked"), NodeTimeout(5*time.Minute)),
	)
})

// refuted is a receipt that is not confirmed, and says by these words why.
func refuted(words ...string) types.GomegaMatcher {
	all := []types.GomegaMatcher{}
	for _, w := range words {
		all = append(all, ContainSubstring(w))
	}
	return And(HaveField("State", plan.NotInjected), HaveField("Error", And(all...)))
}

// byHand waits until the fault would have been injected, and then does it.
func byHand(ctx context.Context, scenario string, do planting) error {
	p, err := follow(ctx, scenario)
	if err != nil {
		return err
	}
	defer func() { _ = p.etcd.Close() }()
	if err := p.told(ctx, `"state":"armed"`); err != nil {
		return err
	}
	_, err = do(ctx, p)
	return err
}

// told waits for a receipt in the run's journal with one of the words.
func (p *planter) told(ctx context.Context, words ...string) error {
	return cluster.Await(ctx, "a receipt with "+strings.Join(words, " or "), cluster.Wait{For: time.Minute}, func(context.Context) error {
		entries, _, err := plan.ReadJournal(p.run)
		if err == nil && !slices.ContainsFunc(entries, func(e plan.Entry) bool {
			return e.Kind == "receipt" && slices.ContainsFunc(words, func(w string) bool { return strings.Contains(string(e.Data), w) })
		}) {
			err = errors.New("there is none")
		}
		return err
	})
}

// cutByHand cuts a machine off from some others, or from all, until it has been seen or not.
func cutByHand(machine string, from ...string) planting {
	return func(ctx context.Context, p *planter) (_ string, err error) {
		m, err := p.machine(machine)
		if err != nil {
			return "", err
		}
		var peers []netip.Addr
		for _, name := range from {
			far, err := p.machine(name)
			if err != nil {
				return "", err
			}
			peers = append(peers, far.Addr())
		}
		if err := m.Cut(ctx, cluster.BothWays, peers...); err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, m.HealLinks(context.WithoutCancel(ctx))) }()
		return machine, p.told(ctx, `"state":"effective"`, "nothing was injected, as asked for")
	}
}

// claim has a machine's console say what a kernel says that panics for want of memory.
func claim(machine string) planting {
	return func(_ context.Context, p *planter) (string, error) {
		dir, err := lab.Dir(suite.Host.StateDir, p.lab.Topology().Name)
		if err != nil {
			return "", err
		}
		f, err := os.OpenFile(filepath.Join(dir, "logs", machine+".log"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return "", err
		}
		_, err = fmt.Fprintf(f, "[   99.000000] %s: system-wide panic_on_oom is enabled\n", cluster.SaysPanic)
		return machine, errors.Join(err, f.Close())
	}
}
