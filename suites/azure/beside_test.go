package azure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/workers"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
)

// asking has a client of a run's twin call it every so often, from when that is there to its end.
func asking(ctx context.Context, scenario string, call func(ctx context.Context, c *azure.Client)) {
	var client *azure.Client
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
		if client == nil {
			files, _ := filepath.Glob(filepath.Join(suite.Host.StateDir, "runs", scenario+"-*", "twin", "ready.json"))
			if len(files) == 0 {
				continue
			}
			ready, err := azure.ReadReady(files[len(files)-1])
			if err != nil {
				continue
			}
			ca, err := os.ReadFile(ready.CA)
			if err != nil {
				continue
			}
			if client, err = azure.NewClient(ctx, ready, ca, "asking"); err != nil {
				client = nil
				continue
			}
		}
		call(ctx, client)
	}
}

const virtualMachines = "providers/Microsoft.Compute/virtualMachines"

// listing is somebody who lists machines and never waits.
func listing(ctx context.Context, c *azure.Client) {
	_ = c.Do(ctx, http.MethodGet, virtualMachines, nil, nil)
}

// asked runs a scenario with a twin beside its cluster while a client calls that.
func asked(ctx context.Context, sc *experiment.Scenario, call func(ctx context.Context, c *azure.Client), o experiment.Options) *plan.Result {
	GinkgoHelper()
	calling, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		asking(calling, sc.Metadata.Label(), call)
	}()
	defer func() { stop(); <-ended }()
	res, err := suite.Run(ctx, sc, o)
	Expect(err).NotTo(HaveOccurred())
	return res
}

// beside runs a scenario with a twin beside a member of etcd, whose calls of machines are throttled while somebody makes them.
func beside(ctx context.Context, name, finally string, o experiment.Options) *plan.Result {
	GinkgoHelper()
	sc, err := experiment.Parse(name+".yaml", fmt.Appendf(nil, `
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: %s}
spec:
  cluster: {etcd: only, etcdMembers: 1}
  twin: {}
  steps:
    - observe: 2s
    - fault: {arm: {kind: throttle, operations: [LIST Microsoft.Compute/virtualMachines], retryAfter: 1, for: 2s}}
    - observe: 2s
  finally: [%s]
`, name, finally))
	Expect(err).NotTo(HaveOccurred())
	return asked(ctx, sc, listing, o)
}

var _ = Describe("a twin beside a cluster", Label("needs: etcd"), func() {
	check := func(res *plan.Result, name string) plan.Check {
		for _, c := range res.Checks {
			if c.Name == name {
				return c
			}
		}
		return plan.Check{}
	}

	It("is throttled by a fault of the scenario, and every call is told", Label("tier: full"), func(ctx context.Context) {
		res := beside(ctx, "beside", "armThrottled, {armAmplification: {max: 100}}, {armUnthrottled: {window: 1s}}", experiment.Options{})
		Expect(res.Verdict).To(Equal(plan.Go), "%v", res.Reasons)
		Expect(res.Receipts).To(HaveExactElements(And(HaveField("State", plan.Confirmed), HaveField("Machines", BeEmpty()))))
		Expect(check(res, "armResidue").Verdict).To(Equal(plan.Pass), "it is made without being asked for")
		Expect(res.ARMCalls).To(ContainElement(And(HaveField("Status", http.StatusTooManyRequests), HaveField("Fault", Not(BeEmpty())), HaveField("Principal", "asking"))))
		Expect(res.Tables).To(ContainElement(HaveField("Title", ContainSubstring("Azure Resource Manager, current policy"))))
	}, NodeTimeout(5*time.Minute))

	It("is judged by what its clients did, and shows nothing when nothing is injected", Label("tier: full"), func(ctx context.Context) {
		bad := beside(ctx, "wasteful", "armAmplification, armUnthrottled", experiment.Options{})
		Expect(bad.Verdict).To(Equal(plan.NoGo))
		Expect(check(bad, "armAmplification").Message).To(ContainSubstring("asking sent"))
		Expect(check(bad, "armUnthrottled").Verdict).To(Equal(plan.Fail))
		null := beside(ctx, "unharmed", "armAmplification", experiment.Options{NullFaults: true})
		Expect(null.Verdict).To(Equal(plan.Inconclusive))
		Expect(null.Receipts).To(HaveExactElements(And(HaveField("State", plan.NotInjected), HaveField("Error", ContainSubstring("nothing was injected, as asked for")))))
	}, NodeTimeout(8*time.Minute))

	It("is reached from within the machines, which it leaves as they were", Label("tier: quick"), func(ctx context.Context) {
		c := suite.Up(ctx, cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 1})
		b, err := workers.Begin(ctx, c, workers.Spec{}, GinkgoT().TempDir(), 1, nil)
		Expect(err).NotTo(HaveOccurred())
		m := c.Machines()[0]
		raw, err := m.ReadFile(ctx, workers.ReadyOnMachine)
		Expect(err).NotTo(HaveOccurred())
		var ready azure.Ready
		Expect(json.Unmarshal(raw, &ready)).To(Succeed())
		Expect(ready.ControlToken).To(BeEmpty(), "only its owner may arm faults")
		ca, err := m.ReadFile(ctx, workers.CAOnMachine)
		Expect(err).NotTo(HaveOccurred())
		pool := x509.NewCertPool()
		Expect(pool.AppendCertsFromPEM(ca)).To(BeTrueBecause("the authority is a certificate"))
		dialer, err := cluster.As[cluster.Dialer](m)
		Expect(err).NotTo(HaveOccurred())
		inside := &http.Client{Transport: &http.Transport{DialContext: dialer.Dial, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, ready.Endpoint+"/metadata/endpoints?api-version=2019-05-01", nil)
		Expect(err).NotTo(HaveOccurred())
		resp, err := inside.Do(req)
		Expect(err).NotTo(HaveOccurred())
		Expect(errors.Join(resp.Body.Close(), b.End(ctx))).To(Succeed())
		Expect(resp.StatusCode).To(Equal(http.StatusOK))
		_, err = m.ReadFile(ctx, workers.ReadyOnMachine)
		Expect(err).To(MatchError(os.ErrNotExist))
	}, NodeTimeout(3*time.Minute))
})
