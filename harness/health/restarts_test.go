package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// small is a cluster of one control plane and one worker, watched for a minute, in which nothing happens.
func small(change ...func(o *observe.Observation, second float64)) *Record {
	r := &Record{Topology: cluster.Topology{ControlPlanes: 1, Workers: 1, Etcd: cluster.EtcdStacked, EtcdMembers: 1, Timing: cluster.TimingFast}}
	return watch(r, change...)
}

func watch(r *Record, change ...func(o *observe.Observation, second float64)) *Record {
	for i := range 121 {
		second := float64(i) / 2
		o := observe.Observation{Time: at(second)}
		for _, m := range r.Topology.Machines() {
			for _, name := range observe.ComponentsOf(m.Role) {
				c := observe.Component{Name: name, Machine: m.Name, Version: "v1", Started: at(-100)}
				if name == observe.Kubelet {
					c.BootID = "boot-1"
				}
				o.Components = append(o.Components, c)
			}
			o.Nodes = append(o.Nodes, observe.Node{Name: m.Name, Ready: true, BootID: "boot-1"})
		}
		for _, c := range change {
			c(&o, second)
		}
		r.Observations = append(r.Observations, o)
	}
	return r
}

// from changes one component from a second on, before another.
func from(begin, end float64, machine, name string, change func(c *observe.Component)) func(*observe.Observation, float64) {
	return func(o *observe.Observation, second float64) {
		for i := range o.Components {
			if c := &o.Components[i]; c.Machine == machine && c.Name == name && second >= begin && second < end {
				change(c)
			}
		}
	}
}

func restart(second float64) func(*observe.Component) {
	return func(c *observe.Component) { c.Started = at(second) }
}

func failing(f cluster.Failure) func(*observe.Component) {
	return func(c *observe.Component) {
		*c = observe.Component{Name: c.Name, Machine: c.Machine, Error: string(f), Failure: f}
	}
}

const cp, worker, forever = "control-plane-1", "worker-1", 1e9

// TestAPauseHasAnEnd: gRPC's pauses grow no further than two minutes, 20 % more or less.
func TestAPauseHasAnEnd(t *testing.T) {
	r := &Record{Topology: cluster.Topology{ControlPlanes: 3, Etcd: cluster.EtcdStacked, EtcdMembers: 3, Timing: cluster.TimingProduction}}
	for lost, want := range map[float64]time.Duration{10: 40 * time.Second, 100: 96200 * time.Millisecond, 600: 149 * time.Second} {
		if got := r.hearsAgain(Window{Machines: []string{cp}, Components: []string{"etcd"}, Began: at(0), Cleared: at(lost)}); got != want {
			t.Errorf("lost for %g s: %s, want %s", lost, got, want)
		}
	}
}

