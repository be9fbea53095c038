package health

import (
	"fmt"
	"time"

	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

// What availability means where a scenario says nothing: no gap above defaultGap, and of the time beside the longest gap at most so much without
// answers.
const (
	defaultGap   = 15 * time.Second
	besideAlways = 0.2
	besideFault  = 0.5 // while a fault holds, clients find the dead again and again
)

// available judges tries of one thing: how long none succeeded, and how many failed beside that.
func available(r *Record, samples []load.Sample, p Params, what string, beside float64) (plan.Verdict, string) {
	if p.MaxGap == 0 {
		p.MaxGap = defaultGap
	}
	if p.MaxErrors > 0 {
		beside = p.MaxErrors / 100
	}
	blind := r.Blind()
	ts := tries(samples, blind, nil, nil)
	good := 0
	for _, t := range ts {
		if t.Good() {
			good++
		}
	}
	g, share := longest(gaps(ts)), besides(ts)
	unseen, long, _ := dark(ts)
	since, none := untried(samples, blind, lastOf(samples))
	switch {
	case len(samples) == 0:
		return plan.Unknown, "no sample was taken"
	case g.took > p.MaxGap:
		return plan.Fail, fmt.Sprintf("%s had a gap of %s from %s, above %s: %s", what, g.took.Round(100*time.Millisecond), clock(g.began), p.MaxGap, g.last.Err)
	case share > beside:
		return plan.Fail, fmt.Sprintf("%s failed %.0f %% of the time beside the longest gap of %s, above %.0f %%: %s", what, 100*share, g.took.Round(100*time.Millisecond), 100*beside, g.last.Err)
	case blind.Longest(samples[0].Start, samples[len(samples)-1].End) > p.MaxGap:
		return plan.Unknown, fmt.Sprintf("%s: the harness was blind for longer than %s", what, p.MaxGap)
	case long > p.MaxGap:
		return plan.Unknown, fmt.Sprintf("%s is not known to have succeeded for %s from %s, above %s: the harness was blind meanwhile", what, long.Round(100*time.Millisecond), clock(unseen), p.MaxGap)
	case none > p.MaxGap:
		return plan.Unknown, fmt.Sprintf("%s: nothing was tried for %s from %s, longer than %s", what, none.Round(100*time.Millisecond), clock(since), p.MaxGap)
	case good == 0 && g.took == 0:
		return plan.Unknown, fmt.Sprintf("%s: all %d tries went unanswered while the harness was blind", what, len(samples))
	case good == 0:
		return plan.Fail, fmt.Sprintf("%s failed all %d times: %s", what, len(samples), samples[len(samples)-1].Err)
	default:
		return plan.Pass, fmt.Sprintf("%d of %d answered, longest gap %s of at most %s, beside it %.0f %% of the time without answers of at most %.0f %%",
			good, len(samples), g.took.Round(100*time.Millisecond), p.MaxGap, 100*share, 100*beside)
	}
}

func apiAvailable(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	return available(r, r.Samples[load.ProbeAPIRead], p, "API server read", besideAlways)
}

// inside judges the samples that began and ended while the fault was seen to be effective. They pass only where somebody tried all the time.
func (r *Record) inside(probe string, w *Window, skip time.Duration, judge func(samples []load.Sample) (plan.Verdict, string)) (plan.Verdict, string) {
	var in []load.Sample
	from := w.Effective.Add(skip)
	for _, s := range r.Samples[probe] {
		if s.Start.After(from) && s.End.Before(w.Recover) {
			in = append(in, s)
		}
	}
	return r.tried(in, from, w, judge)
}

// through judges the samples since the fault was being injected, those under way then among them: what it interrupts, it interrupts before somebody has
// seen its effect.
func (r *Record) through(probe string, w *Window, judge func(samples []load.Sample) (plan.Verdict, string)) (plan.Verdict, string) {
	from := w.Effective
	if !w.Began.IsZero() {
		from = w.Began
	}
	var in []load.Sample
	for _, s := range r.Samples[probe] {
		if s.End.After(from) && s.End.Before(w.Recover) {
			in = append(in, s)
		}
	}
	return r.tried(in, from, w, judge)
}

// tried judges samples of a fault's time, which pass only where somebody tried all through it.
func (r *Record) tried(in []load.Sample, from time.Time, w *Window, judge func(samples []load.Sample) (plan.Verdict, string)) (plan.Verdict, string) {
	around := []load.Sample{{Start: from, End: from}}
	v, said := judge(in)
	if blind := r.Blind().Longest(from, w.Recover); v == plan.Pass && blind > slack {
		return plan.Unknown, fmt.Sprintf("the harness was blind for %s while the fault held; %s", blind.Round(100*time.Millisecond), said)
	}
	if since, untried := untried(append(around, in...), r.Blind(), w.Recover); v == plan.Pass && untried > slack {
		return plan.Unknown, fmt.Sprintf("nothing was tried for %s from %s, while the fault held; %s", untried.Round(100*time.Millisecond), clock(since), said)
	}
	return v, said
}

func writesContinue(r *Record, w *Window, p Params) (plan.Verdict, string) {
	return r.through(load.ProbeEtcdWrite, w, func(s []load.Sample) (plan.Verdict, string) { return available(r, s, p, "etcd write", besideFault) })
}

// none says whether every sample of a probe failed.
func none(what string) func(samples []load.Sample) (plan.Verdict, string) {
	return func(samples []load.Sample) (plan.Verdict, string) { return noneOf(samples, what) }
}

func noneOf(samples []load.Sample, what string) (plan.Verdict, string) {
	if len(samples) == 0 {
		return plan.Unknown, "no sample was taken"
	}
	for _, s := range samples {
		if s.Good() {
			return plan.Fail, fmt.Sprintf("%s succeeded at %s", what, clock(s.Start))
		}
	}
	return plan.Pass, fmt.Sprintf("%s failed all %d times, the last: %s", what, len(samples), samples[len(samples)-1].Err)
}

func writesStop(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	return r.inside(load.ProbeEtcdWrite, w, 0, none("etcd write"))
}

func staleOnly(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	v, said := r.inside(load.ProbeEtcdRead, w, 0, none("linearizable read"))
	if v != plan.Pass {
		return v, said
	}
	if len(w.Machines) == len(r.Topology.EtcdMachines()) {
		return plan.Pass, said + "; no member is left to read from"
	}
	stale, more := r.inside(load.ProbeEtcdStaleRead, w, 0, func(s []load.Sample) (plan.Verdict, string) {
		return available(r, s, Params{}, "serializable read", besideFault)
	})
	return stale, said + "; serializable: " + more
}

// An API server may answer a write that waited at the moment quorum went; what began a second later may not.
const inFlight = time.Second

func apiRefuses(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	return r.inside(load.ProbeAPIWrite, w, inFlight, none("API server write"))
}

func workloadAvailable(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	return available(r, r.Samples[load.ProbeWorkload], p, "workload request", besideAlways)
}
