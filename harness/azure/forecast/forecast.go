// Package forecast tells from recorded calls what work costs of each budget, and how many clusters can do the same at a time. It sends nothing, and
// serves nobody.
package forecast

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/cluster"
)

// Cost is what recorded work takes of one budget, and when that would be too much.
type Cost struct {
	Budget string `json:"budget"` // gateway/reads, Microsoft.Compute/HighCostGet
	// Scope is principal: one client's; tenant: one client's, of calls without a subscription; subscription: everybody's; resource: of the one that was
	// called most.
	Scope string  `json:"scope"`
	Of    Owner   `json:"of"`
	Calls int     `json:"calls"`
	Each  float64 `json:"each"` // calls for one node
	// Nodes is after how many nodes, one after another at the recorded pace, the budget is empty; 0: never.
	Nodes int `json:"nodes"`
	// Clusters is how many clusters doing the same at the same time the budget is enough for, each with a principal of its own; 0: not even
	// for the one that was recorded; Any: as many as you like.
	Clusters int `json:"clusters"`
	// Simulated says whether the twin, with its clock standing still between the calls, agrees: nothing throttled at Clusters, something at one more.
	Simulated bool `json:"simulated"`
	// First is how many seconds after the first call, when the work goes on as it was recorded, over and over, a call is answered 429; 0: never.
	First float64 `json:"first"`
}

// Owner is whose budget it is. Azure counts each subscription, region and principal apart.
type Owner struct {
	Subscription string `json:"subscription,omitempty"`
	Region       string `json:"region,omitempty"`    // of the gateway, as the log has it; of a provider's that of the resource, where the log has one
	Principal    string `json:"principal,omitempty"` // of budgets of one client
	Resource     string `json:"resource,omitempty"`  // of budgets of one resource
}

// Any is a number of clusters without a bound.
const Any = -1

// ReadCalls reads a call log, one call a line.
func ReadCalls(path string) ([]arm.Call, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, cluster.Usagef("call log: %w", err)
	}
	var out []arm.Call
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var c arm.Call
		var recorded struct{ URL string }
		switch err := json.Unmarshal(lines.Bytes(), &c); {
		case err != nil:
			return nil, cluster.Usagef("call log %s: line %d is no call, as `drydock arm calls --json` writes them: %w", path, n, err)
		case c.Path == "" && json.Unmarshal(lines.Bytes(), &recorded) == nil && recorded.URL != "":
			return nil, cluster.Usagef("call log %s: line %d is of a recording, which drydock arm calibrate reads; the log of a proxy's calls is had by drydock arm calls --json", path, n)
		case c.Method == "" || c.Path == "":
			return nil, cluster.Usagef("call log %s: line %d is no call: method or path are missing", path, n)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, cluster.Usagef("call log %s is empty: nothing to count", path)
	}
	return out, lines.Err()
}

// drawn is one limit and the times it was drawn on, in seconds from the first call.
type drawn struct {
	cost  Cost
	limit throttle.Limit
	at    []float64
}

// maxClusters is where the search for the number of clusters ends: more share no subscription.
const maxClusters = 10_000

// Budgets computes the cost of recorded work on nodes: by arithmetic from the calls, and checked by sending them again, as often as there are
// clusters, through the same throttle on a clock that stands still between them.
func Budgets(calls []arm.Call, p *throttle.Policy, nodes int) []Cost {
	slices.SortStableFunc(calls, func(a, b arm.Call) int { return a.Time.Compare(b.Time) })
	calls = slices.DeleteFunc(calls, func(c arm.Call) bool { return c.Operation == "" || c.Beside() }) // tokens and the like, and what the gateway knew nothing of
	if len(calls) == 0 {
		return nil
	}
	begun := calls[0].Time
	lasted := calls[len(calls)-1].Time.Sub(begun).Seconds()
	all := map[string]*drawn{}
	for _, c := range calls {
		note(all, p, c, c.Time.Sub(begun).Seconds())
	}
	out := make([]Cost, 0, len(all))
	most := map[string]Cost{} // of a policy that counts for each resource, the one that is nearest to its end
	for _, d := range all {
		c := d.sum(lasted, max(1, nodes))
		key := c.Budget + " " + c.Of.Subscription + " " + c.Of.Region
		switch was, there := most[key]; {
		case c.Scope != "resource":
			out = append(out, c)
		case !there || nearer(c, was):
			most[key] = c
		}
	}
	out = slices.AppendSeq(out, maps.Values(most))
	slices.SortFunc(out, func(a, b Cost) int { return cmp.Compare(a.order(), b.order()) })
	return out
}

func (c Cost) order() string {
	return c.Budget + " " + c.Scope + " " + c.Of.Subscription + " " + c.Of.Region + " " + c.Of.Principal + " " + c.Of.Resource
}

// nearer reports whether one resource meets a 429 before another does, or was called more often where neither does.
func nearer(a, b Cost) bool {
	if (a.First > 0) != (b.First > 0) {
		return a.First > 0
	}
	return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Of.Resource, b.Of.Resource)) < 0
}

