package upgrade

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade"
)

// opened is a fresh lab with an upgrade prepared for it and none begun.
func opened(ctx context.Context, shape cluster.Topology, spec upgrade.Spec) *upgrade.Upgrade {
	GinkgoHelper()
	c := suite.Up(ctx, shape)
	spec, err := spec.Complete()
	Expect(err).NotTo(HaveOccurred())
	u, err := upgrade.New(spec, c.Topology().Version, c.Topology())
	Expect(err).NotTo(HaveOccurred())
	u.Target, err = observe.Open(context.WithoutCancel(ctx), c)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(u.Target.Members.Close)
	u.Observer, err = observe.NewObserver(u.Target)
	Expect(err).NotTo(HaveOccurred())
	u.Dir = GinkgoT().TempDir()
	return u
}

// step does one step of the upgrade's plan.
func step(ctx context.Context, u *upgrade.Upgrade, name string) error {
	var found *plan.Step
	(&plan.Plan{Steps: u.Steps()}).Walk(func(s *plan.Step) {
		if s.Name == name && s.Run != nil {
			found = s
		}
	})
	if found == nil {
		return fmt.Errorf("the plan has no step %s", name)
	}
	return found.Run(ctx)
}

func configMap(ctx context.Context, u *upgrade.Upgrade, name string) {
	GinkgoHelper()
	_, err := u.Target.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

var _ = Describe("the last resort of a rollback", Label("tier: full", "needs: kubernetes"), func() {
	It("takes etcd back to the snapshot when every member has lost its data, and does nothing to a cluster that is well", func(ctx context.Context) {
		u := opened(ctx, cluster.Topology{ControlPlanes: 3, Version: "v1.35"}, upgrade.Spec{To: "v1.36", RestoreSnapshot: true})
		configMap(ctx, u, "before")
		Expect(step(ctx, u, "snapshot")).To(Succeed())
		configMap(ctx, u, "after")
		Expect(step(ctx, u, "control-plane/2/restore")).To(MatchError(plan.ErrSkip))

		for _, m := range u.Target.Cluster.Machines() {
			k, err := cluster.As[cluster.Killer](m)
			Expect(err).NotTo(HaveOccurred())
			Expect(k.Hold(ctx, etcd.Program)).To(Equal(cluster.HeldStarts))
			Expect(k.Kill(ctx, etcd.Program)).To(BeNumerically(">=", 1))
			Expect(etcd.Wipe(ctx, m)).To(Succeed())
			Expect(k.Release(ctx, etcd.Program)).To(Succeed())
		}
		Expect(step(ctx, u, "control-plane/2/restore")).To(Succeed())

		maps := u.Target.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
		_, err := maps.Get(ctx, "before", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		_, err = maps.Get(ctx, "after", metav1.GetOptions{})
		Expect(err).To(MatchError(apierrors.IsNotFound, "not found"), "a write after the snapshot")
		list := u.Target.Members.Membership(ctx, 5*time.Second)
		Expect(list.Error).To(BeEmpty())
		Expect(etcd.Exact(list.Members, u.Topology.EtcdMachines())).To(Succeed())
	}, NodeTimeout(20*time.Minute))
})

var _ = Describe("the rollback of a replaced worker", Label("tier: full", "needs: kubernetes"), func() {
	It("puts a machine at the version before in its place, with what its Node carried, and open for work", func(ctx context.Context) {
		cached("v1.36")
		u := opened(ctx, cluster.Topology{ControlPlanes: 1, Workers: 2, Version: "v1.35"}, upgrade.Spec{To: "v1.36", Workers: upgrade.Surge})
		nodes := u.Target.Client.CoreV1().Nodes()
		_, err := nodes.Patch(ctx, "worker-1", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"example.com/pool":"a"}}}`), metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(step(ctx, u, "worker/1/rollback")).To(MatchError(plan.ErrSkip), "before anything was done")
		Expect(step(ctx, u, "worker/1/drain")).To(Succeed())
		Expect(step(ctx, u, "worker/1/remove")).To(Succeed())
		_, err = nodes.Get(ctx, "worker-1", metav1.GetOptions{})
		Expect(err).To(MatchError(apierrors.IsNotFound, "not found"))

		Expect(step(ctx, u, "worker/1/rollback")).To(Succeed())
		n, err := nodes.Get(ctx, "worker-1", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(n.Status.NodeInfo.KubeletVersion).To(Equal(u.Path.From))
		Expect(n.Labels).To(HaveKeyWithValue("example.com/pool", "a"))
		Expect(n.Spec.Taints).To(BeEmpty(), "a cordon would be one")
		Expect(step(ctx, u, "worker/1/rollback")).To(MatchError(plan.ErrSkip), "once it is done")
	}, NodeTimeout(15*time.Minute))
})
