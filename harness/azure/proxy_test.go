package azure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/proxy"
	"drydock.dev/drydock/harness/azure/throttle"
)

// fetched is a real client that goes through a proxy.
type fetched struct {
	status int
	body   string
	err    error
}

func through(t *testing.T, proxy *Server, client *http.Client, method, target, token, body string) fetched {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(proxy.CA)
	if client == nil {
		at, err := url.Parse(proxy.Ready.Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(at), TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		return fetched{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return fetched{resp.StatusCode, string(raw), err}
}

func serving(t *testing.T, serve func(ctx context.Context) (*Server, error)) *Server {
	t.Helper()
	s, err := serve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func proxyTo(t *testing.T, o proxy.Options) (*Twin, *Server) {
	t.Helper()
	p, err := throttle.LoadPolicy("current")
	if err != nil {
		t.Fatal(err)
	}
	twin, err := New(signed(t, Options{Clock: arm.NewVirtualClock(time.Now()), Policy: p}))
	if err != nil {
		t.Fatal(err)
	}
	return twin, serving(t, func(ctx context.Context) (*Server, error) {
		return twin.ServeProxy(ctx, o, Listen{Address: "127.0.0.1:0", AnyHost: o.AnyHost})
	})
}

func TestAProxyPassesRecordsScrubsInjectsAndReplays(t *testing.T) {
	c := newClient(t) // the real endpoint is another twin
	real := serving(t, func(ctx context.Context) (*Server, error) { return c.twin.Serve(ctx, Listen{Address: "127.0.0.1:0"}) })
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, real.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "recording.jsonl")
	record, err := proxy.NewRecorder(file, false)
	if err != nil {
		t.Fatal(err)
	}
	front, at := proxyTo(t, proxy.Options{ToCA: ca, Record: record, Intercept: []string{"127.0.0.1"}})
	token, err := c.twin.identity.Tokens.Issue("me", "https://management.azure.com/", DefaultTenant)
	if err != nil {
		t.Fatal(err)
	}
	group := real.Ready.Endpoint + "/subscriptions/" + testSubscription + "/resourceGroups/g?api-version=2024-03-01&sig=verysecret"
	if f := through(t, at, nil, http.MethodPut, group, token, `{"location":"westeurope","properties":{"adminPassword":"hunter2"}}`); f.status != http.StatusCreated {
		t.Fatalf("through the proxy: %+v", f)
	}
	tokenURL := real.Ready.Authority + "/" + real.Ready.Tenant + "/oauth2/v2.0/token"
	if f := through(t, at, nil, http.MethodPost, tokenURL, "", "grant_type=client_credentials&client_id=me&client_secret=s3cret&scope=x/.default"); f.status != http.StatusOK {
		t.Fatalf("a token through the proxy: %+v", f)
	}
	first := through(t, at, nil, http.MethodGet, group, token, "")
	if _, err := front.Arm(Fault{Kind: FaultThrottle, RetryAfter: 61, Count: 1}); err != nil {
		t.Fatal(err)
	}
	if f := through(t, at, nil, http.MethodGet, group, token, ""); f.status != http.StatusTooManyRequests {
		t.Errorf("with a fault: %+v", f)
	}
	calls, _ := front.Calls().Since(0)
	if len(calls) != 4 || calls[0].Principal != "me" || calls[0].Operation != "CREATE resourceGroups" || calls[1].Operation != "POST identity/token" || calls[3].Fault == "" {
		t.Errorf("the call log is %+v", calls)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{token, "hunter2", "verysecret", "s3cret", "eyJ"} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("the recording holds %q:\n%s", secret, raw)
		}
	}
	if err := real.Close(); err != nil {
		t.Fatal(err)
	}
	replay, err := proxy.LoadReplay(file)
	if err != nil {
		t.Fatal(err)
	}
	_, again := proxyTo(t, proxy.Options{Replay: replay, Intercept: []string{"127.0.0.1"}})
	if f := through(t, again, nil, http.MethodGet, group, token, ""); f.status != http.StatusOK || strings.Contains(first.body, "Password") && f.body == "" {
		t.Errorf("replayed: %+v", f)
	}
	if f := through(t, again, nil, http.MethodGet, real.Ready.Endpoint+"/subscriptions/none?api-version=1", token, ""); f.status != http.StatusNotFound || !strings.Contains(f.body, "NotRecorded") {
		t.Errorf("what was not recorded: %+v", f)
	}
}

func TestAReverseProxyNeedsNoProxySettings(t *testing.T) {
	c := newClient(t)
	real := serving(t, func(ctx context.Context) (*Server, error) { return c.twin.Serve(ctx, Listen{Address: "127.0.0.1:0"}) })
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, real.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	_, at := proxyTo(t, proxy.Options{To: real.Ready.Endpoint, ToCA: ca})
	token, err := c.twin.identity.Tokens.Issue("me", "https://management.azure.com/", DefaultTenant)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(at.CA)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	if f := through(t, at, client, http.MethodGet, at.Ready.Endpoint+"/subscriptions/"+testSubscription+"?api-version=2016-06-01", token, ""); f.status != http.StatusOK {
		t.Errorf("%+v", f)
	}
	if err := c.twin.Load(machines(150)); err != nil {
		t.Fatal(err)
	}
	f := through(t, at, client, http.MethodGet, at.Ready.Endpoint+"/subscriptions/"+testSubscription+"/providers/Microsoft.Compute/virtualMachines?api-version=1", token, "")
	if !strings.Contains(f.body, `"nextLink":"`+at.Ready.Endpoint) {
		t.Errorf("the next page is not behind the proxy: …%s", f.body[max(0, len(f.body)-300):])
	}
}

func TestARecordingThatCannotBeReadIsRefused(t *testing.T) {
	dir := t.TempDir()
	good := `{"time":"2026-01-01T00:00:00Z","method":"GET","url":"https://management.azure.com/subscriptions/s","request":{},"status":200,"response":{}}` + "\n"
	for name, c := range map[string]struct{ content, told string }{
		"empty": {"", "empty"}, "white": {"\n \n", "empty"}, "rubbish": {"{]\n", "line 1"}, "no exchange": {good + "{}\n", "line 2 is no exchange"}, "cut off": {good + good[:40], "sed -i '$d'"},
		"a call log": {`{"time":"2026-01-01T00:00:00Z","method":"GET","path":"/subscriptions/s","status":200}` + "\n", "arm budget"},
		"har":        {"{\n \"log\": {\"entries\": []}\n}\n", "HAR"},
	} {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := proxy.LoadReplay(file); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), c.told) || strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := proxy.LoadReplay(filepath.Join(dir, "none")); err == nil {
		t.Error("a recording that is not there was read")
	}
}
