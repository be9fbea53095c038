package quota

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
)

func settings() Settings {
	return Settings{Every: 20 * time.Millisecond, Unread: 200 * time.Millisecond, Within: 2 * time.Second, Window: 150 * time.Millisecond}
}

// script answers one after another, the last again and again, and counts.
type script struct {
	answers []Reading
	at      []time.Time
}

func (s *script) ask(context.Context) Reading {
	s.at = append(s.at, time.Now())
	r := s.answers[min(len(s.at), len(s.answers))-1]
	r.At = time.Now()
	return r
}

const policy = "Microsoft.Compute/HighCostGetVMScaleSet30Min" // 900

func passes(left int) Reading {
	return Reading{Status: http.StatusOK, Left: map[string]int{policy: left}}
}

func rejected(after time.Duration) Reading {
	return Reading{Status: http.StatusTooManyRequests, RetryAfter: after, Left: map[string]int{policy: 0}}
}

func never(context.Context) error { return nil }

func TestBudgetsAreWaitedForAsTheyAskFor(t *testing.T) {
	const asked = 300 * time.Millisecond
	s := &script{answers: []Reading{rejected(asked), passes(10), passes(449), passes(450)}}
	var told []Reading
	if err := settings().Refilled(t.Context(), s.ask, never, func(r Reading) { told = append(told, r) }); err != nil {
		t.Fatal(err)
	}
	if len(s.at) != 4 || len(told) != 4 {
		t.Fatalf("%d calls, %d told", len(s.at), len(told))
	}
	if got := s.at[1].Sub(s.at[0]); got < asked {
		t.Errorf("asked again after %s, and was told %s", got, asked)
	}
	if got := s.at[2].Sub(s.at[1]); got < settings().Every {
		t.Errorf("asked again after %s", got)
	}
}

// What has come back while nobody may be asked draws on the budgets all the same.
func TestWhatIsStoppedIsKeptSoHoweverLateTheNextCallMayCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []Reading{rejected(10 * settings().Every), passes(900)}}
		looks := 0
		if err := settings().Refilled(t.Context(), s.ask, func(context.Context) error { looks++; return nil }, func(Reading) {}); err != nil {
			t.Fatal(err)
		}
		if len(s.at) != 2 || looks != 11 {
			t.Errorf("%d looks, %d calls", looks, len(s.at))
		}
	})
}

