package health

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

func TestWhatAMachineRanItRunsAgain(t *testing.T) {
	state := func(change func(st *observe.MachineState)) *observe.Inventory {
		st := observe.MachineState{
			Processes: map[string][]float64{"kubelet --x": {60}, "serve": {60, 2}, "sh -c look": {0.1}},
			Mounts:    []string{"/ (ext4)", "/sys (sysfs)"}, Pods: []string{"default/a", "default/b"},
		}
		if change != nil {
			change(&st)
		}
		return &observe.Inventory{Nodes: map[string]observe.NodeFacts{"worker-1": {}}, Machines: map[string]observe.MachineState{"worker-1": st}}
	}
	young := func(st *observe.MachineState) {
		st.Processes = map[string][]float64{"kubelet --x": {1}, "serve": {0.5, 1}, "grep": {0}}
	}
	for name, c := range map[string]struct {
		after *observe.Inventory
		want  plan.Verdict
		says  string
	}{
		"as before":                          {state(nil), plan.Pass, "1 machines run the 3 programs they ran"},
		"all started again a moment ago":     {state(young), plan.Pass, ""},
		"one is not started again":           {state(func(st *observe.MachineState) { delete(st.Processes, "kubelet --x") }), plan.Fail, `worker-1 runs 0 instead of 1 of "kubelet --x"`},
		"one of two":                         {state(func(st *observe.MachineState) { st.Processes["serve"] = []float64{60} }), plan.Fail, `runs 1 instead of 2 of "serve"`},
		"something else stays":               {state(func(st *observe.MachineState) { st.Processes["eater"] = []float64{60} }), plan.Fail, `worker-1 runs 1 of "eater" and ran 0`},
		"a mount is lost":                    {state(func(st *observe.MachineState) { st.Mounts = st.Mounts[:1] }), plan.Fail, "/sys (sysfs) is no longer mounted on worker-1"},
		"a mount stays":                      {state(func(st *observe.MachineState) { st.Mounts = append(st.Mounts, "/mnt (tmpfs)") }), plan.Fail, "/mnt (tmpfs) is mounted on worker-1 and was not before"},
		"a pod is not ready":                 {state(func(st *observe.MachineState) { st.Pods = st.Pods[:1] }), plan.Fail, "pod default/b is not ready on worker-1 any more"},
		"the machine is gone":                {&observe.Inventory{Nodes: map[string]observe.NodeFacts{}, Machines: map[string]observe.MachineState{"worker-2": {}}}, plan.Fail, "worker-1 is gone"},
		"not read":                           {&observe.Inventory{Unseen: "no shell"}, plan.Unknown, "was not read after: no shell"},
		"nothing is known of the end":        {nil, plan.Unknown, "no inventory could be taken after"},
		"what only looked is not looked for": {state(func(st *observe.MachineState) { delete(st.Processes, "sh -c look") }), plan.Pass, ""},
	} {
		v, why := knownState(&Record{Before: state(nil), After: c.after}, nil, Params{})
		if v != c.want || !strings.Contains(why, c.says) {
			t.Errorf("%s: %s: %s", name, v, why)
		}
	}
}
