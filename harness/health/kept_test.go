package health

import (
	"strings"
	"testing"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// userPods is a record of two pods on a worker, one of them a StatefulSet's, read every 5 s for a minute; change alters one of them from 20 s on.
func userPods(change func(o *observe.Observation, second float64)) *Record {
	r := &Record{Topology: cluster.Topology{ControlPlanes: 1, Workers: 1, Etcd: cluster.EtcdStacked, EtcdMembers: 1, Timing: cluster.TimingFast}, Probed: &observe.Probed{Time: at(61)}}
	for i := range 13 {
		second := float64(5 * i)
		o := observe.Observation{Time: at(second), Nodes: []observe.Node{{Name: worker, Ready: true, Status: "True"}}, Pods: []observe.Pod{
			{Name: "default/a-0", Node: worker, UID: "a", Owner: "StatefulSet/a", Ready: true, ReadySince: at(-9), Holds: 1, Restarts: 1},
			{Name: "default/b", Node: worker, UID: "b", Ready: true, ReadySince: at(-9), Holds: 1},
			{Name: "kube-system/etcd-x", Node: cp, UID: "etcd", Owner: "Node/x", Ready: second < 30, Holds: 1, Restarts: i},
		}}
		if change != nil && second >= 20 {
			change(&o, second)
		}
		r.Observations = append(r.Observations, o)
	}
	last := len(r.Observations) - 1
	r.Final, r.Observations = r.Observations[last], r.Observations[:last]
	return r
}

// firstPod changes the StatefulSet's pod between two times.
func firstPod(from, to float64, change func(p *observe.Pod)) func(o *observe.Observation, second float64) {
	return func(o *observe.Observation, second float64) {
		if second >= from && second < to && len(o.Pods) > 0 {
			change(&o.Pods[0])
		}
	}
}

func TestPodsAreKept(t *testing.T) {
	unready := firstPod(25, 31, func(p *observe.Pod) { p.Ready, p.Unready = false, "ContainersNotReady: [serve]" })
	again := firstPod(25, forever, func(p *observe.Pod) { p.ReadySince = at(23) }) // and no look fell into the time in between
	anew := firstPod(25, forever, func(p *observe.Pod) { p.Restarts = 2 })
	replaced := firstPod(25, forever, func(p *observe.Pod) { p.UID, p.Restarts = "c", 0 })
	probe := func(kind string, from, to float64) func(r *Record) {
		return func(r *Record) {
			r.Probed.Failures = []observe.ProbeFailure{{Pod: "default/a-0", UID: "a", Probe: kind, Said: kind + " probe failed: refused", Times: 3, First: at(from), Last: at(to)}}
		}
	}
	combined := func(kind string, from, to float64) func(r *Record) {
		return func(r *Record) {
			probe(kind, from, to)(r)
			r.Probed.Failures[0].Combined = true
		}
	}
	window := func(w Window) func(r *Record) {
		return func(r *Record) {
			w.ID, w.Machines, w.Began, w.Effective, w.Recover, w.Cleared = "1", []string{worker}, at(21), at(21), at(23), at(24)
			r.Windows = []Window{w}
		}
	}
	ofJob := func(r *Record) {
		for _, o := range r.looks() {
			if o.Pods[0].UID == "a" {
				o.Pods[0].Owner = "Job/a"
			}
		}
	}
	for name, c := range map[string]struct {
		change                func(o *observe.Observation, second float64)
		record                func(r *Record)
		kept, ready, restarts plan.Verdict
		says                  string
	}{
		"as it should":                          {nil, nil, plan.Pass, plan.Pass, plan.Pass, "nobody 1"},
		"not ready for a while":                 {unready, nil, plan.Pass, plan.Fail, plan.Pass, "no readiness probe had failed (ContainersNotReady: [serve])"},
		"not ready between two looks":           {again, nil, plan.Pass, plan.Fail, plan.Pass, "not Ready in between"},
		"after a failed probe":                  {unready, probe("Readiness", 22, 24), plan.Pass, plan.Pass, plan.Pass, "1 times after a failed probe"},
		"after a probe that failed long before": {unready, probe("Readiness", -60, -50), plan.Pass, plan.Fail, plan.Pass, "no readiness probe had failed"},
		"after another kind of probe failed":    {unready, probe("Liveness", 22, 24), plan.Pass, plan.Fail, plan.Pass, "no readiness probe had failed"},
		"and failed first and last at other times": {unready, func(r *Record) {
			probe("Readiness", 0, 50)(r)
			r.Probed.Failures[0].Times = 2
		}, plan.Pass, plan.Fail, plan.Pass, "no readiness probe had failed"},
		"between two of many failures":              {unready, probe("Readiness", 0, 50), plan.Pass, plan.Unknown, plan.Pass, "told of failed probes 3 times from 00:00:00.0 to 00:00:50.0, and not whether then"},
		"after the last of failures of many kinds":  {unready, combined("Readiness", 0, 24), plan.Pass, plan.Pass, plan.Pass, "1 times after a failed probe"},
		"at the first of failures of many kinds":    {unready, combined("Readiness", 24, 50), plan.Pass, plan.Unknown, plan.Pass, "not whether then"},
		"failures of many kinds, the last another":  {unready, combined("Liveness", 0, 24), plan.Pass, plan.Unknown, plan.Pass, "not whether then"},
		"failures of many kinds, all of them later": {unready, combined("Readiness", 40, 50), plan.Pass, plan.Fail, plan.Pass, "no readiness probe had failed"},
		"so many failures before that its kubelet tells of no more": {unready, func(r *Record) {
			probe("Liveness", -60, -50)(r)
			r.Probed.Failures[0].Times = 22
		}, plan.Pass, plan.Unknown, plan.Pass, "no more than 25 events"},
		"nobody asked for probes":       {unready, func(r *Record) { r.Probed = nil }, plan.Pass, plan.Unknown, plan.Pass, "was not read"},
		"nobody told of probes":         {unready, func(r *Record) { r.Probed.Error = "refused" }, plan.Pass, plan.Unknown, plan.Pass, "refused"},
		"asked for probes hours later":  {unready, func(r *Record) { r.Probed.Time = at(7200) }, plan.Pass, plan.Unknown, plan.Pass, "no longer kept"},
		"its kubelet was restarted":     {unready, window(Window{Components: []string{observe.Kubelet}}), plan.Pass, plan.Fail, plan.Pass, "no readiness probe had failed"},
		"its machine was off":           {unready, window(Window{}), plan.Unknown, plan.Pass, plan.Pass, "left alone"},
		"an upgrade was on its machine": {unready, window(Window{Upgrade: true, Components: []string{observe.Kubelet}}), plan.Unknown, plan.Pass, plan.Pass, "left alone"},
		"its node was lost": {func(o *observe.Observation, second float64) {
			unready(o, second)
			if second == 25 {
				o.Nodes[0].Status, o.Nodes[0].Ready = "Unknown", false
			}
		}, nil, plan.Pass, plan.Pass, plan.Pass, "stayed Ready"},
		"its container ended, to start anew later": {func(o *observe.Observation, second float64) {
			firstPod(25, 31, func(p *observe.Pod) { p.Ready, p.Waiting = false, "serve: Completed" })(o, second)
			firstPod(31, forever, func(p *observe.Pod) { p.Restarts, p.ReadySince = p.Restarts+1, at(31) })(o, second)
		}, nil, plan.Pass, plan.Pass, plan.Fail, "started anew 1 times"},
		"it was replaced after its node was lost": {func(o *observe.Observation, second float64) {
			replaced(o, second)
			if second == 20 {
				o.Nodes[0].Status, o.Nodes[0].Ready = "Unknown", false
			}
		}, nil, plan.Unknown, plan.Pass, plan.Pass, "its node was Unknown for a while"},
		"one that began later has failed": {func(o *observe.Observation, second float64) {
			job := observe.Pod{Name: "default/j", Node: worker, UID: "j", Owner: "Job/j", Phase: "Running"}
			if second >= 40 {
				job.Phase, job.Done = "Failed", true
			}
			o.Pods = append(o.Pods, job)
		}, nil, plan.Fail, plan.Pass, plan.Pass, "has failed"},
		"its container ended, and nobody counted that": {func(o *observe.Observation, second float64) {
			firstPod(25, 31, func(p *observe.Pod) { p.Ready, p.Waiting = false, "serve: ContainerCreating" })(o, second)
			firstPod(31, forever, func(p *observe.Pod) { p.ReadySince = at(31) })(o, second)
		}, nil, plan.Pass, plan.Fail, plan.Pass, "no readiness probe had failed"},
		"it told of no container, and then of its restart": {func(o *observe.Observation, second float64) {
			anew(o, second)
			firstPod(30, 31, func(p *observe.Pod) { p.Holds = 0 })(o, second)
		}, window(Window{}), plan.Unknown, plan.Pass, plan.Pass, "1 times, all accounted for"},
		"its container started anew":             {anew, nil, plan.Pass, plan.Pass, plan.Fail, "account for 0, and the scenario allows 0"},
		"and its liveness probe had failed":      {anew, probe("Liveness", 22, 24), plan.Pass, plan.Pass, plan.Fail, `its kubelet said: "Liveness probe failed: refused" (3 times`},
		"its machine was off, and it once":       {anew, window(Window{}), plan.Unknown, plan.Pass, plan.Pass, "1 times, all accounted for"},
		"its machine was off, and it twice":      {firstPod(25, forever, func(p *observe.Pod) { p.Restarts = 3 }), window(Window{}), plan.Unknown, plan.Pass, plan.Fail, "started anew 2 times"},
		"its machine was off, and it anew later": {firstPod(45, forever, func(p *observe.Pod) { p.Restarts = 2 }), window(Window{}), plan.Unknown, plan.Pass, plan.Fail, "started anew 1 times by 00:01:00.0; the faults and steps on its machine account for 0"},
		"its machine was off, and it again later": {func(o *observe.Observation, second float64) {
			anew(o, second)
			if second >= 45 {
				o.Pods[0].Restarts = 3
			}
		}, window(Window{}), plan.Unknown, plan.Pass, plan.Fail, "account for 1"},
		"it had been started anew before":      {firstPod(0, forever, func(p *observe.Pod) { p.Restarts = 1 }), nil, plan.Pass, plan.Pass, plan.Pass, "0 times"},
		"another took its place":               {replaced, nil, plan.Fail, plan.Pass, plan.Pass, "pod default/a-0 of StatefulSet/a on worker-1 was gone at 00:00:25.0, and no fault or step was on its machine: its owner made another, UID c in the place of a"},
		"another that was started anew":        {firstPod(25, forever, func(p *observe.Pod) { p.UID, p.Restarts = "c", 4 }), nil, plan.Fail, plan.Pass, plan.Fail, "started anew 4 times"},
		"it is being deleted":                  {firstPod(55, forever, func(p *observe.Pod) { p.Ending, p.Ready, p.Deleted = true, false, at(54) }), nil, plan.Fail, plan.Pass, plan.Pass, "was deleted at 00:00:54.0"},
		"its machine was off, and it replaced": {replaced, window(Window{}), plan.Unknown, plan.Pass, plan.Pass, "left alone"},
		"it was done": {func(o *observe.Observation, second float64) {
			o.Pods[0].Done, o.Pods[0].Ready = true, false
			if second > 40 {
				o.Pods = o.Pods[1:]
			}
		}, nil, plan.Pass, plan.Pass, plan.Pass, "nobody 1"},
		"its Job was done":                  {firstPod(25, forever, func(p *observe.Pod) { p.Done, p.Ready = true, false }), ofJob, plan.Pass, plan.Pass, plan.Pass, "Job 1"},
		"it has failed":                     {firstPod(25, forever, func(p *observe.Pod) { p.Done, p.Ready, p.Phase = true, false, "Failed" }), nil, plan.Fail, plan.Pass, plan.Pass, "has failed and is not started again"},
		"its Job's, gone between two looks": {func(o *observe.Observation, _ float64) { o.Pods = o.Pods[1:] }, ofJob, plan.Unknown, plan.Pass, plan.Pass, "whether it was done nobody saw"},
		"not ready to the end":              {firstPod(25, forever, func(p *observe.Pod) { p.Ready, p.Unready = false, "CrashLoopBackOff" }), window(Window{}), plan.Unknown, plan.Fail, plan.Pass, "was Ready and is not at the end"},
		"not ready to the end, and its probe failed before": {firstPod(25, forever, func(p *observe.Pod) { p.Ready = false }), func(r *Record) {
			window(Window{})(r)
			probe("Readiness", 1, 2)(r)
		}, plan.Unknown, plan.Fail, plan.Pass, "no readiness probe had failed"},
		"not ready to the end, and its probe failed": {firstPod(25, forever, func(p *observe.Pod) { p.Ready = false }), func(r *Record) {
			window(Window{})(r)
			probe("Readiness", 50, 59)(r)
		}, plan.Unknown, plan.Pass, plan.Pass, "stayed Ready"},
		"not read for long": {nil, func(r *Record) {
			for i := range r.Observations[6:] {
				r.Observations[6+i].Pods = nil
			}
		}, plan.Unknown, plan.Unknown, plan.Unknown, "the pods were not read from 00:00:30.0 on"},
		"read at the end alone": {nil, func(r *Record) {
			for i := range r.Observations {
				r.Observations[i].Pods = nil
			}
		}, plan.Unknown, plan.Unknown, plan.Unknown, "read once only"},
		"not read at the end":   {nil, func(r *Record) { r.Final.Pods = nil }, plan.Unknown, plan.Unknown, plan.Unknown, "not read at the end"},
		"but it was lost first": {unready, func(r *Record) { r.Final.Pods = nil }, plan.Unknown, plan.Fail, plan.Unknown, "not Ready at"},
		"static pods alone": {func(*observe.Observation, float64) {}, func(r *Record) {
			for i := range r.Observations {
				r.Observations[i].Pods = r.Observations[i].Pods[2:]
			}
			r.Final.Pods = r.Final.Pods[2:]
		}, plan.Unknown, plan.Unknown, plan.Unknown, "no pod but static ones"},
		"nothing at all": {nil, func(r *Record) { r.Observations, r.Final = nil, observe.Observation{} }, plan.Unknown, plan.Unknown, plan.Unknown, "never read"},
	} {
		t.Run(name, func(t *testing.T) {
			r := userPods(c.change)
			if c.record != nil {
				c.record(r)
			}
			var said []string
			for _, check := range []struct {
				name string
				want plan.Verdict
			}{{"podsKept", c.kept}, {"readyKept", c.ready}, {"restarts", c.restarts}} {
				k, err := FindCheck(Checks(), check.name, "always")
				if err != nil {
					t.Fatal(err)
				}
				v := k.Judge(r, nil, Params{})
				said = append(said, v.Message)
				if v.Verdict != check.want {
					t.Errorf("%s: %s: %s, want %s", check.name, v.Verdict, v.Message, check.want)
				}
			}
			if all := strings.Join(said, "\n"); !strings.Contains(all, c.says) {
				t.Errorf("%s\nwant %q", all, c.says)
			}
		})
	}
}
