package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/kubeadm"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// leadersMove: after the machine's loss, each lease is held elsewhere within lease + retry, and some time for the API server to
// be found again through the balancer, which election needs to write.
func leadersMove(r *Record, w *Window, p Params) (plan.Verdict, string) {
	timing := kubeadm.Lease(r.Topology.Timing)
	limit := timing.Duration + timing.Retry + p.MaxGap
	var said []string
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
			said = append(said, fmt.Sprintf("%s left %s after %s", component, before, moved.Sub(w.Began).Round(100*time.Millisecond)))
		}
	}
	return plan.Pass, strings.Join(said, "; ")
}

// oneLeader: a lease that changes hands was expired, or given up by its holder (client-go's ReleaseOnCancel empties it).
func oneLeader(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	last, changes := map[string]observe.Lease{}, 0
	for _, o := range r.Observations {
		for _, l := range o.Leases {
			before, ok := last[l.Component]
			last[l.Component] = l
			if !ok || before.Holder == l.Holder || before.Holder == "" || l.Holder == "" {
				continue
			}
			changes++
			// The holder may have renewed once more after we looked, which only makes the true overlap smaller than seen; allow for clocks in whole seconds.
			if l.Acquired.Before(before.Renewed.Add(before.Duration - time.Second)) {
				return plan.Fail, fmt.Sprintf("%s: %s took the lease at %s, and %s had renewed it for %s at %s", l.Component, l.Holder, clock(l.Acquired),
					before.Holder, before.Duration, clock(before.Renewed))
			}
		}
	}
	if len(last) == 0 {
		return plan.Unknown, "no lease was seen"
	}
	return plan.Pass, fmt.Sprintf("%d changes of leader, each after the lease had expired", changes)
}
