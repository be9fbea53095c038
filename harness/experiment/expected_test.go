package experiment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/upgrade"
)

// TestAFailureThatIsExpectedMustBeTheOneAndBeRolledBack runs upgrades of one machine of which steps fail.
func TestAFailureThatIsExpectedMustBeTheOneAndBeRolledBack(t *testing.T) {
	boom := errors.New("PodDisruptionBudget default/x allows no disruption")
	refusal := fmt.Errorf("%w: %w", plan.ErrRefused, boom)
	for name, c := range map[string]struct {
		expect, strategy string
		fails            map[string]error
		noRollback       bool
		says             string // of the error; empty: it is what was wanted
	}{
		"rolled back":                       {expect: ExpectFailed, fails: map[string]error{"drain": boom}},
		"refused instead":                   {expect: ExpectFailed, fails: map[string]error{"preflight": refusal}, says: "was refused before anything was touched"},
		"refused, as expected":              {expect: ExpectRefused, fails: map[string]error{"preflight": refusal}},
		"failed instead":                    {expect: ExpectRefused, fails: map[string]error{"drain": boom}, says: "should have been refused"},
		"no rollback in the plan":           {expect: ExpectFailed, fails: map[string]error{"drain": boom}, noRollback: true, says: "has no rollback for"},
		"of a step that nothing rolls back": {expect: ExpectFailed, fails: map[string]error{"verify": boom}, says: "has no rollback for"},
		"nothing to roll back":              {expect: ExpectFailed, fails: map[string]error{"drain": boom, "rollback": plan.ErrSkip}},
		"a rollback that failed":            {expect: ExpectFailed, fails: map[string]error{"drain": boom, "rollback": errors.New("no way back")}, says: "no way back"},
		"somebody else's program":           {expect: ExpectFailed, strategy: upgrade.Command, fails: map[string]error{"drain": boom}, noRollback: true},
		"another failure":                   {expect: ExpectFailed, fails: map[string]error{"drain": errors.New("a reset")}, says: "does not say"},
		"none":                              {expect: ExpectFailed, says: "and succeeded"},
	} {
		t.Run(name, func(t *testing.T) {
			step := func(name string) *plan.Step {
				return &plan.Step{Name: name, Rollback: name == "rollback", Run: func(context.Context) error { return c.fails[name] }}
			}
			// A fault during the drain puts it one group deeper, as weave does.
			machine := &plan.Step{Name: "worker/1", Children: []*plan.Step{{Name: "drain with a fault", Children: []*plan.Step{step("drain")}}, step("gate")}}
			if !c.noRollback {
				machine.Children = append(machine.Children, step("rollback"))
			}
			it := &item{step: Step{Expect: c.expect, Says: "allows no disruption"}, upgrade: &upgrade.Upgrade{Spec: upgrade.Spec{Strategy: c.strategy}}}
			group := &plan.Step{Name: "upgrade", Children: []*plan.Step{step("preflight"), machine, step("verify")}}
			group.Absorb = func(err error, done []plan.StepDone) error { return it.absorb(group, err, done) }
			j, err := plan.CreateJournal(t.TempDir(), nil)
			if err != nil {
				t.Fatal(err)
			}
			p := &plan.Plan{Steps: []*plan.Step{group}}
			p.Number()
			err = (&plan.Runner{Journal: j}).Run(context.Background(), p)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

// TestARefusalIsProvenByVersionsThatWereTold: no data is no proof that nothing was touched.
func TestARefusalIsProvenByVersionsThatWereTold(t *testing.T) {
	top := cluster.Topology{ControlPlanes: 1, Workers: 1}.Complete()
	all := func() map[string]string {
		out := map[string]string{"etcd/control-plane-1": "v3.6.16", "kubelet/worker-1": "v1"}
		for _, c := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"} {
			out[c+"/control-plane-1"] = "v1"
		}
		return out
	}
	if err := allTold(all(), top); err != nil {
		t.Error(err)
	}
	if err := allTold(nil, top); err == nil {
		t.Error("nobody told a version, and that was enough")
	}
	less := all()
	delete(less, "kubelet/worker-1")
	if err := allTold(less, top); err == nil || !strings.Contains(err.Error(), "kubelet on worker-1") {
		t.Errorf("one is missing: %v", err)
	}
	other := all()
	other["kubelet/worker-1"] = "v2"
	if err := unchanged(all(), other); err == nil || unchanged(all(), all()) != nil {
		t.Errorf("one has changed: %v", err)
	}
}