func TestNoUnplannedRestart(t *testing.T) {
	crash := Window{Machines: []string{cp}, Components: []string{"etcd", observe.APIServer, observe.ControllerManager, observe.Scheduler}, Began: at(10), Cleared: at(20)}
	long := Window{Machines: crash.Machines, Components: crash.Components, Began: at(2), Cleared: at(22)}
	step := long
	step.Upgrade = true
	power := Window{Machines: []string{worker}, Began: at(10), Cleared: at(20)}
	node := func(name string, begin, end float64, change func(n *observe.Node)) func(*observe.Observation, float64) {
		return func(o *observe.Observation, second float64) {
			for i := range o.Nodes {
				if o.Nodes[i].Name == name && second >= begin && second < end {
					change(&o.Nodes[i])
				}
			}
		}
	}
	notReady := func(n *observe.Node) { n.Ready = false }
	boot := func(c *observe.Component) { c.BootID, c.Started = "boot-2", at(15) }
	led := from(0, 12, cp, observe.ControllerManager, func(c *observe.Component) { c.Leader = observe.Leads })
	for name, c := range map[string]struct {
		record  *Record
		windows []Window
		want    plan.Verdict
		says    string
	}{
		"quiet":                {small(), nil, plan.Pass, "121 observations of 5 processes"},
		"an API server killed": {small(from(12, forever, cp, observe.APIServer, restart(12))), nil, plan.Fail, "kube-apiserver on control-plane-1 was restarted at 00:00:12.0"},
		"an API server killed, and those who leaned on it": {small(from(10, 12, cp, observe.Scheduler, failing(cluster.Refused)), from(12, forever, cp, observe.APIServer, restart(9))), nil, plan.Fail,
			"kube-apiserver on control-plane-1 was restarted at 00:00:09.0 and no fault or step of the scenario did it: before, its process was of 23:58:20.0; kube-scheduler on control-plane-1 was away"},
		"a kubelet killed":                         {small(from(12, forever, worker, observe.Kubelet, restart(12))), nil, plan.Fail, "kubelet on worker-1 was restarted"},
		"in the fault":                             {small(from(12, forever, cp, observe.APIServer, restart(12))), []Window{crash}, plan.Pass, ""},
		"another component than the fault's":       {small(from(12, forever, cp, observe.Kubelet, restart(12))), []Window{crash}, plan.Fail, "kubelet on control-plane-1"},
		"another machine than the fault's":         {small(from(12, forever, cp, observe.APIServer, restart(12))), []Window{power}, plan.Fail, "kube-apiserver"},
		"when it settles":                          {small(from(34, forever, cp, observe.Scheduler, restart(34))), []Window{crash}, plan.Pass, ""},
		"after it has settled":                     {small(from(36, forever, cp, observe.Scheduler, restart(36))), []Window{crash}, plan.Fail, "kube-scheduler"},
		"before it began":                          {small(from(8, forever, cp, observe.Scheduler, restart(8))), []Window{crash}, plan.Fail, "kube-scheduler"},
		"refused for a while":                      {small(from(12, 14, cp, observe.Scheduler, failing(cluster.Refused))), nil, plan.Fail, "kube-scheduler on control-plane-1 was away at 00:00:13.0"},
		"refused from the beginning, then there":   {small(from(0, 3, cp, observe.Scheduler, failing(cluster.Refused))), nil, plan.Pass, ""},
		"never there":                              {small(from(0, forever, cp, observe.Scheduler, failing(cluster.Refused))), nil, plan.Unknown, "kube-scheduler on control-plane-1 never told when it started"},
		"refused once":                             {small(from(12, 13, cp, observe.Scheduler, failing(cluster.Refused))), nil, plan.Pass, ""},
		"refused in the fault":                     {small(from(12, 19, cp, observe.Scheduler, failing(cluster.Refused))), []Window{crash}, plan.Pass, ""},
		"no answer for a while":                    {small(from(12, 19, cp, observe.Scheduler, failing(cluster.Deadline))), nil, plan.Pass, ""},
		"there, and no word of its start for long": {small(from(12, 40, cp, observe.Scheduler, failing(cluster.Answered))), nil, plan.Pass, ""},
		"no answer for long":                       {small(from(12, 40, cp, observe.Scheduler, failing(cluster.Deadline))), nil, plan.Unknown, "kube-scheduler on control-plane-1 gave no answer from 00:00:12.0 on"},
		"never a start":                            {small(from(0, forever, worker, observe.Kubelet, func(c *observe.Component) { c.Started = time.Time{} })), nil, plan.Unknown, "kubelet on worker-1 never told when it started"},
		"no start at the end":                      {small(from(59, forever, worker, observe.Kubelet, func(c *observe.Component) { c.Started = time.Time{} })), nil, plan.Unknown, "kubelet on worker-1 did not tell at the end"},
		"never seen": {watch(&Record{Topology: cluster.Topology{ControlPlanes: 1, Workers: 1}}, func(o *observe.Observation, _ float64) { o.Components = o.Components[:4] }),
			nil, plan.Unknown, "kubelet on worker-1 never told"},
		"a node not ready":                             {small(node(worker, 12, 12.5, notReady)), nil, plan.Fail, "node worker-1 was not Ready at 00:00:12.0"},
		"a node not ready, its fault":                  {small(node(worker, 12, 30, notReady)), []Window{power}, plan.Pass, ""},
		"no API server to tell":                        {small(node(worker, 12, 30, notReady)), []Window{crash}, plan.Pass, ""},
		"its own API server is in a long pause":        {small(node(cp, 12, 45, notReady)), []Window{long}, plan.Pass, ""},
		"its own API server has had its pause":         {small(node(cp, 12, 50, notReady)), []Window{long}, plan.Fail, "node control-plane-1 was not Ready at 00:00:46"},
		"another's API server is in a long pause":      {small(node(worker, 12, 45, notReady)), []Window{long}, plan.Fail, "node worker-1 was not Ready at 00:00:37"},
		"an upgrade's step is no outage of its length": {small(node(cp, 12, 45, notReady)), []Window{step}, plan.Fail, "node control-plane-1 was not Ready at 00:00:37"},
		"a machine booted":                             {small(from(15, forever, worker, observe.Kubelet, boot)), []Window{{Machines: []string{worker}, Components: []string{observe.Kubelet}, Began: at(10), Cleared: at(20)}}, plan.Fail, "worker-1 has booted before 00:00:15.0"},
		"a machine booted, its fault":                  {small(from(15, forever, worker, observe.Kubelet, boot)), []Window{power}, plan.Pass, ""},
		"a boot told of late": {small(from(10, 50, worker, observe.Kubelet, failing(cluster.Answered)), from(50, forever, worker, observe.Kubelet, boot)), []Window{power},
			plan.Pass, ""},
		"another boot before the first was told of": {small(from(10, 50, worker, observe.Kubelet, failing(cluster.Answered)), from(50, forever, worker, observe.Kubelet, func(c *observe.Component) {
			c.BootID, c.Started = "boot-3", at(45)
		})), []Window{power}, plan.Fail, "worker-1 has booted before 00:00:45.0"},
		"a node told of another boot":  {small(node(worker, 12, forever, func(n *observe.Node) { n.BootID = "x" })), nil, plan.Fail, "node worker-1 told of another boot"},
		"a window that never closed":   {small(from(55, forever, cp, observe.APIServer, restart(55))), []Window{{Machines: []string{cp}, Began: at(10)}}, plan.Pass, ""},
		"a fault that never began":     {small(from(55, forever, cp, observe.APIServer, restart(55))), []Window{{Machines: []string{cp}}}, plan.Fail, "kube-apiserver"},
		"who led when etcd was away":   {small(led, from(12, forever, cp, observe.ControllerManager, restart(12))), []Window{{Machines: []string{cp}, Components: []string{"etcd"}, Began: at(10), Cleared: at(20)}}, plan.Pass, ""},
		"who followed when it was so":  {small(from(12, forever, cp, observe.ControllerManager, restart(12))), []Window{{Machines: []string{cp}, Components: []string{"etcd"}, Began: at(10), Cleared: at(20)}}, plan.Fail, "kube-controller-manager"},
		"a kubelet without the quorum": {small(from(12, forever, cp, observe.Kubelet, restart(12))), []Window{{Expected: true, Began: at(10), Cleared: at(20)}}, plan.Fail, "kubelet"},
		"a server without the quorum":  {small(from(12, forever, cp, observe.APIServer, restart(12))), []Window{{Expected: true, Began: at(10), Cleared: at(20)}}, plan.Pass, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.record.Windows = c.windows
			if got := judge(t, "noUnplannedRestart", c.record, nil, Params{}); got.Verdict != c.want || !strings.Contains(got.Message, c.says) {
				t.Fatalf("%s: %s", got.Verdict, got.Message)
			}
		})
	}
}

