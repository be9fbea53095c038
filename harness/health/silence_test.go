package health

import (
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
)

// watched is a minute in which everybody looked.
func watched() *Record {
	r := &Record{Topology: cluster.Topology{Etcd: cluster.EtcdOnly, EtcdMembers: 1}, Samples: map[string][]load.Sample{}}
	begun := time.Now()
	for i := range 60 {
		at := begun.Add(time.Duration(i) * time.Second)
		r.Observations = append(r.Observations, observe.Observation{Time: at})
		for _, p := range []string{load.ProbeEtcdWrite, load.ProbeEtcdRead, load.ProbeEtcdStaleRead} {
			r.Samples[p] = append(r.Samples[p], load.Sample{Start: at, End: at.Add(time.Second / 2)})
		}
	}
	return r
}

func TestSilence(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *Record)
		says   string // empty: nothing
	}{
		"all looked":           {func(*Record) {}, ""},
		"the observer stopped": {func(r *Record) { r.Observations = r.Observations[:30] }, "the observer stopped"},
		"a hole": {func(r *Record) {
			r.Observations = append(r.Observations[:20:20], r.Observations[40:]...)
		}, "nothing was observed from"},
		"a hole while the harness stood still": {func(r *Record) {
			from, to := r.Observations[20].Time, r.Observations[40].Time
			r.Observations = append(r.Observations[:20:20], r.Observations[40:]...)
			r.Host = []observe.HostReading{{Time: to, Stalls: []observe.Stall{{From: from, To: to}}}}
		}, ""},
		"a clock": {func(r *Record) { r.Observations[30].Time = r.Observations[5].Time }, "follows that of"},
		"a clock, while the host stood still": {func(r *Record) {
			r.Observations[30].Time = r.Observations[5].Time
			at := r.Observations[10].Time
			r.Host = []observe.HostReading{{Time: at, Stalls: []observe.Stall{{From: at.Add(-time.Second), To: at}}}}
		}, "follows that of"},
		"a probe missing": {func(r *Record) { delete(r.Samples, load.ProbeEtcdRead) }, `the probe "etcd linearizable read" is missing`},
		"a probe stopped": {func(r *Record) { r.Samples[load.ProbeEtcdRead] = r.Samples[load.ProbeEtcdRead][:30] }, `the probe "etcd linearizable read" stopped`},
		"a probe silent": {func(r *Record) {
			s := r.Samples[load.ProbeEtcdRead]
			r.Samples[load.ProbeEtcdRead] = append(s[:20:20], s[40:]...)
		}, `the probe "etcd linearizable read" was silent`},
	} {
		t.Run(name, func(t *testing.T) {
			r := watched()
			c.change(r)
			got := strings.Join(Silence(r), "; ")
			if c.says == "" && got != "" || !strings.Contains(got, c.says) {
				t.Errorf("%q, want %q", got, c.says)
			}
		})
	}
}
