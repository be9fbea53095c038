package health

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// spare is what more could have been lost: the tolerance over time.
func (d drawing) spare() plan.Lanes {
	g := plan.Lanes{Name: plan.LanesSpare, About: "How many more of each could have been lost. Red: none, or fewer than none."}
	all := d.spares()
	lane := func(name string, of []string, value func(s spare) *int) {
		runs := plan.Runs{Blank: quietFor}
		any := false
		for i, s := range all {
			n := value(s)
			if n == nil {
				runs.See(d.Observations[i].Time, plan.Span{Tone: plan.ToneUnseen, Label: "not read"})
				continue
			}
			any = true
			span := plan.Span{Tone: plan.ToneOK, Label: fmt.Sprint(*n), Value: *n}
			if *n <= 0 {
				span.Tone = plan.ToneBad
			}
			if s.unknown && name == spareMembers {
				span.More = "with whoever answered late taken for lost, none"
			}
			runs.See(d.Observations[i].Time, span)
		}
		if any {
			g.Lanes = append(g.Lanes, plan.Lane{Name: name, Of: of, Level: true, Spans: runs.End(d.end)})
		}
	}
	lane(spareMembers, []string{"quorum", "etcd"}, func(s spare) *int { return s.members })
	lane("API servers to spare", []string{observe.APIServer}, func(s spare) *int { return s.apiServers })
	lane("replicas to spare", []string{"workload", "replicas"}, func(s spare) *int { return s.replicas })
	return g
}

// spareMembers is the lane of etcd's members.
const spareMembers = "members to spare"

func (d drawing) probes() plan.Lanes {
	g := plan.Lanes{Name: plan.LanesProbes, About: "Every try: how long it took, on a scale by tens, and in red what failed. A bar is a time without any answer."}
	for _, name := range slices.Sorted(maps.Keys(d.Samples)) {
		lane := plan.Lane{Name: name, Of: []string{name}}
		for _, s := range d.Samples[name] {
			x := plan.Sample{At: s.Start, Took: s.End.Sub(s.Start), Err: s.Err}
			if !s.Good() {
				if x.Tone = plan.ToneBad; s.Class == cluster.Deadline {
					x.Tone = plan.ToneSilent
				}
			}
			lane.Samples = append(lane.Samples, x)
		}
		lane.Spans = outages(d.Samples[name])
		g.Lanes = append(g.Lanes, lane)
	}
	return g
}

// outages are the times from one success to the next with failures between them.
func outages(samples []load.Sample) []plan.Span {
	var out []plan.Span
	var from time.Time
	var why string
	n := 0
	end := func(to time.Time) {
		if n > 0 && to.After(from) {
			out = append(out, plan.Span{From: from, To: to, Tone: plan.ToneBad, Label: round(to.Sub(from)).String(), More: fmt.Sprintf("no success for %s, %d tries failed, the first with: %s", round(to.Sub(from)), n, why)})
		}
		n = 0
	}
	for i, s := range samples {
		if i == 0 {
			from = s.Start
		}
		if s.Good() {
			end(s.End)
			from = s.End
			continue
		}
		if n++; n == 1 {
			why = s.Err
		}
	}
	if len(samples) > 0 {
		end(samples[len(samples)-1].End)
	}
	return out
}

// remedies are the recoveries by runbooks, in their four parts.
func (d drawing) remedies() plan.Lanes {
	g := plan.Lanes{Name: plan.LanesRemedies, About: "Until somebody saw the fault, until the runbook had diagnosed, until its last act, until the cluster was whole again."}
	for _, m := range d.Remedies {
		lane := plan.Lane{Name: m.Runbook, Of: []string{m.Runbook}}
		from := m.Broken
		for _, p := range m.phases() {
			if !from.IsZero() && p.to.After(from) {
				lane.Spans = append(lane.Spans, plan.Span{From: from, To: p.to, Tone: p.tone, Label: p.name, More: fmt.Sprintf("%s took %s", p.name, round(p.to.Sub(from)))})
			}
			if !p.to.IsZero() {
				from = p.to
			}
		}
		g.Lanes = append(g.Lanes, lane)
	}
	return g
}

// phase is one of a recovery's four, and when it ended; zero: it did not.
type phase struct {
	name string
	tone plan.Tone
	to   time.Time
}

func (m Remedy) phases() []phase {
	var decided, acted, whole time.Time
	for _, s := range m.Steps {
		if s.Status != "done" {
			continue
		}
		switch {
		case strings.HasSuffix(s.Name, "/diagnose"):
			decided = s.Ended()
		case strings.HasSuffix(s.Name, "/gate"):
			whole = s.Ended()
		case strings.HasSuffix(s.Name, "/prove"): // it looks whether the cluster goes on
		default:
			acted = s.Ended()
		}
	}
	came := m.Seen
	if !came.IsZero() {
		came = came.Add(m.Unheeded)
	}
	return []phase{{"detect", plan.ToneBad, came}, {"decide", plan.ToneWarn, decided}, {"act", plan.ToneLead, acted}, {"converge", plan.ToneOK, whole}}
}

// host is how the harness itself fared, and the host it ran on.
func (d drawing) host() plan.Lanes {
	g := plan.Lanes{Name: "Harness and host", About: "When the harness got no processor or the disk took nothing: what was not answered then counts for nothing. And what was asked of the host."}
	of := map[string][]plan.Span{}
	var jumps []plan.Mark
	curves := []plan.Lane{{Name: "load", Unit: "a processor"}, {Name: "waiting for processors", Unit: "%"}, {Name: "waiting for disks", Unit: "%"}, {Name: "waiting for memory", Unit: "%"}}
	for _, h := range d.Host {
		for _, s := range h.Stalls {
			of[s.Of] = append(of[s.Of], plan.Span{From: s.From, To: s.To, Tone: plan.ToneWarn, Label: round(s.To.Sub(s.From)).String(), More: "the " + s.Of + " stood still for " + round(s.To.Sub(s.From)).String()})
		}
		if h.Jump != 0 {
			jumps = append(jumps, plan.Mark{At: h.Time, Tone: plan.ToneBad, Label: "the host's clock jumped by " + h.Jump.String()})
		}
		for i, v := range []float64{h.Load / float64(max(1, h.Cores)), h.CPU, h.IO, h.Memory} {
			curves[i].Points = append(curves[i].Points, plan.Point{At: h.Time, V: v})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		slices.SortFunc(of[name], func(a, b plan.Span) int { return a.From.Compare(b.From) })
		g.Lanes = append(g.Lanes, plan.Lane{Name: name + " stalled", Of: []string{"stalled"}, Spans: of[name]})
	}
	if len(jumps) > 0 {
		g.Lanes = append(g.Lanes, plan.Lane{Name: "clock", Marks: jumps})
	}
	g.Lanes = append(g.Lanes, curves...)
	return g
}
