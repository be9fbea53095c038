package azure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

// publicClient is one of the public cloud that has been told of a proxy and an authority, and of nothing else.
func publicClient(t *testing.T, s *Server) *http.Client {
	t.Helper()
	at, err := url.Parse(strings.TrimPrefix(s.Ready.Environment()[0], "HTTPS_PROXY="))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CA)
	transport := &http.Transport{Proxy: http.ProxyURL(at), TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// told is an answer with its body.
type told struct {
	*http.Response
	raw []byte
}

func (x told) json() map[string]any {
	var body map[string]any
	_ = json.Unmarshal(x.raw, &body)
	return body
}

func send(t *testing.T, c *http.Client, method, target, token, form string) told {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if strings.Contains(form, "grant_type") {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if strings.Contains(target, "169.254") {
		req.Header.Set("Metadata", "true")
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return told{resp, raw}
}

func TestAClientOfThePublicCloudFindsTheTwinByAProxy(t *testing.T) {
	c := newClient(t)
	c.machine("vm-1")
	s := serving(t, func(ctx context.Context) (*Server, error) { return c.twin.Serve(ctx, Listen{Address: "127.0.0.1:0"}) })
	public := publicClient(t, s)
	const manage, login = "https://management.azure.com", "https://login.microsoftonline.com"

	refused := send(t, public, http.MethodGet, manage+subscriptionPath, "", "")
	if refused.StatusCode != http.StatusUnauthorized || !strings.Contains(refused.Header.Get("WWW-Authenticate"), `authorization_uri="https://login.windows.net/`+DefaultTenant+`"`) {
		t.Errorf("without a token: %d %v", refused.StatusCode, refused.Header)
	}
	discovery := send(t, public, http.MethodGet, login+"/common/discovery/instance?api-version=1.1&authorization_endpoint=x", "", "").json()
	if aliases, _ := arm.Objects(discovery, "metadata")[0]["aliases"].([]any); !slices.Contains(aliases, any("login.windows.net")) {
		t.Errorf("instance discovery: %v", discovery)
	}
	about := send(t, public, http.MethodGet, arm.Text(discovery, "tenant_discovery_endpoint"), "", "").json()
	if arm.Text(about, "issuer") != login+"/"+DefaultTenant+"/v2.0" {
		t.Errorf("the tenant: %v", about)
	}
	token := arm.Text(send(t, public, http.MethodPost, arm.Text(about, "token_endpoint"), "", "grant_type=client_credentials&client_id=me&client_secret=x&scope=https%3A%2F%2Fmanagement.core.windows.net%2F%2F.default").json(), "access_token")
	for _, host := range []string{manage, "https://westeurope.management.azure.com"} {
		if got := send(t, public, http.MethodGet, host+subscriptionPath, token, ""); got.StatusCode != http.StatusOK || got.ProtoMajor != 2 {
			t.Errorf("%s: %s %s", host, got.Status, got.raw)
		}
	}
	vm := manage + "/subscriptions/" + testSubscription + "/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-1?api-version=2024-03-01"
	if got := send(t, public, http.MethodDelete, vm, token, ""); got.StatusCode != http.StatusAccepted || !strings.HasPrefix(got.Header.Get("Azure-AsyncOperation"), manage+"/") {
		t.Errorf("a deletion: %s, to be asked after at %q", got.Status, got.Header.Get("Azure-AsyncOperation"))
	}
	cloud := send(t, public, http.MethodGet, manage+"/metadata/endpoints?api-version=2019-05-01", "", "")
	var clouds []map[string]any
	if err := json.Unmarshal(cloud.raw, &clouds); err != nil || arm.Text(clouds[0], "authentication", "loginEndpoint") != login+"/" || arm.Text(clouds[0], "name") != "AzureCloud" {
		t.Errorf("the cloud: %s", cloud.raw)
	}
	if got := send(t, public, http.MethodGet, "http://169.254.169.254/metadata/versions", "", ""); got.StatusCode != http.StatusOK {
		t.Errorf("instance metadata: %s %s", got.Status, got.raw)
	}
}

func TestWhatIsMeantForADataHostGetsToNoRealOne(t *testing.T) {
	c := newClient(t)
	s := serving(t, func(ctx context.Context) (*Server, error) { return c.twin.Serve(ctx, Listen{Address: "127.0.0.1:0"}) })
	public := publicClient(t, s)
	const vault = "https://mine.vault.azure.net/secrets/s?api-version=7.4"
	if got := send(t, public, http.MethodGet, vault, "", ""); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Header.Get("WWW-Authenticate"), `resource="https://vault.azure.net"`) {
		t.Errorf("a vault, without a token: %s %v", got.Status, got.Header)
	}
	if got := send(t, public, http.MethodGet, vault, "any", ""); got.StatusCode != http.StatusNotImplemented || !strings.Contains(string(got.raw), dataNotHeld) {
		t.Errorf("a vault: %s %s", got.Status, got.raw)
	}
	if got := send(t, public, http.MethodGet, "https://mine.blob.core.windows.net/vhds/a.vhd", "", ""); got.Header.Get("x-ms-error-code") != dataNotHeld || !strings.HasPrefix(string(got.raw), "<?xml") {
		t.Errorf("a blob: %s %s", got.Status, got.raw)
	}
	calls, _ := c.twin.Calls().Since(0)
	for i, want := range []string{"GET vault.azure.net", "GET vault.azure.net", "GET blob.core.windows.net"} {
		if i >= len(calls) || calls[i].Operation != want {
			t.Fatalf("call %d of %+v is not %s", i, calls, want)
		}
	}
}

func TestTheProxyOntoTheTwinLeadsElsewhereOnlyForThisMachine(t *testing.T) {
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("other")) }))
	defer other.Close()
	for _, anyHost := range []bool{false, true} {
		c := newClient(t)
		s := serving(t, func(ctx context.Context) (*Server, error) {
			return c.twin.Serve(ctx, Listen{Address: "127.0.0.1:0", AnyHost: anyHost})
		})
		public := publicClient(t, s)
		public.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(other.Certificate()) //nolint:forcetypeassert // publicClient's
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, other.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := public.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if led := err == nil; led == anyHost || anyHost && !strings.Contains(err.Error(), "Forbidden") {
			t.Errorf("any host %t: it leads elsewhere: %t, %v", anyHost, led, err)
		}
	}
}
