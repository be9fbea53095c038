package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// How many looks in a row must find nothing listening for a component to have been away, and how long it may give no answer at all before nobody can
// say any more that it was there.
const (
	awayLooks  = 3
	silentFor  = 20 * time.Second
	toldOf     = 20              // so many of what was found are told one by one
	stallCosts = 2 * time.Second // half of what the holder of a fast lease has to renew it
)

// life is what is known of one component of one machine.
type life struct {
	started time.Time      // of the process last seen
	leader  observe.Belief // what that said last
	boot    string
	away    int       // looks in a row that found nothing listening
	silent  time.Time // since when it has not answered; zero: it has
	told    bool      // the last answer had a start
	seen    time.Time // when it last told one
}

// restarts is the state of noUnplannedRestart while it reads through the observations.
type restarts struct {
	*Record
	lives   map[string]*life
	nodes   map[string]string // boot ids
	unready map[string]bool   // nodes that were told of
	apart   map[int]int       // window → looks in a row with more machines away than it may have
	stalls  Blind             // of the host
	blind   []string          // what could not be seen
	found   []finding
}

// finding is something nobody planned.
type finding struct {
	time time.Time
	why  string
}

func (s *restarts) fail(t time.Time, format string, args ...any) {
	s.found = append(s.found, finding{t, fmt.Sprintf(format, args...)})
}

// noUnplannedRestart: no component or kubelet starts anew, or is away, no node is not Ready and no machine boots, but by a fault or a step of the
// scenario that is on that component of that machine.
func noUnplannedRestart(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	s := &restarts{Record: r, lives: map[string]*life{}, nodes: map[string]string{}, unready: map[string]bool{}, apart: map[int]int{}, stalls: r.Blind()}
	looks := r.looks()
	for _, o := range looks {
		for _, c := range append(slices.Clone(o.Components), s.unasked(o)...) {
			s.component(c, o.Time)
		}
		for _, n := range o.Nodes {
			s.node(n, o.Time)
		}
		s.together(o)
	}
	if len(s.found) > 0 {
		// What came first is the cause: an API server that was killed is seen again after those who lost their leases with it are gone.
		slices.SortStableFunc(s.found, func(a, b finding) int { return a.time.Compare(b.time) })
		var why []string
		for _, f := range s.found[:min(len(s.found), toldOf)] {
			why = append(why, f.why)
		}
		if more := len(s.found) - len(why); more > 0 {
			why = append(why, fmt.Sprintf("and %d times more", more))
		}
		return plan.Fail, strings.Join(why, "; ")
	}
	if why := r.sparse(lookedAway); why != "" {
		return plan.Unknown, why
	}
	known := 0
	for _, m := range r.Topology.Machines() {
		for _, name := range observe.ComponentsOf(m.Role) {
			known++
			switch l := s.lives[name+" on "+m.Name]; {
			case l == nil || l.started.IsZero():
				s.blind = append(s.blind, fmt.Sprintf("%s on %s never told when it started", name, m.Name))
			case !l.told:
				s.blind = append(s.blind, fmt.Sprintf("%s on %s did not tell at the end when it started", name, m.Name))
			}
		}
	}
	if why := r.unread("nodes", func(o observe.Observation) bool { return len(o.Nodes) > 0 }); why != "" {
		s.blind = append(s.blind, why)
	}
	if len(s.blind) > 0 {
		return plan.Unknown, strings.Join(s.blind, "; ")
	}
	return plan.Pass, fmt.Sprintf("%d observations of %d processes, every start accounted for%s", len(looks), known, r.excuses())
}

// unasked are the components there should be that an observation has not asked: their machine was not there then.
func (s *restarts) unasked(o observe.Observation) []observe.Component {
	var out []observe.Component
	for _, m := range s.Topology.Machines() {
		for _, name := range observe.ComponentsOf(m.Role) {
			if !slices.ContainsFunc(o.Components, func(c observe.Component) bool { return c.Machine == m.Name && c.Name == name }) {
				out = append(out, observe.Component{Name: name, Machine: m.Name, Error: "its machine was not there to be asked", Failure: cluster.Unasked})
			}
		}
	}
	return out
}

// component takes in one reading of it.
func (s *restarts) component(c observe.Component, t time.Time) {
	l := s.lives[c.String()]
	if l == nil {
		l = &life{told: true}
		s.lives[c.String()] = l
	}
	if c.Error != "" && c.Failure != cluster.Answered {
		s.noAnswer(l, c, t)
		return
	}
	l.away, l.silent, l.told = 0, time.Time{}, !c.Started.IsZero()
	if !l.told {
		return
	}
	if !l.started.IsZero() && s.anew(c.Machine, l.started, c.Started, l.seen, t) && !s.accountedFor(l, c, c.Started) {
		why := fmt.Sprintf("%s was restarted at %s and no fault or step of the scenario did it: before, its process was of %s", c, clock(c.Started), clock(l.started))
		if l.leader == observe.Leads && s.strained(c.Started) {
			s.note(why + "; the host had stalled, and it led by a lease")
		} else {
			s.fail(c.Started, "%s", why)
		}
	}
	if l.boot != "" && c.BootID != "" && l.boot != c.BootID {
		// What started since the last reading did so after the boot. A kubelet tells of itself late: for half a minute after a start it may
		// refuse whoever asks, because an API server that was starting too had refused them (authorization.webhook.cacheUnauthorizedTTL, 30 s).
		booted := t
		if c.Started.After(l.seen) && c.Started.Before(t) {
			booted = c.Started
		}
		if !s.excusedBoot(c.Machine, booted) {
			s.fail(c.Started, "%s has booted before %s and no fault or step of the scenario did it: boot %s, before %s", c.Machine, clock(booted), c.BootID, l.boot)
		}
	}
	l.started, l.leader, l.boot, l.seen = c.Started, c.Leader, c.BootID, t
}

