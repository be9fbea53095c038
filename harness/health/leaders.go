package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/cluster"
	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// leadersMove: after the machine's loss, each lease is held elsewhere within lease + retry, and some time for the API server to
// be found again through the balancer, which election needs to write. Where the machine held none there was nothing to move.
func leadersMove(r *Record, w *Window, p Params) (plan.Verdict, string) {
	timing := kubeadm.Lease(r.Topology.Timing)
	limit := timing.Duration + timing.Retry + p.MaxGap
	var said []string
	held := false
	for _, component := range kubeadm.Leases() {
		before, moved := "", time.Time{}
		for _, o := range r.Observations {
			for _, l := range o.Leases {
				if l.Component != component {
					continue
				}
				holder, _, _ := strings.Cut(l.Holder, "_") // MACHINE_uuid
				if o.Time.Before(w.Began) {
					before = holder
				}
				if moved.IsZero() && o.Time.After(w.Began) && !slices.Contains(w.Machines, holder) && l.Renewed.After(w.Began) {
					moved = l.Renewed
					if l.Acquired.After(w.Began) {
						moved = l.Acquired
					}
				}
			}
		}
		switch {
		case before == "":
			return plan.Unknown, component + ": its lease was not seen before the fault"
		case moved.IsZero():
			return plan.Fail, fmt.Sprintf("%s: %s held the lease and nobody took it over", component, before)
		case moved.Sub(w.Began) > limit:
			return plan.Fail, fmt.Sprintf("%s: the lease moved after %s, above %s", component, moved.Sub(w.Began).Round(100*time.Millisecond), limit)
		case !slices.Contains(w.Machines, before):
			said = append(said, fmt.Sprintf("%s stayed on %s", component, before))
		default:
			held = true
			said = append(said, fmt.Sprintf("%s left %s after %s", component, before, moved.Sub(w.Began).Round(100*time.Millisecond)))
		}
	}
	if !held {
		return plan.Skipped, fmt.Sprintf("nothing was there to move, no lease was held on %s: %s", strings.Join(w.Machines, ", "), strings.Join(said, "; "))
	}
	return plan.Pass, strings.Join(said, "; ")
}

// oneLeader: a lease that changes hands was expired, or given up by its holder (client-go's ReleaseOnCancel empties it), and no process takes itself
// for the leader while another does, or while the lease is renewed by another.
func oneLeader(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if why := twoLeaders(r.Observations); why != "" {
		return plan.Fail, why
	}
	last, first, changes := map[string]observe.Lease{}, map[string]observe.Lease{}, map[string]int32{}
	blind, unseen := r.Blind(), ""
	for _, o := range r.Observations {
		for _, l := range o.Leases {
			before, ok := last[l.Component]
			last[l.Component] = l
			if !ok {
				first[l.Component] = l
			}
			if !ok || before.Holder == l.Holder {
				continue
			}
			changes[l.Component]++
			if before.Holder == "" || l.Holder == "" {
				continue
			}
			// The holder may have renewed once more after we looked, which only makes the true overlap smaller than seen; allow for clocks in whole seconds.
			if !l.Acquired.Before(before.Renewed.Add(before.Duration - time.Second)) {
				continue
			}
			why := fmt.Sprintf("%s: %s took the lease at %s, and %s had renewed it for %s at %s", l.Component, l.Holder, clock(l.Acquired), before.Holder,
				before.Duration, clock(before.Renewed))
			machine, _, _ := strings.Cut(before.Holder, "_")
			switch {
			case r.excused(machine, l.Component, l.Acquired) || r.endedBefore(machine, l, before.Renewed): // whoever is stopped gives its lease up, and that is over between two looks
			case blind.Longest(before.Renewed, o.Time) > 0:
				unseen = why + "; whether it gave it up was not seen: the harness was blind"
			default:
				return plan.Fail, why
			}
		}
	}
	if unseen != "" {
		return plan.Unknown, unseen
	}
	if why := r.unread("leases", func(o observe.Observation) bool { return len(o.Leases) > 0 }); why != "" {
		return plan.Unknown, why
	}
	var said []string
	for _, component := range kubeadm.Leases() {
		l, ok := last[component]
		if !ok {
			return plan.Unknown, "the lease of " + component + " was never seen"
		}
		word := fmt.Sprintf("%s has changed hands %d times", component, changes[component])
		if counted := l.Transitions - first[component].Transitions; counted > changes[component] {
			word += fmt.Sprintf(" as seen, and %d times as it counts itself", counted)
		}
		said = append(said, word)
	}
	return plan.Pass, strings.Join(said, "; ") + "; nobody led beside the holder"
}

