package calibrate

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/throttle"
)

// Gap is something that the recording could not tell.
type Gap struct {
	Of    string `json:"of"`    // what would be other if it were known: policy, timings or both
	About string `json:"about"` // the limit, the type, or the recording
	What  string `json:"what"`  // is not known
}

// What gaps are of.
const (
	ofPolicy  = "policy"
	ofTimings = "timings"
	ofBoth    = "both"
)

// origin says of what is written where it comes from.
const (
	fromRecording = "recording"
	fromBase      = "base"
)

// Written is a limit as it is in the policy.
type Written struct {
	Limit
	Measured
	Is   *throttle.Limit `json:"limit,omitempty"` // nil: none
	From string          `json:"from,omitempty"`  // recording, or base where the recording does not know
}

// policer makes a policy of limits.
type policer struct {
	*ledger
	seen    map[Limit]Measured
	base    *throttle.Policy // nil: nothing is taken from elsewhere
	gaps    []Gap
	written []Written
}

func (p *policer) gap(about, format string, args ...any) {
	p.gaps = append(p.gaps, Gap{ofPolicy, about, fmt.Sprintf(format, args...)})
}

// policy is all limits there are: those that are known, and those of the base where they are not.
func (p *policer) policy(source string) *throttle.Policy {
	out := &throttle.Policy{Name: "recorded", About: "made of a recording by drydock arm calibrate"}
	out.Gateway.Source = source
	for _, s := range []struct {
		scope string
		kinds *throttle.Kinds
		base  func() throttle.Kinds
	}{
		{ofPrincipal, &out.Gateway.Subscription, func() throttle.Kinds { return p.base.Gateway.Subscription }},
		{ofTenant, &out.Gateway.Tenant, func() throttle.Kinds { return p.base.Gateway.Tenant }},
	} {
		for _, k := range []struct {
			kind string
			into *throttle.Limit
		}{{"reads", &s.kinds.Reads}, {"writes", &s.kinds.Writes}, {"deletes", &s.kinds.Deletes}} {
			var base *throttle.Limit
			if p.base != nil {
				l := s.base().Of(k.kind)
				base = &l
			}
			*k.into = throttle.Limit{Unlimited: true}
			if l := p.one(Limit{gateway + k.kind, s.scope}, base, time.Second); l != nil {
				*k.into = *l
			}
		}
	}
	out.Gateway.GlobalFactor = p.factor(out.Gateway.Subscription)
	if p.base != nil {
		out.Gateway.Instances = p.base.Gateway.Instances
	}
	p.providers(out)
	shared := false
	for _, w := range p.written {
		out.Hostile = out.Hostile || w.Hostile
		shared = shared || w.Is != nil && w.From == fromRecording && (w.Scope == ofSubscription || w.Scope == ofGlobal)
	}
	if shared {
		p.gap("what is shared by all of a subscription", "who else drew on it: whoever did so steadily makes its refill look smaller than it is")
	}
	return out
}

// one is a limit: what the recording knows, or else the base's, unless the recording shows that it is otherwise. nil: none.
func (p *policer) one(key Limit, base *throttle.Limit, per time.Duration) *throttle.Limit {
	m, seen := p.seen[key]
	if !seen {
		if base == nil || base.Unlimited {
			p.gap(key.String(), "anything: no answer told what is left of it; it is without a limit")
			return nil
		}
		p.gap(key.String(), "anything: no answer told what is left of it; the base's %s is written", base.String())
		p.written = append(p.written, Written{Limit: key, Is: base, From: fromBase})
		return base
	}
	l, open := m.limit(per)
	from, there := fromRecording, base != nil && !base.Unlimited
	weak := l == nil || !m.Exact || l.Window == 0 && !m.known()
	switch {
	case weak && there && m.allows(*base):
		l, from = base, fromBase
		open = append(open, "the base's "+base.String()+" is written, with which what was seen agrees")
	case l == nil && there:
		open = append(open, "the base's "+base.String()+" is not what was seen; it is without a limit")
	case l == nil:
		open = append(open, "it is without a limit")
	}
	for _, o := range open {
		p.gap(key.String(), "%s", o)
	}
	p.written = append(p.written, Written{Limit: key, Measured: m, Is: l, From: from})
	return l
}

