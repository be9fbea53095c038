package calibrate

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/state"
	"drydock.dev/drydock/harness/azure/throttle"
)

// Both files are written by hand: each number has beside it what it rests on.

// plain is what YAML reads as the text it is.
var plain = regexp.MustCompile(`^[A-Za-z][\w./ -]*$`)

func quoted(s string) string {
	if plain.MatchString(s) && strings.TrimSpace(s) == s {
		return s
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(raw)
}

// comment is one line, whatever is in it.
func comment(s string) string { return strings.Join(strings.Fields(s), " ") }

func (r *Result) head(b *strings.Builder, what, of string) {
	fmt.Fprintf(b, "# %s, made by drydock arm calibrate of %s.\n", what, r.source())
	told := slices.DeleteFunc(slices.Clone(r.Unknown), func(g Gap) bool { return g.Of != of && g.Of != ofBoth })
	if len(told) > 0 {
		b.WriteString("# What it could not know:\n")
	}
	for _, g := range told {
		fmt.Fprintf(b, "#   %s\n", comment(g.String()))
	}
}

// String says it in a line.
func (g Gap) String() string { return g.About + ": " + g.What }

// limitYAML is a limit as a policy has it.
func limitYAML(l throttle.Limit) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch {
	case l.Unlimited:
		add("unlimited: true")
	case l.Window > 0:
		add("capacity: %d", l.Capacity)
		add("window: %s", throttle.Short(l.Window))
	default:
		add("capacity: %d", l.Capacity)
		add("refill: %g", l.Refill)
		add("per: %s", throttle.Short(l.Per))
	}
	if l.RetryAfter > 0 {
		add("retryAfter: %s", throttle.Short(l.RetryAfter))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// rests says what a limit rests on.
func (r *Result) rests(key Limit) string {
	for _, w := range r.Limits {
		if w.Limit != key {
			continue
		}
		switch {
		case w.From == fromBase && w.Samples == 0:
			return " # the base's; no samples"
		case w.From == fromBase:
			return fmt.Sprintf(" # the base's; %s agree", w.Basis())
		}
		return " # " + w.Basis()
	}
	return " # no samples"
}

// Basis is what was seen, in a few words.
func (m Measured) Basis() string {
	out := fmt.Sprintf("%d samples, %d of them 429", m.Samples, m.Rejected)
	switch {
	case m.Samples == 0:
		return "no samples"
	case m.Window():
		out += fmt.Sprintf(", given back at once %d times", m.Steps)
	case m.High > 0:
		out += fmt.Sprintf(", refill %.4g to %.4g a second", m.Low, m.High)
	case m.Low > 0:
		out += fmt.Sprintf(", refill at least %.4g a second", m.Low)
	}
	if m.Exact {
		return out
	}
	return out + fmt.Sprintf(", at least %d", m.Most)
}

// PolicyYAML is the policy as drydock arm serve --policy takes it.
func (r *Result) PolicyYAML() string {
	var b strings.Builder
	r.head(&b, "Throttling policy", ofPolicy)
	p := r.Policy
	fmt.Fprintf(&b, "name: %s\nabout: %s\n", p.Name, quoted(p.About))
	if p.Hostile {
		b.WriteString("hostile: true # early calls were told to wait longer\n")
	}
	fmt.Fprintf(&b, "gateway:\n  source: %s\n", quoted(p.Gateway.Source))
	for _, s := range []struct {
		name, scope string
		kinds       throttle.Kinds
	}{{"subscription", ofPrincipal, p.Gateway.Subscription}, {"tenant", ofTenant, p.Gateway.Tenant}} {
		fmt.Fprintf(&b, "  %s:\n", s.name)
		for _, kind := range []string{"reads", "writes", "deletes"} {
			fmt.Fprintf(&b, "    %s: %s%s\n", kind, limitYAML(s.kinds.Of(kind)), r.rests(Limit{gateway + kind, s.scope}))
		}
	}
	if p.Gateway.GlobalFactor > 0 {
		fmt.Fprintf(&b, "  globalFactor: %d%s\n", p.Gateway.GlobalFactor, r.rests(Limit{gateway + "reads", ofGlobal}))
	}
	if p.Gateway.Instances > 0 {
		fmt.Fprintf(&b, "  instances: %d # the base's\n", p.Gateway.Instances)
	}
	if len(p.Providers) > 0 {
		b.WriteString("providers:\n")
	}
	for _, rp := range p.Providers {
		fmt.Fprintf(&b, "  - policy: %s\n    operations:\n", quoted(rp.Policy))
		for _, o := range rp.Operations {
			fmt.Fprintf(&b, "      - %s\n", quoted(o))
		}
		if rp.Resource != nil {
			fmt.Fprintf(&b, "    resource: %s%s\n", limitYAML(*rp.Resource), r.rests(Limit{rp.Policy, ofResource}))
		}
		if rp.Subscription != nil {
			fmt.Fprintf(&b, "    subscription: %s%s\n", limitYAML(*rp.Subscription), r.rests(Limit{rp.Policy, ofSubscription}))
		}
	}
	return b.String()
}

// TimingsYAML is what drydock arm serve --timings takes.
func (r *Result) TimingsYAML() string {
	var b strings.Builder
	r.head(&b, "Timings", ofTimings)
	if len(r.Timings.Types) == 0 {
		b.WriteString("types: {} # no operation of a type that the twin has was seen\n")
		return b.String()
	}
	b.WriteString("types:\n")
	for _, name := range slices.Sorted(maps.Keys(r.Timings.Types)) {
		t := r.Timings.Types[name]
		fmt.Fprintf(&b, "  %s:\n    form: %s\n", quoted(name), t.Form)
		if t.At != "" {
			fmt.Fprintf(&b, "    at: %s\n", t.At)
		}
		for _, s := range []struct {
			verb string
			span state.Span
		}{{"create", t.Create}, {"update", t.Update}, {"delete", t.Delete}, {"action", t.Action}} {
			if s.span != (state.Span{}) {
				fmt.Fprintf(&b, "    %s: {min: %s, max: %s}%s\n", s.verb, throttle.Short(s.span.Min), throttle.Short(s.span.Max), r.lasted(name, s.verb))
			}
		}
		r.retryYAML(&b, name, t.RetryAfter)
	}
	return b.String()
}

func (r *Result) lasted(typ, verb string) string {
	for _, l := range r.Operations {
		if l.Type == typ && l.Verb == verb {
			return fmt.Sprintf(" # %d samples, median %.4g s", l.Samples, l.Median)
		}
	}
	return ""
}

func (r *Result) retryYAML(b *strings.Builder, typ string, retry state.Retry) {
	if retry == (state.Retry{}) {
		return
	}
	b.WriteString("    retryAfter:\n")
	for _, w := range []struct {
		what  string
		after time.Duration
	}{{"write", retry.Write}, {"delete", retry.Delete}, {"poll", retry.Poll}} {
		if w.after == 0 {
			continue
		}
		at := slices.IndexFunc(r.Told, func(t Told) bool { return t.Type == typ && t.What == w.what })
		said := ""
		if t := r.Told[max(0, at)]; at >= 0 {
			said = fmt.Sprintf(" # %d samples", t.Samples)
			if w.after < 0 {
				said = fmt.Sprintf(" # %d samples were told nothing", t.Silent)
			}
		}
		fmt.Fprintf(b, "      %s: %s%s\n", w.what, throttle.Short(w.after), said)
	}
}