func TestWhatCannotBeReadIsWaitedOut(t *testing.T) {
	for name, ask := range map[string]Asker{"nobody to ask": nil, "no answer": (&script{answers: []Reading{{Error: "connection refused"}}}).ask} {
		begun := time.Now()
		if err := settings().Refilled(t.Context(), ask, never, func(Reading) {}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := time.Since(begun); got < settings().Unread {
			t.Errorf("%s: waited %s", name, got)
		}
	}
	// Being told again that nothing passes begins the wait anew.
	begun := time.Now()
	s := &script{answers: []Reading{rejected(0), rejected(0), rejected(0), rejected(0), rejected(0), rejected(0), {Error: "cut"}}}
	if err := settings().Refilled(t.Context(), s.ask, never, func(Reading) {}); err != nil || time.Since(begun) < settings().Unread+5*settings().Every {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
}

func TestAWaitEnds(t *testing.T) {
	short := settings()
	short.Within = 100 * time.Millisecond
	err := short.Refilled(t.Context(), (&script{answers: []Reading{passes(3)}}).ask, never, func(Reading) {})
	if err == nil || !strings.Contains(err.Error(), policy+" has 3 left of 900") {
		t.Errorf("%v", err)
	}
	gone := errors.New("gone")
	if err := settings().Refilled(t.Context(), (&script{answers: []Reading{passes(900)}}).ask, func(context.Context) error { return gone }, func(Reading) {}); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
}

func TestAWatchSeesTheFirstCallThatDoesNotPass(t *testing.T) {
	s := &script{answers: []Reading{passes(900), rejected(time.Hour)}}
	if err := settings().Watch(t.Context(), s.ask, func(Reading) {}); !errors.Is(err, ErrThrottled) {
		t.Errorf("%v", err)
	}
	begun := time.Now()
	if err := settings().Watch(t.Context(), (&script{answers: []Reading{passes(900)}}).ask, func(Reading) {}); err != nil || time.Since(begun) < settings().Window {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
	if err := settings().Watch(t.Context(), nil, func(Reading) {}); !errors.Is(err, ErrBlind) {
		t.Errorf("no data is taken for a pass: %v", err)
	}
	once := &script{answers: []Reading{passes(900), {Error: "connection refused"}}}
	if err := settings().Watch(t.Context(), once.ask, func(Reading) {}); !errors.Is(err, ErrBlind) || !strings.Contains(err.Error(), "calls told nothing, the last: connection refused") {
		t.Errorf("one call that passed is taken for a window without one that does not: %v", err)
	}
}

func TestWhatIsLeftIsJudgedBySizeWhereThatIsKnown(t *testing.T) {
	const reads = "X-Ms-Ratelimit-Remaining-Subscription-Reads"
	of := func(name string, n int) Reading { return Reading{Left: map[string]int{name: n}} }
	for i, c := range []struct {
		now, before Reading
		short       bool
	}{
		{passes(449), Reading{}, true}, {passes(450), Reading{}, false},
		{of(reads, 124), Reading{}, true}, {of(reads, 125), Reading{}, false}, {of(reads, 11999), Reading{}, false},
		{of("x/Unknown", 40), Reading{}, true}, {of("x/Unknown", 40), of("x/Unknown", 30), true}, {of("x/Unknown", 40), of("x/Unknown", 40), false}, {of("x/Unknown", 0), of("x/Unknown", 0), true},
	} {
		got, err := Short(c.now, c.before)
		if err != nil || (got != "") != c.short {
			t.Errorf("%d: %q, %v", i, got, err)
		}
	}
}

func TestHeadersAreReadInEveryForm(t *testing.T) {
	h := http.Header{}
	h.Set("x-ms-ratelimit-remaining-subscription-reads", "11998")
	h.Add("x-ms-ratelimit-remaining-resource", "Microsoft.Compute/A;3, Microsoft.Compute/B;0")
	h.Add("x-ms-ratelimit-remaining-resource", "Microsoft.Compute/C;7")
	h.Set("x-ms-request-id", "9")
	got := left(h)
	if len(got) != 4 || got["Microsoft.Compute/A"] != 3 || got["Microsoft.Compute/B"] != 0 || got["Microsoft.Compute/C"] != 7 || got["X-Ms-Ratelimit-Remaining-Subscription-Reads"] != 11998 {
		t.Errorf("%v", got)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{"17": 17 * time.Second, "Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "": time.Minute, "x": time.Minute} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %s", value, got)
		}
	}
}

func TestAnAccountIsThatOfTheComponent(t *testing.T) {
	const config = `{"cloud":"AzurePublicCloud","tenantId":"t","subscriptionId":"s","aadClientId":"c","aadClientSecret":"x","resourceGroup":"g","vmType":"vmss"}`
	a, err := ReadAccount([]byte(config), nil)
	if err != nil || a.Endpoint != publicEndpoint || !a.ScaleSets || a.secret != "x" || a.Audience != publicEndpoint+"/" {
		t.Errorf("%+v, %v", a, err)
	}
	a, err = ReadAccount([]byte(strings.Replace(config, "AzurePublicCloud", "AzureStackCloud", 1)), []byte(`{"resourceManagerEndpoint":"https://arm/","activeDirectoryEndpoint":"https://login/","tokenAudience":"https://aud/"}`))
	if err != nil || a.Endpoint != "https://arm" || a.Authority != "https://login" || a.Audience != "https://aud/" {
		t.Errorf("%+v, %v", a, err)
	}
	for says, c := range map[string]string{
		"managed identity":           strings.Replace(config, `"vmType"`, `"useManagedIdentityExtension":true,"vmType"`, 1),
		"no aadClientId":             strings.Replace(config, `"x"`, `""`, 1),
		"is missing":                 strings.Replace(config, `"g"`, `""`, 1),
		"whose addresses":            strings.Replace(config, "AzurePublicCloud", "AzureChinaCloud", 1),
		"cloud config: invalid char": "x",
	} {
		if _, err := ReadAccount([]byte(c), nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
}

func TestBadPatienceIsRefused(t *testing.T) {
	if s, err := (Settings{}).Complete(); err != nil || s.Unread != 30*time.Minute {
		t.Errorf("%+v, %v", s, err)
	}
	for _, s := range []Settings{{Every: -1}, {Unread: 3 * time.Hour}} {
		if _, err := s.Complete(); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}

// What the twin answers, as Azure does, is read as it means it: a budget that goes down by the reader's own calls, and a 429 with its time.
func TestATwinsHeadersAreRead(t *testing.T) {
	p, err := throttle.ParsePolicy([]byte(`
name: tight
gateway: {subscription: {reads: {capacity: 400, window: 1h}, writes: {unlimited: true}, deletes: {unlimited: true}}, tenant: {reads: {unlimited: true}, writes: {unlimited: true}, deletes: {unlimited: true}}}
providers: [{policy: Microsoft.Compute/HighCostGetVMScaleSet3Min, operations: [LIST Microsoft.Compute/virtualMachineScaleSets], subscription: {capacity: 2, window: 3m}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	clock, err := arm.ParseClock("wall")
	if err != nil {
		t.Fatal(err)
	}
	twin, err := azure.New(azure.Options{Clock: clock, Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	server, err := twin.Serve(t.Context(), azure.Listen{Address: "127.0.0.1:0", CAOut: dir + "/ca.pem", ReadyFile: dir + "/ready.json"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	admin, err := azure.NewClient(t.Context(), server.Ready, server.CA, "admin")
	if err == nil {
		err = admin.Do(t.Context(), http.MethodPut, "resourceGroups/g", map[string]any{"location": "westeurope"}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := ReadAccount([]byte(`{"cloud":"AzureStackCloud","tenantId":"adfs","subscriptionId":"`+server.Ready.Subscription+`","aadClientId":"c","aadClientSecret":"x","resourceGroup":"g","vmType":"vmss"}`),
		[]byte(`{"resourceManagerEndpoint":"https://elsewhere","activeDirectoryEndpoint":"https://elsewhere","tokenAudience":"https://management.azure.com/"}`))
	if err != nil {
		t.Fatal(err)
	}
	if a, err = a.Via(dir + "/ready.json"); err != nil {
		t.Fatal(err)
	}
	r, err := Open(a)
	if err != nil {
		t.Fatal(err)
	}
	const sets, reads = "Microsoft.Compute/HighCostGetVMScaleSet3Min", "X-Ms-Ratelimit-Remaining-Subscription-Reads"
	for i, want := range []int{1, 0} {
		if got := r.Ask(t.Context()); got.Status != http.StatusOK || got.Left[sets] != want || got.Left[reads] != 399-i {
			t.Errorf("call %d: %s", i+1, got)
		}
	}
	got := r.Ask(t.Context())
	if got.Status != http.StatusTooManyRequests || got.RetryAfter < 170*time.Second || got.RetryAfter > 180*time.Second {
		t.Errorf("%s", got)
	}
}
