package azure

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

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

func TestACallThatWasRefusedIsLoggedWithWhoMadeItAndWhatItWanted(t *testing.T) {
	c := newClient(t)
	other := newClient(t) // another twin's tokens are signed by another key
	forged, err := other.twin.identity.Tokens.Issue("somebody", "aud", "iss")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.twin.identity.Tokens.Now = func() time.Time { return now.Add(-2 * time.Hour) }
	old, err := c.twin.identity.Tokens.Issue("me", "aud", "iss")
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
