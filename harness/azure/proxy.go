package azure

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/cluster"
)

// ProxyOptions make a proxy.
type ProxyOptions struct {
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
	Listen    Listen
}

// Proxy stands between clients and real endpoints: it passes on, counts as the gateway counts, injects faults, and records. Its twin has no
// resources and answers nothing itself.
type Proxy struct {
	twin    *Twin
	options ProxyOptions
	to      *url.URL
	real    http.RoundTripper
	ca      *authority
	trust   []byte // certificates of the real endpoints' authority, if one was given
}

// NewProxy makes one. The twin gives it its policy, clock, faults and call log.
func NewProxy(t *Twin, o ProxyOptions) (*Proxy, error) {
	if len(o.Intercept) == 0 {
		o.Intercept = Hosts()
	}
	p := &Proxy{twin: t, options: o}
	var err error
	if o.To != "" {
		if p.to, err = url.Parse(o.To); err != nil || p.to.Host == "" {
			return nil, cluster.Usagef("--to %q is not a URL such as https://management.azure.com", o.To)
		}
	}
	if p.ca, err = o.Listen.authority(); err != nil {
		return nil, err
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

// Serve opens the listeners and returns when the proxy answers.
func (p *Proxy) Serve(ctx context.Context) (_ *Server, err error) {
	l := p.options.Listen
	if err := loopback(l.Address, l.AnyHost); err != nil {
		return nil, err
	}
	s := &Server{CA: slices.Concat(p.ca.pem, p.trust), failed: make(chan error, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	front, err := listen(ctx, l.Address)
	if err != nil {
		return nil, err
	}
	controlled, err := s.startControl(ctx, p.twin)
	if err != nil {
		return nil, errors.Join(err, front.Close())
	}
	ctx, s.end = context.WithCancel(ctx)
	scheme, server := "http://", &http.Server{Handler: p, BaseContext: func(net.Listener) context.Context { return ctx }}
	if p.to != nil {
		scheme, server = "https://", &http.Server{Handler: p.pass(p.to.Scheme, p.to.Host), TLSConfig: p.ca.config()}
	}
	s.start(front, server)
	s.Ready = Ready{
		Endpoint: scheme + front.Addr().String(), Authority: p.tokens(scheme + front.Addr().String()), Tenant: p.twin.options.Tenant, Subscription: p.twin.options.Subscription,
		Control: controlled.url, ControlToken: controlled.token, CA: l.CAOut, PID: os.Getpid(),
	}
	return s, s.announce(l)
}

// tokens is where clients are to get their tokens.
func (p *Proxy) tokens(front string) string {
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
func (p *Proxy) pass(scheme, host string) http.Handler {
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = scheme, host, host
			// Compressed answers could not be scrubbed; Go's transport asks for compression by itself and undoes it.
			r.Out.Header.Del("Accept-Encoding")
		},
		Transport: recording{p},
		ErrorLog:  quiet(),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			status, code := http.StatusBadGateway, "ProxyUpstreamFailed"
			switch {
			case errors.Is(err, errNotRecorded):
				status, code = http.StatusNotFound, "NotRecorded"
			case errors.Is(err, errOutOfBounds):
				status, code = http.StatusForbidden, "ProxyRefused"
			}
			errorf(status, code, "%v", err).write(w)
		},
	}
	if p.to != nil {
		forward.ModifyResponse = func(resp *http.Response) error { return bringBack(resp, scheme+"://"+host) }
	}
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		r, log := p.twin.receive(w, hr)
		defer log()
		if err := p.account(r); err != nil {
			err.write(r.w)
			return
		}
		forward.ServeHTTP(r.w, hr.WithContext(context.WithValue(hr.Context(), frontKey{}, "https://"+hr.Host)))
	})
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
	resp.Header.Set("Content-Length", itoa(len(raw)))
	return nil
}

// account counts the call on budgets as the gateway does, without holding it to them, and lets faults strike.
func (p *Proxy) account(r *request) *Error {
	id, ok := ParseID(r.URL.Path)
	if !ok {
		return nil
	}
	r.id, r.subject.Region = id, p.twin.options.Region
	r.call.Principal = principalOf(r.Header.Get("Authorization"))
	r.call.Subscription, r.call.Region, r.call.APIVersion = id.Subscription, r.subject.Region, r.param("api-version")
	r.subject.Subscription, r.subject.Principal = id.Subscription, r.call.Principal
	if err := p.twin.route(r); err != nil {
		r.typ = &resourceType{name: id.Type()}
	}
	r.call.Operation = p.twin.operation(r)
	if _, over := p.twin.throttle.Gateway(r.subject, Budget(r.Method)); over != nil {
		r.call.Over = "gateway/" + over.Policy
	} else if _, over := p.twin.throttle.Provider(r.subject, r.call.Operation, p.twin.limited(r)); over != nil {
		r.call.Over = over.Policy
	}
	return p.twin.faults.strike(p.twin, r)
}
