package health

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
)

// quietFor is how long nothing at all may come from whoever looks every half second and takes some seconds for it on a busy host.
const quietFor = 15 * time.Second

// Silence says where somebody who should have looked all through the run did not: a probe that is missing or stopped, an observer that stopped, or who
// tells of times that cannot be. What was not looked at has not gone well. Times in which the harness itself stood still are accounted for elsewhere.
func Silence(r *Record) []string {
	var out []string
	blind := r.Blind()
	quiet := func(from, to time.Time) bool { return to.Sub(from)-blind.Unseen(from, to) > quietFor }
	begin, end := r.span()
	if n := len(r.Observations); n > 0 && quiet(begin, r.Observations[0].Time) {
		out = append(out, fmt.Sprintf("the observer began at %s, the run at %s", clock(r.Observations[0].Time), clock(begin)))
	}
	var last time.Time
	for _, o := range r.Observations {
		switch {
		case last.IsZero():
		case o.Time.Before(last.Add(-time.Second)) && !setBack(r, last.Sub(o.Time)):
			out = append(out, fmt.Sprintf("the observation of %s follows that of %s", clock(o.Time), clock(last)))
		case quiet(last, o.Time):
			out = append(out, fmt.Sprintf("nothing was observed from %s to %s", clock(last), clock(o.Time)))
		}
		last = o.Time
	}
	if !last.IsZero() && quiet(last, end) {
		out = append(out, fmt.Sprintf("the observer stopped at %s, the run went on until %s", clock(last), clock(end)))
	}
	for _, name := range missingProbes(r) {
		out = append(out, fmt.Sprintf("the probe %q is missing", name))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Samples)) {
		samples := r.Samples[name]
		if n := len(samples); n > 0 && quiet(begin, samples[0].Start) {
			out = append(out, fmt.Sprintf("the probe %q began at %s, the run at %s", name, clock(samples[0].Start), clock(begin)))
		}
		for i, s := range samples {
			if quiet(s.Start, s.End) {
				out = append(out, fmt.Sprintf("a try of the probe %q took from %s to %s", name, clock(s.Start), clock(s.End)))
			}
			if i > 0 && quiet(samples[i-1].End, s.Start) {
				out = append(out, fmt.Sprintf("the probe %q was silent from %s to %s", name, clock(samples[i-1].End), clock(s.Start)))
			}
		}
		if n := len(samples); n > 0 && quiet(samples[n-1].End, end) {
			out = append(out, fmt.Sprintf("the probe %q stopped at %s, the run went on until %s", name, clock(samples[n-1].End), clock(end)))
		}
	}
	return out
}

// span is the time from the first that anybody looked at or tried to the last.
func (r *Record) span() (begin, end time.Time) {
	end = r.Final.Time
	if len(r.Observations) > 0 {
		begin = r.Observations[0].Time
	}
	for _, samples := range r.Samples {
		if len(samples) == 0 {
			continue
		}
		if first := samples[0].Start; begin.IsZero() || first.Before(begin) {
			begin = first
		}
		if last := lastOf(samples); last.After(end) {
			end = last
		}
	}
	return begin, end
}

// unread says when a part of the observations was not there for longer than whoever was watched may be silent, but while a fault or a step was on the
// control plane or on etcd, which keeps such parts away. What was not read has not been well.
func (r *Record) unread(what string, there func(o observe.Observation) bool) string {
	calm := newClients(r, Params{}).quiet
	var since time.Time
	seen := false
	for _, o := range r.Observations {
		switch {
		case there(o):
			since, seen = time.Time{}, true
		case !calm(o.Time, o.Time):
			since = time.Time{}
		case since.IsZero():
			since = o.Time
		case o.Time.Sub(since) > silentFor:
			return fmt.Sprintf("%s were not read from %s on for more than %s", what, clock(since), silentFor)
		}
	}
	if !seen {
		return what + " were never read"
	}
	return ""
}

// lookedAway is the longest time between two looks after which a check may still say that nothing happened in it: what takes longer than an election
// is an outage. One look every half second is made, and on a host with a load of 28 a processor they were never more than 3.8 s apart.
const lookedAway = electionGap

// sparse says where nobody looked for longer than a check allows, whoever is to blame for it; empty: nowhere. Many looks at another time make up for
// nothing.
func (r *Record) sparse(limit time.Duration) string {
	if len(r.Observations) < 2 {
		return fmt.Sprintf("%d observations", len(r.Observations))
	}
	last := r.Observations[0].Time
	for _, o := range append(slices.Clone(r.Observations), r.Final) {
		if !o.Time.IsZero() && o.Time.Sub(last) > limit {
			return fmt.Sprintf("nothing was observed from %s to %s, which is longer than %s", clock(last), clock(o.Time), limit)
		}
		if o.Time.After(last) {
			last = o.Time
		}
	}
	return ""
}

// setBack reports whether the host's clock was seen to be set back by about so much. A stall is no reason for a time that runs backwards.
func setBack(r *Record, by time.Duration) bool {
	return slices.ContainsFunc(r.Host, func(h observe.HostReading) bool { return h.Jump < 0 && -h.Jump >= by-time.Second })
}

// missingProbes are those that every load on such a cluster has.
func missingProbes(r *Record) []string {
	want := []string{load.ProbeEtcdWrite, load.ProbeEtcdRead, load.ProbeEtcdStaleRead}
	if r.ReadOnly || r.Quiet {
		return nil // its checks say what they miss
	}
	if r.Topology.Kubernetes() {
		want = append(want, load.ProbeAPIRead, load.ProbeAPIWrite, load.ProbeAPINew)
		for _, m := range r.Topology.ControlPlaneMachines() {
			want = append(want, load.ProbeAPIDirect+m)
		}
	}
	return slices.DeleteFunc(want, func(name string) bool {
		_, there := r.Samples[name]
		return there
	})
}
