package health

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Timeline is what was observed over time, for people: whatever looked the same for a while is one span. It judges nothing, and takes a record of which half
// is missing. Nil: nothing was observed.
func Timeline(r *Record) *plan.Timeline {
	if len(r.Observations) == 0 && len(r.Samples) == 0 {
		return nil
	}
	begin, end := r.extent()
	t := &plan.Timeline{Began: begin, Ended: end, First: begin, Last: end}
	d := drawing{Record: r, end: end, all: r.looks()}
	for _, g := range []plan.Lanes{d.machines(), d.etcd(), d.servers(), d.spare(), d.probes(), d.leaders(), d.components(), d.remedies(), d.host()} {
		g.Lanes = slices.DeleteFunc(g.Lanes, func(l plan.Lane) bool { return len(l.Spans)+len(l.Samples)+len(l.Points)+len(l.Marks) == 0 })
		if len(g.Lanes) > 0 {
			t.Groups = append(t.Groups, g)
		}
	}
	return t
}

// extent is the span of a record that may have no end.
func (r *Record) extent() (begin, end time.Time) {
	begin, end = r.span()
	if n := len(r.Observations); n > 0 && r.Observations[n-1].Time.After(end) {
		end = r.Observations[n-1].Time
	}
	return begin, end
}

// drawing is a record with the end of its axis.
type drawing struct {
	*Record
	end time.Time
	all []observe.Observation
}

// over makes the spans of something from every look; ok false: at this look nobody can say.
func (d drawing) over(state func(o observe.Observation) (plan.Span, bool)) []plan.Span {
	runs := plan.Runs{Blank: quietFor}
	for _, o := range d.all {
		s, ok := state(o)
		if !ok {
			s = plan.Span{Tone: plan.ToneUnseen, Label: cmp.Or(s.Label, "not seen"), More: s.More}
		}
		runs.See(o.Time, s)
	}
	return runs.End(d.end)
}

// names are the machines of the topology, or of a record without one those that were seen.
func (d drawing) names() []string {
	out := d.Topology.Machines()
	names := make([]string, 0, len(out))
	for _, m := range out {
		names = append(names, m.Name)
	}
	seen := map[string]bool{}
	for _, o := range d.Observations {
		for _, m := range o.Members {
			seen[m.Machine] = true
		}
		for _, n := range o.Nodes {
			seen[n.Name] = true
		}
		for _, c := range o.Components {
			seen[c.Machine] = true
		}
	}
	for _, n := range slices.Sorted(maps.Keys(seen)) {
		if !slices.Contains(names, n) { // it was added on the way
			names = append(names, n)
		}
	}
	return names
}

// there says whether anything on a machine answers, a refusal included: then it has power and a kernel. known false: nothing on it was asked.
func there(o observe.Observation, machine string) (up, known bool, why string) {
	see := func(err string, f cluster.Failure) {
		if err != "" && f == cluster.Unasked {
			return
		}
		known = true
		if err == "" || f == cluster.Refused || f == cluster.Answered || f == cluster.Reset {
			up = true
		}
		why = cmp.Or(why, err)
	}
	for _, m := range o.Members {
		if m.Machine == machine {
			see(m.Error, m.Failure)
		}
	}
	for _, c := range o.Components {
		if c.Machine == machine {
			see(c.Error, c.Failure)
		}
	}
	return up, known, why
}

func (d drawing) machines() plan.Lanes {
	g := plan.Lanes{Name: plan.LanesMachines, About: "Power as far as anything on the machine answers or refuses, the Ready condition and the kubelet's version of its node. A mark is a boot."}
	for _, name := range d.names() {
		lane := plan.Lane{Name: name, Of: []string{name}}
		boot := ""
		for _, o := range d.all {
			now := bootOf(o, name)
			if now != "" && boot != "" && now != boot {
				lane.Marks = append(lane.Marks, plan.Mark{At: o.Time, Tone: plan.ToneWarn, Label: "booted: boot id " + now + " after " + boot})
			}
			boot = cmp.Or(now, boot)
		}
		lane.Spans = d.over(func(o observe.Observation) (plan.Span, bool) { return machineAt(o, name) })
		g.Lanes = append(g.Lanes, lane)
	}
	return g
}

func bootOf(o observe.Observation, machine string) string {
	for _, c := range o.Components {
		if c.Machine == machine && c.BootID != "" {
			return c.BootID
		}
	}
	return ""
}

