// Package calibrate makes of a recording of the real Resource Manager what a twin needs to behave like it: a throttling policy and the timings of
// operations, each number with how many samples it rests on, and what the recording could not tell. It sends nothing and serves nobody.
package calibrate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/proxy"
	"drydock.dev/drydock/harness/azure/state"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/cluster"
)

// Options say what is known beside the recording.
type Options struct {
	Base  *throttle.Policy // whose limits stand where the recording does not know better; nil: there is none there
	Types []string         // that the twin has: of others there are no timings
}

// Result is what a recording shows, and what is made of it.
type Result struct {
	Begun      time.Time `json:"begun"` // of the first call
	Ended      time.Time `json:"ended"`
	Calls      int       `json:"calls"`   // of the Resource Manager
	Beside     int       `json:"beside"`  // exchanges with others: token services, metadata
	Bare       int       `json:"bare"`    // exchanges with a token in them: recorded with --keep-secrets
	Budgets    []Budget  `json:"budgets"` // of each owner
	Limits     []Written `json:"limits"`  // as they are in the policy
	Operations []Lasted  `json:"operations"`
	Told       []Told    `json:"told"`
	Unknown    []Gap     `json:"unknown"`

	Policy  *throttle.Policy `json:"-"`
	Timings *state.Timings   `json:"-"`
}

// From makes it of a recording. One without a call of the Resource Manager is a usage error.
func From(recorded []proxy.Exchange, o Options) (*Result, error) {
	read := newReader()
	calls := read.calls(recorded)
	if len(calls) == 0 {
		return nil, cluster.Usagef("the recording holds %d exchanges, and none of them is a call of the Resource Manager (/subscriptions/…): nothing can be calibrated by it", len(recorded))
	}
	r := &Result{Begun: calls[0].Time, Ended: calls[len(calls)-1].Time, Calls: len(calls), Beside: len(recorded) - len(calls)}
	for _, e := range recorded {
		if e.Bare() {
			r.Bare++
		}
	}
	tracked := track(calls)
	l := newLedger(calls)
	r.Budgets = l.measured()
	p := &policer{ledger: l, seen: together(r.Budgets), base: o.Base}
	r.Policy = p.policy(r.source())
	t := &timer{types: o.Types}
	r.Timings = t.timings(tracked)
	r.Limits, r.Operations, r.Told = p.written, t.took, t.told
	r.Unknown = gathering(slices.Concat(read.gaps(calls), l.gaps(r.Budgets), p.gaps, t.gaps))
	return r, r.check()
}

func (r *Result) source() string {
	return fmt.Sprintf("a recording of %d calls, %s to %s", r.Calls, r.Begun.UTC().Format(time.RFC3339), r.Ended.UTC().Format(time.RFC3339))
}

// check reads what would be written as a twin does.
func (r *Result) check() error {
	if _, err := throttle.ParsePolicy([]byte(r.PolicyYAML())); err != nil {
		return fmt.Errorf("the policy that was made of the recording is none, which is a mistake of drydock: %w", err)
	}
	if _, err := state.ParseTimings([]byte(r.TimingsYAML())); err != nil {
		return fmt.Errorf("the timings that were made of the recording are none, which is a mistake of drydock: %w", err)
	}
	return nil
}

// gaps are what the recording as a whole does not tell.
func (r *reader) gaps(calls []*call) (out []Gap) {
	const about = "the recording"
	nobody, instant := 0, true
	for _, c := range calls {
		if c.owner.Principal == "" {
			nobody++
		}
		instant = instant && c.Seconds == 0
	}
	if nobody > 0 {
		out = append(out, Gap{ofPolicy, about, fmt.Sprintf("who made %d of %d calls: they are counted as one principal's", nobody, len(calls))})
	}
	if instant {
		out = append(out, Gap{ofBoth, about, "how long calls took: each is taken to have been counted when it was sent"})
	}
	if r.guessed > 0 {
		out = append(out, Gap{ofBoth, about, fmt.Sprintf("whether %d PUTs made something or changed it: they were answered 200, and are counted as changes", r.guessed)})
	}
	return out
}

// gaps are what the counts do not tell.
func (l *ledger) gaps(all []Budget) (out []Gap) {
	add := func(about, format string, args ...any) {
		out = append(out, Gap{ofPolicy, about, fmt.Sprintf(format, args...)})
	}
	if len(l.budgets) == 0 {
		add("the recording", "any budget: no answer has a header x-ms-ratelimit-remaining-…")
	}
	for other, n := range l.others {
		add("429", "what to make of %d: they were of %s", n, other)
	}
	for operation, n := range l.charges {
		add(operation, "how to say that it costs up to %d calls (x-ms-request-charge): the twin counts one", n)
	}
	for name := range l.replaced {
		add(name, "how a policy can say it: a resource provider counts by a header of its own")
	}
	for i, b := range all {
		for _, a := range all[:i] {
			if a.Limit != b.Limit {
				continue
			}
			if a.Exact && b.Exact && a.Most != b.Most {
				add(b.String(), "how to say that it differs by owner: one holds %d, another %d; a policy has one for all, and the larger one is written", min(a.Most, b.Most), max(a.Most, b.Most))
			}
			if a.known() && b.known() && (a.High < b.Low || b.High < a.Low) {
				add(b.String(), "how to say that its refill differs by owner: %.3g a second and more, and %.3g and less; that of more samples is written", max(a.Low, b.Low), min(a.High, b.High))
			}
		}
	}
	return out
}

// gathering puts gaps of the same words together, and orders nothing else.
func gathering(all []Gap) []Gap {
	var out []Gap
	for _, g := range all {
		if at := slices.IndexFunc(out, func(o Gap) bool { return o.Of == g.Of && o.What == g.What }); at < 0 {
			out = append(out, g)
		} else if !slices.Contains(strings.Split(out[at].About, ", "), g.About) {
			out[at].About += ", " + g.About
		}
	}
	return out
}

// Owners counts the subscriptions, regions and principals of the budgets.
func (r *Result) Owners() (subscriptions, regions, principals int) {
	s, p, who := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, b := range r.Budgets {
		if b.Of.Subscription != "" {
			s[b.Of.Subscription] = true
		}
		p[b.Of.Region], who[b.Of.Principal] = true, true
	}
	delete(p, "")
	delete(who, "")
	return len(s), len(p), len(who)
}
