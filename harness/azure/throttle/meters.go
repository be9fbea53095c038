// Package throttle holds callers to budgets: policies as data, a meter for each limit and subject, the answers to calls that did not pass, and what other
// clusters of a subscription draw. It knows operations by their names only (VERB type), and nothing of what they do.
package throttle

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

// Remaining is what one limit has left after a call.
type Remaining struct {
	Header string // of the gateway: the header's name; of a provider: RP/policy
	Left   int
	Of     int  // calls, when it is full
	Played bool // by a fault: it has more
}

// draw is a call on one meter.
type draw struct {
	key    meterKey
	limit  Limit
	scope  string
	policy string
	header string
}

// meterKey tells meters apart.
type meterKey struct{ policy, scope, region, subscription, subject string }

// Meters holds every budget of the twin. Both layers are always on: the gateway's first, the resource provider's for what passed it.
type Meters struct {
	clock   arm.Clock
	policy  *Policy
	hostile bool

	mu     sync.Mutex
	meters map[meterKey]*Meter
	asking map[string]int // machines that wait for a token, of how many
	sweep  int            // when there are so many, those are dropped that say nothing
}

// New starts with full budgets.
func New(c arm.Clock, p *Policy, hostile bool) *Meters {
	return &Meters{clock: c, policy: p, hostile: hostile || p.Hostile, meters: map[meterKey]*Meter{}, asking: map[string]int{}}
}

// Subject is whose budgets a call draws on, and when.
type Subject struct {
	Region, Subscription, Principal string    // the region is that of the gateway
	Location                        string    // of the resource a provider counts the call for; empty: it has none, or nobody knows, and the gateway's counts
	Instance                        int       // of the gateway, chosen by connection: only the hourly model has several
	At                              time.Time // zero: now
	Refuse                          *Refusal  // by a fault; nil: budgets say
}

// Refusal is that a call is answered as if a budget had nothing left, which is not drawn on by that.
type Refusal struct {
	Policy string        // gateway/reads, or a provider's
	Wait   time.Duration // until the call would pass, by the twin's clock
}

// GatewayGroup is what a refusal, a fault and the call log name a budget of the gateway.
func GatewayGroup(kind string) string { return "gateway/" + kind }

// gatewayHeaders are those that tell what is left of the gateway's budgets.
type gatewayHeaders struct{ tenant, own, global string }

func headersOf(kind string) gatewayHeaders {
	switch kind {
	case "reads":
		return gatewayHeaders{"x-ms-ratelimit-remaining-tenant-reads", "x-ms-ratelimit-remaining-subscription-reads", "x-ms-ratelimit-remaining-subscription-global-reads"}
	case "deletes":
		return gatewayHeaders{"x-ms-ratelimit-remaining-tenant-deletes", "x-ms-ratelimit-remaining-subscription-deletes", "x-ms-ratelimit-remaining-subscription-global-deletes"}
	default:
		return gatewayHeaders{"x-ms-ratelimit-remaining-tenant-writes", "x-ms-ratelimit-remaining-subscription-writes", "x-ms-ratelimit-remaining-subscription-global-writes"}
	}
}

// Gateway draws a call on the gateway's budgets: all of them or none.
func (t *Meters) Gateway(s Subject, kind string) ([]Remaining, *Rejection) {
	g := t.policy.Gateway
	if g.of(s, kind).Unlimited {
		return nil, nil
	}
	var buf [2]draw
	draws, told := buf[:0], headersOf(kind)
	if s.Subscription == "" {
		draws = append(draws, draw{key: meterKey{kind, "tenant", s.Region, "", s.Principal}, limit: g.Tenant.Of(kind), scope: "tenant", policy: kind, header: told.tenant})
	} else {
		own := g.Subscription.Of(kind)
		key := meterKey{kind, "principal", s.Region, s.Subscription, s.Principal}
		if g.Instances > 1 {
			key.subject = fmt.Sprintf("%s/%d", s.Principal, s.Instance%g.Instances)
		}
		draws = append(draws, draw{key: key, limit: own, scope: "principal", policy: kind, header: told.own})
		if g.GlobalFactor > 0 {
			draws = append(draws, draw{
				key: meterKey{kind, "global", s.Region, s.Subscription, ""}, limit: own.Times(g.GlobalFactor), scope: "global", policy: kind,
				header: told.global,
			})
		}
	}
	forced := none
	if s.Refuse != nil && s.Refuse.Policy == GatewayGroup(kind) {
		forced = 0
	}
	left, r := t.draw(s, draws, forced)
	if r != nil {
		r.Gateway = true
	}
	return left, r
}

