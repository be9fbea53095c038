package azure

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// meter is one limit's state for one subject: a token bucket, or a window of time with a count.
type meter struct {
	limit Limit

	tokens float64   // of a bucket
	filled time.Time // when tokens was right

	begun time.Time // of a window: its first call
	used  int       // calls in it, rejected ones among them
	until time.Time // hostile: no call passes before
}

func newMeter(l Limit, now time.Time) *meter {
	return &meter{limit: l, tokens: float64(l.Capacity), filled: now}
}

// settle brings the state up to now.
func (m *meter) settle(now time.Time) {
	if m.limit.Window > 0 {
		if now.Sub(m.begun) >= m.limit.Window && !now.Before(m.until) {
			m.begun, m.used = now, 0
		}
		return
	}
	if since := now.Sub(m.filled); since > 0 {
		m.tokens = math.Min(float64(m.limit.Capacity), m.tokens+since.Seconds()*m.limit.rate())
		m.filled = now
	}
}

// left is how many calls would pass now.
func (m *meter) left(now time.Time) int {
	if now.Before(m.until) {
		return 0
	}
	if m.limit.Window > 0 {
		return max(0, m.limit.Capacity-m.used)
	}
	return max(0, int(math.Floor(m.tokens+1e-9))) // refills are sums of fractions
}

// wait is how long until a call would pass.
func (m *meter) wait(now time.Time) time.Duration {
	if m.limit.Window > 0 {
		return max(m.begun.Add(m.limit.Window).Sub(now), m.until.Sub(now))
	}
	short := time.Duration((1 - m.tokens) / m.limit.rate() * float64(time.Second))
	return max(short, m.until.Sub(now))
}

func (m *meter) take() {
	m.used++
	m.tokens--
}

// maxDebt bounds how far below zero a hostile bucket goes: a client that stops is served again after the bucket has filled once.
func (m *meter) maxDebt() float64 { return float64(m.limit.Capacity) }

// reject counts a call that did not pass. A hostile limit charges it as well, and one that came before it was told to lengthens the block.
func (m *meter) reject(now time.Time, hostile bool) {
	m.used++
	if !hostile {
		return
	}
	early := now.Before(m.until)
	if m.limit.Window == 0 {
		m.tokens = math.Max(m.tokens-1, -m.maxDebt())
	} else if early {
		m.until = now.Add(m.limit.Window)
	}
	m.until = maxTime(m.until, now.Add(m.wait(now)))
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// budget is what one limit has left after a call.
type budget struct {
	header string // of the gateway: the header's name; of a provider: RP/policy
	left   int
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

// Throttle holds every budget of the twin. Both layers are always on: the gateway's first, the resource provider's for what passed it.
type Throttle struct {
	clock   Clock
	policy  *Policy
	hostile bool

	mu     sync.Mutex
	meters map[meterKey]*meter
}

// NewThrottle starts with full budgets.
func NewThrottle(c Clock, p *Policy, hostile bool) *Throttle {
	return &Throttle{clock: c, policy: p, hostile: hostile || p.Hostile, meters: map[meterKey]*meter{}}
}

// Subject is whose budgets a call draws on.
type Subject struct {
	Region, Subscription, Principal string
	Instance                        int // of the gateway, chosen by connection: only the hourly model has several
}

// Gateway draws a call on the gateway's budgets: all of them or none.
func (t *Throttle) Gateway(s Subject, kind string) ([]budget, *Rejection) {
	g := t.policy.Gateway
	var draws []draw
	if s.Subscription == "" {
		draws = []draw{{
			key: meterKey{kind, "tenant", s.Region, "", s.Principal}, limit: g.Tenant.of(kind), scope: "tenant", policy: kind,
			header: "x-ms-ratelimit-remaining-tenant-" + kind,
		}}
	} else {
		own := g.Subscription.of(kind)
		key := meterKey{kind, "principal", s.Region, s.Subscription, s.Principal}
		if g.Instances > 1 {
			key.subject = fmt.Sprintf("%s/%d", s.Principal, s.Instance%g.Instances)
		}
		draws = []draw{{key: key, limit: own, scope: "principal", policy: kind, header: "x-ms-ratelimit-remaining-subscription-" + kind}}
		if g.GlobalFactor > 0 {
			draws = append(draws, draw{
				key: meterKey{kind, "global", s.Region, s.Subscription, ""}, limit: own.times(g.GlobalFactor), scope: "global", policy: kind,
				header: "x-ms-ratelimit-remaining-subscription-global-" + kind,
			})
		}
	}
	left, r := t.draw(draws)
	if r != nil {
		r.Gateway = true
	}
	return left, r
}

// Provider draws a call on the resource provider's policies for the operation.
func (t *Throttle) Provider(s Subject, operation, resource string) ([]budget, *Rejection) {
	var buf [4]draw
	draws := buf[:0]
	for _, p := range t.policy.of(operation) {
		if p.Resource != nil {
			draws = append(draws, draw{
				key: meterKey{p.Policy, "resource", s.Region, s.Subscription, resource}, limit: *p.Resource, scope: "resource", policy: p.Policy, header: "",
			})
		}
		if p.Subscription != nil {
			draws = append(draws, draw{
				key: meterKey{p.Policy, "subscription", s.Region, s.Subscription, ""}, limit: *p.Subscription, scope: "subscription", policy: p.Policy, header: p.Policy,
			})
		}
	}
	if len(draws) == 0 {
		return nil, nil
	}
	return t.draw(draws)
}

// draw takes one token of every meter, or of none when one of them has none left.
func (t *Throttle) draw(draws []draw) ([]budget, *Rejection) {
	now := t.clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	var buf [4]*meter
	meters := buf[:0]
	refused := -1
	for i, d := range draws {
		m := t.meters[d.key]
		if m == nil {
			m = newMeter(d.limit, now)
			t.meters[d.key] = m
		}
		m.settle(now)
		if refused < 0 && m.left(now) < 1 {
			refused = i
		}
		meters = append(meters, m)
	}
	if refused >= 0 {
		return t.lefts(draws, meters, now), t.refuse(draws[refused], meters[refused], now)
	}
	for _, m := range meters {
		m.take()
	}
	return t.lefts(draws, meters, now), nil
}

func (t *Throttle) lefts(draws []draw, meters []*meter, now time.Time) []budget {
	out := make([]budget, 0, len(draws))
	for i, d := range draws {
		if d.header != "" {
			out = append(out, budget{d.header, meters[i].left(now)})
		}
	}
	return out
}

func (t *Throttle) refuse(d draw, m *meter, now time.Time) *Rejection {
	m.reject(now, t.hostile)
	wait := m.wait(now)
	start := m.begun
	if d.limit.Window == 0 {
		start = now.Add(-d.limit.Per)
	}
	return &Rejection{
		Policy: d.policy, Scope: d.scope, Wait: wait, Allowed: d.limit.Capacity, Measured: max(m.used, d.limit.Capacity+1), Start: start, End: now.Add(wait), Limit: d.limit,
	}
}
