package experiment

import (
	"strings"
	"testing"
)

// What a scenario says of a remedy is refused with the place and what is known, or means what it says.
func TestARemedyAndItsFaultBelongTogether(t *testing.T) {
	const good = `
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: x}
spec:
  cluster: {etcd: only, etcdMembers: 3}
  steps:
    - fault: {etcdMemberDataLoss: {target: leader}}
      remedy: {runbook: replace-etcd-member}
`
	for name, c := range map[string]struct{ old, new, want string }{
		"nothing wrong":        {"", "", ""},
		"an unknown runbook":   {"replace-etcd-member", "magic", `unknown runbook "magic"; known: replace-etcd-member`},
		"an unknown field":     {"{runbook:", "{node: a, runbook:", "known: runbook, machine, timeout, snapshot"},
		"an unknown machine":   {"{runbook:", "{machine: w, runbook:", "it may be one of etcd-1, etcd-2, etcd-3"},
		"a fault that ends":    {"leader}", "leader, for: 5s}", "for belongs to a fault that ends by itself"},
		"a refusal of nothing": {"      remedy", "      expect: refused\n      remedy", "expect: refused needs says"},
		"another quorum":       {"remedy: {runbook: replace-etcd-member}", "remedy: {runbook: replace-etcd-member, machine: etcd-1}\n      faults: [{at: replace-etcd-member/during-add, etcdMemberCrash: {target: etcd-2, for: 5s}}]", "a quorum is 2"},
		"no such step":         {"remedy: {runbook: replace-etcd-member}", "remedy: {runbook: replace-etcd-member}\n      faults: [{at: add, etcdMemberCrash: {target: etcd-2, for: 5s}}]", "known: replace-etcd-member/diagnose"},
		"beside an upgrade":    {"      remedy", "      upgrade: {to: v1.36}\n      remedy", "want one of"},
	} {
		s, err := Parse("x.yaml", []byte(strings.Replace(good, c.old, c.new, 1)))
		if err == nil {
			_, err = s.Plan(1)
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}
