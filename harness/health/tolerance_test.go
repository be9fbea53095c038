package health

import (
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// TestALateAnswerIsNoLoss: what is not known is said apart, and who is silent for longer than an election, or refuses, is lost.
func TestALateAnswerIsNoLoss(t *testing.T) {
	member := func(f cluster.Failure) func(o *observe.Observation) {
		return func(o *observe.Observation) {
			o.Members[1] = etcd.Member{Machine: "etcd-2", Error: "x", Failure: f}
		}
	}
	both := func(o *observe.Observation) {
		member(cluster.Refused)(o)
		o.Members[2] = etcd.Member{Machine: "etcd-3", Error: "x", Failure: cluster.Deadline}
	}
	server := func(f cluster.Failure) func(o *observe.Observation) {
		return func(o *observe.Observation) { o.APIServers[1].Ready, o.APIServers[1].Failure = "x", f }
	}
	noQuorum := func(o *observe.Observation) { o.Quorum.Error = "no linearizable read succeeded" }
	for name, c := range map[string]struct {
		change           func(o *observe.Observation)
		seconds          int
		host             []observe.HostReading
		minimum, servers int
		atZero, unknown  float64
	}{
		"all well":                {func(*observe.Observation) {}, 0, nil, 1, 1, 0, 0},
		"one late answer":         {member(cluster.Deadline), 1, nil, 1, 1, 0, 1},
		"silent for long":         {member(cluster.Deadline), 10, nil, 0, 1, 10, 0},
		"refused once":            {member(cluster.Refused), 1, nil, 0, 1, 1, 0},
		"reset, and we stalled":   {member(cluster.Reset), 2, stalled(10, 12), 1, 1, 0, 2},
		"one lost and one late":   {both, 1, nil, 0, 1, 1, 0},
		"one late read":           {noQuorum, 1, nil, 1, 1, 0, 1},
		"no quorum for long":      {noQuorum, 10, nil, 0, 1, 10, 0},
		"an API server, late":     {server(cluster.Deadline), 1, nil, 1, 1, 0, 0},
		"an API server, refused":  {server(cluster.Refused), 1, nil, 1, 0, 0, 0},
		"an API server, for long": {server(cluster.Deadline), 10, nil, 1, 0, 0, 0},
	} {
		r := three()
		r.Host = c.host
		for i := range 30 {
			o := seen(float64(i))
			o.APIServers = []observe.ServerHealth{{Machine: "a"}, {Machine: "b"}}
			if i >= 10 && i < 10+c.seconds {
				c.change(&o)
			}
			r.Observations = append(r.Observations, o)
		}
		got := Tolerance(r, []plan.StepDone{{ID: "4", Started: at(0), DurationSeconds: time.Minute.Seconds()}})
		if got.Minimum != c.minimum || got.SecondsAtZero != c.atZero || got.SecondsUnknown != c.unknown {
			t.Errorf("%s: %s", name, got)
		}
		if len(got.Steps) != 1 || *got.Steps[0].APIServers != c.servers || *got.Steps[0].Members != c.minimum {
			t.Errorf("%s: %+v", name, got.Steps)
		}
	}
}
