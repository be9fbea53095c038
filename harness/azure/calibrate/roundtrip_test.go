package calibrate_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/calibrate"
	"drydock.dev/drydock/harness/azure/proxy"
	"drydock.dev/drydock/harness/azure/state"
	"drydock.dev/drydock/harness/azure/throttle"
)

// The policy and the timings of a Resource Manager that nobody has: what is found again was found in the recording.
const (
	strangePolicy = `
name: strange
gateway:
  subscription:
    reads: {capacity: 60, refill: 5, per: 1s}
    writes: {capacity: 90, refill: 2, per: 1s}
    deletes: {capacity: 30, refill: 1, per: 1s}
  tenant:
    reads: {capacity: 60, refill: 5, per: 1s}
    writes: {capacity: 40, refill: 2, per: 1s}
    deletes: {capacity: 30, refill: 1, per: 1s}
  globalFactor: 3
providers:
  - policy: Microsoft.Compute/HighCostGet
    operations: [LIST Microsoft.Compute/virtualMachines]
    subscription: {capacity: 20, refill: 12, per: 1m}
  - policy: Microsoft.Compute/UpdateVM
    operations: [POST Microsoft.Compute/virtualMachines/restart]
    resource: {capacity: 6, refill: 4, per: 1m}
    subscription: {capacity: 200, refill: 90, per: 1m}
  - policy: Microsoft.Network/Read
    operations: [GET Microsoft.Network/*, LIST Microsoft.Network/*]
    subscription: {capacity: 40, window: 5m}
`
	strangeTimings = `
types:
  Microsoft.Compute/disks: {form: async, create: {min: 20s, max: 30s}, delete: {min: 7s, max: 7s}, retryAfter: {write: 4s, delete: 3s, poll: 9s}}
  Microsoft.Compute/virtualMachines: {form: location, action: {min: 40s, max: 60s}, retryAfter: {write: 17s, poll: 2s}}
  Microsoft.Network/publicIPAddresses: {create: {min: 10s, max: 20s}, retryAfter: {write: -1s, poll: -1s}}
`
)

const group = "/resourceGroups/g"

