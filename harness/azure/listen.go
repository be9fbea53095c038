package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/proxy"
	"drydock.dev/drydock/harness/cluster"
)

// Listen says where a twin serves.
type Listen struct {
	Address   string // host:port of the gateway; port 0 chooses a free one
	CAOut     string // file for the certificate authority's certificate; empty: none is written
	CACert    string // an authority to use instead of an own one
	CAKey     string
	CloudOut  string       // file that describes the twin as a cloud, for AZURE_ENVIRONMENT_FILEPATH; empty: none is written
	ReadyFile string       // appears when the twin answers
	AnyHost   bool         // allows an address beyond the loopback
	Proxy     string       // host:port of the forward proxy; empty: a free port beside the gateway
	Also      net.Listener // where the gateway is served as well, for who cannot reach the address; the server closes it. nil: nowhere
}

// authority is the one that was given, or a new one.
func (l Listen) authority() (*authority, error) {
	switch {
	case l.CACert == "" && l.CAKey == "":
		return newAuthority()
	case l.CACert == "" || l.CAKey == "":
		return nil, cluster.Usagef("--ca-cert and --ca-key belong together")
	}
	return loadAuthority(l.CACert, l.CAKey)
}

// Ready is the content of the ready file.
type Ready struct {
	Endpoint     string `json:"endpoint"`  // of the Resource Manager
	Authority    string `json:"authority"` // of the token service
	Tenant       string `json:"tenant"`
	Subscription string `json:"subscription"`
	Proxy        string `json:"proxy,omitempty"` // forward proxy that leads the public cloud's names here: HTTPS_PROXY
	IMDS         string `json:"imds"`            // of the instance metadata service, plain HTTP
	Control      string `json:"control"`         // of clock, state, faults and call log, plain HTTP on the loopback
	ControlToken string `json:"controlToken"`    // bearer token that control asks for
	CA           string `json:"ca,omitempty"`    // file with the authority's certificate: SSL_CERT_FILE
	Cloud        string `json:"cloud,omitempty"` // file that describes the twin as a cloud: AZURE_ENVIRONMENT_FILEPATH, of the cloud CloudName
	PID          int    `json:"pid"`
}

// Server is a twin that answers.
type Server struct {
	Ready   Ready
	CA      []byte // the authority's certificate, PEM
	servers []*http.Server
	failed  chan error
	end     func() // the context of all requests, connections that left HTTP among them
}

// headerWithin is how long a client may take to send its headers.
const headerWithin = 30 * time.Second

// Serve opens the listeners and writes the ready file; it returns when the twin answers. Close ends it.
func (t *Twin) Serve(ctx context.Context, l Listen) (_ *Server, err error) {
	if err := loopback(l.Address, l.AnyHost); err != nil {
		return nil, err
	}
	a, err := l.authority()
	if err != nil {
		return nil, err
	}
	s := &Server{CA: a.pem, failed: make(chan error, 5)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	gateway, err := listen(ctx, l.Address)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(gateway.Addr().String())
	imds, err := listen(ctx, net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, errors.Join(err, gateway.Close())
	}
	controlled, err := s.startControl(ctx, t)
	if err != nil {
		return nil, errors.Join(err, gateway.Close(), imds.Close())
	}
	var connections atomic.Int64
	for _, from := range []net.Listener{gateway, l.Also} {
		if from == nil {
			continue
		}
		s.start(from, &http.Server{
			Handler: t, TLSConfig: a.config(),
			ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
				return context.WithValue(ctx, connectionKey{}, &connection{int(connections.Add(1))})
			},
		})
	}
	s.start(imds, &http.Server{Handler: t.metadata()})
	front, err := s.startProxy(ctx, l, gateway.Addr().String(), imds.Addr().String())
	if err != nil {
		return nil, err
	}
	endpoint := "https://" + gateway.Addr().String()
	s.Ready = Ready{
		Endpoint: endpoint, Authority: endpoint, Tenant: t.options.Tenant, Subscription: t.options.Subscription,
		Proxy: front, IMDS: "http://" + imds.Addr().String(), Control: controlled.url, ControlToken: controlled.token, CA: l.CAOut, PID: os.Getpid(),
	}
	if _, still := t.clock.(*arm.VirtualClock); t.options.Machines != nil && !still {
		go t.tick(ctx) // machines act on time, whether anybody asks or not
	}
	return s, s.announce(l)
}

