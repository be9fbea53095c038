// Package upgrade runs the upgrade scenarios, and proves that an upgrade that went wrong is never called a good one.
package upgrade

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/cluster/lab"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/release"
	"drydock.dev/drydock/suites/bootstrap"
)

var suite bootstrap.Suite

func TestUpgrade(t *testing.T) { bootstrap.Run(t, "Upgrade", &suite) }

// cached skips what needs a version that was never fetched: building one takes longer than the spec.
func cached(versions ...string) {
	GinkgoHelper()
	for _, want := range versions {
		v, err := release.Resolve(release.Kubernetes, want)
		Expect(err).NotTo(HaveOccurred())
		if missing := suite.Host.Store().Missing(v, "kube-apiserver", "kubelet", "kubeadm"); len(missing) > 0 {
			Skip(fmt.Sprintf("Kubernetes %s is not in the cache (%v is missing): drydock up --version %s fetches it", v.Version, missing, want))
		}
	}
}

var _ = DescribeTable("a scenario ends GO",
	func(ctx context.Context, name string, versions ...string) {
		cached(versions...)
		suite.EndsGo(ctx, name, experiment.Options{})
	},
	Entry(nil, "upgrade-skew-refused", Label("tier: quick", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "etcd-upgrade", Label("tier: full", "needs: etcd"), NodeTimeout(20*time.Minute)),
	Entry(nil, "etcd-upgrade-refused", Label("tier: full", "needs: etcd"), NodeTimeout(20*time.Minute)),
	Entry(nil, "upgrade-clean", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "upgrade-leader-crash", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "upgrade-driver-killed", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "upgrade-killed-at-random", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "upgrade-node-lost", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "upgrade-surge", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "replace-upgrade-clean", "v1.35", "v1.36", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "replace-upgrade-throttled", "v1.35", "v1.36", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "replace-upgrade-interrupted", "v1.35", "v1.36", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "upgrade-pdb-blocked", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "upgrade-bad-binary", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "control-plane-only", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
	Entry(nil, "upgrade-two-hops", "v1.34", "v1.35", "v1.36", Label("tier: full", "needs: kubernetes"), NodeTimeout(40*time.Minute)),
)

var _ = DescribeTable("an upgrade that is killed once, at a moment of the seed, and run again ends as an undisturbed one does", Label("tier: nightly", "needs: kubernetes"),
	func(ctx context.Context, seed int64) {
		cached("v1.35", "v1.36")
		suite.EndsGo(ctx, "upgrade-killed-once", experiment.Options{Seed: seed})
	},
	Entry("seed 1", int64(1), NodeTimeout(40*time.Minute)), Entry("seed 2", int64(2), NodeTimeout(40*time.Minute)), Entry("seed 3", int64(3), NodeTimeout(40*time.Minute)),
	Entry("seed 4", int64(4), NodeTimeout(40*time.Minute)), Entry("seed 5", int64(5), NodeTimeout(40*time.Minute)), Entry("seed 6", int64(6), NodeTimeout(40*time.Minute)),
	Entry("seed 7", int64(7), NodeTimeout(40*time.Minute)), Entry("seed 8", int64(8), NodeTimeout(40*time.Minute)), Entry("seed 9", int64(9), NodeTimeout(40*time.Minute)),
	Entry("seed 10", int64(10), NodeTimeout(40*time.Minute)),
)

var _ = Describe("a fault that shows only in an upgrade", Label("tier: full", "needs: kubernetes"), func() {
	It("is red when nothing is injected: apiServerCrashLoop", func(ctx context.Context) {
		sc, err := experiment.Parse("null.yaml", []byte(`
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: "null"}
spec:
  cluster: {controlPlanes: 1, version: v1.35}
  steps:
    - upgrade: {to: v1.36}
      faults: [{at: control-plane/1/kubeadm, expect: quorumLost, apiServerCrashLoop: {target: control-plane-1, version: v1.36}}]
  finally: [nodesReady]
`))
		Expect(err).NotTo(HaveOccurred())
		res, err := suite.Run(ctx, sc, experiment.Options{NullFaults: true})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Verdict).NotTo(Equal(plan.Go))
		// The upgrade restarts the API server, which refuses connections meanwhile: that is no crash loop, however long one looks.
		Expect(res.Receipts).To(HaveExactElements(And(HaveField("State", plan.NotInjected), HaveField("Error", ContainSubstring("and a healthy one once")))))
	}, NodeTimeout(30*time.Minute))
})

var _ = Describe("a fault that waits in a step of an upgrade", Label("tier: full", "needs: kubernetes"), func() {
	It("happens when what it waits for does: kubeadm's new API server serves, and a worker's kubelet stops", func(ctx context.Context) {
		cached("v1.35", "v1.36")
		sc, err := experiment.Parse("waits.yaml", []byte(`
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: waits}
spec:
  cluster: {controlPlanes: 1, workers: 1, version: v1.35}
  steps:
    - observe: 2s
    - upgrade: {to: v1.36}
      faults:
        - at: control-plane/1/during-kubeadm
          when: {log: "Serving securely", of: kube-apiserver, on: control-plane-1, within: 4m}
          serviceStop: {target: worker-1, service: kubelet, for: 4s}
  always: [versionSkew]
  finally: [nodesReady, {versions: {version: v1.36}}, etcdHealthy, noResidue]
`))
		Expect(err).NotTo(HaveOccurred())
		res, err := suite.Run(ctx, sc, experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Reasons).To(BeEmpty())
		Expect(res.Verdict).To(Equal(plan.Go))
		Expect(res.Receipts).To(HaveExactElements(And(HaveField("State", plan.Confirmed), HaveField("Event", HaveField("Saw", ContainSubstring("Serving securely"))))))
	}, NodeTimeout(30*time.Minute))
})

// watched is a cluster nothing is done to, with the checks of an upgrade.
const watched = `
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: watched}
spec:
  cluster: {controlPlanes: 1, workers: 1, version: %[1]s}
  steps:
    - observe: 12s
  always: [versionSkew]
  finally: [nodesReady, {versions: {version: %[1]s}}, etcdHealthy, labelsPreserved, noResidue]
`

// defect is planted behind Drydock's back while it observes.
type defect func(ctx context.Context, l *lab.Lab, t *observe.Target) error

func patchWorker(patch string) defect {
	return func(ctx context.Context, _ *lab.Lab, t *observe.Target) error {
		_, err := t.Client.CoreV1().Nodes().Patch(ctx, "worker-1", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}
}

func addLearner(ctx context.Context, l *lab.Lab, t *observe.Target) error {
	c, err := t.Etcd.Client(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	m, err := l.Machine("worker-1")
	if err != nil {
		return err
	}
	_, err = c.MemberAddAsLearner(ctx, []string{"https://" + net.JoinHostPort(m.Addr().String(), strconv.Itoa(etcd.PeerPort))})
	return err
}

// swapKubelet runs the kubelet of a minor on the worker.
func swapKubelet(minor string) defect {
	return func(ctx context.Context, l *lab.Lab, _ *observe.Target) error {
		m, err := l.Machine("worker-1")
		if err != nil {
			return err
		}
		v, err := release.Resolve(release.Kubernetes, minor)
		if err != nil {
			return err
		}
		if err := suite.Host.Lab().Provide(ctx, release.Kubernetes, v.Version); err != nil {
			return err
		}
		inst, err := cluster.As[cluster.Installer](m)
		if err != nil {
			return err
		}
		if err := inst.Install(ctx, release.Kubernetes, v.Version, "kubelet"); err != nil {
			return err
		}
		_, err = m.Exec(ctx, cluster.Command{Args: []string{"systemctl", "restart", "kubelet"}})
		return err
	}
}

// forAMoment does one thing and another soon after.
func forAMoment(do, undo defect) defect {
	return func(ctx context.Context, l *lab.Lab, t *observe.Target) error {
		if err := do(ctx, l, t); err != nil {
			return err
		}
		select {
		case <-time.After(4 * time.Second):
		case <-ctx.Done():
		}
		return undo(ctx, l, t)
	}
}

func nothing(context.Context, *lab.Lab, *observe.Target) error { return nil }

// plant waits for the observed lab and plants the defect.
func plant(ctx context.Context, do defect) error {
	var l *lab.Lab
	err := cluster.Await(ctx, "the lab observed", cluster.Wait{For: 15 * time.Minute}, func(ctx context.Context) error {
		names := lab.List(suite.Host.StateDir)
		if len(names) == 0 {
			return fmt.Errorf("no lab runs")
		}
		var err error
		if l, err = suite.Host.Lab().Find(names[0]); err != nil {
			return err
		}
		t, err := observe.Open(ctx, l)
		if err != nil {
			return err
		}
		defer func() { _ = t.Members.Close() }()
		// The clients' namespace is made when the observation begins.
		_, err = t.Client.CoreV1().Namespaces().Get(ctx, observe.ClientsNamespace, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return err
	}
	select {
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
	}
	t, err := observe.Open(ctx, l)
	if err != nil {
		return err
	}
	defer func() { _ = t.Members.Close() }()
	return do(ctx, l, t)
}

var _ = DescribeTable("a planted defect is red",
	func(ctx context.Context, version string, do defect, verdict plan.Verdict, sentence string) {
		sc, err := experiment.Parse("watched.yaml", fmt.Appendf(nil, watched, version))
		Expect(err).NotTo(HaveOccurred())
		planted := make(chan error, 1)
		go func() { planted <- plant(ctx, do) }()
		res, err := suite.Run(ctx, sc, experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(<-planted).NotTo(HaveOccurred())
		Expect(res.Verdict).To(Equal(verdict), "%v", res.Reasons)
		if sentence == "" {
			Expect(res.Reasons).To(BeEmpty())
			return
		}
		Expect(res.Reasons).To(ContainElement(ContainSubstring(sentence)))
	},
	// The quick tier's control is upgrade-skew-refused, which ends GO by the same checks.
	Entry("none: the control", "v1.35", defect(nothing), plan.Go, "", Label("tier: full", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry("a worker's kubelet left at the old version", "v1.36", swapKubelet("v1.35"), plan.NoGo, "kubelet on worker-1 is v1.35.4 instead of v1.36",
		Label("tier: quick", "needs: kubernetes"), NodeTimeout(30*time.Minute)),
	// Three that the beds of suites/trust plant as well.
	Entry("a node left cordoned", "v1.35", patchWorker(`{"spec":{"unschedulable":true}}`), plan.NoGo, "node worker-1 was left cordoned",
		Label("tier: full", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry("a lost label", "v1.35", patchWorker(`{"metadata":{"labels":{"example.com/marked":null}}}`), plan.NoGo, "node worker-1 has lost the label example.com/marked=yes",
		Label("tier: full", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry("a learner left behind", "v1.35", defect(addLearner), plan.NoGo, "belongs to no machine", Label("tier: full", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry("a kubelet newer than the API server for a moment", "v1.35", forAMoment(swapKubelet("v1.36"), swapKubelet("v1.35")), plan.NoGo,
		"kubelet on worker-1 is v1.36.3 while kube-apiserver on control-plane-1 is v1.35.4", Label("tier: quick", "needs: kubernetes"), NodeTimeout(30*time.Minute)),
)
