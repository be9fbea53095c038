package labinit

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

// How the balancer judges a backend: two failed probes take it out, one good one brings it back.
const (
	probeEvery   = 500 * time.Millisecond
	probeTimeout = time.Second
	probeStrikes = 2
	dialTimeout  = time.Second
)

// balancer forwards TCP to the API servers that are ready, or to any that accepts when none is.
type balancer struct {
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

func newBalancer(addrs []string) *balancer {
	b := &balancer{client: &http.Client{
		Timeout: probeTimeout,
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

// watch probes every backend until the context ends.
func (b *balancer) watch(ctx context.Context) {
	for _, be := range b.backends {
		go func() {
			tick := time.NewTicker(probeEvery)
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

func (b *balancer) probe(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+"/readyz", nil)
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

// judge takes a backend out after enough strikes. Its connections are closed when another is ready: a client that keeps
// a connection to a server cut off from the network would otherwise wait for TCP to give up, many minutes.
func (b *balancer) judge(be *backend, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		be.ready, be.strikes = true, 0
		return
	}
	be.strikes++
	if be.strikes < probeStrikes {
		return
	}
	be.ready = false
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
func (b *balancer) order() []*backend {
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

func (b *balancer) serve(ctx context.Context, l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("balancer: %w", err)
		}
		go b.forward(ctx, conn)
	}
}

func (b *balancer) forward(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	for _, be := range b.order() {
		server, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", be.addr)
		if err != nil {
			continue
		}
		b.splice(be, client, server)
		return
	}
}

func (b *balancer) splice(be *backend, client, server net.Conn) {
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