// accountedFor reports whether a fault or a step was on the component at a time, or on etcd while the component led by a lease it had to renew there.
func (s *restarts) accountedFor(l *life, c observe.Component, t time.Time) bool {
	return s.excused(c.Machine, c.Name, t) || l.leader == observe.Leads && s.etcdTouched(c.Name, t)
}

// strained reports whether the host itself stood still not long before: who has a lease to renew loses it by that, and a node its heartbeat.
func (s *restarts) strained(t time.Time) bool {
	return s.stalls.Longest(t.Add(-Settle(s.Topology.Timing)), t) >= stallCosts
}

// jumpSeen is how long after a jump of the host's clock it may be noticed, and a reading that was on its way may still tell of the time before it.
const jumpSeen = 2 * time.Second

// anew reports whether two starts a process of a machine told of, at two times, are of two processes. Starts are told by the machine's clock, which is the
// host's where it has none of its own: one that has moved by as much as that jumped meanwhile, or as faults have set it, is the same.
func (r *Record) anew(machine string, before, after, seenBefore, seen time.Time) bool {
	moved := after.Sub(before)
	if moved.Abs() <= early {
		return false
	}
	var jumps []time.Duration // that may lie between the two
	for _, h := range r.Host {
		if h.Jump != 0 && h.Time.After(seenBefore.Add(min(h.Jump, 0)-jumpSeen)) && h.Time.Before(seen.Add(max(h.Jump, 0)+jumpSeen)) {
			jumps = append(jumps, h.Jump)
		}
	}
	for i := range jumps {
		sum := time.Duration(0)
		for _, j := range jumps[i:] {
			if sum += j; (moved - sum).Abs() <= early {
				return false
			}
		}
	}
	skews := r.skews(machine, seen) // a process is asked once a connection: each of the two may have told of any time before it
	for _, was := range r.skews(machine, seenBefore) {
		for _, is := range skews {
			if was != is && (moved-is+was).Abs() <= early {
				return false
			}
		}
	}
	return moved > 0 || len(jumps) > 0 || len(skews) > 1
}

// note keeps what makes the verdict unknown, each thing once.
func (s *restarts) note(why string) {
	if !slices.Contains(s.blind, why) {
		s.blind = append(s.blind, why)
	}
}

// noAnswer: who is refused knows that nothing listens; who got no answer in time knows nothing.
func (s *restarts) noAnswer(l *life, c observe.Component, t time.Time) {
	if s.accountedFor(l, c, t) {
		l.away, l.silent = 0, time.Time{}
		return
	}
	if l.silent.IsZero() {
		l.silent = t
	}
	if t.Sub(l.silent) > silentFor {
		s.note(fmt.Sprintf("%s gave no answer from %s on for more than %s", c, clock(l.silent), silentFor))
	}
	if l.started.IsZero() || c.Failure != cluster.Refused && c.Failure != cluster.Other { // who was never there has not gone away
		return
	}
	if l.away++; l.away == awayLooks { // told once
		s.fail(t, "%s was away at %s and no fault or step of the scenario did it: %s", c, clock(t), c.Error)
	}
}

func (s *restarts) node(n observe.Node, t time.Time) {
	switch {
	case n.Ready:
		s.unready[n.Name] = false
	case s.unready[n.Name] || s.excusedNode(n.Name, t):
	case s.strained(t):
		s.note(fmt.Sprintf("node %s was not Ready after the host had stalled", n.Name))
	default:
		s.unready[n.Name] = true // told once
		s.fail(t, "node %s was not Ready at %s and no fault or step of the scenario did it", n.Name, clock(t))
	}
	before := s.nodes[n.Name]
	s.nodes[n.Name] = n.BootID
	if before != "" && n.BootID != before && !s.excusedBoot(n.Name, t) {
		s.fail(t, "node %s told of another boot at %s and no fault or step of the scenario did it: %s, before %s", n.Name, clock(t), n.BootID, before)
	}
}

// together says where more machines were away at one time than a window allows. Two looks must agree: one is not taken at one instant.
func (s *restarts) together(o observe.Observation) {
	for i, w := range s.Windows {
		if w.AtMost == 0 || !w.spans(o.Time, 0) {
			continue
		}
		var away []string
		for _, m := range w.Machines {
			if awayNow(o, m) {
				away = append(away, m)
			}
		}
		if len(away) <= w.AtMost {
			s.apart[i] = 0
			continue
		}
		if s.apart[i]++; s.apart[i] == 2 {
			s.fail(o.Time, "%s were away at the same time, at %s, and at most %d of %s may be", strings.Join(away, " and "), clock(o.Time), w.AtMost, strings.Join(w.Machines, ", "))
		}
	}
}

// awayNow reports whether something that should run on a machine was seen not to.
func awayNow(o observe.Observation, machine string) bool {
	return slices.ContainsFunc(o.Components, func(c observe.Component) bool {
		return c.Machine == machine && (c.Failure == cluster.Refused || c.Failure == cluster.Other)
	}) || slices.ContainsFunc(o.Nodes, func(n observe.Node) bool { return n.Name == machine && !n.Ready }) ||
		slices.ContainsFunc(o.Members, func(m etcd.Member) bool {
			return m.Machine == machine && m.Error != "" && m.Failure != cluster.Deadline
		})
}