// TestAHostThatStoodStill: who led lost its lease by that, and a node its heartbeat; an API server has no such excuse. A clock that jumps moves every start.
func TestAHostThatStoodStill(t *testing.T) {
	host := []observe.HostReading{{Time: at(0)}, {Time: at(12), Stalls: []observe.Stall{{From: at(8), To: at(11)}}}}
	led := from(0, 12, cp, observe.ControllerManager, func(c *observe.Component) { c.Leader = observe.Leads })
	for name, c := range map[string]struct {
		record *Record
		host   []observe.HostReading
		want   plan.Verdict
	}{
		"who led":       {small(led, from(12, forever, cp, observe.ControllerManager, restart(12))), host, plan.Unknown},
		"who followed":  {small(from(12, forever, cp, observe.ControllerManager, restart(12))), host, plan.Fail},
		"long after it": {small(from(0, 40, cp, observe.Scheduler, func(c *observe.Component) { c.Leader = observe.Leads }), from(40, forever, cp, observe.Scheduler, restart(40))), host, plan.Fail},
		"a node":        {small(func(o *observe.Observation, second float64) { o.Nodes[1].Ready = second < 12 || second > 14 }), host, plan.Unknown},
		"a jump":        {small(from(12, forever, cp, observe.Scheduler, restart(-60))), []observe.HostReading{{Time: at(0)}, {Time: at(12), Jump: 40 * time.Second}}, plan.Pass},
		"a jump back":   {small(from(12, forever, cp, observe.Scheduler, restart(-140))), []observe.HostReading{{Time: at(0)}, {Time: at(12), Jump: -40 * time.Second}}, plan.Pass},
		"two jumps":     {small(from(12, forever, cp, observe.Scheduler, restart(-70))), []observe.HostReading{{Time: at(0)}, {Time: at(11.5), Jump: 10 * time.Second}, {Time: at(12), Jump: 20 * time.Second}}, plan.Pass},
		// A jump excuses nothing but itself.
		"a restart beside a small jump":      {small(from(12, forever, cp, observe.Scheduler, restart(11))), []observe.HostReading{{Time: at(0)}, {Time: at(12), Jump: 150 * time.Millisecond}}, plan.Fail},
		"a restart beside a jump":            {small(from(12, forever, cp, observe.Scheduler, restart(11))), []observe.HostReading{{Time: at(0)}, {Time: at(12), Jump: 40 * time.Second}}, plan.Fail},
		"a restart beside a jump back":       {small(from(12, forever, cp, observe.Scheduler, restart(-10))), []observe.HostReading{{Time: at(0)}, {Time: at(12), Jump: -40 * time.Second}}, plan.Fail},
		"a start moved back by another jump": {small(from(12, forever, cp, observe.Scheduler, restart(-120))), []observe.HostReading{{Time: at(0)}, {Time: at(12), Jump: -40 * time.Second}}, plan.Fail},
		"no jump":                            {small(from(12, forever, cp, observe.Scheduler, restart(-60))), []observe.HostReading{{Time: at(0)}, {Time: at(12)}}, plan.Fail},
	} {
		c.record.Host = c.host
		if got := judge(t, "noUnplannedRestart", c.record, nil, Params{}); got.Verdict != c.want {
			t.Errorf("%s: %s %s", name, got.Verdict, got.Message)
		}
	}
}