// startProxy opens the forward proxy onto the twin: what is meant for the public cloud gets here, as it is, by a client that knows of nothing but a proxy.
func (s *Server) startProxy(ctx context.Context, l Listen, gateway, imds string) (string, error) {
	if l.Proxy == "" {
		host, _, _ := net.SplitHostPort(gateway)
		l.Proxy = net.JoinHostPort(host, "0")
	}
	if err := loopback(l.Proxy, l.AnyHost); err != nil {
		return "", err
	}
	p, err := proxy.New(proxy.Options{Intercept: Hosts(), AnyHost: l.AnyHost, Instead: func(_ string, secure bool) string {
		if secure {
			return gateway
		}
		return imds
	}})
	if err != nil {
		return "", err
	}
	front, err := listen(ctx, l.Proxy)
	if err != nil {
		return "", err
	}
	ctx, s.end = context.WithCancel(ctx)
	handler, _ := p.Handler()
	s.start(front, &http.Server{Handler: handler, BaseContext: func(net.Listener) context.Context { return ctx }})
	return "http://" + front.Addr().String(), nil
}

// Hosts are the public cloud's names that a twin stands for: *.example.com is all below one.
func Hosts() []string { return append(proxy.Hosts(), proxy.DataHosts()...) }

// Environment is what a client sets to find the twin by the public cloud's names: the proxy, and the authority by the names that runtimes know it by (Go,
// OpenSSL and Ruby; Python's requests; Node).
func (r Ready) Environment() []string {
	env := []string{"HTTPS_PROXY=" + r.Proxy}
	if r.CA != "" {
		env = append(env, "SSL_CERT_FILE="+r.CA, "REQUESTS_CA_BUNDLE="+r.CA, "NODE_EXTRA_CA_CERTS="+r.CA)
	}
	return env
}

// At is the same twin for a client that reaches it at another address of the gateway, and nothing else of it: what is beside the gateway is left out.
func (r Ready) At(address string) Ready {
	endpoint := "https://" + address
	return Ready{Endpoint: endpoint, Authority: endpoint, Tenant: r.Tenant, Subscription: r.Subscription, PID: r.PID}
}

// settleEvery is how exactly operations end that have an effect outside the twin.
const settleEvery = 100 * time.Millisecond

func (t *Twin) tick(ctx context.Context) {
	every := time.NewTicker(settleEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			t.store.Settle()
		}
	}
}

// announce writes the authority's certificate, and then the file that says that everything answers.
func (s *Server) announce(l Listen) error {
	if l.CAOut != "" {
		if err := WriteFile(l.CAOut, s.CA, 0o644); err != nil {
			return err
		}
		whole, err := filepath.Abs(l.CAOut) // whoever reads the ready file may be elsewhere
		if err != nil {
			return fmt.Errorf("ready file: %w", err)
		}
		s.Ready.CA = whole
	}
	if err := s.announceCloud(l.CloudOut); err != nil {
		return err
	}
	if l.ReadyFile == "" {
		return nil
	}
	raw, err := json.MarshalIndent(s.Ready, "", "  ")
	if err != nil {
		return fmt.Errorf("ready file: %w", err)
	}
	return WriteFile(l.ReadyFile, append(raw, '\n'), 0o600) // the control listener's token is in it
}

// loopback refuses an address that others reach, unless that is wanted: the twin gives tokens to anybody.
func loopback(address string, any bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return cluster.Usagef("--listen %q is not HOST:PORT: %w", address, err)
	}
	ip := net.ParseIP(host)
	if any || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return cluster.Usagef("--listen %s is reachable from other machines, and whoever reaches it gets a token: use 127.0.0.1, or say --any-host", address)
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, cluster.Usagef("cannot listen on %s (port 0 chooses a free one): %w", address, err)
	}
	return l, nil
}

func (s *Server) start(l net.Listener, server *http.Server) {
	server.ReadHeaderTimeout = headerWithin
	server.ErrorLog = quiet()
	s.servers = append(s.servers, server)
	go func() {
		var err error
		if server.TLSConfig != nil {
			err = server.ServeTLS(l, "", "")
		} else {
			err = server.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
}

// quiet is a log for servers: a client that hangs up is not their error.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// Wait returns when the context ends or a listener fails.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return fmt.Errorf("twin: %w", err)
	}
}

// Close ends all connections.
func (s *Server) Close() error {
	var errs []error
	if s.end != nil {
		s.end()
	}
	for _, server := range s.servers {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}
