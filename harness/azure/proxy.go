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
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/cluster"
)

// ProxyOptions make a proxy.
type ProxyOptions struct {
	To     string            // URL of the real endpoint, for a reverse proxy; empty: a forward proxy, to where clients want
	ToCA   string            // file with the certificate authority of the real endpoints; empty: the system's
	Record *Recorder         // may be nil
	Replay http.RoundTripper // takes the place of the real endpoints; may be nil
	Listen Listen
}

// Proxy stands between clients and real endpoints: it passes on, counts as the gateway counts, injects faults, and records. Its twin has no
// resources and answers nothing itself.
type Proxy struct {
	twin    *Twin
	options ProxyOptions
	to      *url.URL
	real    http.RoundTripper
	ca      *authority
}

// NewProxy makes one. The twin gives it its policy, clock, faults and call log.
func NewProxy(t *Twin, o ProxyOptions) (*Proxy, error) {
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
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(raw) {
			return nil, cluster.Usagef("--to-ca %s holds no certificate", o.ToCA)
		}
	}
	// Its own environment may name this very proxy.
	p.real = &http.Transport{Proxy: nil, TLSClientConfig: config, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100}
	return p, nil
}

// Serve opens the listeners and returns when the proxy answers.
func (p *Proxy) Serve(ctx context.Context) (_ *Server, err error) {
	l := p.options.Listen
	if err := loopback(l.Address, l.AnyHost); err != nil {
		return nil, err
	}
	s := &Server{CA: p.ca.pem, failed: make(chan error, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	front, err := listen(ctx, l.Address)
	if err != nil {
		return nil, err
	}
	control, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, front.Close())
	}
	scheme, server := "http://", &http.Server{Handler: p}
	if p.to != nil {
		scheme, server = "https://", &http.Server{Handler: p.pass(p.to.Scheme, p.to.Host), TLSConfig: p.ca.config()}
	}
	s.start(front, server)
	s.start(control, &http.Server{Handler: p.twin.Control()})
	s.Ready = Ready{
		Endpoint: scheme + front.Addr().String(), Authority: scheme + front.Addr().String(), Tenant: p.twin.options.Tenant, Subscription: p.twin.options.Subscription,
		Control: "http://" + control.Addr().String(), CA: l.CAOut, PID: os.Getpid(),
	}
	return s, s.announce(l)
}

// ServeHTTP is the forward proxy: CONNECT for TLS, which it ends with a certificate of its own, and plain requests, such as those to the
// instance metadata service.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		if r.URL.Host == "" {
			http.Error(w, "this is a proxy: set HTTPS_PROXY and HTTP_PROXY to it", http.StatusBadRequest)
			return
		}
		p.pass("http", r.URL.Host).ServeHTTP(w, r)
		return
	}
	host := r.Host
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "CONNECT needs HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return
	}
	conn, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		_ = conn.Close()
		return
	}
	inside := &http.Server{Handler: p.pass("https", strings.TrimSuffix(host, ":443")), TLSConfig: p.ca.config(), ReadHeaderTimeout: headerWithin, ErrorLog: quiet()}
	_ = inside.ServeTLS(&oneConnection{conn: conn}, "", "")
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
			if errors.Is(err, errNotRecorded) {
				status, code = http.StatusNotFound, "NotRecorded"
			}
			errorf(status, code, "%v", err).write(w)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		begun := time.Now()
		rec := &recorder{ResponseWriter: w}
		r := &request{Request: hr, w: rec, query: hr.URL.Query(), call: &Call{Time: p.twin.clock.Now(), Method: hr.Method, Path: hr.URL.Path}}
		defer func() {
			r.call.Status, r.call.Seconds = rec.status, time.Since(begun).Seconds()
			p.twin.calls.add(*r.call)
		}()
		if err := p.account(r); err != nil {
			err.write(rec)
			return
		}
		forward.ServeHTTP(rec, hr)
	})
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

// recording is a transport that records what goes through it.
type recording struct{ proxy *Proxy }

// maxRecorded is how much of a body is recorded; more goes through all the same.
const maxRecorded = 8 << 20

// RoundTrip passes the request on.
func (t recording) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.proxy.options.Record == nil {
		return t.proxy.real.RoundTrip(req)
	}
	var sent []byte
	if req.Body != nil {
		var err error
		if sent, err = io.ReadAll(req.Body); err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		req.Body = io.NopCloser(bytes.NewReader(sent))
	}
	e := Exchange{Time: t.proxy.twin.clock.Now(), Method: req.Method, URL: req.URL.String(), Request: req.Header.Clone(), Sent: string(sent[:min(len(sent), maxRecorded)])}
	resp, err := t.proxy.real.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(got))
	e.Status, e.Response, e.Got = resp.StatusCode, resp.Header.Clone(), string(got[:min(len(got), maxRecorded)])
	return resp, t.proxy.options.Record.write(e)
}

// oneConnection is a listener that has one connection to give.
type oneConnection struct {
	conn net.Conn
	once sync.Once
}

// Accept gives the connection, and after it the end.
func (l *oneConnection) Accept() (c net.Conn, err error) {
	err = net.ErrClosed
	l.once.Do(func() { c, err = l.conn, nil })
	return c, err
}

// Close has nothing to close: the connection is its user's.
func (*oneConnection) Close() error { return nil }

// Addr is the connection's.
func (l *oneConnection) Addr() net.Addr { return l.conn.LocalAddr() }