// TestAClockThatAFaultSetsRestartsNobody: what is on its machine tells its start by that clock, and nothing else does.
func TestAClockThatAFaultSetsRestartsNobody(t *testing.T) {
	moved := func(machine, name string, by float64) *Record {
		return small(from(11, 30.5, machine, name, restart(-100+by)))
	}
	for name, c := range map[string]struct {
		record *Record
		by     time.Duration
		want   plan.Verdict
	}{
		"behind":                     {moved(worker, observe.Kubelet, -600), -10 * time.Minute, plan.Pass},
		"ahead":                      {moved(worker, observe.Kubelet, 600), 10 * time.Minute, plan.Pass},
		"by another time":            {moved(worker, observe.Kubelet, 700), 10 * time.Minute, plan.Fail},
		"a restart beside it":        {moved(worker, observe.Kubelet, -550), -10 * time.Minute, plan.Fail},
		"on another machine":         {moved(cp, observe.Scheduler, 600), 10 * time.Minute, plan.Fail},
		"of a fault that sets none":  {moved(worker, observe.Kubelet, 600), 0, plan.Fail},
		"before the fault was there": {small(from(4, 30.5, worker, observe.Kubelet, restart(500))), 10 * time.Minute, plan.Fail},
		"told of late":               {small(from(28, 45, worker, observe.Kubelet, restart(500))), 10 * time.Minute, plan.Pass},
		"a restart after it":         {small(from(58, forever, worker, observe.Kubelet, restart(57))), 10 * time.Minute, plan.Fail},
	} {
		c.record.Windows = []Window{{ID: "4", Machines: []string{worker}, Components: []string{observe.Kubelet}, Clock: c.by, Began: at(10), Effective: at(13), Recover: at(30), Cleared: at(35)}}
		if got := judge(t, "noUnplannedRestart", c.record, nil, Params{}); got.Verdict != c.want {
			t.Errorf("%s: %s %s", name, got.Verdict, got.Message)
		}
	}
}

