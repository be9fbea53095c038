package azure

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"drydock.dev/drydock/harness/azure/proxy"
)

// viaProxy is a client that goes through a proxy and trusts what is told.
func viaProxy(t *testing.T, proxy *Server, trusts ...[]byte) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	for _, ca := range trusts {
		pool.AppendCertsFromPEM(ca)
	}
	at, err := url.Parse(proxy.Ready.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(at), TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// realTwin is a twin that serves, and a file with its authority.
func realTwin(t *testing.T) (*client, *Server, string) {
	t.Helper()
	c := newClient(t)
	real := serving(t, func(ctx context.Context) (*Server, error) { return c.twin.Serve(ctx, Listen{Address: "127.0.0.1:0"}) })
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, real.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	return c, real, ca
}

func TestTheProxyLooksIntoNothingButWhatItStandsBefore(t *testing.T) {
	c, real, ca := realTwin(t)
	token, err := c.twin.identity.Tokens.Issue("me", "https://management.azure.com/", DefaultTenant)
	if err != nil {
		t.Fatal(err)
	}
	front, at := proxyTo(t, proxy.Options{ToCA: ca})
	target := real.Ready.Endpoint + subscriptionPath
	// Only the host's own authority is trusted: with the proxy's certificate this would fail.
	if f := through(t, at, viaProxy(t, at, real.CA), http.MethodGet, target, token, ""); f.status != http.StatusOK {
		t.Errorf("through a tunnel: %+v", f)
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("plain")) }))
	defer plain.Close()
	// Go's clients do not use a proxy for the loopback: this is what others send.
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(at.Ready.Endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "GET %s/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", plain.URL, strings.TrimPrefix(plain.URL, "http://"))
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("plain: %v %v", resp, err)
	}
	if calls, _ := front.Calls().Since(0); len(calls) != 0 {
		t.Errorf("it looked into %+v", calls)
	}
}

func TestAProxyThatOthersReachLeadsNowhereElse(t *testing.T) {
	_, real, ca := realTwin(t)
	_, at := proxyTo(t, proxy.Options{ToCA: ca, AnyHost: true})
	if f := through(t, at, viaProxy(t, at, real.CA), http.MethodGet, real.Ready.Endpoint+subscriptionPath, "", ""); f.err == nil || !strings.Contains(f.err.Error(), "Forbidden") {
		t.Errorf("another host: %+v", f)
	}
	at2 := func(hosts ...string) *Server {
		_, s := proxyTo(t, proxy.Options{ToCA: ca, Intercept: hosts, AnyHost: true})
		return s
	}
	for _, address := range []string{"169.254.169.254", "127.0.0.1", "localhost", "[::1]", "0.0.0.0", "168.63.129.16"} {
		s := at2(strings.Trim(address, "[]"))
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.Ready.Endpoint, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "GET http://%s/metadata/instance HTTP/1.1\r\nHost: x\r\nMetadata: true\r\nConnection: close\r\n\r\n", address)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %v %v", address, resp, err)
		}
		_ = conn.Close()
	}
}

// watching serves something without an end.
func watching(t *testing.T) (*httptest.Server, string) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{\"type\":\"ADDED\"}\n"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pemOf(s.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, ca
}

func TestAWatchGoesThroughTheProxyAsItComes(t *testing.T) {
	s, ca := watching(t)
	file := filepath.Join(t.TempDir(), "r.jsonl")
	record, err := proxy.NewRecorder(file, false)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]proxy.Options{"forward": {Intercept: []string{"127.0.0.1"}}, "tunnel": {}, "reverse": {To: s.URL}} {
		t.Run(name, func(t *testing.T) {
			o.ToCA, o.Record = ca, record
			_, at := proxyTo(t, o)
			client, target := viaProxy(t, at, at.CA, pemOf(s.Certificate())), s.URL
			if o.To != "" {
				target = at.Ready.Endpoint
				client.Transport.(*http.Transport).Proxy = nil
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, target+"/api/v1/nodes?watch=true", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || !strings.Contains(line, "ADDED") {
				t.Errorf("the first event: %q, %v", line, err)
			}
		})
	}
}

// A full disk loses the recording, and nothing else: what Azure has done is answered.
func TestARecordingThatFailsFailsNothingElse(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	c, real, ca := realTwin(t)
	token, err := c.twin.identity.Tokens.Issue("me", "https://management.azure.com/", DefaultTenant)
	if err != nil {
		t.Fatal(err)
	}
	record, err := proxy.NewRecorder("/dev/full", false)
	if err != nil {
		t.Fatal(err)
	}
	var told atomic.Value
	front, at := proxyTo(t, proxy.Options{ToCA: ca, Record: record, Intercept: []string{"127.0.0.1"}, Lost: func(err error) { told.Store(err.Error()) }})
	group := real.Ready.Endpoint + "/subscriptions/" + testSubscription + "/resourceGroups/g?api-version=1"
	if f := through(t, at, nil, http.MethodPut, group, token, `{"location":"westeurope"}`); f.status != http.StatusCreated {
		t.Errorf("a PUT that was done is answered %+v", f)
	}
	if err := record.Close(); err == nil || !strings.Contains(err.Error(), "lacks 1 exchange") || !strings.Contains(err.Error(), "no space") {
		t.Errorf("at the end: %v", err)
	}
	if said, _ := told.Load().(string); !strings.Contains(said, "resourceGroups/g") {
		t.Errorf("told: %q", said)
	}
	w := httptest.NewRecorder()
	front.control().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://c/metrics", nil))
	if !strings.Contains(w.Body.String(), "drydock_arm_exchanges_lost_total 1") {
		t.Errorf("metrics: %s", w.Body)
	}
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
