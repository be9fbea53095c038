package balancer

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

var strict = Policy{Path: "/readyz", Every: time.Hour, Timeout: time.Second, Strikes: 2, Dial: time.Second, DropLost: true}

// echo answers every connection with its name.
func echo(t *testing.T, name string) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, name)
			if name == "hold" { // until the other side ends it
				go func() { _, _ = io.Copy(io.Discard, c) }()
				continue
			}
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func ask(t *testing.T, b *Balancer) string {
	t.Helper()
	client, server := net.Pipe()
	go b.Forward(context.Background(), server)
	raw, err := io.ReadAll(client)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestBalancerPrefersTheReady(t *testing.T) {
	b := New([]string{echo(t, "a"), echo(t, "b"), echo(t, "c")}, strict)
	b.judge(b.backends[1], nil)
	for range 5 {
		if got := ask(t, b); got != "b" {
			t.Fatalf("%q answered, and only b is ready", got)
		}
	}
}

func TestBalancerTriesTheRestWhenNoneIsReady(t *testing.T) {
	b := New([]string{"127.0.0.1:1", echo(t, "b")}, strict)
	for range 3 {
		if got := ask(t, b); got != "b" {
			t.Fatalf("%q answered", got)
		}
	}
}

func TestBalancerDropsConnectionsOfALostBackend(t *testing.T) {
	b := New([]string{echo(t, "hold"), echo(t, "other")}, strict)
	b.judge(b.backends[0], nil)
	client, server := net.Pipe()
	go b.Forward(t.Context(), server)
	if _, err := io.ReadFull(client, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	b.judge(b.backends[1], nil)
	for range strict.Strikes {
		b.judge(b.backends[0], errors.New("gone"))
	}
	if _, err := io.ReadAll(client); err != nil { // returns only when the balancer closes it
		t.Fatal(err)
	}
}

func TestOneAttemptIsOne(t *testing.T) {
	once := strict
	once.Attempts = 1
	b := New([]string{"127.0.0.1:1", echo(t, "b")}, once)
	got := map[string]int{}
	for range 4 {
		got[ask(t, b)]++
	}
	if got[""] != 2 || got["b"] != 2 {
		t.Fatalf("of two backends in turn, one of them dead, four clients were answered %v", got)
	}
}
