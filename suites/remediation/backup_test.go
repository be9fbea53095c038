package remediation

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/remedy"
)

// shop is what somebody has put into a cluster: objects of many kinds, one of a kind of its own, and some that others make of them.
const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {greeting: "hello: world"}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: shop}
stringData: {password: correct horse}
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {selector: {app: front}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front, namespace: shop}
spec:
  replicas: 0 # a cluster is not whole with a pod that has no image
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec: {nodeSelector: {nobody: has}, containers: [{name: front, image: example.com/front}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: lamps, singular: lamp, kind: Lamp}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

const lamp = `
apiVersion: example.com/v1
kind: Lamp
metadata: {name: desk, namespace: shop}
spec: {watts: 7}
`

// kubectl runs it on a cluster with a document for its input.
func kubectl(ctx context.Context, c cluster.Cluster, input string, args ...string) {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, suite.Host.Program, append([]string{"kubectl", "--name", c.Topology().Name, "--state-dir", suite.Host.StateDir, "--cache-dir", suite.Host.CacheDir, "--"}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	run, err := gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	Eventually(ctx, run).WithTimeout(time.Minute).Should(gexec.Exit(0))
}

// held is every object of a cluster, or of the shop alone, once what controllers make of them is made.
func held(ctx context.Context, c cluster.Cluster) (all, ours map[string]map[string]string) {
	GinkgoHelper()
	config, err := kubeadm.RESTConfig(ctx, c)
	Expect(err).NotTo(HaveOccurred())
	o := observe.ReadObjects(ctx, config)
	Expect(o.Error).To(BeEmpty())
	Expect(o.Unread).To(BeEmpty())
	ours = maps.Clone(o.Items)
	maps.DeleteFunc(ours, func(key string, _ map[string]string) bool {
		return !strings.Contains(key, " shop/") && !strings.HasSuffix(key, " shop") && !strings.HasSuffix(key, " lamps.example.com")
	})
	return o.Items, ours
}

// pairs is all that etcd has below a prefix.
func pairs(ctx context.Context, access *etcd.Access, prefix string) map[string]string {
	GinkgoHelper()
	client, err := access.Client(ctx)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = client.Close() }()
	got, err := client.Get(ctx, prefix, clientv3.WithPrefix())
	Expect(err).NotTo(HaveOccurred())
	out := map[string]string{}
	for _, kv := range got.Kvs {
		out[string(kv.Key)] = string(kv.Value)
	}
	return out
}

var _ = Describe("backup", Label("tier: full"), func() {
	It("of etcd alone is whole or none, and gives a second etcd what the first had", Label("needs: etcd"), func(ctx context.Context) {
		dir := filepath.Join(GinkgoT().TempDir(), "backup")
		first, access := raised(ctx, cluster.Topology{Name: "first", Etcd: cluster.EtcdOnly, EtcdMembers: 3})
		put(ctx, access, 0, 50)
		want := pairs(ctx, access, "key-")
		killedAfterEach(ctx, 1, first, "backup", "--to", dir)
		contents, err := remedy.ReadBackup(dir)
		Expect(err).NotTo(HaveOccurred())
		Expect(contents.Etcd.Revision).To(BeNumerically(">=", 51))
		Expect(endsWith(ctx, 2, first, "backup", "--to", dir)).To(ContainSubstring("has the backup of first"))
		lose(ctx, first, []string{"etcd-1", "etcd-2"})
		Expect(endsWith(ctx, 2, first, "backup", "--to", dir+"-2")).To(ContainSubstring("what a single member has may lack what was acknowledged"))
		Expect(dir + "-2").NotTo(BeAnExistingFile())
		suite.Down(ctx, first)

		second, other := raised(ctx, cluster.Topology{Name: "second", Etcd: cluster.EtcdOnly, EtcdMembers: 3})
		put(ctx, other, 40, 90)
		lose(ctx, second, second.Topology().EtcdMachines())
		Expect(endsWith(ctx, 0, second, "restore-quorum", "--snapshot", filepath.Join(dir, "snapshot.db"))).To(ContainSubstring("has mended it"))
		Expect(pairs(ctx, other, "key-")).To(Equal(want))
	}, NodeTimeout(5*time.Minute))

	It("gives a second lab the same objects, applied one by one and restored as a whole", Label("needs: kubernetes"), func(ctx context.Context) {
		dir := filepath.Join(GinkgoT().TempDir(), "backup")
		shape := cluster.Topology{ControlPlanes: 1, Workers: 1, Version: "v1.35"}
		shape.Name = "saved"
		first, _ := raised(ctx, shape)
		kubectl(ctx, first, shop, "create", "-f", "-") // kubectl apply would note all of it in an annotation of its own
		kubectl(ctx, first, "", "wait", "--for=condition=Established", "crd/lamps.example.com", "--timeout=30s")
		kubectl(ctx, first, lamp, "create", "-f", "-")
		all, ours := held(ctx, first)
		Expect(ours).To(HaveKey("Lamp.example.com shop/desk"))
		killedAfterEach(ctx, 1, first, "backup", "--to", dir)
		contents, err := remedy.ReadBackup(dir)
		Expect(err).NotTo(HaveOccurred())
		Expect(contents.Objects).To(HaveKeyWithValue("objects/2/50-Deployment.apps.yaml", BeNumerically(">=", 1)))
		Expect(filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
			Expect(err).NotTo(HaveOccurred())
			Expect(info.Mode().Perm()&0o077).To(BeZero(), path)
			return nil
		})).To(Succeed())
		Expect(endsWith(ctx, 2, first, "backup", "--to", dir)).To(ContainSubstring("has the backup of saved"))
		suite.Down(ctx, first)

		shape.Name = "second"
		second, access := raised(ctx, shape)
		_, empty := held(ctx, second)
		Expect(empty).To(BeEmpty())
		kubectl(ctx, second, "", "apply", "--server-side", "--force-conflicts", "-f", filepath.Join(dir, "objects/1"))
		kubectl(ctx, second, "", "wait", "--for=condition=Established", "crd/lamps.example.com", "--timeout=30s")
		kubectl(ctx, second, "", "apply", "--server-side", "--force-conflicts", "-f", filepath.Join(dir, "objects/2"))
		names := toApply(dir)
		Expect(names).To(ContainElements("Namespace shop", "Lamp.example.com shop/desk", "Deployment.apps shop/front"))
		Expect(only(all, names)).To(HaveLen(len(names)), "every object that is to be applied is compared")
		applied, _ := held(ctx, second)
		Expect(differ(only(all, names), only(applied, names), excusedWhenApplied())).To(BeEmpty())

		kubectl(ctx, second, "", "delete", "namespace", "shop", "--wait=false")
		lose(ctx, second, second.Topology().EtcdMachines())
		Expect(endsWith(ctx, 2, second, "restore-quorum")).To(ContainSubstring("no member has data that can be read"))
		Expect(endsWith(ctx, 0, second, "restore-quorum", "--snapshot", filepath.Join(dir, "snapshot.db"))).To(ContainSubstring("has mended it"))
		Eventually(func(ctx context.Context) []string { // who has another certificate, address or boot here writes that
			restored, _ := held(ctx, second)
			return differ(all, restored, excusedWhenRestored())
		}).WithContext(ctx).WithTimeout(time.Minute).WithPolling(2 * time.Second).Should(BeEmpty())
		kubectl(ctx, second, "", "delete", "clusterrolebinding", "kubeadm:kubelet-bootstrap")
		kubectl(ctx, second, "", "patch", "configmap", "settings", "--namespace=shop", "--patch", `{"data":{"greeting":"bye"}}`)
		spoilt, _ := held(ctx, second)
		Expect(differ(all, spoilt, excusedWhenRestored())).To(ConsistOf(
			"ClusterRoleBinding.rbac.authorization.k8s.io kubeadm:kubelet-bootstrap is gone", ContainSubstring(`ConfigMap shop/settings: data.greeting was "hello: world"`)),
			"a lost and a changed object, and nothing else")
		revision, err := access.Revision(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(revision).To(BeNumerically(">", 1_000_000_000))
	}, NodeTimeout(15*time.Minute))
})
