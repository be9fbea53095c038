package health

import (
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// spare is what more could have been lost at one observation; negative where there was no quorum, or no API server or replica too many was there. Who
// answered late counts as there: whether he was nobody knows.
type spare struct {
	members, apiServers, replicas *int
	unknown                       bool // with whoever is not known taken for lost, nothing would have been left
}

func (s spare) nothing() bool {
	for _, n := range []*int{s.members, s.apiServers, s.replicas} {
		if n != nil && *n <= 0 {
			return true
		}
	}
	return false
}

// Tolerance is the least that could have been lost, and for how long nothing, each observation standing for the time to the next; of the members, and
// for each step of an upgrade of API servers and replicas as well. A step that was shorter than the time between two observations has none.
func Tolerance(r *Record, upgrade []plan.StepDone) plan.Tolerance {
	t := plan.Tolerance{Observations: len(r.Observations)}
	all := r.spares()
	for i, s := range all {
		if m := max(*s.members, 0); i == 0 || m < t.Minimum {
			t.Minimum = m
		}
		switch of := (spare{members: s.members, unknown: s.unknown}); {
		case of.nothing():
			t.SecondsAtZero += r.stands(i)
		case of.unknown:
			t.SecondsUnknown += r.stands(i)
		}
	}
	for _, d := range upgrade {
		if step := r.stepTolerance(d, all); step != nil {
			t.Steps = append(t.Steps, *step)
		}
	}
	return t
}

func (r *Record) stepTolerance(d plan.StepDone, all []spare) *plan.StepTolerance {
	var t *plan.StepTolerance
	lower := func(to **int, n *int) {
		if n == nil {
			return
		}
		if least := max(*n, 0); *to == nil || least < **to {
			*to = &least
		}
	}
	for i, o := range r.Observations {
		if o.Time.Before(d.Started) || o.Time.After(d.Ended()) {
			continue
		}
		if t == nil {
			t = &plan.StepTolerance{ID: d.ID, Name: d.Name}
		}
		s := all[i]
		lower(&t.Members, s.members)
		lower(&t.APIServers, s.apiServers)
		lower(&t.Replicas, s.replicas)
		if s.nothing() {
			t.SecondsAtZero += r.stands(i)
		}
	}
	return t
}

// stands is the time from an observation to the next.
func (r *Record) stands(i int) float64 {
	if i+1 == len(r.Observations) {
		return 0
	}
	return r.Observations[i+1].Time.Sub(r.Observations[i].Time).Seconds()
}

// spares is what more could have been lost at each observation.
func (r *Record) spares() []spare {
	const quorum = "quorum"
	members := r.late(func(o observe.Observation) map[string]cluster.Failure {
		out := map[string]cluster.Failure{}
		for _, m := range o.Members {
			if m.Error != "" {
				out[m.Machine] = m.Failure
			}
		}
		if o.Quorum.Error != "" {
			out[quorum] = cluster.Deadline // it says no more than that
		}
		return out
	})
	servers := r.late(func(o observe.Observation) map[string]cluster.Failure {
		out := map[string]cluster.Failure{}
		for _, s := range o.APIServers {
			if s.Ready != "" {
				out[s.Machine] = s.Failure
			}
		}
		return out
	})
	out := make([]spare, len(r.Observations))
	for i, o := range r.Observations {
		known := o.Reachable() - cluster.Quorum(len(o.Members))
		some := known
		for _, m := range o.Members {
			if members[i][m.Machine] {
				some++
			}
		}
		if o.Quorum.Error != "" { // members that answer for themselves are no quorum
			if known = min(known, -1); !members[i][quorum] {
				some = known
			}
		}
		out[i] = spare{members: &some, unknown: known <= 0 && some > 0}
		if len(o.APIServers) > 0 {
			ready := -1
			for _, s := range o.APIServers {
				if s.Ready == "" || servers[i][s.Machine] {
					ready++
				}
			}
			out[i].apiServers = &ready
		}
		if o.Workload != nil {
			n := o.Workload.Spare()
			out[i].replicas = &n
		}
	}
	return out
}

// late says at each observation who gave no answer in time and may have been there all the same: for less than an election lasts, and nobody was refused
// meanwhile. A busy host answers late; who is stopped gives no answer for longer.
func (r *Record) late(failures func(o observe.Observation) map[string]cluster.Failure) []map[string]bool {
	type silence struct {
		at   []int // observations
		sure bool  // that he was not there
	}
	blind, out, now := r.Blind(), make([]map[string]bool, len(r.Observations)), map[string]*silence{}
	end := func(name string) {
		s := now[name]
		delete(now, name)
		if s.sure || r.Observations[s.at[len(s.at)-1]].Time.Sub(r.Observations[s.at[0]].Time) >= electionGap {
			return
		}
		for _, i := range s.at {
			out[i][name] = true
		}
	}
	for i, o := range r.Observations {
		out[i] = map[string]bool{}
		failing := failures(o)
		for name := range now {
			if _, still := failing[name]; !still {
				end(name)
			}
		}
		for name, f := range failing {
			if !blind.Evidence(f, o.Time, o.Time.Add(observe.For)) {
				out[i][name] = true
				continue
			}
			if now[name] == nil {
				now[name] = &silence{}
			}
			now[name].at = append(now[name].at, i)
			now[name].sure = now[name].sure || f != cluster.Deadline
		}
	}
	for name := range now {
		end(name)
	}
	return out
}