// allows reports whether a limit agrees with what was seen.
func (m Measured) allows(l throttle.Limit) bool {
	switch {
	case l.Capacity < m.Most || m.Exact && l.Capacity != m.Most:
		return false
	case l.Window > 0:
		return m.Steps == 0 && (m.Low == 0 || !m.bucket()) || m.Steps > 0 && l.Window.Seconds() > m.window.low && l.Window.Seconds() <= m.window.high
	}
	return l.Rate() >= m.Low/slack && (m.High == 0 || l.Rate() <= m.High*slack)
}

// factor is how many budgets of one all of a subscription have together; 0: there is no such limit, or it is not known.
func (p *policer) factor(own throttle.Kinds) int {
	found := map[int][]string{}
	for _, kind := range []string{"reads", "writes", "deletes"} {
		key := Limit{gateway + kind, ofGlobal}
		m, seen := p.seen[key]
		if !seen {
			continue
		}
		one := own.Of(kind)
		n := math.Round(float64(m.Most) / float64(max(1, one.Capacity)))
		l, _ := m.limit(time.Second)
		switch {
		case one.Unlimited:
			p.gap(key.String(), "its limit: that of one principal is not known; at least %d", m.Most)
		case !m.Exact && l == nil:
			p.gap(key.String(), "its limit: at least %d were left, %.4g times that of one principal; it was not seen full with time left to fill", m.Most, float64(m.Most)/float64(one.Capacity))
		case n < 1 || int(n)*one.Capacity != m.Most:
			p.gap(key.String(), "how a policy can say it: it holds %d, which is no multiple of one principal's %d", m.Most, one.Capacity)
		default:
			found[int(n)] = append(found[int(n)], kind)
			scaled := one.Times(int(n))
			p.written = append(p.written, Written{Limit: key, Measured: m, Is: &scaled, From: fromRecording})
		}
	}
	if len(found) > 0 {
		best := slices.MaxFunc(slices.Sorted(maps.Keys(found)), func(a, b int) int { return cmp.Compare(len(found[a]), len(found[b])) })
		if len(found) > 1 {
			p.gap("gateway, of all principals", "one factor for all budgets: reads, writes and deletes have different ones; %d is written", best)
		}
		return best
	}
	if p.base != nil && p.base.Gateway.GlobalFactor > 0 {
		p.gap("gateway, of all principals", "the factor of all principals together; the base's %d is written", p.base.Gateway.GlobalFactor)
		return p.base.Gateway.GlobalFactor
	}
	return 0
}

// providers are the policies that answers named, and the base's others.
func (p *policer) providers(out *throttle.Policy) {
	for _, name := range slices.Sorted(maps.Keys(p.operations)) {
		parts := p.parts(name)
		if len(parts) == 0 {
			parts = []throttle.ProviderPolicy{{Policy: name}}
		}
		parts[0].Operations = slices.Compact(slices.Sorted(slices.Values(slices.Concat(p.drawing(name), parts[0].Operations))))
		whole := p.one(Limit{name, ofSubscription}, parts[0].Subscription, time.Minute)
		each := parts[0].Resource
		if _, seen := p.seen[Limit{name, ofResource}]; seen || each != nil {
			each = p.one(Limit{name, ofResource}, each, time.Minute)
		}
		for i, part := range parts { // they share the limit of a subscription
			part.Source, part.Subscription = out.Gateway.Source, whole
			if i == 0 {
				part.Resource = each
			}
			if part.Subscription != nil || part.Resource != nil {
				out.Providers = append(out.Providers, part)
			}
		}
	}
	if p.base == nil {
		return
	}
	kept := 0
	for _, b := range p.base.Providers {
		if p.operations[b.Policy] == nil {
			out.Providers = append(out.Providers, b)
			kept++
		}
	}
	if kept > 0 {
		p.gap("the providers' policies", "anything of %d that no answer named; the base's are written", kept)
	}
}

// parts are the base's policies of a name.
func (p *policer) parts(name string) (out []throttle.ProviderPolicy) {
	if p.base == nil {
		return nil
	}
	for _, b := range p.base.Providers {
		if strings.EqualFold(b.Policy, name) {
			b.Policy = name
			out = append(out, b)
		}
	}
	return out
}
