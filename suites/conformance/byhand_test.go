package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/fault"
	"drydock.dev/drydock/harness/provider"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/suites/bootstrap"
)

const worker = "target=worker-1"

// said is what a kind of fault must be told before it can be injected. A kind that needs to be told and is not here makes its entry red.
func said() map[string][]string {
	return map[string][]string{
		"serviceStop": {worker, "service=kubelet"}, "serviceFreeze": {worker, "service=kubelet"},
		"serviceKill": {worker, "service=kubelet"}, "serviceRestart": {worker, "service=kubelet"},
		"etcdNoSpace": {"--expect=writesRefused"},
		"linkLoss":    {"loss=20%"}, "linkDelay": {"delay=80ms", "jitter=20ms"}, "linkRate": {"rate=5mbit"},
	}
}

// byHand are the clusters that faults are injected into by hand, and the kinds that each is for.
func byHand() map[string]cluster.Topology {
	return map[string]cluster.Topology{
		"members": {Name: "members", Etcd: cluster.EtcdOnly, EtcdMembers: 3, EtcdQuota: 32 << 20}, "nodes": {Name: "nodes", ControlPlanes: 1, Workers: 2, Version: "v1.35"},
	}
}

// on reports whether a kind can be done with its words to a cluster of etcd alone.
func onMembers(k fault.Kind) bool {
	t := byHand()["members"]
	return !slices.Contains(said()[k.Name], worker) && (k.On == nil || len(k.On(t)) > 0)
}

// Each kind of fault is there when the drydock that has injected it is killed: what undoes it knows only the journal and the machines.
var _ = Describe("a fault by hand whose drydock is killed", Label("tier: full"), func() {
	for name, topology := range byHand() {
		need := "needs: kubernetes"
		if !topology.Kubernetes() {
			need = "needs: etcd"
		}
		Context("on "+name, Ordered, ContinueOnFailure, Label(need), func() {
			var up cluster.Cluster

			BeforeAll(func(ctx context.Context) {
				p, err := suite.Host.Open(bootstrap.Provider())
				Expect(err).NotTo(HaveOccurred())
				t, _, err := release.CompleteTopology(topology)
				Expect(err).NotTo(HaveOccurred())
				if _, err := p.Offer(ctx, t); err != nil {
					Skip(err.Error())
				}
				up, err = p.Up(ctx, t)
				Expect(err).NotTo(HaveOccurred())
				DeferCleanup(func(ctx context.Context) error { return p.Down(ctx, name) }, NodeTimeout(5*time.Minute))
				Expect(up.Release(ctx)).To(Succeed())
			}, NodeTimeout(30*time.Minute))

			for _, k := range fault.List() {
				if k.Latent || k.OfTwin || onMembers(k) == topology.Kubernetes() && bootstrap.Provider() == provider.Names()[0] {
					continue // another provider may have no clusters of etcd alone
				}
				if !topology.Kubernetes() && !onMembers(k) {
					continue
				}
				It("is undone by heal: "+k.Name, func(ctx context.Context) { healed(ctx, up, k) }, NodeTimeout(5*time.Minute))
			}
		})
	}
})

// healed has a fault injected by a process that is killed while it holds, and undone by another.
func healed(ctx context.Context, up cluster.Cluster, k fault.Kind) {
	GinkgoHelper()
	if why := up.Lacks().Why(k.Needs...); why != "" {
		Skip(why)
	}
	t, words := up.Topology(), []string{}
	name := t.Name
	for _, w := range said()[k.Name] { // as the provider calls it
		if w == worker {
			w = "target=" + t.WorkerMachines()[0]
		}
		words = append(words, w)
	}
	given := func(prefix string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, prefix) })
	}
	on := t.WorkerMachines()
	if k.On != nil {
		on = k.On(t)
	}
	if !given("target=") && t.Kubernetes() && !k.OfCluster {
		words = append(words, "target="+on[0])
	}
	if t.Kubernetes() && given("--expect=writesRefused") {
		Skip("it is of etcd alone")
	}
	if !given("--expect=") && t.Kubernetes() { // there is one member
		words = append(words, "--expect="+experiment.ExpectQuorumLost)
	}
	args := append([]string{"fault", "inject", k.Name}, words...)
	s := drydock(ctx, append(args, "for=5m", "--name", name)...)
	Eventually(ctx, func() error {
		if s.ExitCode() >= 0 {
			return StopTrying(fmt.Sprintf("it ended with exit code %d", s.ExitCode()))
		}
		return inEffect(up)
	}).WithTimeout(2 * time.Minute).WithPolling(50 * time.Millisecond).Should(Succeed())
	Eventually(ctx, s.Kill()).WithTimeout(soon).Should(gexec.Exit())
	ends(ctx, drydock(ctx, "heal"), 0)
	Expect(experiment.InPlace(up)).To(BeEmpty())
	// Well again: nobody takes it for broken, and one that is done again bites again.
	ends(ctx, drydock(ctx, append(args, "for=1s", "--name", name)...), 0)
}

// inEffect says of what is in place why it is not seen to be effective yet.
func inEffect(c cluster.Cluster) error {
	guards, err := experiment.InPlace(c)
	if err != nil {
		return err
	}
	if len(guards) != 1 {
		return errors.New("no fault is in place yet")
	}
	if r := guards[0].Receipt(); r.EffectiveAt.IsZero() {
		return fmt.Errorf("its effect is not seen yet: %s", r.Error)
	}
	return nil
}
