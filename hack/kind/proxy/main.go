// Proxy stands in for Envoy in kind's load balancer, where Envoy's image cannot be pulled: of Envoy's configuration it reads what kind writes, the
// listeners and clusters in two files that are replaced while it runs, and forwards TCP as they say.
//
//	proxy -c BOOTSTRAP.yaml
//
// Unlike Envoy it asks for a backend's health as often from the start as later, turns to backends that are not well and leaves them their connections only
// when none is well, and has no admin port.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"drydock.dev/drydock/harness/cluster/balancer"
)

const lookEvery = 500 * time.Millisecond // for files that were replaced

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	file := flag.String("c", "", "the bootstrap configuration")
	flag.Parse()
	if err := run(ctx, *file); err != nil {
		log.Fatalln("proxy:", err)
	}
}

func run(ctx context.Context, bootstrap string) error {
	clusters, listeners, err := readBootstrap(bootstrap)
	if err != nil {
		return err
	}
	p := &proxy{}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var seen []byte
	for {
		now, err := readAll(clusters, listeners)
		if err == nil && !bytes.Equal(now, seen) {
			seen = now
			err = p.configure(ctx, now)
		}
		if err != nil {
			log.Println(err) // the last good configuration serves on
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// readAll joins the files to one stream of YAML documents.
func readAll(paths ...string) ([]byte, error) {
	var all [][]byte
	for _, p := range paths {
		raw, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		all = append(all, raw)
	}
	return bytes.Join(all, []byte("\n---\n")), nil
}

// proxy forwards from one listener to one cluster, which is all that kind configures.
type proxy struct {
	addr    string
	close   func()
	current atomic.Pointer[balancer.Balancer]
	unwatch func()
}

// configure takes a new configuration over. Connections of the old one last until a side ends them.
func (p *proxy) configure(ctx context.Context, raw []byte) error {
	c, err := parse(raw)
	if err != nil {
		return err
	}
	if c.Listen == "" || len(c.Backends) == 0 {
		log.Println("nothing is configured yet")
		return nil
	}
	next := balancer.New(c.Backends, c.Policy)
	watched, unwatch := context.WithCancel(ctx)
	next.Watch(watched)
	p.current.Store(next)
	if p.unwatch != nil {
		p.unwatch()
	}
	p.unwatch = unwatch
	log.Printf("from %s to %v", c.Listen, c.Backends)
	if c.Listen == p.addr {
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if p.close != nil {
		p.close()
	}
	p.addr, p.close = c.Listen, func() { _ = l.Close() }
	go p.serve(ctx, l)
	return nil
}

func (p *proxy) serve(ctx context.Context, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed: another has taken over
		}
		go p.current.Load().Forward(ctx, conn)
	}
}
