package azuretest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/identity"
	"drydock.dev/drydock/harness/azure/throttle"
)

// Direct is a twin that is called without a connection: the transport of a client in a bubble of testing/synctest, where nothing else may wait. The twin's
// clock is then the bubble's, and an hour of waiting takes no time.
type Direct struct {
	*azure.Twin
	URL, Tenant, Subscription string
}

// NewDirect makes one; the clock and the policy that are left out are the wall's, which in a bubble is the bubble's, and today's public cloud's.
func NewDirect(tb testing.TB, o azure.Options) *Direct {
	tb.Helper()
	key, err := oneKey()
	if err != nil {
		tb.Fatal(err)
	}
	if o.Signer = key; o.Clock == nil {
		if o.Clock, err = arm.ParseClock("wall"); err != nil {
			tb.Fatal(err)
		}
	}
	if o.Policy == nil {
		if o.Policy, err = throttle.LoadPolicy("current"); err != nil {
			tb.Fatal(err)
		}
	}
	twin, err := azure.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return &Direct{Twin: twin, URL: "https://management.azure.com", Tenant: azure.DefaultTenant, Subscription: azure.DefaultSubscription}
}

// oneKey is for all direct twins: a key of its own takes each a moment.
var oneKey = sync.OnceValues(identity.NewSigner) //nolint:gochecknoglobals // of tests, and never changed

// Do calls the twin. A connection that it cuts is an error, as a client sees one.
func (d *Direct) Do(req *http.Request) (resp *http.Response, err error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	defer func() {
		if cut := recover(); cut != nil {
			resp, err = nil, fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, io.ErrUnexpectedEOF)
		}
	}()
	called := req.Clone(req.Context())
	called.Host, called.RequestURI, called.RemoteAddr = req.URL.Host, req.URL.RequestURI(), "127.0.0.1:1"
	if called.Body == nil {
		called.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, called)
	resp = w.Result()
	said := http.Header{}
	for name, values := range resp.Header { // as they are when they have come over a connection
		said[http.CanonicalHeaderKey(name)] = values
	}
	resp.Request, resp.Header = req, said
	return resp, nil
}

// Token asks the twin for a principal's, as a service principal does.
func (d *Direct) Token(ctx context.Context, principal string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {principal}, "client_secret": {"-"}, "scope": {d.URL + "/.default"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://login.microsoftonline.com/"+d.Tenant+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := d.Do(req)
	if err != nil {
		return "", err
	}
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.Token == "" {
		return "", fmt.Errorf("token: %d: %w", resp.StatusCode, err)
	}
	return body.Token, nil
}
