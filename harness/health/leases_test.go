package health

import (
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/load"
	"drydock.dev/drydock/harness/observe"
	"drydock.dev/drydock/harness/plan"
)

// TestLeaseKept: a lease that is gone before its time is a fault of etcd's; one that nobody renewed in time, and none at all, tell nothing.
func TestLeaseKept(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	kept := load.Lease{ID: "a", TTL: 5 * time.Second, Renewals: 10, Renewed: at}
	gone := func(after time.Duration) load.Lease {
		l := kept
		l.ID, l.Gone = "b", at.Add(after)
		return l
	}
	never, stopped := kept, kept
	never.Renewals, stopped.Renewed = 1, at.Add(-20*time.Second)
	for name, c := range map[string]struct {
		leases []load.Lease
		want   plan.Verdict
		says   string
	}{
		"all live":                  {[]load.Lease{kept, kept}, plan.Pass, "2 leases lived on, renewed 18 times"},
		"one is revoked":            {[]load.Lease{kept, gone(time.Second)}, plan.Fail, "1 of 2 leases were revoked while they were renewed: b, of 5s, was renewed at 03:04:05.0, and 1s later"},
		"one at the last moment":    {[]load.Lease{gone(5*time.Second - time.Millisecond)}, plan.Fail, "revoked"},
		"one had had its time":      {[]load.Lease{kept, gone(5 * time.Second)}, plan.Unknown, "nobody had renewed"},
		"revoked, and had its time": {[]load.Lease{gone(time.Minute), gone(time.Second)}, plan.Fail, "1 of 2"},
		"none was renewed":          {[]load.Lease{never}, plan.Unknown, "no lease was renewed"},
		"one was never renewed":     {[]load.Lease{kept, never}, plan.Unknown, "1 of 2 leases were not renewed to the end"},
		"nobody renewed any longer": {[]load.Lease{kept, stopped}, plan.Unknown, "1 of 2 leases were not renewed to the end"},
		"none":                      {nil, plan.Unknown, "no lease was granted"},
	} {
		v, why := leaseKept(&Record{Leases: c.leases, Final: observe.Observation{Time: at}}, nil, Params{})
		if v != c.want || !strings.Contains(why, c.says) {
			t.Errorf("%s: %s, %s; want %s, saying %q", name, v, why, c.want, c.says)
		}
	}
}
