// Package azure is the twin: an Azure Resource Manager that real clients cannot tell from the real one in what they depend on. It has state with
// life cycles, long-running operations, tokens, both layers of throttling with their headers and bodies, and faults. What it measures is in its call
// log. Sources of its behaviour are named where it is written down: in the fixtures for numbers, in comments for rules.
package azure

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"drydock.dev/drydock/fixtures"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/deploy"
	"drydock.dev/drydock/harness/azure/identity"
	"drydock.dev/drydock/harness/azure/provider"
	"drydock.dev/drydock/harness/azure/proxy"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/schema"
	"drydock.dev/drydock/harness/azure/state"
	"drydock.dev/drydock/harness/azure/throttle"
	"drydock.dev/drydock/harness/cluster"
)

// Options make a twin.
type Options struct {
	Clock        arm.Clock
	Policy       *throttle.Policy
	Hostile      bool              // rejected calls count, and early ones lengthen the block
	Strict       bool              // only api-versions pass that a type says it has
	Region       string            // of the gateway, and of resources that name none; westeurope
	Tenant       string            // default: a fixed one
	Subscription string            // the one the ready file names; any other exists as well
	Seed         uint64            // of durations
	Timings      *state.Timings    // how operations run, over what the twin has; nil: as it has it
	MultiHeader  bool              // one x-ms-ratelimit-remaining-resource header a policy, instead of one with commas
	Page         int               // resources a page; 100
	Machines     provider.Machines // what virtual machines really are; nil: documents only
	Types        []*resource.Type  // further ones than the providers'
	Signer       *identity.Signer  // key of the tokens, for many twins in a process; nil: each makes its own, which takes a moment
}

// Twin answers requests.
type Twin struct {
	options  Options
	clock    arm.Clock
	throttle *throttle.Meters
	store    *state.Store
	engine   *resource.Engine
	identity *identity.Service
	calls    *CallLog
	faults   *faults

	stamped   []fixed // headers of every answer
	dates     atomic.Pointer[dated]
	dataHosts []string

	lost atomic.Int64 // exchanges that a proxy could not record

	onlyMu sync.RWMutex
	only   map[string]bool // the subscriptions there are, in lower case; empty: any
}

// The names a twin has unless it is told others.
const (
	DefaultRegion       = "westeurope"
	DefaultTenant       = "72f988bf-0000-4000-8000-d1d0cd0c0001"
	DefaultSubscription = "00000000-0000-4000-8000-000000000001"
)

// New makes a twin with no resources in it.
func New(o Options) (*Twin, error) {
	for _, d := range []struct {
		value *string
		is    string
	}{{&o.Region, DefaultRegion}, {&o.Tenant, DefaultTenant}, {&o.Subscription, DefaultSubscription}} {
		if *d.value == "" {
			*d.value = d.is
		}
	}
	if o.Page == 0 {
		o.Page = 100
	}
	if o.Clock == nil || o.Policy == nil {
		return nil, cluster.Usagef("a twin needs a clock and a throttling policy")
	}
	store, err := state.New(o.Clock, o.Seed, o.Timings)
	if err != nil {
		return nil, err
	}
	if o.Machines != nil {
		store.Beside()
	}
	id := identity.New(identity.Options{Region: o.Region, Tenant: o.Tenant, Subscription: o.Subscription, Clock: o.Clock, Signer: o.Signer}, store.View())
	meters := throttle.New(o.Clock, o.Policy, o.Hostile)
	types := slices.Concat(provider.Types(o.Machines), deploy.Types(draws(store.View(), meters), download), o.Types)
	t := &Twin{options: o, clock: o.Clock, throttle: meters, store: store, identity: id, calls: newCallLog(), faults: &faults{clock: o.Clock}, stamped: stamped(), dataHosts: proxy.DataHosts()}
	t.engine = resource.New(resource.Options{
		Region: o.Region, Tenant: o.Tenant, Subscription: o.Subscription, Page: o.Page, Inject: t.inject, Gate: provider.Gate, Namespaces: provider.Namespaces(),
		Models: schema.New(fixtures.ARMModels), Versions: provider.Versions, Regions: provider.Regions(),
	}, store, types)
	return t, nil
}

