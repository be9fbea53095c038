// Package balancer is a TCP load balancer for API servers, as small as a test cluster can do with: it asks each server whether it is ready and forwards
// connections to those that are, in turn.
package balancer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Policy is how a balancer judges its backends and what it does to connections.
type Policy struct {
	Path     string        // of the HTTPS request a ready backend answers with 200
	Every    time.Duration // from probe to probe of a backend
	Timeout  time.Duration // of a probe
	Strikes  int           // that many failed probes take a backend out, one good one brings it back
	Dial     time.Duration // time-out of a connection to a backend
	Attempts int           // backends a client's connection is tried with; 0 is all of them
	// DropLost closes the connections to a backend that is taken out when another is ready: a client that keeps a connection to a
	// server cut off from the network would otherwise wait for TCP to give up, many minutes.
	DropLost bool
}

// Quick is the lab's policy, and kind's with fast timing: everybody leaves an API server that is lost within 3 s.
func Quick() Policy {
	return Policy{Path: "/readyz", Every: 500 * time.Millisecond, Timeout: time.Second, Strikes: 2, Dial: time.Second, DropLost: true}
}

// Balancer forwards TCP to the API servers that are ready, or to any that accepts when none is.
type Balancer struct {
	policy Policy
	client *http.Client

	mu       sync.Mutex
	next     int
	backends []*backend
}

type backend struct {
	addr    string
	ready   bool
	strikes int
	conns   map[net.Conn]struct{}
}

// New makes a balancer of backends HOST:PORT.
func New(addrs []string, p Policy) *Balancer {
	b := &Balancer{policy: p, client: &http.Client{
		Timeout: p.Timeout,
		Transport: &http.Transport{
			// The balancer forwards bytes and only asks for readiness; clients verify the server themselves.
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			DisableKeepAlives: true, // each probe proves that new connections work
		},
	}}
	for _, a := range addrs {
		b.backends = append(b.backends, &backend{addr: a, conns: map[net.Conn]struct{}{}})
	}
	return b
}

// Watch probes every backend until the context ends.
func (b *Balancer) Watch(ctx context.Context) {
	for _, be := range b.backends {
		go func() {
			tick := time.NewTicker(b.policy.Every)
			defer tick.Stop()
			for {
				b.judge(be, b.probe(ctx, be.addr))
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		}()
	}
}

func (b *Balancer) probe(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+b.policy.Path, nil)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("probe: %s", resp.Status)
	}
	return nil
}

// judge takes a backend out after enough strikes.
func (b *Balancer) judge(be *backend, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		be.ready, be.strikes = true, 0
		return
	}
	be.strikes++
	if be.strikes < b.policy.Strikes {
		return
	}
	be.ready = false
	if !b.policy.DropLost {
		return
	}
	for _, other := range b.backends {
		if other.ready {
			for c := range be.conns {
				_ = c.Close()
			}
			return
		}
	}
}

// order lists the backends to try: the ready ones in turn, then the others.
func (b *Balancer) order() []*backend {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	var ready, rest []*backend
	for i := range b.backends {
		be := b.backends[(b.next+i)%len(b.backends)]
		if be.ready {
			ready = append(ready, be)
		} else {
			rest = append(rest, be)
		}
	}
	return append(ready, rest...)
}

// Serve forwards what the listener accepts, until that is closed.
func (b *Balancer) Serve(ctx context.Context, l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("balancer: %w", err)
		}
		go b.Forward(ctx, conn)
	}
}

// Forward connects one client, until it or its backend has had enough.
func (b *Balancer) Forward(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	backends := b.order()
	if b.policy.Attempts > 0 {
		backends = backends[:min(b.policy.Attempts, len(backends))]
	}
	for _, be := range backends {
		server, err := (&net.Dialer{Timeout: b.policy.Dial}).DialContext(ctx, "tcp", be.addr)
		if err != nil {
			continue
		}
		b.splice(be, client, server)
		return
	}
}

func (b *Balancer) splice(be *backend, client, server net.Conn) {
	b.mu.Lock()
	be.conns[server] = struct{}{}
	b.mu.Unlock()
	defer func() {
		_ = server.Close()
		b.mu.Lock()
		delete(be.conns, server)
		b.mu.Unlock()
	}()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			done <- struct{}{}
		}()
	}
	<-done // one side has closed: close both, or the other copy would wait for ever
	_ = client.Close()
	_ = server.Close()
	<-done
}
