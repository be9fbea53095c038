// Package azuretest gives a Go test a twin of its own, and what a client needs to find it. It needs no credentials, no network beyond the loopback, and
// links no client of Kubernetes.
package azuretest

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"

	"drydock.dev/drydock/harness/azure"
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/throttle"
)

// Twin is a twin that answers until its test ends. What is done to it behind its clients' backs (Arm, Load, SetTiming) and what they did (Calls) is the
// twin's own.
type Twin struct {
	*azure.Twin
	// URL is the Resource Manager's endpoint and the token service's authority; any client id and secret get a token.
	URL                  string
	Tenant, Subscription string
	CA                   *x509.CertPool // of the certificates that URL is served with
	IMDS                 string         // URL of the instance metadata service

	server *azure.Server
	tb     testing.TB
}

// Speed is how much faster than the wall's the clock of a twin from New is: what takes a minute takes a second, Retry-After too.
const Speed = "60"

// New starts a twin with the throttling of today's public cloud. It ends with the test.
func New(tb testing.TB) *Twin {
	tb.Helper()
	return With(tb, azure.Options{})
}

// With starts a twin of some options; the clock and the policy that are left out are New's.
func With(tb testing.TB, o azure.Options) *Twin {
	tb.Helper()
	var err error
	if o.Clock == nil {
		if o.Clock, err = arm.ParseClock(Speed); err != nil {
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
	s, err := twin.Serve(tb.Context(), azure.Listen{Address: "127.0.0.1:0"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CA)
	return &Twin{Twin: twin, URL: s.Ready.Endpoint, Tenant: s.Ready.Tenant, Subscription: s.Ready.Subscription, CA: pool, IMDS: s.Ready.IMDS, server: s, tb: tb}
}

// HTTP is a client that trusts the twin: the transport to give an SDK. It sends no token by itself.
func (t *Twin) HTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: t.CA, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
}

// Client calls the twin as a principal and never retries: what it is told is what was answered.
func (t *Twin) Client(principal string) *azure.Client {
	t.tb.Helper()
	c, err := azure.NewClient(t.tb.Context(), t.server.Ready, t.server.CA, principal)
	if err != nil {
		t.tb.Fatal(err)
	}
	return c
}
