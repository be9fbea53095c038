package health

import (
	"fmt"
	"time"

	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

func gapWithin(samples []load.Sample, p Params, what string) (plan.Verdict, string) {
	good := 0
	for _, s := range samples {
		if s.Good() {
			good++
		}
	}
	gap := load.LongestGap(samples)
	switch {
	case len(samples) == 0:
		return plan.Unknown, "no sample was taken"
	case p.MaxGap > 0 && gap > p.MaxGap:
		return plan.Fail, fmt.Sprintf("%s had a gap of %s, above %s", what, gap.Round(100*time.Millisecond), p.MaxGap)
	case good == 0:
		return plan.Fail, fmt.Sprintf("%s failed all %d times: %s", what, len(samples), samples[len(samples)-1].Err)
	default:
		return plan.Pass, fmt.Sprintf("%d of %d answered, longest gap %s", good, len(samples), gap.Round(100*time.Millisecond))
	}
}

func apiAvailable(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	return gapWithin(r.Samples[load.ProbeAPIRead], p, "API server read")
}

// inside are the samples that began and ended while the fault was seen to be effective.
func (r *Record) inside(probe string, w *Window, skip time.Duration) []load.Sample {
	var out []load.Sample
	for _, s := range r.Samples[probe] {
		if s.Start.After(w.Effective.Add(skip)) && s.End.Before(w.Recover) {
			out = append(out, s)
		}
	}
	return out
}

func writesContinue(r *Record, w *Window, p Params) (plan.Verdict, string) {
	return gapWithin(r.inside(load.ProbeEtcdWrite, w, 0), p, "etcd write")
}

// none says whether every sample of a probe failed.
func none(samples []load.Sample, what string) (plan.Verdict, string) {
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
	return none(r.inside(load.ProbeEtcdWrite, w, 0), "etcd write")
}

func staleOnly(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	v, said := none(r.inside(load.ProbeEtcdRead, w, 0), "linearizable read")
	if v != plan.Pass {
		return v, said
	}
	if len(w.Machines) == len(r.Topology.EtcdMachines()) {
		return plan.Pass, said + "; no member is left to read from"
	}
	stale, more := gapWithin(r.inside(load.ProbeEtcdStaleRead, w, 0), Params{}, "serializable read")
	return stale, said + "; serializable: " + more
}

// An API server may answer a write that waited at the moment quorum went; what began a second later may not.
const inFlight = time.Second

func apiRefuses(r *Record, w *Window, _ Params) (plan.Verdict, string) {
	return none(r.inside(load.ProbeAPIWrite, w, inFlight), "API server write")
}

func workloadAvailable(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	return gapWithin(r.Samples[load.ProbeWorkload], p, "workload request")
}
