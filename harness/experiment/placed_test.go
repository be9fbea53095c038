package experiment

import (
	"strings"
	"testing"

	"drydock.dev/drydock/scenarios"
)

const upgrading = `apiVersion: drydock.dev/v1alpha1
kind: Scenario
metadata: {name: x}
spec:
  cluster: {controlPlanes: 3, workers: 1, version: v1.35}
  steps:
    - upgrade: {to: v1.36}
      faults:
        - {at: control-plane/2/before-kubelet, etcdMemberCrash: {target: leader, for: 5s}}
  always: [versionSkew]
`

// twoAt is two crashes of different machines, placed.
func twoAt(first, second string) string {
	return first + ", etcdMemberCrash: {target: control-plane-1, for: 5s}}\n        - {at: " + second + ", etcdMemberCrash: {target: control-plane-3, for: 5s}}"
}

func TestFaultsArePlacedWhereTheyAreAllowed(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		want     string // in the refusal; empty: allowed
	}{
		"between kubeadm and kubelet":         {"", "", ""},
		"while the member restarts":           {"before-kubelet", "during-kubelet", "a quorum is 2"},
		"the default phase":                   {"control-plane/2/before-kubelet", "control-plane/2/kubelet", "a quorum is 2"},
		"while its static pods still restart": {"before-kubelet", "before-uncordon", "a quorum is 2"},
		"after the gate":                      {"before-kubelet", "after-gate", ""},
		"the same machine":                    {"control-plane/2/before-kubelet, etcdMemberCrash: {target: leader", "control-plane/2/during-kubelet, etcdMemberCrash: {target: control-plane-2", ""},
		"when it is wanted":                   {"control-plane/2/before-kubelet,", "control-plane/2/during-kubelet, expect: quorumLost,", ""},
		"when it is not lost":                 {"control-plane/2/before-kubelet,", "control-plane/2/before-kubelet, expect: quorumLost,", "2 of 3 members are left, which is a quorum: to expect quorumLost would excuse a loss that is not the fault's"},
		"a glob":                              {"control-plane/2/before-kubelet", "control-plane/*/before-kubelet", ""},
		"two within one step, apart":          {"control-plane/2/before-kubelet, etcdMemberCrash: {target: leader, for: 5s}}", twoAt("worker/1/before-drain", "worker/1/after-drain"), ""},
		"two within one step, at once":        {"control-plane/2/before-kubelet, etcdMemberCrash: {target: leader, for: 5s}}", twoAt("worker/1/during-drain", "worker/1/during-drain"), "a quorum is 2"},
		"one within the other's group":        {"control-plane/2/before-kubelet, etcdMemberCrash: {target: leader, for: 5s}}", twoAt("worker/during-1", "worker/1/before-drain"), "a quorum is 2"},
		"upon a line, during a step":          {"control-plane/2/before-kubelet, etcdMemberCrash: {target: leader", "worker/1/during-drain, when: {log: x, of: kubelet}, etcdMemberCrash: {target: leader", ""},
		"upon a line, before a step":          {"control-plane/2/before-kubelet,", "control-plane/2/before-kubelet, when: {log: x, of: kubelet},", "when is of a fault during a step"},
		"after a while":                       {"control-plane/2/before-kubelet,", "control-plane/2/before-kubelet, after: 3s,", "at the steps of an upgrade or a remedy say at"},
		"an unknown step":                     {"before-kubelet", "before-coffee", `matches no step; known: preflight`},
		"an unknown fault":                    {"etcdMemberCrash", "meteor", `unknown fault "meteor"`},
		"no step":                             {"at: control-plane/2/before-kubelet, ", "", "at is missing"},
		"another expectation":                 {"etcdMemberCrash:", "expect: rain, etcdMemberCrash:", `expect is "rain"`},
		"expect without says":                 {"- upgrade: {to: v1.36}", "- expect: failed\n      upgrade: {to: v1.36}", "needs says"},
		"two minors":                          {"version: v1.35", "version: v1.34", "one is upgraded at a time"},
		"older":                               {"to: v1.36", "to: v1.34", "is older than"},
		"an unknown version":                  {"to: v1.36", "to: v1.99.0", "unknown version"},
		"an unknown field":                    {"to: v1.36", "too: v1.36", "known: to, via"},
		"faults and kills":                    {"- upgrade: {to: v1.36}", "- killDriver: {random: 1}\n      upgrade: {to: v1.36}", "cannot be combined"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(upgrading, c.old, c.new, 1)
			s, err := Parse("x.yaml", []byte(text))
			if err == nil {
				_, err = s.Plan(1)
			}
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestALossWithinAnUpgradeIsExpectedWhileTheStepHolds: of a fault that costs the quorum by itself all the time that it holds, of one that costs it with the step,
// or with other faults, while these do.
func TestALossWithinAnUpgradeIsExpectedWhileTheStepHolds(t *testing.T) {
	for name, c := range map[string]struct {
		fault     string
		withSteps bool
		with      int
	}{
		"by itself":          {"{at: control-plane/2/before-kubelet, expect: quorumLost, etcdMemberCrash: {target: majority, for: 5s}}", false, 0},
		"with the step":      {"{at: control-plane/2/during-kubelet, expect: quorumLost, etcdMemberCrash: {target: control-plane-1, for: 5s}}", true, 0},
		"with another":       {"{at: worker/1/drain, etcdMemberCrash: {target: control-plane-1, for: 5s}}\n        - {at: worker/1/drain, expect: quorumLost, etcdMemberCrash: {target: control-plane-2, for: 5s}}", true, 1},
		"of nobody's asking": {"{at: control-plane/2/before-kubelet, etcdMemberCrash: {target: leader, for: 5s}}", false, 0},
	} {
		s, err := Parse("x.yaml", []byte(strings.Replace(upgrading, "{at: control-plane/2/before-kubelet, etcdMemberCrash: {target: leader, for: 5s}}", c.fault, 1)))
		if err != nil {
			t.Fatal(err)
		}
		cells, err := s.Cells()
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.choose(cells[0], 1)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if last := o.faults[len(o.faults)-1]; last.withSteps != c.withSteps || len(last.with) != c.with {
			t.Errorf("%s: with steps %t, with %d others", name, last.withSteps, len(last.with))
		}
	}
}

func TestEveryAndTheSeed(t *testing.T) {
	count := func(extra string, seed int64) (int, string) {
		s, err := Parse("x.yaml", []byte(strings.Replace(upgrading, "control-plane/2/before-kubelet,", "control-plane/*/before-kubelet,"+extra, 1)))
		if err != nil {
			t.Fatal(err)
		}
		text := planText(t, s, seed)
		return strings.Count(text, "etcdMemberCrash"), text
	}
	if n, text := count(" every: true,", 1); n != 3 {
		t.Errorf("every: %d faults instead of 3:\n%s", n, text)
	}
	_, first := count("", 1)
	differs := false
	for seed := range int64(50) {
		if n, _ := count("", seed); n != 1 {
			t.Fatalf("one of three: %d faults", n)
		}
		if _, again := count("", 1); again != first {
			t.Fatal("the same seed made another plan")
		}
		_, other := count("", seed)
		differs = differs || strings.SplitN(other, "\n", 2)[1] != strings.SplitN(first, "\n", 2)[1]
	}
	if !differs {
		t.Error("50 seeds chose one step: the seed chooses nothing")
	}
}

// TestEveryFaultHasItsStep: what a run records of a fault, skipped ones too, bears its step's id.
func TestEveryFaultHasItsStep(t *testing.T) {
	for _, name := range scenarios.Names() {
		s, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		cells, err := s.Cells()
		if err != nil {
			t.Fatal(err)
		}
		for _, cell := range cells {
			o, err := s.choose(cell, 1)
			if err != nil {
				t.Fatal(err)
			}
			s.steps(o, &inert{})
			for _, f := range o.faults {
				if f.step == nil {
					t.Errorf("%s %s: %s has no step", name, cell.Label, f.spec.Describe())
				}
			}
		}
	}
}
