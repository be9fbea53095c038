package remediation

import (
	"context"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"drydock.dev/drydock/harness/experiment"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/scenarios"
)

// disturbed is an embedded scenario, of so many members, with a fault in the middle of its runbook in the place of the kills of that.
func disturbed(name, members, fault string) *experiment.Scenario {
	GinkgoHelper()
	raw, err := scenarios.Read(name)
	Expect(err).NotTo(HaveOccurred())
	text := regexp.MustCompile(`(?m)^ +killDriver: .*\n`).ReplaceAllString(string(raw), "")
	text = strings.NewReplacer("etcdMembers: 3", "etcdMembers: "+members, "{members: 3}", "{members: "+members+"}").Replace(text)
	begin := regexp.MustCompile(`(?m)^( +(?:- )?)remedy: \{.*\n`).FindStringSubmatchIndex(text)
	Expect(begin).NotTo(BeNil(), "a runbook to disturb")
	field := strings.Repeat(" ", begin[3]-begin[2]) + "faults: [" + fault + "]\n"
	sc, err := experiment.Parse(name+".yaml", []byte(text[:begin[1]]+field+text[begin[1]:]))
	Expect(err).NotTo(HaveOccurred())
	return sc
}

var _ = DescribeTable("a runbook in whose middle another fault falls ends GO", Label("tier: full", "fault: etcd", "needs: etcd"),
	func(ctx context.Context, name, members, fault string) {
		res, err := suite.Run(ctx, disturbed(name, members, fault), experiment.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(res.Reasons).To(BeEmpty())
		Expect(res.Verdict).To(Equal(plan.Go))
		Expect(res.Receipts).To(ContainElement(And(HaveField("Fault", "etcdMemberCrash"), HaveField("State", plan.Confirmed))))
	},
	Entry("a backup, and the leader is gone that may be giving it", "backup", "3", "{at: backup/during-save, etcdMemberCrash: {target: leader, for: 5s}}", NodeTimeout(5*time.Minute)),
	Entry("space is made, and a member is away when the alarm is taken back", "etcd-nospace", "5", "{at: etcd-nospace/during-disarm, etcdMemberCrash: {target: follower, for: 5s}}", NodeTimeout(5*time.Minute)),
	Entry("a quorum is begun anew, and the only member there is ends", "restore-quorum", "3", "{at: restore-quorum/during-rejoin-etcd-2, expect: quorumLost, etcdMemberCrash: {target: leader, for: 5s}}", NodeTimeout(5*time.Minute)),
)
