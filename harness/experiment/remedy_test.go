package experiment

import (
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/plan"
)

// A fault that a runbook is to end lasts until that has ended: what is asked of the time of the fault is asked of all of it. Only with for does it hold for
// a while before anybody comes.
func TestAFaultLastsUntilItsRunbookHasEnded(t *testing.T) {
	for text, want := range map[string]string{
		"leader":           "inject, await its effect, remedy, see it mended, recover what the remedy has not, await recovery",
		"leader, for: 40s": "inject, await its effect, hold for 40s, remedy, see it mended, recover what the remedy has not, await recovery",
	} {
		s, err := Parse("x.yaml", []byte(strings.Replace(mending, "leader", text, 1)))
		if err != nil {
			t.Fatal(err)
		}
		cells, err := s.Cells()
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.choose(cells[0], 1)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range o.itemStep(&o.items[0], &inert{}).Children {
			got = append(got, c.Name)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %s; want %s", text, strings.Join(got, ", "), want)
		}
		if d := o.faults[0].during; len(d) != 1 || d[0].Name != "etcdLeaderMoves" {
			t.Errorf("%s: during is %v", text, d)
		}
	}
}

// What a runbook has skipped, and its looks, are no beginning of the mending.
func TestMendingBeginsWithTheFirstAct(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 0, 0, s, 0, time.UTC) }
	acts := map[string]bool{"x/power": true, "x/start": true}
	done := []plan.StepDone{
		{Name: "x/diagnose", Status: "done", Started: at(1)}, {Name: "x/power", Status: "skipped", Started: at(2)},
		{Name: "x/start", Status: "done", Started: at(5)}, {Name: "x/start", Status: "killed", Started: at(4)},
	}
	if got := firstAct(done, acts); !got.Equal(at(4)) {
		t.Errorf("%s", got)
	}
	if got := firstAct(slices.Clone(done[:2]), acts); !got.IsZero() {
		t.Errorf("nothing was done, and the mending began at %s", got)
	}
}

const mending = `
apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: x}
spec:
  cluster: {etcd: only, etcdMembers: 3}
  steps:
    - fault: {etcdMemberDataLoss: {target: leader}}
      during: [etcdLeaderMoves]
      remedy: {runbook: replace-etcd-member}
`

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
		"nothing wrong":               {"", "", ""},
		"an unknown runbook":          {"replace-etcd-member", "magic", `unknown runbook "magic"; known: replace-etcd-member`},
		"an unknown field":            {"{runbook:", "{node: a, runbook:", "known: runbook, machine, replace, timeout, snapshot, forceNewCluster, to"},
		"an unknown machine":          {"{runbook:", "{machine: w, runbook:", "it may be one of etcd-1, etcd-2, etcd-3"},
		"a fault nobody sees":         {"leader}", "leader, for: 5s}", ""},
		"several times":               {"    - fault", "    - times: 2\n      fault", "a remedy mends one, once"},
		"a refusal of nothing":        {"      remedy", "      expect: refused\n      remedy", "expect: refused needs says"},
		"another quorum":              {"remedy: {runbook: replace-etcd-member}", "remedy: {runbook: replace-etcd-member, machine: etcd-1}\n      faults: [{at: replace-etcd-member/during-add, etcdMemberCrash: {target: etcd-2, for: 5s}}]", "a quorum is 2"},
		"beside what is to be mended": {"remedy: {runbook: replace-etcd-member}", "remedy: {runbook: replace-etcd-member}\n      faults: [{at: replace-etcd-member/during-diagnose, etcdMemberCrash: {target: etcd-2, for: 5s}}]", "a quorum is 2"},
		"and it is wanted":            {"remedy: {runbook: replace-etcd-member}", "remedy: {runbook: replace-etcd-member}\n      faults: [{at: replace-etcd-member/during-diagnose, expect: quorumLost, etcdMemberCrash: {target: etcd-2, for: 5s}}]", ""},
		"no such step":                {"remedy: {runbook: replace-etcd-member}", "remedy: {runbook: replace-etcd-member}\n      faults: [{at: add, etcdMemberCrash: {target: etcd-2, for: 5s}}]", "known: replace-etcd-member/diagnose"},
		"beside an upgrade":           {"      remedy", "      upgrade: {to: v1.36}\n      remedy", "want one of"},
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
