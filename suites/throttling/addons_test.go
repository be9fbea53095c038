package throttling

import (
	"bytes"
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/scenarios"
)

const withAddons = "arm-throttled-addons"

// ofBefore waits for the lab, keeps the addons' files beside where they are, and has the addon manager read those: it puts back what the runbook has changed.
func ofBefore(ctx context.Context) error {
	const addons, manifest = "/etc/kubernetes/addons", "/etc/kubernetes/manifests/kube-addon-manager.yaml"
	return cluster.Await(ctx, "an addon manager", cluster.Wait{For: 15 * time.Minute, Every: time.Second}, func(ctx context.Context) error {
		names := lab.List(suite.Host.StateDir)
		if len(names) == 0 {
			return errors.New("no lab runs")
		}
		l, err := suite.Host.Lab().Find(names[0])
		if err != nil {
			return err
		}
		m, err := l.Machine("control-plane-1")
		if err != nil {
			return err
		}
		raw, err := m.ReadFile(ctx, manifest)
		if err != nil {
			return err
		}
		if _, err := cluster.Shell(ctx, m, "cp -r "+addons+" "+addons+"-of-before"); err != nil {
			return err
		}
		return m.WriteFile(ctx, manifest, bytes.ReplaceAll(raw, []byte("--path="+addons), []byte("--path="+addons+"-of-before")), 0o600)
	})
}

var _ = Describe("throttled addons", Label("tier: full", "needs: kubernetes", "needs: subjects"), func() {
	It("come out of it with the component by the runbook, and a cluster-autoscaler is away meanwhile", func(ctx context.Context) {
		suite.EndsGo(ctx, withAddons, experiment.Options{})
	}, NodeTimeout(20*time.Minute))

	It("are seen to keep their old version where their manager puts that back", func(ctx context.Context) {
		raw, err := scenarios.Read(withAddons)
		Expect(err).NotTo(HaveOccurred())
		sc, err := experiment.Parse(withAddons+".yaml", raw)
		Expect(err).NotTo(HaveOccurred())
		planted := make(chan error, 1)
		go func() { planted <- ofBefore(ctx) }()
		res, err := suite.Run(ctx, sc, experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(<-planted).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(plan.NoGo))
		Expect(res.Reasons).To(ContainElement(ContainSubstring("has drydock.dev/cloud-provider:v0.17.4, and not v1.36.5")))
	}, NodeTimeout(25*time.Minute))
})