// of is the limit of a subject's budget.
func (g GatewayPolicy) of(s Subject, kind string) Limit {
	if s.Subscription == "" {
		return g.Tenant.Of(kind)
	}
	return g.Subscription.Of(kind)
}

// Provider draws a call on the resource provider's policies for the operation; resource is what those of single resources count it for, empty for none.
func (t *Meters) Provider(s Subject, operation, resource string) ([]Remaining, *Rejection) {
	var buf [4]draw
	draws, forced := buf[:0], none
	region := cmp.Or(s.Location, s.Region)
	for _, p := range t.policy.Of(operation) {
		if p.Resource != nil && resource != "" {
			draws = append(draws, draw{
				key: meterKey{p.Policy, "resource", region, s.Subscription, resource}, limit: *p.Resource, scope: "resource", policy: p.Policy, header: "",
			})
		}
		if p.Subscription != nil {
			draws = append(draws, draw{
				key: meterKey{p.Policy, "subscription", region, s.Subscription, ""}, limit: *p.Subscription, scope: "subscription", policy: p.Policy, header: p.Policy,
			})
		}
		if s.Refuse != nil && s.Refuse.Policy == p.Policy && forced == none {
			forced = len(draws) - 1
		}
	}
	if len(draws) == 0 {
		return nil, nil
	}
	return t.draw(s, draws, forced)
}

// minSweep is how many meters there may be before any is dropped: clients make up principals and subscriptions as they like.
const minSweep = 10_000

// drop forgets the meters that are as a new one is. The caller holds the lock.
func (t *Meters) drop(now time.Time) {
	for k, m := range t.meters {
		if m.Settle(now); m.idle(now) {
			delete(t.meters, k)
		}
	}
	t.sweep = 2 * len(t.meters)
}

// none is no index.
const none = -1

// draw takes one token of every meter, or of none when one of them has none left, or is to be taken for one that has.
func (t *Meters) draw(s Subject, draws []draw, forced int) ([]Remaining, *Rejection) {
	now := s.At
	if now.IsZero() {
		now = t.clock.Now()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.meters) >= max(t.sweep, minSweep) {
		t.drop(now)
	}
	var buf [4]*Meter
	meters := buf[:0]
	refused := forced
	for i, d := range draws {
		m := t.meters[d.key]
		if m == nil {
			m = NewMeter(d.limit, now)
			t.meters[d.key] = m
		}
		m.Settle(now)
		if refused < 0 && m.Left(now) < 1 {
			refused = i
		}
		meters = append(meters, m)
	}
	if refused < 0 {
		for _, m := range meters {
			m.Take()
		}
		return lefts(draws, meters, now, forced), nil
	}
	d, m := draws[refused], meters[refused]
	r := &Rejection{Policy: d.policy, Scope: d.scope, Allowed: d.limit.Capacity, Start: now.Add(-d.limit.span()), Limit: d.limit, Forced: forced >= 0}
	if r.Forced {
		r.Wait = s.Refuse.Wait
	} else {
		m.reject(now, t.hostile)
		r.Wait = max(m.wait(now), d.limit.RetryAfter)
	}
	if d.limit.Window > 0 && m.used > 0 {
		r.Start = m.begun
	}
	r.Measured, r.End = max(m.measured(now), d.limit.Capacity+1), now.Add(r.Wait)
	return lefts(draws, meters, now, forced), r
}

func lefts(draws []draw, meters []*Meter, now time.Time, forced int) []Remaining {
	out := make([]Remaining, 0, len(draws))
	for i, d := range draws {
		if d.header == "" {
			continue
		}
		left := meters[i].Left(now)
		if i == forced {
			left = 0
		}
		out = append(out, Remaining{d.header, left, d.limit.Capacity, i == forced})
	}
	return out
}
