// Package museum holds Drydock to the published bugs of real releases: each must be found on the release that has it, and on the fixed one nothing.
package museum

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/scenarios"
	"drydock.dev/drydock/suites/bootstrap"
)

var suite bootstrap.Suite

func TestMuseum(t *testing.T) { bootstrap.Run(t, "Museum", &suite) }

var _ = DescribeTable("an exhibit shows its bug, and on the fixed release nothing",
	func(ctx context.Context, bad *experiment.Scenario) {
		fixed, err := bad.Fixed()
		Expect(err).NotTo(HaveOccurred())
		sides, results := []*experiment.Scenario{bad, fixed}, make([]*plan.Result, 2)
		g := errgroup.Group{} // at the same time: most of it is waiting, on the bad release for what never comes
		for i, side := range sides {
			g.Go(func() (err error) {
				defer GinkgoRecover()
				results[i], err = suite.Run(ctx, side, experiment.Options{})
				return err
			})
		}
		Expect(g.Wait()).To(Succeed())
		for i, side := range sides {
			as, why := side.Shows(results[i])
			Expect(as).To(BeTrueBecause("%s is %s: %s", side.Metadata.Name, results[i].Verdict, why))
		}
	},
	exhibits(),
)

// exhibits are an entry each, in the tier that its file names: most are of releases that are built for them alone.
func exhibits() (out []TableEntry) {
	for _, name := range scenarios.Exhibits() {
		s, err := experiment.Load(name)
		if err != nil {
			panic(err) // the embedded ones are read by unit tests
		}
		needs, within := "needs: kubernetes", 2*time.Hour // most of it to build two releases that are not there
		if s.Spec.Cluster.Etcd == "only" {
			needs, within = "needs: etcd", 40*time.Minute
		}
		out = append(out, Entry(name, s, Label("tier: "+s.Metadata.Labels["tier"], needs), NodeTimeout(within)))
	}
	return out
}
