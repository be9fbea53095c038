package azure

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"drydock.dev/drydock/harness/azure/arm"
)

const subscriptionPath = "/subscriptions/" + testSubscription + "?api-version=2016-06-01"

// with sends a GET of the subscription with an Authorization header.
func (c *client) with(authorization string) *httptest.ResponseRecorder {
	c.t.Helper()
	r := httptest.NewRequestWithContext(c.t.Context(), http.MethodGet, "https://management.example"+subscriptionPath, nil)
	r.Header.Set("Authorization", authorization)
	w := httptest.NewRecorder()
	c.twin.ServeHTTP(w, r)
	return w
}

// token asks the token service.
func (c *client) token(path string) map[string]any {
	c.t.Helper()
	r := httptest.NewRequestWithContext(c.t.Context(), http.MethodPost, "https://management.example/"+DefaultTenant+path,
		strings.NewReader("grant_type=client_credentials&client_id=me&client_secret=x&scope=https%3A%2F%2Fmanagement.azure.com%2F.default"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	c.twin.ServeHTTP(w, r)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		c.t.Fatalf("token: %s", w.Body)
	}
	return body
}

func TestTokensAreChecked(t *testing.T) {
	c := newClient(t)
	for _, sent := range []string{"", "Bearer fake_token", "Basic abc"} {
		if w := c.with(sent); w.Code != http.StatusUnauthorized || !strings.Contains(header(w, "WWW-Authenticate"), `authorization_uri="https://management.example/`+DefaultTenant+`"`) {
			t.Errorf("%q: %d %v", sent, w.Code, w.Header())
		}
	}
	if w := c.with("Bearer " + arm.Text(c.token("/oauth2/v2.0/token"), "access_token")); w.Code != http.StatusOK {
		t.Errorf("with a token: %d %s", w.Code, w.Body)
	}
	if calls, _ := c.twin.Calls().Since(0); calls[4].Principal != "me" {
		t.Errorf("the principal is %q", calls[4].Principal)
	}
}

// A client counts the seconds it was told by its own clock: whatever the twin's does, its token is good until they are over.
func TestATokenLivesByTheClockOfItsClient(t *testing.T) {
	c := newClient(t)
	body := c.token("/oauth2/v2.0/token")
	if arm.At(body, "expires_in") != float64(3599) {
		t.Fatalf("token: %v", body)
	}
	bearer := "Bearer " + arm.Text(body, "access_token")
	c.clock.Advance(48 * time.Hour)
	if w := c.with(bearer); w.Code != http.StatusOK {
		t.Errorf("two days of the twin's later, and at once of the client's: %d %s", w.Code, w.Body)
	}
	if on := arm.Text(c.token("/oauth2/token"), "expires_on"); on > strconv.Itoa(int(time.Now().Add(time.Hour).Unix())) {
		t.Errorf("the token says it is good until %s, and is not", on)
	}
	now := time.Now()
	c.twin.identity.Tokens.Now = func() time.Time { return now }
	bearer = "Bearer " + arm.Text(c.token("/oauth2/v2.0/token"), "access_token")
	for after, want := range map[time.Duration]int{3598 * time.Second: http.StatusOK, 3600 * time.Second: http.StatusUnauthorized} {
		c.twin.identity.Tokens.Now = func() time.Time { return now.Add(after) }
		if w := c.with(bearer); w.Code != want {
			t.Errorf("after %s: %d instead of %d", after, w.Code, want)
		}
	}
}

func TestATokenIsForOneServiceAndOfOneTenant(t *testing.T) {
	c := newClient(t)
	const other = "11111111-2222-4333-8444-555555555555"
	for name, x := range map[string]struct{ audience, tenant, code string }{
		"as the SDKs ask": {"https://management.azure.com", DefaultTenant, ""}, "as az asks": {"https://management.core.windows.net/", DefaultTenant, ""}, "for the endpoint": {"https://management.example/", DefaultTenant, ""},
		"for Graph": {"https://graph.microsoft.com", DefaultTenant, "InvalidAuthenticationTokenAudience"}, "for a host that begins so": {"https://management.azure.com.evil.test", DefaultTenant, "InvalidAuthenticationTokenAudience"},
		"of another tenant": {"https://management.azure.com", other, "InvalidAuthenticationTokenTenant"},
	} {
		token, err := c.twin.identity.Tokens.Issue("me", x.audience, x.tenant)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time it is known
			w := c.with("Bearer " + token)
			if x.code == "" && w.Code == http.StatusOK {
				continue
			}
			if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), x.code) || x.code == "" || !strings.Contains(header(w, "WWW-Authenticate"), "invalid_token") {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
	}
}

