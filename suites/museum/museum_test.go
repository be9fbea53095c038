// Package museum holds Drydock to the published bugs of real releases: each must be found on the release that has it, and on the fixed one nothing.
package museum

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/scenarios"
	"drydock.dev/drydock/suites/bootstrap"
)

var suite bootstrap.Suite

func TestMuseum(t *testing.T) { bootstrap.Run(t, "Museum", &suite) }

var _ = DescribeTable("an exhibit shows its bug, and on the fixed release nothing",
	func(ctx context.Context, bad *experiment.Scenario) {
		fixed, err := bad.Fixed()
		Expect(err).NotTo(HaveOccurred())
		for _, s := range []*experiment.Scenario{bad, fixed} {
			res, err := suite.Run(ctx, s, experiment.Options{})
			Expect(err).NotTo(HaveOccurred())
			as, why := s.Shows(res)
			Expect(as).To(BeTrueBecause("%s is %s: %s", s.Metadata.Name, res.Verdict, why))
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
		needs := "needs: kubernetes"
		if s.Spec.Cluster.Etcd == "only" {
			needs = "needs: etcd"
		}
		out = append(out, Entry(name, s, Label("tier: "+s.Metadata.Labels["tier"], needs), NodeTimeout(40*time.Minute)))
	}
	return out
}
