package health

import (
	"fmt"
	"slices"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// Span is a time.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// within is how much of the span lies between two times.
func (s Span) within(from, to time.Time) time.Duration {
	if s.From.After(from) {
		from = s.From
	}
	if s.To.Before(to) {
		to = s.To
	}
	return max(0, to.Sub(from))
}

// Around a stall answers are late as well: what waits for its turn comes all at once.
const aroundStall = 500 * time.Millisecond

// Blind are the times in which the harness could not see, in order and apart. What it did not see then has not happened and has not failed to
// happen: it is unknown.
type Blind []Span

// Blind finds the times in which the harness was stalled, the disk took nothing, or the host's clock jumped, so that times from before and
// after cannot be compared.
func (r *Record) Blind() Blind {
	var all []Span
	for i, h := range r.Host {
		for _, s := range h.Stalls {
			all = append(all, Span{s.From.Add(-aroundStall), s.To.Add(aroundStall)})
		}
		if h.Jump != 0 && i > 0 {
			before := r.Host[i-1].Time
			if h.Jump < 0 {
				before = before.Add(h.Jump)
			}
			all = append(all, Span{before, h.Time})
		}
	}
	slices.SortFunc(all, func(a, b Span) int { return a.From.Compare(b.From) })
	var out Blind
	for _, s := range all {
		if n := len(out); n > 0 && !s.From.After(out[n-1].To) {
			if s.To.After(out[n-1].To) {
				out[n-1].To = s.To
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// Unseen is how much of the time between two times was not seen.
func (b Blind) Unseen(from, to time.Time) time.Duration {
	var sum time.Duration
	for _, s := range b {
		sum += s.within(from, to)
	}
	return sum
}

// Longest is the longest time between two times that was not seen.
func (b Blind) Longest(from, to time.Time) time.Duration {
	var longest time.Duration
	for _, s := range b {
		longest = max(longest, s.within(from, to))
	}
	return longest
}

// Evidence reports whether a failure that was seen between two times says something about the cluster. A refusal and an answer always do; that
// no answer came may be the fault of who was waiting, if it could not see meanwhile.
func (b Blind) Evidence(f cluster.Failure, from, to time.Time) bool {
	return f == cluster.Refused || f == cluster.Answered || b.Unseen(from, to) == 0
}

// Lost reports whether a member's error in an observation of a time is evidence that the member was lost.
func (b Blind) Lost(m etcd.Member, t time.Time) bool {
	return m.Error != "" && b.Evidence(m.Failure, t, t.Add(observe.For))
}

// overloadedFrom is the load a processor has to bear from which on a cluster on this host does not keep its own times: seen at 22, where controller-managers
// lost their leases and etcd answered after seconds with nobody at fault; at 17 clusters did well.
const overloadedFrom = 20

// overloaded says that the host could not keep up, and how much was asked of it; empty: it could.
func (r *Record) overloaded() string { return r.Overloaded(time.Time{}) }

// Overloaded says the same of the time until then; zero: of all of it.
func (r *Record) Overloaded(until time.Time) string {
	for _, h := range r.Host {
		if !until.IsZero() && h.Time.After(until) {
			break
		}
		if h.Cores > 0 && h.Load/float64(h.Cores) >= overloadedFrom {
			return fmt.Sprintf("the host could not keep up (load %.0f on %d processors at %s), and whatever came late may be its doing", h.Load, h.Cores, clock(h.Time))
		}
	}
	return ""
}

// starved says that processes were killed for want of memory, which look like any other that was killed; empty: none was.
func (r *Record) starved() string {
	if n := r.oomKills(); n > 0 {
		return fmt.Sprintf("; meanwhile the kernel killed %d processes of this host for want of memory", n)
	}
	return ""
}

// oomKills counts them.
func (r *Record) oomKills() int {
	if len(r.Host) == 0 {
		return 0
	}
	return int(r.Host[len(r.Host)-1].OOMKills - r.Host[0].OOMKills)
}

// HostOf is the host in the report: how much the harness did not see, and why. It is nil when the host was not watched.
func HostOf(r *Record) *plan.Host {
	if len(r.Host) == 0 {
		return nil
	}
	h := &plan.Host{MinAvailable: r.Host[0].Available, OOMKills: r.oomKills()}
	for _, x := range r.Host {
		h.Stalls += len(x.Stalls)
		for _, s := range x.Stalls {
			h.LongestStallSeconds = max(h.LongestStallSeconds, s.To.Sub(s.From).Seconds())
		}
		if x.Jump != 0 {
			h.ClockJumps++
		}
		h.MinAvailable = min(h.MinAvailable, x.Available)
		h.Load, h.CPU, h.IO, h.Memory = max(h.Load, x.Load), max(h.CPU, x.CPU), max(h.IO, x.IO), max(h.Memory, x.Memory)
	}
	for _, s := range r.Blind() {
		h.BlindSeconds += s.To.Sub(s.From).Seconds()
	}
	return h
}
