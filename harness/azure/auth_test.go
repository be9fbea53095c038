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
	if calls, _ := c.twin.Calls().Since(0); calls[3].Principal != "me" {
		t.Errorf("the principal is %q", calls[3].Principal)
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
