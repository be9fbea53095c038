// Package proxy stands between clients and real endpoints: forward or reverse, recording what would let nobody in, or answering from a recording. It
// knows no twin: who counts and logs calls, or answers in the endpoint's place, is put around it.
package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/cluster"
)

// Options make a proxy.
type Options struct {
	To string // URL of the real endpoint, for a reverse proxy; empty: a forward proxy, to where clients want
	// Authority is the token service clients of a reverse proxy are told: tokens say who issued them, and clients compare, so that it cannot stand behind
	// the proxy. Default: the public cloud's for management.azure.com, else To.
	Authority string
	ToCA      string            // file with the certificate authority of the real endpoints; empty: the system's
	Record    *Recorder         // may be nil
	Lost      func(error)       // told of every exchange that could not be recorded; may be nil
	Replay    http.RoundTripper // takes the place of the real endpoints; may be nil
	// Intercept are the hosts a forward proxy stands before, *.example.com for all below one; empty: Hosts. It leads to all others without looking
	// in, and refuses them where it is reachable from other machines or replays.
	Intercept []string
	// Instead is the address of a twin that answers in the place of an intercepted host, TLS and all: nothing is passed on to the real one. nil: it is.
	Instead func(host string, secure bool) string
	AnyHost bool        // other machines reach it
	TLS     *tls.Config // that clients' connections end with, whatever name they ask for
	// Around is put around every call that is passed on: it counts, logs, and answers in the real endpoint's place where it will.
	Around func(next http.Handler) http.Handler
	Now    func() time.Time
	// Principal names whose call it is, for the recording, by the request's headers; nil: nobody is named.
	Principal func(http.Header) string
}

// Relay stands between clients and real endpoints: it passes on and records.
type Relay struct {
	options Options
	to      *url.URL
	real    http.RoundTripper
	twin    http.RoundTripper // to what answers instead
	trust   []byte            // certificates of the real endpoints' authority, if one was given
}

// New makes one.
func New(o Options) (*Relay, error) {
	if len(o.Intercept) == 0 {
		o.Intercept = Hosts()
	}
	p := &Relay{options: o, twin: &http.Transport{Proxy: nil}}
	var err error
	if o.To != "" {
		if p.to, err = url.Parse(o.To); err != nil || p.to.Host == "" {
			return nil, cluster.Usagef("--to %q is not a URL such as https://management.azure.com", o.To)
		}
	}
	if p.real = o.Replay; p.real != nil {
		return p, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.ToCA != "" {
		raw, err := os.ReadFile(o.ToCA)
		if err != nil {
			return nil, cluster.Usagef("--to-ca: %w", err)
		}
		p.trust = raw
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(raw) {
			return nil, cluster.Usagef("--to-ca %s holds no certificate", o.ToCA)
		}
	}
	// Its own environment may name this very proxy.
	p.real = &http.Transport{Proxy: nil, DialContext: p.dialer().DialContext, TLSClientConfig: config, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100}
	return p, nil
}

// Handler is what clients of the proxy reach: the forward proxy, over plain HTTP, or the reverse one, over TLS.
func (p *Relay) Handler() (h http.Handler, secure bool) {
	if p.to != nil {
		return p.pass(p.to.Scheme, p.to.Host), true
	}
	return p, false
}

// Trusted are the certificates of the real endpoints' authority, for clients that reach them beside the proxy.
func (p *Relay) Trusted() []byte { return p.trust }

// Tokens is where clients are to get their tokens.
func (p *Relay) Tokens(front string) string {
	switch {
	case p.to == nil || p.options.Replay != nil:
		return front
	case p.options.Authority != "":
		return p.options.Authority
	case strings.HasSuffix(p.to.Hostname(), "management.azure.com"):
		return "https://login.microsoftonline.com"
	default:
		return strings.TrimSuffix(p.to.String(), "/")
	}
}

// pass forwards to one host.
func (p *Relay) pass(scheme, host string) http.Handler {
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = scheme, host, host
			// Compressed answers could not be scrubbed; Go's transport asks for compression by itself and undoes it.
			r.Out.Header.Del("Accept-Encoding")
		},
		Transport: recording{p},
		ErrorLog:  silent(),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			status, code := http.StatusBadGateway, "ProxyUpstreamFailed"
			switch {
			case errors.Is(err, errNotRecorded):
				status, code = http.StatusNotFound, "NotRecorded"
			case errors.Is(err, errOutOfBounds):
				status, code = http.StatusForbidden, "ProxyRefused"
			}
			arm.Errorf(status, code, "%v", err).Write(w)
		},
	}
	if p.to != nil {
		forward.ModifyResponse = func(resp *http.Response) error { return bringBack(resp, scheme+"://"+host) }
	}
	return p.options.Around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), frontKey{}, "https://"+r.Host)))
	}))
}

// frontKey is where a request keeps the address its client used.
type frontKey struct{}

// bringBack lets the links of an answer lead through the reverse proxy: a client that follows one to the real endpoint would be lost to it.
func bringBack(resp *http.Response, real string) error {
	front, _ := resp.Request.Context().Value(frontKey{}).(string)
	for _, name := range []string{"Location", "Azure-AsyncOperation", "Operation-Location"} {
		if v := resp.Header.Get(name); strings.HasPrefix(v, real) {
			resp.Header.Set(name, front+strings.TrimPrefix(v, real))
		}
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") || resp.Request.URL.Query().Has("watch") { // a watch has no end to wait for
		return nil
	}
	raw, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	for _, link := range []string{`"nextLink":"`, `"nextLink": "`} {
		raw = bytes.ReplaceAll(raw, []byte(link+real), []byte(link+front))
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	resp.Header.Set("Content-Length", strconv.Itoa(len(raw)))
	return nil
}