// Whoever checks tokens finds the key by the description of the tenant, and needs nothing of ours to check them.
func TestTokensAreCheckedByThePublishedKey(t *testing.T) {
	c := newClient(t)
	keys := c.want(http.StatusOK, http.MethodGet, strings.TrimPrefix(arm.Text(c.want(http.StatusOK, http.MethodGet, "/common/v2.0/.well-known/openid-configuration", ""), "jwks_uri"), "https://management.example"), "")
	key := arm.Objects(keys, "keys")[0]
	n, err := base64.RawURLEncoding.DecodeString(arm.Text(key, "n"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := base64.RawURLEncoding.DecodeString(arm.Text(key, "e"))
	if err != nil {
		t.Fatal(err)
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	token, err := jwt.Parse(arm.Text(c.token("/oauth2/v2.0/token"), "access_token"), func(token *jwt.Token) (any, error) {
		if token.Header["kid"] != arm.Text(key, "kid") {
			return nil, fmt.Errorf("kid %v", token.Header["kid"])
		}
		return public, nil
	}, jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience("https://management.azure.com"), jwt.WithIssuer("https://sts.windows.net/"+DefaultTenant+"/"))
	if err != nil {
		t.Fatal(err)
	}
	// One that says it was signed otherwise, or by nobody, is none.
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, token.Claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := jwt.NewWithClaims(jwt.SigningMethodHS256, token.Claims).SignedString(x509.MarshalPKCS1PublicKey(public))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{none, shared} {
		if w := c.with("Bearer " + bad); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
}

func TestACallThatWasRefusedIsLoggedWithWhoMadeItAndWhatItWanted(t *testing.T) {
	c := newClient(t)
	other, err := New(Options{Clock: c.clock, Policy: c.twin.options.Policy}) // another twin's tokens are signed by another key
	if err != nil {
		t.Fatal(err)
	}
	forged, err := other.identity.Tokens.Issue("somebody", "https://management.azure.com", DefaultTenant)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.twin.identity.Tokens.Now = func() time.Time { return now.Add(-2 * time.Hour) }
	old, err := c.twin.identity.Tokens.Issue("me", "https://management.azure.com", DefaultTenant)
	if err != nil {
		t.Fatal(err)
	}
	c.twin.identity.Tokens.Now = time.Now
	for _, token := range []string{old, forged, "fake_token"} {
		if w := c.with("Bearer " + token); w.Code != http.StatusUnauthorized {
			t.Fatalf("%s: %d", token, w.Code)
		}
	}
	calls, _ := c.twin.Calls().Since(0)
	for i, who := range []string{"me", "somebody", ""} {
		if calls[i].Principal != who || calls[i].Operation != "GET subscriptions" || calls[i].Status != http.StatusUnauthorized {
			t.Errorf("call %d of %q: %+v", i, who, calls[i])
		}
	}
}

// Whatever a client calls the twin, a token for another service of the cloud is none for Resource Manager, and what nobody is called is no name.
func TestHostileTokens(t *testing.T) {
	c := newClient(t)
	at := func(host, audience string) int {
		token, err := c.twin.identity.Tokens.Issue("me", audience, DefaultTenant)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+subscriptionPath, nil)
		r.Header.Set("Authorization", "bearer "+token)
		w := httptest.NewRecorder()
		c.twin.ServeHTTP(w, r)
		return w.Code
	}
	for _, x := range []struct {
		host, audience string
		want           int
	}{
		{"graph.microsoft.com", "https://graph.microsoft.com", 401}, {"GRAPH.microsoft.com:443", "https://graph.microsoft.com", 401}, {"GRAPH.microsoft.com:443", "https://GRAPH.microsoft.com:443", 401},
		{"login.microsoftonline.com", "https://login.microsoftonline.com/", 401}, {"management.azure.com", "https://management.azure.com/", 200}, {"westeurope.management.azure.com", "https://management.azure.com/", 200},
		{"127.0.0.1:4433", "https://127.0.0.1:4433/", 200}, {"127.0.0.1:4433", "https://127.0.0.1:4434/", 401}, {"127.0.0.1:4433", "https://management.azure.com https://graph.microsoft.com", 401}, {"127.0.0.1:4433", "", 401},
		{"127.0.0.1:4433", "https://management.azure.com//", 401}, {"127.0.0.1:4433", "http://management.azure.com/", 401},
	} {
		if got := at(x.host, x.audience); got != x.want {
			t.Errorf("a token for %q at %s: %d instead of %d", x.audience, x.host, got, x.want)
		}
	}
	ask := func(tenant, version, form string) (int, map[string]any) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://management.example/"+tenant+"/oauth2"+version+"/token", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		c.twin.ServeHTTP(w, r)
		return w.Code, decoded(t, w)
	}
	const who, scope = "grant_type=client_credentials&client_id=me&client_secret=x", "&scope=https%3A%2F%2Fmanagement.azure.com%2F"
	for name, x := range map[string]struct {
		tenant, version, form string
		number                float64 // 0: a token that is good; 1: one that is refused
	}{
		"the tenant's own": {DefaultTenant, "/v2.0", who + scope + "%2F.default", 0}, "in capitals": {strings.ToUpper(DefaultTenant), "/v2.0", who + scope + ".default", 0},
		"a domain": {"contoso.onmicrosoft.com", "/v2.0", who + scope + ".default", 0}, "version 1": {DefaultTenant, "", who + "&resource=https%3A%2F%2Fmanagement.core.windows.net%2F", 0},
		"another tenant": {"11111111-2222-4333-8444-555555555555", "/v2.0", who + scope + ".default", 1}, "no resource": {DefaultTenant, "", who, 1},
		"no scope": {DefaultTenant, "/v2.0", who, 900144}, "not by default": {DefaultTenant, "/v2.0", who + scope + "user_impersonation", 1002012},
		"a name that is none": {DefaultTenant, "/v2.0", "client_id=" + strings.Repeat("e", 5000) + "&grant_type=x" + scope + ".default", -1}, "a service that is none": {DefaultTenant, "", "grant_type=x&client_id=me&resource=" + strings.Repeat("r", 5000), -1},
	} {
		status, body := ask(x.tenant, x.version, x.form)
		if x.number != 0 && x.number != 1 {
			if codes, _ := body["error_codes"].([]any); status != http.StatusBadRequest || x.number > 0 && (len(codes) != 1 || codes[0] != x.number) {
				t.Errorf("%s: %d %v", name, status, body)
			}
			continue
		}
		if w := c.with("Bearer " + arm.Text(body, "access_token")); status != http.StatusOK || (w.Code == http.StatusOK) != (x.number == 0) {
			t.Errorf("%s: %d %v, and with it %d", name, status, body, w.Code)
		}
	}
	about := c.want(http.StatusOK, http.MethodGet, "/"+DefaultTenant+"/.well-known/openid-configuration", "")
	token, err := c.twin.identity.Tokens.Issue("me", "https://management.azure.com", DefaultTenant)
	if err != nil {
		t.Fatal(err)
	}
	if claimed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{}); err != nil || claimed.Claims.(jwt.MapClaims)["iss"] != arm.Text(about, "issuer") { //nolint:forcetypeassert // it was asked for
		t.Errorf("tokens are of %v, and the tenant's of %v: %v", claimed, about["issuer"], err)
	}
}

// Clients choose what they are called and what they ask for; none fills the log by that.
func TestALineOfTheLogIsShort(t *testing.T) {
	c := newClient(t)
	long := strings.Repeat("x", 100_000)
	c.as(long).do(http.MethodGet, "resourceGroups/"+long+"?api-version="+long, "")
	calls, _ := c.twin.Calls().Since(0)
	if raw, err := json.Marshal(calls); err != nil || len(raw) > 20_000 || len(calls) != 1 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
}
