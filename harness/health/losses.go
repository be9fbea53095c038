package health

import (
	"fmt"
	"slices"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/plan"
)

// presence is what is known of one member.
type presence struct {
	started  time.Time // of the process that told it last
	told     time.Time // when that was
	answered time.Time // when it answered last
	silent   time.Time // since when it has not; zero: it has, or a fault accounts for it
	missed   int       // looks since then that say it was not there
	since    time.Time // the first of them
}

// losses is the state of onlyPlannedLosses while it reads through the observations.
type losses struct {
	*Record
	blind          Blind
	members        map[string]*presence
	wrong, unclear firsts
}

// firsts is what was told of members, the first of each, in the order of time.
type firsts struct {
	words []string
	of    []string // machines
}

func (f *firsts) tell(machine, format string, args ...any) {
	if !slices.Contains(f.of, machine) {
		f.of, f.words = append(f.of, machine), append(f.words, fmt.Sprintf(format, args...))
	}
}

// onlyPlannedLosses looks for members that did not answer twice running, or not in time for as long as an election may take, and for processes that
// started anew.
func onlyPlannedLosses(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Observations) < 2 {
		return plan.Unknown, r.sparse(lookedAway)
	}
	s := &losses{Record: r, blind: r.Blind(), members: map[string]*presence{}}
	for _, o := range r.Observations {
		for _, m := range o.Members {
			p := s.members[m.Machine]
			if p == nil {
				p = &presence{}
				s.members[m.Machine] = p
			}
			if m.Error != "" {
				s.noAnswer(p, m, o.Time)
			} else {
				s.answer(p, m, o.Time)
			}
		}
	}
	for _, machine := range r.Topology.EtcdMachines() {
		switch p := s.members[machine]; {
		case p == nil || p.told.IsZero():
			s.unclear.tell(machine, "the member on %s never told when it started", machine)
		case p.answered.Sub(p.told) > silentFor:
			s.unclear.tell(machine, "the member on %s has not told since %s when it started", machine, clock(p.told))
		}
	}
	switch why := r.sparse(lookedAway); {
	case len(s.wrong.words) > 0:
		return plan.Fail, some(s.wrong.words)
	case len(s.unclear.words) > 0:
		return plan.Unknown, some(s.unclear.words)
	case why != "":
		return plan.Unknown, why
	}
	return plan.Pass, fmt.Sprintf("%d observations, every loss accounted for", len(r.Observations))
}

func (s *losses) noAnswer(p *presence, m etcd.Member, t time.Time) {
	if s.planned(m.Machine, t) {
		p.missed, p.silent = 0, time.Time{}
		return
	}
	if p.silent.IsZero() {
		p.silent = t
	}
	if !s.blind.Lost(m, t) { // neither that it was lost nor that it was not: for a while nobody need know
		if t.Sub(p.silent) >= lookedAway {
			s.unclear.tell(m.Machine, "the member on %s gave no answer from %s on, and the harness was stalled meanwhile", m.Machine, clock(p.silent))
		}
		return
	}
	if p.missed++; p.missed == 1 {
		p.since = t
	}
	slow := m.Failure == cluster.Deadline && t.Sub(p.since) < electionGap // a busy host answers late as well
	if p.missed >= 2 && !slow {
		s.wrong.tell(m.Machine, "the member on %s was lost at %s and no fault of the scenario did it: %s", m.Machine, clock(t), m.Error)
	}
}

func (s *losses) answer(p *presence, m etcd.Member, t time.Time) {
	p.missed, p.silent, p.answered = 0, time.Time{}, t
	if m.Started.IsZero() {
		return
	}
	if !p.started.IsZero() && s.anew(m.Machine, p.started, m.Started, p.told, t) && !s.excused(m.Machine, etcd.Program, m.Started) {
		s.wrong.tell(m.Machine, "the member on %s was restarted at %s and no fault of the scenario did it", m.Machine, clock(m.Started))
	}
	p.started, p.told = m.Started, t
}
