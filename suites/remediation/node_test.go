package remediation

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/remedy"
)

var _ = DescribeTable("a scenario of nodes and their certificates ends GO",
	func(ctx context.Context, name string) { suite.EndsGo(ctx, name, experiment.Options{}) },
	Entry(nil, "recover-node-kubelet", Label("tier: full", "fault: service", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "recover-node-panic", Label("tier: full", "fault: node", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "recover-node-evicted", Label("tier: full", "fault: node", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "recover-node-certificate", Label("tier: full", "fault: service", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "recover-node-replaced", Label("tier: full", "fault: node", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "expired-certificates-one", Label("tier: full", "fault: service", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
	Entry(nil, "expired-certificates", Label("tier: full", "fault: service", "needs: kubernetes"), NodeTimeout(20*time.Minute)),
)

// nodeTraces is all that a runbook could leave of a cluster with Kubernetes, but for what its components write all the time: services and files of machines, what
// belongs to the owners of its nodes, its pods, its members, and what the host keeps with it.
func nodeTraces(ctx context.Context, c cluster.Cluster, client kubernetes.Interface) string {
	GinkgoHelper()
	var b strings.Builder
	for _, m := range c.Machines() {
		out, err := cluster.Shell(ctx, m, `systemctl is-active kubelet || true
			find /etc /root /var/lib -xdev -type f -not -path '/var/lib/etcd/*' -not -path '/var/lib/kubelet/pods/*' -not -path '/var/lib/drydock/runtime/*' -printf '%p %s %T@\n' | sort`)
		Expect(err).NotTo(HaveOccurred())
		fmt.Fprintf(&b, "%s\n%s\n", m.Name(), out)
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	Expect(err).NotTo(HaveOccurred())
	for _, n := range nodes.Items {
		fmt.Fprintf(&b, "%s %v %v cordoned %t\n", n.Name, n.Labels, n.Annotations, n.Spec.Unschedulable)
	}
	pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	Expect(err).NotTo(HaveOccurred())
	var uids []string
	for _, p := range pods.Items {
		uids = append(uids, fmt.Sprintf("%s/%s %s", p.Namespace, p.Name, p.UID))
	}
	slices.Sort(uids)
	access, err := etcd.Open(ctx, c)
	Expect(err).NotTo(HaveOccurred())
	member, err := access.Client(ctx)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = member.Close() }()
	list, err := member.MemberList(ctx)
	Expect(err).NotTo(HaveOccurred())
	kept, err := os.ReadDir(c.Dir())
	Expect(err).NotTo(HaveOccurred())
	fmt.Fprintf(&b, "%v\n%v\n%v\n", uids, list.Members, kept)
	return b.String()
}

var _ = Describe("runbooks of a cluster with Kubernetes", Ordered, Label("tier: full", "needs: kubernetes"), func() {
	var (
		c      cluster.Cluster
		client kubernetes.Interface
	)
	BeforeAll(func(ctx context.Context) {
		c = suite.Up(ctx, cluster.Topology{Name: "mend", ControlPlanes: 1, Workers: 1, Timing: cluster.TimingFast})
		var err error
		client, err = kubeadm.AdminClient(ctx, c)
		Expect(err).NotTo(HaveOccurred())
	}, NodeTimeout(10*time.Minute))

	It("find nothing to do where all is well, and touch nothing", func(ctx context.Context) {
		before := nodeTraces(ctx, c, client)
		for _, name := range []string{"recover-node", "expired-certificates"} {
			Expect(endsWith(ctx, 0, c, name, "--out", GinkgoT().TempDir())).To(ContainSubstring("nothing to do"))
		}
		Expect(nodeTraces(ctx, c, client)).To(Equal(before))
	}, NodeTimeout(3*time.Minute))

	It("are refused with the sum where they would cost the quorum", func(ctx context.Context) {
		Expect(endsWith(ctx, 2, c, "recover-node", "--machine", "control-plane-1", "--replace")).To(And(ContainSubstring("without it 0 of 1 members are well, a quorum is 1"), ContainSubstring("What to do:")))
	}, NodeTimeout(2*time.Minute))

	It("touch nothing in a dry run, and say what they found", func(ctx context.Context) {
		sick, err := c.Machine("worker-1")
		Expect(err).NotTo(HaveOccurred())
		_, err = cluster.Shell(ctx, sick, "systemctl stop kubelet")
		Expect(err).NotTo(HaveOccurred())
		says := map[string]string{
			"recover-node":            "worker-1: its kubelet does not serve (inactive)",
			"replace-etcd-member":     "nothing to do: every machine has a member that is well and votes",
			"etcd-nospace":            "nothing to do: every member answers",
			"backup":                  "a quorum confirms revision ",
			"restore-quorum":          "nothing to do: a quorum confirms the list of members",
			"expired-certificates":    "nothing to do: no certificate that could be read has run out",
			"throttled-control-plane": "nothing to do: no component of a control plane calls a cloud",
		}
		before := nodeTraces(ctx, c, client)
		for _, b := range remedy.Runbooks() {
			Expect(says).To(HaveKey(b.Name), "say here what it finds")
			var args []string
			if b.Images {
				args = []string{"--image", "cloud-provider=v1.36.5"}
			}
			Expect(dryRun(ctx, c, b.Name, args...)).To(ContainSubstring(says[b.Name]))
		}
		Expect(nodeTraces(ctx, c, client)).To(Equal(before))
		_, err = cluster.Shell(ctx, sick, "systemctl start kubelet")
		Expect(err).NotTo(HaveOccurred())
		Expect(nodeTraces(ctx, c, client)).NotTo(Equal(before), "a service that was started is a trace")
	}, NodeTimeout(5*time.Minute))
})
