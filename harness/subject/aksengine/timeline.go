package aksengine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"drydock.dev/drydock/harness/azure/standin"
	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/plan"
	"drydock.dev/drydock/harness/subject"
)

// Timelines are the commands of each cell, what became of the machines and of the quorum of their masters, and the calls as its twin's log has them, by the
// wall's clock. Of evidence that does not say how the twin's clock went there are the calls alone, by that.
func (e *Evidence) Timelines() []*plan.Timeline {
	var out []*plan.Timeline
	for i := range e.Cells {
		c := &e.Cells[i]
		if c.Clock == nil {
			if t := subject.CallTimeline(c.Cell.label(), "the twin's of this cell", c.Calls, c.Faults); t != nil {
				out = append(out, t)
			}
			continue
		}
		if t := (judged{c, e.Story}).timeline(); t != nil {
			out = append(out, t)
		}
	}
	return out
}

func (c judged) timeline() *plan.Timeline {
	calls, faults := slices.Clone(c.Calls), slices.Clone(c.Faults)
	for i := range calls {
		calls[i].Time = c.Clock.wall(calls[i].Time)
	}
	for i := range faults {
		f := &faults[i]
		f.Began, f.Ended, f.For = c.Clock.wall(f.Began), c.Clock.wall(f.Ended), time.Duration(float64(f.For)/c.Clock.Factor)
	}
	t := subject.CallTimeline(c.Cell.label(), "", calls, faults)
	if t == nil {
		return nil
	}
	if from, to := c.span(); !from.IsZero() {
		t.Began, t.Ended = from, to
	}
	for _, at := range []time.Time{t.Began, t.Ended, c.begun(), c.Clock.Wall} {
		if at.Before(t.First) {
			t.First = at
		}
		if at.After(t.Last) {
			t.Last = at
		}
	}
	t.Groups = slices.DeleteFunc(append([]plan.Lanes{c.commands(), c.machines(t.Last), c.spare(t.Last)}, t.Groups...), func(g plan.Lanes) bool {
		return !slices.ContainsFunc(g.Lanes, func(l plan.Lane) bool { return len(l.Spans)+len(l.Samples) > 0 })
	})
	return t
}

// begun is when the first machine was there, or the end where there is none.
func (c judged) begun() time.Time {
	if len(c.Changes) == 0 {
		return c.Clock.Wall
	}
	return c.Changes[0].Time
}

func (c judged) commands() plan.Lanes {
	l := plan.Lane{Name: cmp.Or(c.Cell.Strategy, ByAKSEngine), Of: []string{"upgrade", "driver"}}
	for _, cmd := range c.Commands {
		s := plan.Span{From: cmd.Begun, To: cmd.Begun.Add(cmd.Took), Tone: plan.ToneOK, Label: fmt.Sprintf("%s: %s", cmd.short(), cmd.told()), More: cmd.Said}
		if cmd.Code != 0 {
			s.Tone = plan.ToneBad
		}
		l.Spans = append(l.Spans, s)
	}
	return plan.Lanes{Name: "Commands", About: "What a user types: the upgrade, the same again, and with --force; with the exit code of each.", Lanes: []plan.Lane{l}}
}

// machines are what is true of each, whatever was told of it: masters first.
func (c judged) machines(end time.Time) plan.Lanes {
	g := plan.Lanes{Name: plan.LanesMachines, About: "Each machine as it is: power, kubelet, and the version of that. A mark is a new machine of the same name."}
	by := map[string]*plan.Runs{}
	lanes, masters := map[string]*plan.Lane{}, map[string]bool{}
	first, boots := map[string]string{}, map[string]int{}
	for _, ch := range c.Changes {
		n := ch.Node
		if n == nil {
			continue
		}
		if by[n.Name] == nil {
			by[n.Name], lanes[n.Name], masters[n.Name] = &plan.Runs{}, &plan.Lane{Name: n.Name, Of: []string{n.Name}}, n.Master
			first[n.Name], boots[n.Name] = n.Version, n.Boot
		}
		if n.Boot != boots[n.Name] {
			lanes[n.Name].Marks = append(lanes[n.Name].Marks, plan.Mark{At: ch.Time, Tone: plan.ToneLead, Label: fmt.Sprintf("a new machine, the %d. of that name", n.Boot)})
			boots[n.Name] = n.Boot
		}
		by[n.Name].See(ch.Time, machineSpan(*n, first[n.Name], ch.What))
	}
	names := slices.SortedFunc(maps.Keys(by), func(a, b string) int {
		if masters[a] != masters[b] {
			return map[bool]int{true: -1, false: 1}[masters[a]]
		}
		return cmp.Compare(a, b)
	})
	for _, name := range names {
		lanes[name].Spans = by[name].End(end)
		g.Lanes = append(g.Lanes, *lanes[name])
	}
	return g
}

func machineSpan(n standin.Node, first, what string) plan.Span {
	s := plan.Span{Tone: plan.ToneOK, Label: n.Version, More: what}
	switch {
	case !n.Up:
		s.Tone, s.Label = plan.ToneSilent, "off"
	case !n.Kubelet:
		s.Tone, s.Label = plan.ToneBad, "up, no kubelet"
	case n.Version != first:
		s.Tone = plan.ToneLead
	}
	return s
}

// spare is how many more masters could have been lost, once they were all there.
func (c judged) spare(end time.Time) plan.Lanes {
	runs := plan.Runs{}
	for _, ch := range c.Changes {
		if ch.Members < c.story.Masters {
			continue
		}
		left := ch.Alive - cluster.Quorum(ch.Members)
		s := plan.Span{Tone: plan.ToneOK, Label: fmt.Sprint(left), Value: left, More: fmt.Sprintf("%d of %d masters alive", ch.Alive, ch.Members)}
		if left <= 0 {
			s.Tone = plan.ToneBad
		}
		runs.See(ch.Time, s)
	}
	return plan.Lanes{Name: plan.LanesSpare, About: "How many more masters could have been lost. Red: none, or fewer than none.", Lanes: []plan.Lane{
		{Name: "masters to spare", Of: []string{"quorum", "etcdQuorum"}, Level: true, Spans: runs.End(end)},
	}}
}