// endedBefore reports whether the process that held a lease was seen to have ended about when another took that. One that was robbed of it goes on
// until it has failed to renew it for the renewal deadline, and ends only then.
func (r *Record) endedBefore(machine string, taken observe.Lease, renewed time.Time) bool {
	timing := kubeadm.Lease(r.Topology.Timing)
	until := taken.Acquired.Add(timing.Renew - timing.Retry)
	return slices.ContainsFunc(r.Observations, func(o observe.Observation) bool {
		return o.Time.After(renewed) && !o.Time.After(until) && slices.ContainsFunc(o.Components, func(c observe.Component) bool {
			return c.Machine == machine && c.Name == taken.Component && (c.Failure == cluster.Refused || c.Started.After(renewed))
		})
	})
}

// reign is a time in which a process took itself for the leader: it said so at its begin and at its end, and nothing else between them.
type reign struct {
	observe.Component
	begin, end time.Time
}

// unelectedFor is how long a process may be without a word on elections while its machine's API server is ready: it waits for that one, and for its
// caches, before it stands for election, and rules nothing before.
const unelectedFor = 12 * time.Second

// reignGap is how far apart two of its words may be: who was stopped meanwhile says the old one once more when it goes on.
const reignGap = 10 * time.Second

// reigns lists them for each component. Who takes part in no election reigns all the time.
func reigns(obs []observe.Observation) map[string][]reign {
	out, current := map[string][]reign{}, map[string]*reign{}
	end := func(key string) {
		if g := current[key]; g != nil && g.end.After(g.begin) && (g.Leader != observe.Unelected || g.end.Sub(g.begin) >= unelectedFor) {
			out[g.Name] = append(out[g.Name], *g)
		}
		delete(current, key)
	}
	for _, o := range obs {
		for _, c := range o.Components {
			if c.LeaderAt.IsZero() {
				continue
			}
			g := current[c.String()]
			if g != nil && g.Leader == observe.Unelected && c.Leader != observe.Unelected && g.Started.Equal(c.Started) {
				delete(current, c.String()) // it does elect, and had waited for its turn to
				g = nil
			}
			switch {
			case c.Leader == observe.Follows || c.Leader == observe.Unelected && unserved(o, c.Machine):
				end(c.String())
			case g != nil && g.Leader == c.Leader && g.Started.Equal(c.Started) && c.LeaderAt.Sub(g.end) <= reignGap:
				g.end = c.LeaderAt
			default:
				end(c.String())
				current[c.String()] = &reign{Component: c, begin: c.LeaderAt, end: c.LeaderAt}
			}
		}
	}
	for key := range current {
		end(key)
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b reign) int { return cmp.Or(a.begin.Compare(b.begin), strings.Compare(a.Machine, b.Machine)) })
	}
	return out
}

// unserved reports whether the API server of a machine was seen not to be ready.
func unserved(o observe.Observation, machine string) bool {
	return slices.ContainsFunc(o.APIServers, func(s observe.ServerHealth) bool { return s.Machine == machine && s.Ready != "" })
}

// twoLeaders says who led beside whom.
func twoLeaders(obs []observe.Observation) string {
	all := reigns(obs)
	for _, component := range kubeadm.Leases() {
		list := all[component]
		for i, a := range list {
			for _, b := range list[i+1:] {
				if a.Machine != b.Machine && a.begin.Before(b.end) && b.begin.Before(a.end) {
					return fmt.Sprintf("two leaders: %s %s from %s to %s, and %s %s from %s to %s", a, a.Leader, clock(a.begin), clock(a.end), b, b.Leader, clock(b.begin), clock(b.end))
				}
			}
			for _, o := range obs {
				for _, l := range o.Leases {
					holder, _, _ := strings.Cut(l.Holder, "_")
					if l.Component == component && holder != "" && holder != a.Machine && l.Renewed.After(a.begin) && l.Renewed.Before(a.end) {
						return fmt.Sprintf("two leaders: %s %s from %s to %s, and %s renewed the lease at %s", a, a.Leader, clock(a.begin), clock(a.end), holder, clock(l.Renewed))
					}
				}
			}
		}
	}
	return ""
}
