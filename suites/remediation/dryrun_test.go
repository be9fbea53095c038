package remediation

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/remedy"
)

// traces is all that a runbook could leave: the services and files of every machine but the members' own databases, the revision and the list of etcd,
// and what the host keeps with the cluster.
func traces(ctx context.Context, c cluster.Cluster, ask string) string {
	GinkgoHelper()
	var b strings.Builder
	for _, m := range c.Machines() {
		out, err := cluster.Shell(ctx, m, "systemctl is-active etcd || true; find /etc /root /var/lib -xdev -type f -not -path '*/etcd/member/*' -printf '%p %s %T@\\n' | sort")
		Expect(err).NotTo(HaveOccurred())
		fmt.Fprintf(&b, "%s\n%s\n", m.Name(), out)
	}
	access, err := etcd.Open(ctx, c)
	Expect(err).NotTo(HaveOccurred())
	client, err := access.Client(ctx, ask)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = client.Close() }()
	list, err := client.MemberList(ctx)
	Expect(err).NotTo(HaveOccurred())
	got, err := client.Get(ctx, "a key")
	Expect(err).NotTo(HaveOccurred())
	fmt.Fprintf(&b, "revision %d, members %v\n", got.Header.Revision, list.Members)
	kept, err := os.ReadDir(c.Dir())
	Expect(err).NotTo(HaveOccurred())
	fmt.Fprintf(&b, "%v\n", kept)
	return b.String()
}

// dryRun is what a runbook says that is to touch nothing, refused or not.
func dryRun(ctx context.Context, c cluster.Cluster, runbook string, args ...string) string {
	GinkgoHelper()
	run := remedyOf(ctx, c, runbook, append(args, "--dry-run")...)
	Eventually(ctx, run).WithTimeout(time.Minute).Should(gexec.Exit())
	return string(run.Out.Contents())
}

var _ = Describe("a dry run", Label("tier: full", "needs: etcd"), func() {
	It("of each runbook touches nothing, and says what it found", func(ctx context.Context) {
		c := suite.Up(ctx, cluster.Topology{Name: "dry", Etcd: cluster.EtcdOnly, EtcdMembers: 3})
		sick, err := c.Machine("etcd-2")
		Expect(err).NotTo(HaveOccurred())
		_, err = cluster.Shell(ctx, sick, "systemctl stop etcd")
		Expect(err).NotTo(HaveOccurred())
		says := map[string]string{
			"replace-etcd-member": "etcd-2: its member does not answer",
			"restore-quorum":      "nothing to do: a quorum confirms the list of members",
			"etcd-nospace":        "no answer from the member on etcd-2",
			"backup":              "a quorum confirms revision ",
		}
		before := traces(ctx, c, "etcd-1")
		for _, b := range remedy.Runbooks() {
			if b.Kubernetes {
				continue
			}
			Expect(says).To(HaveKey(b.Name), "say here what it finds")
			Expect(dryRun(ctx, c, b.Name)).To(ContainSubstring(says[b.Name]))
		}
		Expect(traces(ctx, c, "etcd-1")).To(Equal(before))
		_, err = cluster.Shell(ctx, sick, "systemctl start etcd")
		Expect(err).NotTo(HaveOccurred())
		Expect(traces(ctx, c, "etcd-1")).NotTo(Equal(before), "a service that was started is a trace")
	}, NodeTimeout(4*time.Minute))
})
