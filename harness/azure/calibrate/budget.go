package calibrate

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Budget is one owner's, as it was seen.
type Budget struct {
	Limit
	Of Owner `json:"of"`
	Measured
}

// Limit names what many owners may have each: gateway/reads of a principal, Microsoft.Compute/HighCostGet of a subscription.
type Limit struct {
	Name  string `json:"budget"`
	Scope string `json:"scope"`
}

// The scopes of budgets: of one principal, of all of a subscription, of one outside subscriptions, at a provider, and of one resource.
const (
	ofPrincipal    = "principal"
	ofGlobal       = "all principals"
	ofTenant       = "tenant"
	ofSubscription = "subscription"
	ofResource     = "resource"
)

func (l Limit) String() string {
	if l.Scope == ofGlobal {
		return l.Name + " of " + l.Scope
	}
	return l.Name + " of a " + l.Scope
}

const gateway = "gateway/"

// owned is one owner's budget.
type owned struct {
	Limit
	of Owner
}

// gathered is what its calls show.
type gathered struct {
	samples  []sample
	allowed  int
	interval time.Duration
}

// ledger is what the calls show of every budget.
type ledger struct {
	budgets    map[owned]*gathered
	operations map[string]map[string]bool // of a policy: what draws on it
	charges    map[string]int             // of operations that cost more than one call: what
	others     map[string]int             // 429 that no budget gave
	replaced   map[string]bool            // headers that count what no policy can say
}

func newLedger(calls []*call) *ledger {
	l := &ledger{budgets: map[owned]*gathered{}, operations: map[string]map[string]bool{}, charges: map[string]int{}, others: map[string]int{}, replaced: map[string]bool{}}
	for _, c := range calls {
		if c.rejected != nil && c.rejected.other != "" {
			l.others[c.rejected.other]++
		}
		l.gateway(c)
		l.provider(c)
	}
	return l
}

func (l *ledger) add(name, scope string, of Owner, c *call, s sample) {
	key := owned{Limit{name, scope}, of}
	g := l.budgets[key]
	if g == nil {
		g = &gathered{}
		l.budgets[key] = g
	}
	s.begun, s.ended = c.begun, c.ended
	if s.refused {
		s.draws, s.after = 0, -1
		if s.left > 0 { // it says so itself
			s.left = 0
		}
		if after, told := c.after(); told {
			s.after = after
		}
		g.allowed, g.interval = max(g.allowed, c.rejected.allowed), max(g.interval, c.rejected.interval)
	}
	g.samples = append(g.samples, s)
}

// gateway notes what an answer says of the gateway's budgets. A call that one of them refuses draws on none.
func (l *ledger) gateway(c *call) {
	scopes := []struct{ scope, which string }{{ofPrincipal, ""}, {ofGlobal, "global-"}}
	if c.id.Subscription == "" {
		scopes = scopes[:1]
		scopes[0].scope = ofTenant
	}
	refusedBy := ""
	if r := c.rejected; r != nil && r.gateway && r.other == "" {
		refusedBy = r.scope
	}
	for _, s := range scopes {
		left := gatewayLeft(c, s.which)
		if left < 0 && refusedBy != s.scope {
			continue
		}
		of := c.owner
		if s.scope == ofGlobal {
			of.Principal = ""
		}
		draws := 1
		if refusedBy != "" {
			draws = 0
		}
		l.add(gateway+c.budget(), s.scope, of, c, sample{left: max(0, left), draws: draws, refused: refusedBy == s.scope})
	}
	for name := range c.Response {
		if rest, ok := strings.CutPrefix(strings.ToLower(name), "x-ms-ratelimit-remaining-"); ok && (strings.Contains(rest, "resource-requests") || strings.Contains(rest, "entities-read")) {
			l.replaced[strings.ToLower(name)] = true
		}
	}
}

// provider notes what it says of a provider's policies, of the subscription and of the one resource.
func (l *ledger) provider(c *call) {
	if c.rejected != nil && c.rejected.gateway {
		return
	}
	left := providerLeft(c.Response)
	by, refused := "", rejection{}
	if c.rejected != nil && c.rejected.other == "" {
		by, refused = c.rejected.policy, *c.rejected
		if _, told := left[by]; !told {
			left[by] = 0
		}
	}
	draws := 1
	if c.Status == 429 {
		draws = 0
	} else if n, err := strconv.Atoi(c.Response.Get("X-Ms-Request-Charge")); err == nil && n > 1 {
		draws = n
		l.charges[c.operation] = max(l.charges[c.operation], n)
	}
	everybody := c.owner
	everybody.Principal, everybody.Region = "", cmp.Or(c.location, everybody.Region)
	for policy, n := range left {
		if l.operations[policy] == nil {
			l.operations[policy] = map[string]bool{}
		}
		l.operations[policy][c.operation] = true
		if policy != by || refused.scope != ofResource || n > 0 {
			l.add(policy, ofSubscription, everybody, c, sample{left: n, draws: draws, refused: policy == by && refused.scope == ofSubscription})
		}
		if c.resource == "" {
			continue
		}
		one := everybody
		one.Resource = c.resource
		l.add(policy, ofResource, one, c, sample{left: unsaid, draws: min(draws, 1), refused: policy == by && refused.scope == ofResource})
	}
}

// measured are the budgets of all owners, in order. Of one resource's there is a trace only where one was refused.
func (l *ledger) measured() []Budget {
	var out []Budget
	for key, g := range l.budgets {
		if key.Scope == ofResource && !slices.ContainsFunc(g.samples, func(s sample) bool { return s.refused }) {
			continue
		}
		out = append(out, Budget{key.Limit, key.of, measure(g.samples, g.allowed, g.interval)})
	}
	slices.SortFunc(out, func(a, b Budget) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Of.Subscription, b.Of.Subscription), cmp.Compare(a.Of.Region, b.Of.Region),
			cmp.Compare(a.Of.Principal, b.Of.Principal), cmp.Compare(a.Of.Resource, b.Of.Resource))
	})
	return out
}

// together puts the budgets of all owners of each limit together: a policy has one limit for all.
func together(all []Budget) map[Limit]Measured {
	out := map[Limit]Measured{}
	for _, b := range all {
		if m, there := out[b.Limit]; there {
			out[b.Limit] = m.and(b.Measured)
		} else {
			out[b.Limit] = b.Measured
		}
	}
	return out
}

// drawing are the operations that draw on a policy, in order.
func (l *ledger) drawing(policy string) []string {
	return slices.Sorted(maps.Keys(l.operations[policy]))
}
