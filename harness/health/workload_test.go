package health

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

func TestPDBRespected(t *testing.T) {
	state := func(begin, end float64, change func(s *observe.WorkloadState)) func(*observe.Observation, float64) {
		return func(o *observe.Observation, second float64) {
			if o.Workload == nil {
				o.Workload = &observe.WorkloadState{Replicas: 6, Ready: 6, MinAvailable: 5, On: []string{"worker-1", "worker-2"}}
			}
			if change != nil && second >= begin && second < end {
				change(o.Workload)
			}
		}
	}
	ready := func(n int) func(*observe.WorkloadState) { return func(s *observe.WorkloadState) { s.Ready = n } }
	least := func(n int) func(*observe.WorkloadState) {
		return func(s *observe.WorkloadState) { s.MinAvailable = n }
	}
	for name, c := range map[string]struct {
		change  func(*observe.Observation, float64)
		windows []Window
		budgets []Budget
		want    plan.Verdict
		says    string
	}{
		"kept":                       {state(0, 0, nil), nil, nil, plan.Pass, "at least 1 replicas to spare"},
		"broken":                     {state(20, 21, ready(4)), nil, nil, plan.Fail, "only 4 replicas were ready"},
		"broken by a worker's fault": {state(20, 21, ready(4)), []Window{{Machines: []string{"worker-3"}, Began: at(10), Cleared: at(20)}}, nil, plan.Pass, ""},
		"broken just after a fault":  {state(30, 31, ready(4)), []Window{{Machines: []string{"worker-1"}, Began: at(5), Cleared: at(10)}}, nil, plan.Pass, ""},
		"broken long after a fault":  {state(50, 51, ready(4)), []Window{{Machines: []string{"worker-1"}, Began: at(5), Cleared: at(10)}}, nil, plan.Fail, "only 4"},
		"broken in another's fault":  {state(20, 21, ready(4)), []Window{{Machines: []string{"control-plane-1"}, Began: at(10), Cleared: at(30)}}, nil, plan.Fail, "only 4"},
		"in a step of an upgrade":    {state(20, 21, ready(4)), []Window{{Upgrade: true, Machines: []string{"worker-1"}, Began: at(10), Cleared: at(30)}}, nil, plan.Fail, "only 4"},
		"the budget gone":            {state(20, forever, func(s *observe.WorkloadState) { s.NoBudget, s.MinAvailable = true, 0 }), nil, nil, plan.Fail, "at 00:00:20.0 the workload had no PodDisruptionBudget"},
		"the budget lowered":         {state(20, forever, least(1)), nil, nil, plan.Fail, "asked for 1 replicas, the scenario for 5"},
		"lowered by a step":          {state(20, forever, least(1)), nil, []Budget{{at(-1), 5}, {at(19.5), 1}}, plan.Pass, ""},
		"lowered before the step":    {state(10, forever, least(1)), nil, []Budget{{at(-1), 5}, {at(19.5), 1}}, plan.Fail, "the scenario for 5"},
		"raised by a step":           {state(20, forever, least(6)), nil, []Budget{{at(-1), 5}, {at(19.5), 6}}, plan.Pass, ""},
		"never read":                 {nil, nil, nil, plan.Unknown, "never observed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Record{Topology: cluster.Topology{ControlPlanes: 1, Workers: 3, Timing: cluster.TimingFast}, Windows: c.windows, Budgets: c.budgets}
			if c.budgets == nil {
				r.Budgets = []Budget{{at(-1), 5}}
			}
			if c.change != nil {
				watch(r, c.change)
			}
			if got := judge(t, "pdbRespected", r, nil, Params{}); got.Verdict != c.want || !strings.Contains(got.Message, c.says) {
				t.Fatalf("%s: %s", got.Verdict, got.Message)
			}
		})
	}
}