// note writes down which budgets a call draws on.
func note(all map[string]*drawn, p *throttle.Policy, c arm.Call, at float64) {
	draw := func(budget, scope string, of Owner, l throttle.Limit) {
		cost := Cost{Budget: budget, Scope: scope, Of: of}
		d := all[cost.order()]
		if d == nil {
			d = &drawn{cost: cost, limit: l}
			all[cost.order()] = d
		}
		d.at = append(d.at, at)
	}
	kind, everybody := throttle.Budget(c.Method), Owner{Subscription: c.Subscription, Region: c.Region}
	one, thing := everybody, everybody
	one.Principal, thing.Resource = c.Principal, limited(c)
	if c.Subscription == "" {
		if l := p.Gateway.Tenant.Of(kind); !l.Unlimited {
			draw("gateway/"+kind, "tenant", one, l)
		}
		return
	}
	own := p.Gateway.Subscription.Of(kind)
	if !own.Unlimited {
		draw("gateway/"+kind, "principal", one, own)
	}
	if p.Gateway.GlobalFactor > 0 && !own.Unlimited {
		draw("gateway/"+kind, "subscription", everybody, own.Times(p.Gateway.GlobalFactor))
	}
	everybody.Region, thing.Region = cmp.Or(c.Location, c.Region), cmp.Or(c.Location, c.Region)
	for _, rp := range p.Of(c.Operation) {
		if rp.Subscription != nil {
			draw(rp.Policy, "subscription", everybody, *rp.Subscription)
		}
		if rp.Resource != nil && !c.Poll && thing.Resource != "" { // whose operation is polled is not in the log
			draw(rp.Policy, "resource", thing, *rp.Resource)
		}
	}
}

// limited is the resource a call is counted for; empty: none.
func limited(c arm.Call) string {
	if id, ok := arm.ParseID(c.Path); ok {
		if of, ok := throttle.Resource(id); ok {
			return of.Key()
		}
	}
	return ""
}

func (d *drawn) sum(lasted float64, nodes int) Cost {
	c := d.cost
	c.Calls = len(d.at)
	c.Each = float64(c.Calls) / float64(nodes)
	c.Nodes = d.nodes(lasted/float64(nodes), c.Each)
	if at := d.emptyAt(1); at < len(d.at) { // at the recorded pace it was not an average that counted, but a burst
		c.Nodes = max(1, int(float64(at)/c.Each))
	}
	c.First = d.first(lasted)
	if c.Clusters = Any; c.Scope != "subscription" { // other clusters have principals and machines of their own
		c.Simulated = d.passes(1) == (d.clusters() != 0)
		return c
	}
	if c.Clusters = d.clusters(); c.Clusters == Any {
		c.Simulated = d.passes(maxClusters)
		return c
	}
	c.Simulated = d.passes(c.Clusters) && !d.passes(c.Clusters+1)
	return c
}

// first repeats the work until a call does not pass, and tells when that is. It ends where the budget is no emptier after the work than before.
func (d *drawn) first(lasted float64) float64 {
	begun := time.Unix(0, 0)
	m := throttle.NewMeter(d.limit, begun)
	left := math.MaxInt
	for round := range maxRounds {
		for _, at := range d.at {
			at += float64(round) * lasted
			now := begun.Add(time.Duration(at * float64(time.Second)))
			if m.Settle(now); m.Left(now) < 1 {
				return max(at, 0.001)
			}
			m.Take()
		}
		now := begun.Add(time.Duration(float64(round+1) * lasted * float64(time.Second)))
		m.Settle(now)
		if lasted <= 0 || d.limit.Window == 0 && m.Left(now) >= left {
			return 0
		}
		left = m.Left(now)
	}
	return 0
}

// maxRounds is how often work is repeated before it is taken for work that could go on for ever.
const maxRounds = 2000

// nodes: each costs so many calls and takes so long; a bucket gives its capacity and what it refills meanwhile.
func (d *drawn) nodes(pace, each float64) int {
	l := d.limit
	if l.Window > 0 {
		if pace > 0 && each*l.Window.Seconds()/pace <= float64(l.Capacity) {
			return 0
		}
		return int(float64(l.Capacity) / each)
	}
	gain := l.Rate() * pace
	if each <= gain {
		return 0
	}
	return int(float64(l.Capacity) / (each - gain))
}

// clusters: at no moment may they together have drawn more than was there and has come since.
func (d *drawn) clusters() int {
	best := math.Inf(1)
	if d.limit.Window > 0 {
		for from := 0; from < len(d.at); { // a window begins with a call, and the next one with the first call after its end
			n := from
			for n < len(d.at) && d.at[n]-d.at[from] < d.limit.Window.Seconds() {
				n++
			}
			best = min(best, math.Floor(float64(d.limit.Capacity)/float64(n-from)))
			from = n
		}
	} else {
		// A bucket that is full gains nothing: the stretch that counts may begin at any call.
		for from := range d.at {
			for n := from; n < len(d.at); n++ {
				best = min(best, math.Floor((float64(d.limit.Capacity)+d.limit.Rate()*(d.at[n]-d.at[from])+1e-9)/float64(n-from+1)))
			}
		}
	}
	if best > maxClusters {
		return Any
	}
	return int(best)
}

// passes reports whether the calls of so many clusters get through a meter.
func (d *drawn) passes(clusters int) bool { return d.emptyAt(clusters) == len(d.at) }

// emptyAt sends the calls of so many clusters through a meter, and tells before which of them it is empty.
func (d *drawn) emptyAt(clusters int) int {
	begun := time.Unix(0, 0)
	m := throttle.NewMeter(d.limit, begun)
	for i, at := range d.at {
		now := begun.Add(time.Duration(at * float64(time.Second)))
		for range clusters {
			if m.Settle(now); m.Left(now) < 1 {
				return i
			}
			m.Take()
		}
	}
	return len(d.at)
}