// TestAClockThatJumpsRestartsNoMember: members tell their start by the host's clock as everybody does.
func TestAClockThatJumpsRestartsNoMember(t *testing.T) {
	for name, c := range map[string]struct {
		started float64
		want    plan.Verdict
	}{"moved as the clock did": {-60, plan.Pass}, "restarted then": {15, plan.Fail}} {
		r := three()
		for i := range 60 {
			o := seen(float64(i) / 2)
			for j := range o.Members {
				if o.Members[j].Started = at(-100); i >= 30 {
					o.Members[j].Started = at(c.started)
				}
			}
			r.Observations = append(r.Observations, o)
		}
		r.Host = []observe.HostReading{{Time: at(0)}, {Time: at(15), Jump: 40 * time.Second}}
		if got := judge(t, "onlyPlannedLosses", r, nil, Params{}); got.Verdict != c.want {
			t.Errorf("%s: %s %s", name, got.Verdict, got.Message)
		}
	}
}

// TestAStrategyOfSomebodyElseTakesOneMachineAtATime: its window excuses every control plane until that is at the version, and never two at once.
func TestAStrategyOfSomebodyElseTakesOneMachineAtATime(t *testing.T) {
	three := func(until string, change ...func(o *observe.Observation, second float64)) *Record {
		r := &Record{Topology: cluster.Topology{ControlPlanes: 3, Etcd: cluster.EtcdStacked, EtcdMembers: 3, Timing: cluster.TimingFast}}
		r.Windows = []Window{{ID: "4.3", Upgrade: true, Machines: r.Topology.ControlPlaneMachines(), AtMost: 1, Until: until, Began: at(5), Cleared: at(55)}}
		return watch(r, change...)
	}
	name := func(machine int) string { return fmt.Sprintf("control-plane-%d", machine) }
	away := func(machine int, begin, end float64) func(*observe.Observation, float64) {
		return from(begin, end, name(machine), observe.APIServer, failing(cluster.Refused))
	}
	new := func(machine int, since float64) func(*observe.Observation, float64) { // all its components at v2
		return func(o *observe.Observation, second float64) {
			for i := range o.Components {
				if c := &o.Components[i]; c.Machine == name(machine) && second >= since {
					c.Version = "v2"
				}
			}
		}
	}
	for name, c := range map[string]struct {
		record *Record
		want   plan.Verdict
		says   string
	}{
		"one after another": {three("", away(1, 10, 20), away(2, 20, 30), away(3, 30, 40)), plan.Pass, ""},
		"two at once":       {three("", away(1, 10, 20), away(2, 15, 30)), plan.Fail, "at the same time"},
		"one, outside":      {three("", away(1, 1, 10)), plan.Fail, "was away"},

		"one after another, each to the version": {three("v2", away(1, 6, 8), new(1, 8), away(2, 10, 14), new(2, 14), away(3, 20, 24), new(3, 24)), plan.Pass,
			"step 4.3 excused at most 1 at a time, until it stays at v2: control-plane-1 for 24s, control-plane-2 for 30s, control-plane-3 for 40s"},
		"two at once, on the way":              {three("v2", away(1, 10, 20), away(2, 15, 30)), plan.Fail, "at the same time"},
		"again, soon after it":                 {three("v2", new(1, 8), away(1, 20, 23)), plan.Pass, ""},
		"again, when it was done":              {three("v2", new(1, 8), away(1, 45, 48)), plan.Fail, "kube-apiserver on control-plane-1 was away"},
		"started anew, when it was done":       {three("v2", new(1, 8), from(45, forever, "control-plane-1", observe.APIServer, restart(45))), plan.Fail, "kube-apiserver on control-plane-1 was restarted"},
		"another, which was not":               {three("v2", new(1, 8), away(2, 45, 48)), plan.Pass, ""},
		"again and again at the new version":   {three("v2", new(1, 8), away(1, 20, 23), away(1, 35, 38)), plan.Pass, ""},
		"never at the version, the whole time": {three("v2", away(1, 10, 13), away(1, 45, 48)), plan.Pass, "control-plane-1 for 50s"},
	} {
		if got := judge(t, "noUnplannedRestart", c.record, nil, Params{}); got.Verdict != c.want || !strings.Contains(got.Message, c.says) {
			t.Errorf("%s: %s %s", name, got.Verdict, got.Message)
		}
	}
}

