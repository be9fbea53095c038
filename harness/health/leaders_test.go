package health

import (
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// elected is an observation of both leases and of what the processes say: "" is nothing.
func elected(second float64, holder string, acquired float64, a, b observe.Belief) observe.Observation {
	o := observe.Observation{Time: at(second)}
	for _, name := range []string{observe.ControllerManager, observe.Scheduler} {
		o.Leases = append(o.Leases, observe.Lease{Component: name, Holder: holder + "_x", Acquired: at(acquired), Renewed: at(second), Duration: 6 * time.Second})
	}
	for machine, belief := range map[string]observe.Belief{"a": a, "b": b} {
		c := observe.Component{Name: observe.Scheduler, Machine: machine, Started: epoch, Leader: belief}
		if belief != "" {
			c.LeaderAt = at(second - 0.1)
		}
		o.Components = append(o.Components, c)
	}
	return o
}

// TestALeaseThatIsTakenEarly: only its holder can give it up before its time, which is seldom seen between two looks.
func TestALeaseThatIsTakenEarly(t *testing.T) {
	early := func() *Record {
		r := three()
		r.Observations = []observe.Observation{elected(10, "a", 0, "", ""), elected(12, "b", 12, "", "")}
		return r
	}
	stopped, stalledBetween, ended, robbed := early(), early(), early(), early()
	gone := func(second float64) observe.Observation {
		o := elected(second, "b", 12, "", "")
		for _, name := range []string{observe.ControllerManager, observe.Scheduler} {
			o.Components = append(o.Components, observe.Component{Name: name, Machine: "a", Error: "connection refused", Failure: cluster.Refused})
		}
		return o
	}
	ended.Observations = append(ended.Observations, gone(13))
	robbed.Observations = append(robbed.Observations, elected(14, "b", 12, "", ""), gone(25))
	stopped.Windows = []Window{{Machines: []string{"a"}, Components: []string{observe.ControllerManager, observe.Scheduler}, Began: at(9)}}
	stalledBetween.Host = stalled(10.5, 11.5)
	for name, c := range map[string]struct {
		r    *Record
		want plan.Verdict
	}{"of somebody nobody touched": {early(), plan.Fail}, "of somebody who was stopped": {stopped, plan.Pass},
		"of somebody who had ended": {ended, plan.Pass}, "of somebody who ended by it": {robbed, plan.Fail}, "while nobody looked": {stalledBetween, plan.Unknown}} {
		if got := judge(t, "oneLeader", c.r, nil, Params{}); got.Verdict != c.want {
			t.Errorf("%s: %s (%s), want %s", name, got.Verdict, got.Message, c.want)
		}
	}
}

func TestOneLeader(t *testing.T) {
	const leads, follows, unelected = observe.Leads, observe.Follows, observe.Unelected
	one := func(o observe.Observation) observe.Observation { o.Leases = o.Leases[:1]; return o }
	counted := func(o observe.Observation, n int32) observe.Observation { o.Leases[1].Transitions = n; return o }
	unready := func(o observe.Observation) observe.Observation {
		o.APIServers = []observe.ServerHealth{{Machine: "a"}, {Machine: "b", Ready: "etcd failed"}}
		return o
	}
	renewed := func(o observe.Observation, second float64) observe.Observation {
		o.Leases[0].Renewed = at(second)
		o.Leases[1].Renewed = at(second)
		return o
	}
	for name, c := range map[string]struct {
		obs  []observe.Observation
		want plan.Verdict
		says string
	}{
		"one all the time":        {[]observe.Observation{elected(10, "a", 0, leads, follows), elected(13, "a", 0, leads, follows)}, plan.Pass, "kube-scheduler has changed hands 0 times"},
		"after expiry":            {[]observe.Observation{elected(10, "a", 0, leads, follows), elected(17, "b", 17, follows, leads)}, plan.Pass, "changed hands 1 times; nobody"},
		"before expiry":           {[]observe.Observation{elected(10, "a", 0, "", ""), elected(12, "b", 12, "", "")}, plan.Fail, "b_x took the lease at 00:00:12.0"},
		"one lease of two":        {[]observe.Observation{one(elected(10, "a", 0, leads, follows))}, plan.Unknown, "the lease of kube-scheduler was never seen"},
		"more than was seen":      {[]observe.Observation{counted(elected(10, "a", 0, leads, follows), 3), counted(elected(13, "a", 0, leads, follows), 5)}, plan.Pass, "0 times as seen, and 2 times as it counts itself"},
		"two that lead":           {[]observe.Observation{elected(10, "a", 0, leads, leads), elected(13, "a", 0, leads, leads)}, plan.Fail, "two leaders: kube-scheduler on a leads"},
		"a second one, a moment":  {[]observe.Observation{elected(10, "a", 0, leads, leads), elected(13, "a", 0, leads, follows)}, plan.Pass, ""},
		"beside the holder":       {[]observe.Observation{renewed(elected(10, "b", 0, leads, ""), 9), elected(13, "b", 0, leads, ""), renewed(elected(16, "b", 0, leads, ""), 15)}, plan.Fail, "and b renewed the lease at 00:00:13.0"},
		"one that does not elect": {[]observe.Observation{elected(10, "a", 0, leads, unelected), elected(18, "a", 0, leads, unelected), elected(26, "a", 0, leads, unelected)}, plan.Fail, "kube-scheduler on b unelected"},
		"one that waits to elect": {[]observe.Observation{unready(elected(10, "a", 0, leads, unelected)), unready(elected(18, "a", 0, leads, unelected)), elected(26, "a", 0, leads, unelected), elected(29, "a", 0, leads, follows)}, plan.Pass, ""},
		"one that elects late":    {[]observe.Observation{elected(10, "a", 0, leads, unelected), elected(18, "a", 0, leads, unelected), elected(26, "a", 0, leads, unelected), elected(29, "a", 0, leads, follows)}, plan.Pass, ""},
		"one that comes up":       {[]observe.Observation{elected(10, "a", 0, leads, unelected), elected(13, "a", 0, leads, unelected), elected(16, "a", 0, leads, follows)}, plan.Pass, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := three()
			r.Observations = c.obs
			if got := judge(t, "oneLeader", r, nil, Params{}); got.Verdict != c.want || !strings.Contains(got.Message, c.says) {
				t.Fatalf("%s: %s", got.Verdict, got.Message)
			}
		})
	}
}