func machineAt(o observe.Observation, name string) (plan.Span, bool) {
	up, known, why := there(o, name)
	var node *observe.Node
	for i := range o.Nodes {
		if o.Nodes[i].Name == name {
			node = &o.Nodes[i]
		}
	}
	s := plan.Span{Tone: plan.ToneOK, Label: "answers"}
	switch {
	case node == nil && !known: // one that is made later, or is gone
		return plan.Span{}, false
	case node == nil && len(o.Nodes) > 0:
		s.Label = "answers, no node"
	case node == nil && len(o.Components) > 0:
		s.Label = "answers, node not read"
	case node != nil && node.Ready:
		s.Label = "Ready " + node.Version
	case node != nil && node.Status == "Unknown":
		s.Tone, s.Label = plan.ToneWarn, "Unknown "+node.Version
	case node != nil:
		s.Tone, s.Label = plan.ToneBad, "NotReady "+node.Version
	}
	if known && !up {
		s.Tone, s.More = plan.ToneSilent, "nothing that was asked on it answers or refuses: it is off, cut off, frozen or slow; "+why
		s.Label = "no answer"
		if node != nil {
			s.Label += ", node " + map[bool]string{true: "Ready still", false: cmp.Or(node.Status, "NotReady")}[node.Ready]
		}
	}
	return s, known || node != nil
}

// refused is the tone of an error: who refuses is known not to serve, who is silent may be anything.
func refused(f cluster.Failure) plan.Tone {
	switch f {
	case cluster.Refused, cluster.Answered, cluster.Reset:
		return plan.ToneBad
	case cluster.Unasked:
		return plan.ToneUnseen
	default:
		return plan.ToneSilent
	}
}

// answerless is a span of something that did not answer well.
func answerless(err string, f cluster.Failure) plan.Span {
	label := map[cluster.Failure]string{cluster.Refused: "refuses", cluster.Reset: "hangs up", cluster.Answered: "says no", cluster.Unasked: "nobody could ask"}[f]
	return plan.Span{Tone: refused(f), Label: cmp.Or(label, "no answer"), More: err}
}

func (d drawing) etcd() plan.Lanes {
	g := plan.Lanes{Name: "etcd", About: "The quorum as a linearizable read proves it, and each member as it answers itself: who leads, in which term."}
	g.Lanes = append(g.Lanes, plan.Lane{Name: "quorum", Of: []string{"quorum"}, Spans: d.over(func(o observe.Observation) (plan.Span, bool) {
		if o.Quorum.Error != "" {
			return plan.Span{Tone: plan.ToneBad, Label: "no quorum", More: o.Quorum.Error}, true
		}
		return plan.Span{Tone: plan.ToneOK, Label: fmt.Sprintf("%d members", len(o.Quorum.Members))}, len(o.Members)+len(o.Quorum.Members) > 0
	})})
	var machines []string
	for _, o := range d.Observations {
		for _, m := range o.Members {
			if !slices.Contains(machines, m.Machine) {
				machines = append(machines, m.Machine)
			}
		}
	}
	for _, name := range machines {
		g.Lanes = append(g.Lanes, plan.Lane{Name: name, Of: []string{name, etcd.Program}, Spans: d.over(func(o observe.Observation) (plan.Span, bool) {
			for _, m := range o.Members {
				if m.Machine == name {
					return memberAt(m, o), true
				}
			}
			return plan.Span{}, false
		})})
	}
	if len(machines) == 0 {
		g.Lanes = nil
	}
	return g
}

func memberAt(m etcd.Member, o observe.Observation) plan.Span {
	if m.Error != "" {
		return answerless(m.Error, m.Failure)
	}
	s := plan.Span{Tone: plan.ToneOK, Label: fmt.Sprintf("follows, term %d", m.Term), More: fmt.Sprintf("v%s, revision %d, %d MiB", m.Version, m.Revision, m.DBSize>>20)}
	switch {
	case m.Learner:
		s.Tone, s.Label = plan.ToneWarn, fmt.Sprintf("learner, term %d", m.Term)
	case m.Leader == 0:
		s.Tone, s.Label = plan.ToneBad, fmt.Sprintf("no leader, term %d", m.Term)
	case m.IsLeader():
		s.Tone, s.Label = plan.ToneLead, fmt.Sprintf("leads, term %d", m.Term)
	default:
		for _, other := range o.Members {
			if other.Error == "" && other.ID == m.Leader {
				s.More += ", follows " + other.Machine
			}
		}
	}
	if len(m.Alarms) > 0 {
		s.Tone, s.Label = plan.ToneBad, s.Label+", "+strings.Join(m.Alarms, ", ")
	}
	return s
}

