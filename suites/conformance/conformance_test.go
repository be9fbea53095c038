// Package conformance holds a provider to what harness/cluster asks of it. The provider is the suites' (-drydock.provider, $DRYDOCK_PROVIDER); one that
// makes no clusters is held to it on the one that $DRYDOCK_CLUSTER names; of staging $DRYDOCK_INVENTORY says how it is reached, and $DRYDOCK_STAGING is its
// name once more, from somebody who knows that services and links of it are broken.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/suites/bootstrap"
)

var suite bootstrap.Suite

func TestConformance(t *testing.T) { bootstrap.Run(t, "conformance", &suite) }

// bed is a cluster of the provider, and another value of the provider that knows nothing of the first, as another process has.
type bed struct {
	provider cluster.Provider
	other    cluster.Provider
	offer    cluster.Offer
	made     bool // else it is a cluster that was up
	cluster  cluster.Cluster
}

// must is something a provider must do.
type must struct {
	what  string
	needs []cluster.Capability
	do    func(ctx context.Context, b *bed)
}

// shapes are the topologies to try it on, the cheapest first.
func shapes() []cluster.Topology {
	return []cluster.Topology{
		{Etcd: cluster.EtcdOnly, EtcdMembers: 3},
		{ControlPlanes: 1, Workers: 1},
	}
}

// make takes the first shape the provider offers, or the cluster that is up.
func (b *bed) make(ctx context.Context) {
	GinkgoHelper()
	var err error
	b.provider, err = suite.Host.Open(bootstrap.Provider())
	Expect(err).NotTo(HaveOccurred())
	b.other, err = suite.Host.Open(bootstrap.Provider())
	Expect(err).NotTo(HaveOccurred())
	if name := os.Getenv("DRYDOCK_CLUSTER"); name != "" {
		b.cluster, err = b.provider.Attach(ctx, name)
		Expect(err).NotTo(HaveOccurred())
		Expect(b.cluster.Claim(ctx)).To(Succeed())
		b.offer = cluster.Offer{Machines: b.cluster.Topology().Machines(), Lacks: b.cluster.Lacks()}
		return
	}
	var refused []error
	for _, shape := range shapes() {
		shape.Name = fmt.Sprintf("conform-%x", time.Now().UnixNano()&0xffffff)
		t, _, err := release.CompleteTopology(shape)
		Expect(err).NotTo(HaveOccurred())
		b.offer, err = b.provider.Offer(ctx, t)
		var usage *cluster.UsageError
		if errors.As(err, &usage) {
			refused = append(refused, err)
			continue
		}
		Expect(err).NotTo(HaveOccurred())
		b.cluster, err = b.provider.Up(ctx, t)
		Expect(err).NotTo(HaveOccurred())
		b.made = true
		return
	}
	Skip(fmt.Sprintf("provider %s makes no cluster here, and $DRYDOCK_CLUSTER names none: %v", b.provider.Name(), errors.Join(refused...)))
}

func (b *bed) name() string { return b.cluster.Topology().Name }

// victim is the last machine, whose loss costs the least.
func (b *bed) victim() cluster.Machine {
	all := b.cluster.Machines()
	return all[len(all)-1]
}

// peer is the machine that observes it.
func (b *bed) peer() cluster.Machine { return b.cluster.Machines()[0] }

// as is a capability that a row has said it needs.
func as[T any](m cluster.Machine) T {
	GinkgoHelper()
	c, err := cluster.As[T](m)
	Expect(err).NotTo(HaveOccurred())
	return c
}

var _ = Describe("a provider's", Ordered, ContinueOnFailure, Label("tier: quick", "needs: etcd"), func() {
	b := &bed{}
	BeforeAll(func(ctx context.Context) {
		b.make(ctx)
		DeferCleanup(func(ctx context.Context) error {
			if b.made {
				return b.provider.Down(ctx, b.name())
			}
			return b.cluster.Release(ctx)
		}, NodeTimeout(5*time.Minute))
	}, NodeTimeout(20*time.Minute))

	for _, m := range slices.Concat(machines(), capabilities(), links(), clusters()) {
		It(m.what, func(ctx context.Context) {
			if why := b.offer.Lacks.Why(m.needs...); why != "" {
				Skip(why)
			}
			m.do(ctx, b)
		}, NodeTimeout(5*time.Minute))
	}
})