// recorded runs the same work against a twin, through a proxy, and gives what that has recorded.
func recorded(t *testing.T, policy *throttle.Policy, timings *state.Timings, work func(as func(principal string) *client)) []proxy.Exchange {
	t.Helper()
	clock := arm.NewVirtualClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	twin, err := azure.New(azure.Options{Clock: clock, Policy: policy, Timings: timings, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	load(t, twin)
	real, err := twin.Serve(context.WithoutCancel(t.Context()), azure.Listen{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = real.Close() }()
	front, err := azure.New(azure.Options{Clock: clock, Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ca, file := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "recording.jsonl")
	if err := os.WriteFile(ca, real.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	record, err := proxy.NewRecorder(file, false)
	if err != nil {
		t.Fatal(err)
	}
	s, err := front.ServeProxy(context.WithoutCancel(t.Context()), proxy.Options{To: real.Ready.Endpoint, ToCA: ca, Record: record}, azure.Listen{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	work(func(principal string) *client {
		c := &client{t: t, http: &http.Client{Transport: transport}, base: s.Ready.Endpoint, clock: clock}
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {principal}, "client_secret": {"-"}, "scope": {"https://management.azure.com/.default"}}
		resp, err := c.http.PostForm(s.Ready.Authority+"/"+real.Ready.Tenant+"/oauth2/v2.0/token", form) //nolint:noctx // a moment
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		var body struct {
			Token string `json:"access_token"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		c.token = body.Token
		return c
	})
	if err := record.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := proxy.ReadRecording(file)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func load(t *testing.T, twin *azure.Twin) {
	t.Helper()
	var s azure.State
	add := func(format string, args ...any) {
		s.Resources = append(s.Resources, json.RawMessage(fmt.Sprintf(format, args...)))
	}
	id := "/subscriptions/" + azure.DefaultSubscription + group
	add(`{"id":%q,"name":"g","location":"westeurope","properties":{"provisioningState":"Succeeded"}}`, id)
	for i := range 4 {
		add(`{"id":%q,"name":"vm-%d","type":"Microsoft.Compute/virtualMachines","location":"westeurope","properties":{"provisioningState":"Succeeded","hardwareProfile":{"vmSize":"Standard_D2s_v3"}}}`,
			fmt.Sprintf("%s/providers/Microsoft.Compute/virtualMachines/vm-%d", id, i), i)
	}
	if err := twin.Load(s); err != nil {
		t.Fatal(err)
	}
}

// work drains every budget and lets it fill, and does operations of three types.
func work(as func(string) *client) {
	alice, bob := as("alice"), as("bob")
	compute, network := group+"/providers/Microsoft.Compute/", group+"/providers/Microsoft.Network/"
	for range 2 {
		alice.burst(75, http.MethodGet, group)
		alice.clock.Advance(4 * time.Second)
		alice.burst(25, http.MethodGet, group)
		bob.burst(30, http.MethodGet, group)
		alice.clock.Advance(30 * time.Second)
		alice.burst(2, http.MethodGet, group)
	}
	for range 2 {
		alice.burst(24, http.MethodGet, compute+"virtualMachines")
		alice.clock.Advance(65 * time.Second)
		bob.burst(14, http.MethodGet, compute+"virtualMachines")
		bob.clock.Advance(3 * time.Minute)
		bob.burst(2, http.MethodGet, compute+"virtualMachines")
	}
	for range 3 {
		alice.burst(45, http.MethodGet, network+"publicIPAddresses")
		alice.clock.Advance(2 * time.Minute)
		alice.burst(2, http.MethodGet, network+"publicIPAddresses")
		alice.clock.Advance(3*time.Minute + 5*time.Second)
	}
	for range 40 {
		alice.clock.Advance(9 * time.Second)
		alice.burst(1, http.MethodPost, compute+"virtualMachines/vm-0/restart")
		alice.clock.Advance(2 * time.Second)
		alice.burst(1, http.MethodPost, compute+"virtualMachines/vm-0/restart")
	}
	for i := range 12 {
		disk := fmt.Sprintf("%sdisks/d-%d", compute, i)
		alice.done(http.MethodPut, disk, `{"location":"westeurope","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":4}}`)
		alice.done(http.MethodPost, compute+"virtualMachines/vm-"+strconv.Itoa(i%3+1)+"/restart", "")
		alice.done(http.MethodDelete, disk, "")
		alice.done(http.MethodPut, fmt.Sprintf("%spublicIPAddresses/a-%d", network, i), `{"location":"westeurope"}`)
		alice.clock.Advance(time.Minute)
	}
	for range 2 {
		bob.burst(100, http.MethodPut, group)
		bob.clock.Advance(10 * time.Second)
		bob.burst(10, http.MethodPut, group)
		bob.clock.Advance(5 * time.Minute)
	}
}

func parsed(t *testing.T, policy, timings string) (*throttle.Policy, *state.Timings) {
	t.Helper()
	p, err := throttle.ParsePolicy([]byte(policy))
	if err != nil {
		t.Fatalf("%v:\n%s", err, policy)
	}
	own, err := state.ParseTimings([]byte(timings))
	if err != nil {
		t.Fatalf("%v:\n%s", err, timings)
	}
	return p, own
}

func made(t *testing.T, all []proxy.Exchange, base *throttle.Policy) *calibrate.Result {
	t.Helper()
	r, err := calibrate.From(all, calibrate.Options{Base: base, Types: azure.TypeNames()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestATwinServesAsTheOneThatWasRecorded(t *testing.T) {
	strange, timings := parsed(t, strangePolicy, strangeTimings)
	first := recorded(t, strange, timings, work)
	r := made(t, first, nil)
	t.Logf("%s\n%s", r.PolicyYAML(), r.TimingsYAML())
	g := r.Policy.Gateway
	bucket := func(capacity int, refill float64, per time.Duration) throttle.Limit {
		return throttle.Limit{Capacity: capacity, Refill: refill, Per: per}
	}
	for name, c := range map[string]struct{ got, want throttle.Limit }{
		"reads": {g.Subscription.Reads, bucket(60, 5, time.Second)}, "writes": {g.Subscription.Writes, bucket(90, 2, time.Second)},
		"deletes, of which no more than one was made at a time": {g.Subscription.Deletes, throttle.Limit{Unlimited: true}}, "reads of a tenant, which nobody made": {g.Tenant.Reads, throttle.Limit{Unlimited: true}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s; it was %s", name, c.got, c.want)
		}
	}
	if g.GlobalFactor != 3 {
		t.Errorf("all together have %d times one's; it was 3", g.GlobalFactor)
	}
	found := map[string]throttle.ProviderPolicy{}
	for _, p := range r.Policy.Providers {
		found[p.Policy] = p
	}
	list, restart, network := found["Microsoft.Compute/HighCostGet"], found["Microsoft.Compute/UpdateVM"], found["Microsoft.Network/Read"]
	if list.Subscription == nil || *list.Subscription != bucket(20, 12, time.Minute) || len(list.Operations) != 1 || list.Operations[0] != "LIST Microsoft.Compute/virtualMachines" {
		t.Errorf("machines are listed by %+v", list)
	}
	if restart.Resource == nil || *restart.Resource != bucket(6, 4, time.Minute) {
		t.Errorf("a machine is restarted by %+v", restart)
	}
	if network.Subscription == nil || *network.Subscription != (throttle.Limit{Capacity: 40, Window: 5 * time.Minute}) {
		t.Errorf("the network is read by %+v", network)
	}
	policy, own := parsed(t, r.PolicyYAML(), r.TimingsYAML())
	second := recorded(t, policy, own, work)
	same(t, first, second)
	alike(t, r, made(t, second, nil))
}

// same compares answers one by one, until the first operation of random length: status, Retry-After, and what is left of budgets that were found.
func same(t *testing.T, first, second []proxy.Exchange) {
	t.Helper()
	refused, compared := 0, 0
	for i := range min(len(first), len(second)) {
		a, b := first[i], second[i]
		if a.Method == http.MethodPut && strings.Contains(a.URL, "/disks/") {
			break
		}
		compared++
		if a.Status == http.StatusTooManyRequests {
			refused++
		}
		if a.Status != b.Status || a.Response.Get("Retry-After") != b.Response.Get("Retry-After") || !a.Time.Equal(b.Time) {
			t.Errorf("call %d, %s %s: %d, Retry-After %q; the second twin: %d, %q", i, a.Method, a.URL, a.Status, a.Response.Get("Retry-After"), b.Status, b.Response.Get("Retry-After"))
		}
		for _, header := range []string{"X-Ms-Ratelimit-Remaining-Subscription-Reads", "X-Ms-Ratelimit-Remaining-Subscription-Global-Reads", "X-Ms-Ratelimit-Remaining-Subscription-Writes"} {
			if a.Response.Get(header) != b.Response.Get(header) {
				t.Errorf("call %d, %s %s: %s is %q; the second twin: %q", i, a.Method, a.URL, header, a.Response.Get(header), b.Response.Get(header))
			}
		}
	}
	if refused < 100 || compared < 500 {
		t.Errorf("%d calls were compared, %d of them 429", compared, refused)
	}
}

// alike compares operations: those of the second twin last between the shortest and the longest of the first's, and are told of in the same words.
func alike(t *testing.T, first, second *calibrate.Result) {
	t.Helper()
	spans := map[string]calibrate.Lasted{}
	for _, l := range first.Operations {
		spans[l.Type+" "+l.Verb] = l
	}
	if len(first.Operations) != 4 || len(second.Operations) != 4 {
		t.Errorf("operations: %+v, and %+v", first.Operations, second.Operations)
	}
	for _, l := range second.Operations {
		was := spans[l.Type+" "+l.Verb]
		off := was.Off + l.Off + 0.02
		if was.Samples < 12 || l.Samples < 12 || l.Min < was.Min-off || l.Max > was.Max+off {
			t.Errorf("%s %s: %+v; the first twin's %+v", l.Type, l.Verb, l, was)
		}
	}
	if fmt.Sprint(first.Timings.Types["Microsoft.Compute/disks"].RetryAfter, first.Timings.Types["Microsoft.Compute/virtualMachines"].RetryAfter) !=
		fmt.Sprint(second.Timings.Types["Microsoft.Compute/disks"].RetryAfter, second.Timings.Types["Microsoft.Compute/virtualMachines"].RetryAfter) {
		t.Errorf("Retry-After: %+v, and %+v", first.Timings, second.Timings)
	}
	for typ, form := range map[string]string{"Microsoft.Compute/disks": state.FormAsync, "Microsoft.Compute/virtualMachines": state.FormLocation, "Microsoft.Network/publicIPAddresses": state.FormBoth} {
		if first.Timings.Types[typ].Form != form || second.Timings.Types[typ].Form != form {
			t.Errorf("%s is told of by %q and %q; it was %q", typ, first.Timings.Types[typ].Form, second.Timings.Types[typ].Form, form)
		}
	}
}

func TestARecordingWithout429InventsNoLimit(t *testing.T) {
	strange, timings := parsed(t, strangePolicy, strangeTimings)
	little := func(as func(string) *client) {
		c := as("alice")
		c.burst(20, http.MethodGet, group)
		c.done(http.MethodPut, group+"/providers/Microsoft.Compute/disks/d", `{"location":"westeurope","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":4}}`)
		c.burst(5, http.MethodGet, group+"/providers/Microsoft.Compute/virtualMachines")
	}
	r := made(t, recorded(t, strange, timings, little), nil)
	none := throttle.Kinds{Reads: throttle.Limit{Unlimited: true}, Writes: throttle.Limit{Unlimited: true}, Deletes: throttle.Limit{Unlimited: true}}
	if g := r.Policy.Gateway; g.Subscription != none || g.Tenant != none || g.GlobalFactor != 0 || len(r.Policy.Providers) > 0 {
		t.Errorf("limits were invented:\n%s", r.PolicyYAML())
	}
	var told strings.Builder
	for _, gap := range r.Unknown {
		told.WriteString(gap.String() + "\n")
	}
	for _, want := range []string{"gateway/reads of a principal: its refill: there was no 429, and never fewer than 40 left of 60", "gateway/writes of a principal: its limit: there was no 429, and never fewer than 89 left; it holds at least 90", "there is one sample", "HighCostGet of a subscription: its limit", "gateway/deletes"} {
		if !strings.Contains(told.String(), want) {
			t.Errorf("it is not said that %q is not known:\n%s", want, told.String())
		}
	}
	policy, own := parsed(t, r.PolicyYAML(), r.TimingsYAML())
	for i, e := range recorded(t, policy, own, func(as func(string) *client) { as("alice").burst(1000, http.MethodGet, group) }) {
		if e.Status == http.StatusTooManyRequests {
			t.Fatalf("call %d was 429", i)
		}
	}
	current, err := throttle.LoadPolicy("current")
	if err != nil {
		t.Fatal(err)
	}
	based := made(t, recorded(t, current, nil, little), current)
	if got, want := based.Policy.Gateway, current.Gateway; got.Subscription != want.Subscription || got.Tenant != want.Tenant || got.GlobalFactor != want.GlobalFactor || len(based.Policy.Providers) != len(current.Providers) {
		t.Errorf("with the public cloud's for a base:\n%s", based.PolicyYAML())
	}
	if bad := made(t, recorded(t, strange, timings, little), current).Policy.Gateway.Subscription.Reads; !bad.Unlimited {
		t.Errorf("what holds 60 was seen, and yet the base's %s is written", bad)
	}
}
