package health

import (
	"fmt"
	"time"

	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/plan"
)

// leaseKept: a lease lives for its time to live after each renewal that was acknowledged, whoever leads and whoever led. When it was asked for is what
// counts: who grants the time begins to count later.
func leaseKept(r *Record, _ *Window, _ Params) (plan.Verdict, string) {
	if len(r.Leases) == 0 {
		return plan.Unknown, "no lease was granted: there is no traffic of leases"
	}
	renewals, unsure, left := 0, 0, 0
	var lost []load.Lease
	for _, l := range r.Leases {
		renewals += l.Renewals - 1
		switch {
		case l.Gone.IsZero() && (l.Renewals == 1 || r.Final.Time.Sub(l.Renewed) > l.TTL+slack):
			left++
		case l.Gone.IsZero():
		case l.Gone.Sub(l.Renewed) < l.TTL:
			lost = append(lost, l)
		default:
			unsure++
		}
	}
	switch {
	case len(lost) > 0:
		l := lost[0]
		return plan.Fail, fmt.Sprintf("%d of %d leases were revoked while they were renewed: %s, of %s, was renewed at %s, and %s later there was no such lease",
			len(lost), len(r.Leases), l.ID, l.TTL, clock(l.Renewed), l.Gone.Sub(l.Renewed).Round(10*time.Millisecond))
	case unsure > 0:
		return plan.Unknown, fmt.Sprintf("%d of %d leases have ended as nobody had renewed them in time: whether they would have been kept was not tried", unsure, len(r.Leases))
	case renewals == 0:
		return plan.Unknown, "no lease was renewed"
	case left > 0:
		return plan.Unknown, fmt.Sprintf("%d of %d leases were not renewed to the end, and nobody said whether they were there", left, len(r.Leases))
	}
	return plan.Pass, fmt.Sprintf("%d leases lived on, renewed %d times", len(r.Leases), renewals)
}