// TestWhoDidNotLookSawNothing: many looks at one time make up for none at another, and each check says for how long none may be missing.
func TestWhoDidNotLookSawNothing(t *testing.T) {
	for name, c := range map[string]struct {
		from, to int // observations that are missing, two a second
		p        Params
		quorum   plan.Verdict
		others   plan.Verdict
	}{
		"none":                    {0, 0, Params{}, plan.Pass, plan.Pass},
		"four seconds":            {20, 27, Params{}, plan.Pass, plan.Pass},
		"seven seconds":           {20, 33, Params{}, plan.Unknown, plan.Unknown},
		"seven, and more allowed": {20, 33, Params{MaxGap: 10 * time.Second}, plan.Pass, plan.Unknown},
		"four, and less allowed":  {20, 27, Params{MaxGap: 2 * time.Second}, plan.Unknown, plan.Pass},
		"until the end":           {100, 121, Params{}, plan.Unknown, plan.Unknown},
	} {
		r := small(func(o *observe.Observation, _ float64) {
			o.Members = []etcd.Member{{Machine: cp, ID: 1, Leader: 1, Started: at(-100)}}
			o.Workload = &observe.WorkloadState{Ready: 2, MinAvailable: 1}
		})
		r.Budgets = []Budget{{From: at(-1), MinAvailable: 1}}
		r.Final = r.Observations[120]
		r.Observations = append(r.Observations[:c.from:c.from], r.Observations[c.to:]...)
		for _, check := range []string{"etcdQuorum", "onlyPlannedLosses", "noUnplannedRestart", "pdbRespected"} {
			want := c.others
			if check == "etcdQuorum" {
				want = c.quorum
			}
			if got := judge(t, check, r, nil, c.p); got.Verdict != want {
				t.Errorf("%s: %s is %s: %s", name, check, got.Verdict, got.Message)
			}
		}
	}
}