func (d drawing) servers() plan.Lanes {
	g := plan.Lanes{Name: "API servers", About: "Each past the balancer: /livez and /readyz as it answers them."}
	for _, name := range d.names() {
		g.Lanes = append(g.Lanes, plan.Lane{Name: name, Of: []string{name, observe.APIServer}, Spans: d.sometimes(func(o observe.Observation) (plan.Span, bool) {
			for _, s := range o.APIServers {
				switch {
				case s.Machine != name:
				case s.Ready == "":
					return plan.Span{Tone: plan.ToneOK, Label: "ready"}, true
				case s.Live == "":
					return plan.Span{Tone: plan.ToneWarn, Label: "alive, not ready", More: s.Ready}, true
				case s.Failure == cluster.Other: // an answer that is none of health
					return plan.Span{Tone: plan.ToneBad, Label: "not well", More: s.Ready}, true
				default:
					return answerless(s.Ready, s.Failure), true
				}
			}
			return plan.Span{}, false
		})})
	}
	return g
}

// sometimes is over of what is not everywhere: nothing at all where it never was.
func (d drawing) sometimes(state func(o observe.Observation) (plan.Span, bool)) []plan.Span {
	ever := slices.ContainsFunc(d.all, func(o observe.Observation) bool {
		_, ok := state(o)
		return ok
	})
	if !ever {
		return nil
	}
	return d.over(state)
}

// leaders are who holds the leases by which components elect.
func (d drawing) leaders() plan.Lanes {
	g := plan.Lanes{Name: "Leaders", About: "Who holds the lease of each component that elects.", Folded: true}
	var names []string
	for _, o := range d.Observations {
		for _, l := range o.Leases {
			if !slices.Contains(names, l.Component) {
				names = append(names, l.Component)
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		g.Lanes = append(g.Lanes, plan.Lane{Name: name, Of: []string{name}, Spans: d.over(func(o observe.Observation) (plan.Span, bool) {
			for _, l := range o.Leases {
				if l.Component == name {
					holder, _, _ := strings.Cut(l.Holder, "_")
					return plan.Span{Tone: plan.ToneOK, Label: holder, More: fmt.Sprintf("%s, transition %d, held for %s at a time", l.Holder, l.Transitions, l.Duration)}, true
				}
			}
			return plan.Span{Label: "not read"}, false
		})})
	}
	return g
}

// components are all programs that tell their version, with that.
func (d drawing) components() plan.Lanes {
	g := plan.Lanes{Name: plan.LanesVersions, About: "Every program as it tells its version itself; a mark is a start.", Folded: true}
	type key struct{ name, machine string }
	var keys []key
	for _, o := range d.Observations {
		for _, c := range o.Components {
			if k := (key{c.Name, c.Machine}); !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	slices.SortStableFunc(keys, func(a, b key) int { return cmp.Compare(a.name, b.name) })
	for _, name := range d.names() { // etcd tells its version with its status
		k := key{etcd.Program, name}
		if lane := d.component(k.name, k.machine); slices.ContainsFunc(lane.Spans, func(s plan.Span) bool { return s.Tone != plan.ToneUnseen }) {
			g.Lanes = append(g.Lanes, lane)
		}
	}
	for _, k := range keys {
		g.Lanes = append(g.Lanes, d.component(k.name, k.machine))
	}
	return g
}

func (d drawing) component(name, machine string) plan.Lane {
	lane := plan.Lane{Name: name + " on " + machine, Of: []string{name, machine}}
	first := ""
	var began time.Time
	start := func(at, started time.Time) {
		if !began.IsZero() && started.Sub(began) > early {
			lane.Marks = append(lane.Marks, plan.Mark{At: started, Tone: plan.ToneWarn, Label: "started anew, seen at " + clock(at)})
		}
		if !started.IsZero() {
			began = started
		}
	}
	version := func(v, err string, f cluster.Failure) plan.Span {
		switch first = cmp.Or(first, v); {
		case err != "":
			return answerless(err, f)
		case v == first:
			return plan.Span{Tone: plan.ToneOK, Label: v}
		default:
			return plan.Span{Tone: plan.ToneLead, Label: v}
		}
	}
	for _, o := range d.all {
		for _, c := range o.Components {
			if c.Name == name && c.Machine == machine {
				start(o.Time, c.Started)
			}
		}
		for _, m := range o.Members {
			if name == etcd.Program && m.Machine == machine {
				start(o.Time, m.Started)
			}
		}
	}
	lane.Spans = d.over(func(o observe.Observation) (plan.Span, bool) {
		for _, c := range o.Components {
			if c.Name == name && c.Machine == machine {
				s := version(c.Version, c.Error, c.Failure)
				if c.Unhealthy != "" && c.Error == "" {
					s.Tone, s.More = plan.ToneWarn, c.Unhealthy
				}
				return s, true
			}
		}
		for _, m := range o.Members {
			if name == etcd.Program && m.Machine == machine {
				return version("v"+m.Version, m.Error, m.Failure), true
			}
		}
		return plan.Span{}, false
	})
	return lane
}