// LoadTimings reads a file that says how operations run, over what a twin has. A type that no twin has is an error: it would change nothing.
func LoadTimings(file string) (*state.Timings, error) {
	t, err := state.LoadTimings(file)
	if err != nil {
		return nil, err
	}
	has := TypeNames()
	for _, name := range slices.Sorted(maps.Keys(t.Types)) {
		if !slices.ContainsFunc(has, func(typ string) bool { return strings.EqualFold(typ, name) }) {
			return nil, cluster.Usagef("timings %s: types: %s: the twin has no such type; docs/arm.md lists those it has", file, name)
		}
	}
	return t, nil
}

// TypeNames are the types of resources that every twin has.
func TypeNames() []string {
	var out []string
	for _, t := range slices.Concat(provider.Types(nil), deploy.Types(nil, nil)) {
		out = append(out, t.Name)
	}
	return out
}

// Calls is what clients did.
func (t *Twin) Calls() *CallLog { return t.calls }

// ServeHTTP answers one call: headers, faults, who it is, both throttles, and then the resource.
func (t *Twin) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	t.store.Settle()
	r := t.receive(w, hr)
	defer t.finish(r)
	defer answerMistake(r)
	if t.data(r) {
		return
	}
	if operation := identity.Operation(hr); operation != "" && !identity.OfMachine(operation) {
		t.beside(r, operation, func() { t.identity.Serve(r.w, hr, operation) })
		return
	}
	t.stamp(r)
	if err := t.admit(r); err != nil {
		err.Write(r.w)
		return
	}
	r.Stale = t.faults.stale(t, r)
	t.engine.Serve(r.Request, r.w)
}

// admit says whether the call gets to a resource provider.
func (t *Twin) admit(r *request) *arm.Error {
	principal, refused := t.identity.Tokens.Check(r.Request.Request)
	r.Call.Principal, r.subject.Principal = principal, principal
	r.Call.APIVersion = r.Param("api-version")
	unknown := t.name(r) // before anything is refused: the call log says of refused calls as well what they wanted
	if refused != nil {
		return refused
	}
	if err := t.version(r); err != nil {
		return err
	}
	if unknown != nil {
		return unknown
	}
	f, err := t.faults.strike(t, r)
	if err != nil {
		return err
	}
	return t.limit(r, f)
}

// name finds what the call is about: its resource, the type of that, and the operation.
func (t *Twin) name(r *request) *arm.Error {
	if bad := deploy.Above(r.Method, r.URL.Path, r.Call.Principal); bad != nil {
		r.Call.Unanswered = r.Method + " " + arm.Pattern(r.URL.Path)
		return bad
	}
	id, ok := arm.ParseID(r.URL.Path)
	if !ok {
		r.Call.Unanswered = r.Method + " " + arm.Pattern(r.URL.Path)
		return arm.Gatewayf(http.StatusNotFound, "InvalidResource", "The requested resource does not exist: %s", r.URL.Path)
	}
	r.ID = id
	r.Call.Subscription, r.subject.Subscription = id.Subscription, id.Subscription
	if !t.subscription(id.Subscription) {
		return arm.Gatewayf(http.StatusNotFound, "SubscriptionNotFound", "The subscription '%s' could not be found.", id.Subscription)
	}
	if err := t.engine.Route(r.Request); err != nil {
		return err
	}
	r.Call.Operation = t.engine.Operation(r.Request)
	if r.Call.Poll {
		if op, there := t.store.View().Find(id.Name()); there {
			r.Call.Polled, r.Call.Target = polled(op), op.Target.String()
		}
	}
	return nil
}

// version checks api-version: any passes and is noted, and in strict mode only those that a type says it has.
func (t *Twin) version(r *request) *arm.Error {
	v := r.Call.APIVersion
	if v == "" {
		return arm.Gatewayf(http.StatusBadRequest, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.")
	}
	known := provider.Versions(cmp.Or(r.ID.Provider, "Microsoft.Resources"))
	if !t.options.Strict || len(known) == 0 || slices.Contains(known, v) {
		return nil
	}
	supported := strings.Join(known, ", ")
	if r.ID.Provider == "" {
		return arm.Gatewayf(http.StatusBadRequest, "InvalidApiVersionParameter", "The api-version '%s' is invalid. The supported versions are '%s'.", v, supported)
	}
	return arm.Gatewayf(http.StatusBadRequest, "NoRegisteredProviderFound", "No registered resource provider found for location '%s' and API version '%s' for type '%s'. The supported api-versions are '%s'. The supported locations are '%s'.",
		t.options.Region, v, strings.Join(r.ID.Types, "/"), supported, strings.Join(provider.Locations(), ", "))
}
