package health

import (
	"fmt"
	"slices"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// What requests to API servers may do where a scenario says nothing. A fault or a step on the control plane widens what is allowed while it
// holds, and never takes it away.
const (
	quietGap    = 10 * time.Second // nothing answers, while nothing is done to the control plane: a slow host may be to blame
	deniedGap   = time.Second      // the same where somebody was refused or forbidden meanwhile: that is no matter of time
	troubledGap = 20 * time.Second // nothing answers while a fault or a step holds: elections, and clients that find the dead
	// Of a gap during a fault or a step, how long tries may be refused or forbidden: an API server that comes up serves before it knows what anybody may
	// do, and forbids for some seconds (a kubectl drain was seen to fail by it; after a power cut, on a host with a load of 19 a processor, it was 2.1 s).
	troubledDenied = 5 * time.Second
	// And how long they may be answered with errors: while etcd elects (electionGap) and until a balancer has taken out who lost his member: two failed
	// looks at 2 s each with kind's.
	troubledErrors = 10 * time.Second
	quietErrors    = 0.05 // of the tries while nothing is done
	quietLate      = 0.2  // the same of those that were not answered within a second, as on a slow host
	trouble        = 0.5  // of the time of a fault or a step, beside its longest gap
)

// requests judges what clients of etcd got where it stands alone, and else what clients of the API got: reads and writes through the balancer, over a connection that is kept and over new ones, and past
// it, of each API server. Through the balancer only the expected loss of quorum is excused, and what is on all control planes at once; of an
// API server what is on itself.
func requests(r *Record, _ *Window, p Params) (plan.Verdict, string) {
	c := newClients(r, p)
	if !r.Topology.Kubernetes() {
		return c.ofEtcd()
	}
	var direct *figures // the worst past the balancer
	for _, probe := range []string{load.ProbeAPIRead, load.ProbeAPIWrite, load.ProbeAPINew} {
		if fine := c.judge(probe, c.everywhere); fine != nil {
			c.fine = append(c.fine, fine.what)
		}
	}
	for _, m := range r.Topology.ControlPlaneMachines() {
		away := func(from, to time.Time) bool { return c.away(m, from) || c.away(m, to) }
		for _, probe := range []string{load.ProbeAPIDirect + m, load.ProbeAPIDirectWrite + m} {
			if fine := c.judge(probe, away); fine != nil && (direct == nil || fine.gap > direct.gap) {
				direct = fine
			}
		}
	}
	if direct != nil {
		c.fine = append(c.fine, direct.what)
	}
	return c.verdict()
}

// ofEtcd judges what clients of etcd got, where it stands alone: only the expected loss of quorum is excused, and of writes their expected refusal.
func (c *clients) ofEtcd() (plan.Verdict, string) {
	for _, probe := range []string{load.ProbeEtcdRead, load.ProbeEtcdWrite} {
		excused := func(t time.Time) bool { return c.expected(t) || probe == load.ProbeEtcdWrite && c.writesRefused(t) }
		if fine := c.judge(probe, func(from, to time.Time) bool { return excused(from) || excused(to) }); fine != nil {
			c.fine = append(c.fine, fine.what)
		}
	}
	return c.verdict()
}

func (c *clients) verdict() (plan.Verdict, string) {
	v, said := worst(c.wrong, c.unclear, c.fine)
	return v, said + fmt.Sprintf("; allowed are gaps of %s, %s where requests were refused or forbidden, %s during faults and steps on the control plane, of it %s refused or forbidden and %s answered with errors; and while nothing was done to the servers %.0f %% failures and %.0f %% without an answer; a server that a fault or a step is on is not counted",
		c.quietGap, c.deniedGap, c.troubledGap, c.troubledDenied, c.troubledErrors, 100*c.errors, 100*c.late)
}

// clients is the state of the check.
type clients struct {
	*Record
	blind                                                            Blind
	until                                                            time.Time // the last try of any probe
	quietGap, deniedGap, troubledGap, troubledDenied, troubledErrors time.Duration
	errors, late                                                     float64

	wrong, unclear, fine []string
}

func newClients(r *Record, p Params) *clients {
	c := &clients{
		Record: r, blind: r.Blind(), quietGap: quietGap, deniedGap: deniedGap, troubledGap: troubledGap, troubledDenied: troubledDenied, troubledErrors: troubledErrors,
		errors: quietErrors, late: quietLate,
	}
	if p.MaxGap > 0 {
		c.quietGap, c.deniedGap, c.troubledGap, c.troubledDenied, c.troubledErrors = p.MaxGap, p.MaxGap, p.MaxGap, p.MaxGap, p.MaxGap
	}
	if p.MaxErrors > 0 {
		c.errors, c.late = p.MaxErrors/100, p.MaxErrors/100
	}
	for _, samples := range r.Samples {
		if n := len(samples); n > 0 && samples[n-1].End.After(c.until) {
			c.until = samples[n-1].End
		}
	}
	return c
}

// away reports whether a fault or a step accounts for a machine's API server, which a member beside it takes with it.
func (c *clients) away(machine string, t time.Time) bool {
	return c.excused(machine, observe.APIServer, t) || c.Topology.Etcd == cluster.EtcdStacked && c.excused(machine, etcd.Program, t)
}

// everywhere reports whether nobody can be asked to serve: the loss of quorum is expected, or something is on every control plane at once.
func (c *clients) everywhere(from, to time.Time) bool {
	machines := c.Topology.ControlPlaneMachines()
	for _, t := range []time.Time{from, to} {
		gone := map[string]bool{}
		for _, w := range c.Windows {
			if !w.covers(t, c.settle(w, observe.APIServer)) {
				continue
			}
			if c.expects(w, t, c.settle(w, observe.APIServer)) {
				return true
			}
			for _, m := range machines {
				all := w.AtMost == 0 || w.AtMost >= len(machines)
				gone[m] = gone[m] || all && (w.touches(m, observe.APIServer) || c.Topology.Etcd == cluster.EtcdStacked && w.touches(m, etcd.Program))
			}
		}
		if !slices.ContainsFunc(machines, func(m string) bool { return !gone[m] }) {
			return true
		}
	}
	return false
}

// quiet reports whether nothing of the scenario was on a machine of the control plane or of etcd.
func (c *clients) quiet(from, to time.Time) bool {
	matter := append(c.Topology.ControlPlaneMachines(), c.Topology.EtcdMachines()...)
	return !slices.ContainsFunc(c.Windows, func(w Window) bool {
		settle := c.settle(w, observe.APIServer)
		return w.ofServers() && (w.covers(from, settle) || w.covers(to, settle)) && slices.ContainsFunc(w.Machines, func(m string) bool { return slices.Contains(matter, m) })
	})
}

// figures are what was measured of a probe that did nothing wrong.
type figures struct {
	gap  time.Duration
	what string
}

// judge notes what is wrong or unclear of one probe; nil: something is.
func (c *clients) judge(probe string, excused func(from, to time.Time) bool) *figures {
	samples := c.Samples[probe]
	if len(samples) == 0 {
		c.unclear = append(c.unclear, probe+": no sample was taken")
		return nil
	}
	ts := tries(samples, c.blind, excused, c.quiet)
	if why := c.down(ts); why != "" {
		c.wrong = append(c.wrong, probe+" "+why)
		return nil
	}
	since, untried := untried(samples, c.blind, c.until)
	unseen, long, quiet := dark(ts)
	allowed := c.troubledGap
	if quiet {
		allowed = c.quietGap
	}
	switch blind := c.blind.Longest(samples[0].Start, c.until); {
	case untried > c.quietGap:
		c.unclear = append(c.unclear, fmt.Sprintf("%s: nothing was tried for %s from %s", probe, untried.Round(100*time.Millisecond), clock(since)))
	case blind > c.quietGap:
		c.unclear = append(c.unclear, fmt.Sprintf("%s: the harness was blind for %s", probe, blind.Round(100*time.Millisecond)))
	case long > allowed:
		c.unclear = append(c.unclear, fmt.Sprintf("%s: nothing is known to have succeeded for %s from %s, longer than %s, and the harness was blind meanwhile", probe,
			long.Round(100*time.Millisecond), clock(unseen), allowed))
	case !slices.ContainsFunc(ts, func(t try) bool { return !t.unknown }):
		c.unclear = append(c.unclear, probe+": no try says anything")
	default:
		return c.figures(probe, samples, ts)
	}
	return nil
}

func (c *clients) figures(probe string, samples []load.Sample, ts []try) *figures {
	failed := 0
	for _, s := range samples {
		if !s.Good() {
			failed++
		}
	}
	ms := func(q float64) string { return quantile(samples, c.blind, q).Round(time.Millisecond).String() }
	gap := longest(gaps(ts)).took
	return &figures{gap, fmt.Sprintf("%s: %.1f %% of %d failed in all, the longest gap that counts %s, p50 %s, p99 %s", probe, 100*float64(failed)/float64(len(samples)), len(samples),
		gap.Round(100*time.Millisecond), ms(0.5), ms(0.99))}
}

// down says what was worse than allowed; empty: nothing.
func (c *clients) down(ts []try) string {
	for _, g := range gaps(ts) {
		how, of, allowed := "failed", part{g.took, g.last.Err}, c.troubledGap
		switch {
		case g.quiet && g.denied.took > 0:
			allowed = c.deniedGap
		case g.quiet:
			allowed = c.quietGap
		case g.took > allowed:
		case g.denied.took > c.troubledDenied:
			how, of, allowed = "was refused or forbidden", g.denied, c.troubledDenied
		case g.erred.took > c.troubledErrors:
			how, of, allowed = "was answered with errors", g.erred, c.troubledErrors
		}
		if of.took > allowed {
			return fmt.Sprintf("%s for %s from %s, longer than %s: %s", how, of.took.Round(100*time.Millisecond), clock(g.began), allowed, of.said)
		}
	}
	if why := c.oftenQuiet(ts); why != "" {
		return why
	}
	for _, stretch := range troubled(ts) {
		if why := c.oftenDenied(stretch); why != "" {
			return why
		}
		if share := besides(stretch); share > trouble {
			return fmt.Sprintf("failed %.0f %% of the time from %s to %s beside the longest gap, above %.0f %%: %s", 100*share, clock(stretch[0].Start),
				clock(stretch[len(stretch)-1].End), 100*trouble, longest(gaps(stretch)).last.Err)
		}
	}
	return ""
}

// few failures are never too many: a connection that is kept breaks when its other end restarts.
const few = 3

func (c *clients) oftenQuiet(ts []try) string {
	all := 0
	var failed, late []try
	for _, t := range ts {
		if !t.quiet || t.unknown {
			continue
		}
		all++
		switch {
		case !t.down():
		case t.Class == cluster.Deadline:
			late = append(late, t)
		default:
			failed = append(failed, t)
		}
	}
	for _, of := range []struct {
		tries   []try
		allowed float64
	}{{failed, c.errors}, {late, c.late}} {
		if n := len(of.tries); n > few && float64(n) > of.allowed*float64(all) {
			return fmt.Sprintf("failed %d of %d times while nothing was done to the servers, above %.0f %%: %s", n, all, 100*of.allowed, of.tries[n-1].Err)
		}
	}
	return ""
}

// oftenDenied: beside what one gap may have, a fault gives no more room for denials than quiet time has.
func (c *clients) oftenDenied(stretch []try) string {
	var denied, all time.Duration
	var last try
	for _, t := range stretch {
		all += t.stands
		if t.down() && t.denied() {
			denied, last = denied+t.stands, t
		}
	}
	if denied <= max(c.troubledDenied, time.Duration(c.errors*float64(all))) {
		return ""
	}
	return fmt.Sprintf("was refused or forbidden for %s in all from %s to %s, longer than %s and above %.0f %% of the time: %s", denied.Round(100*time.Millisecond),
		clock(stretch[0].Start), clock(last.End), c.troubledDenied, 100*c.errors, last.Err)
}

// troubled are the stretches of tries in which something of the scenario was on the control plane.
func troubled(ts []try) [][]try {
	var out [][]try
	in := false
	for _, t := range ts {
		if t.quiet {
			in = false
			continue
		}
		if !in {
			out = append(out, nil)
			in = true
		}
		out[len(out)-1] = append(out[len(out)-1], t)
	}
	return out
}
