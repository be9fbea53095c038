package load

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"drydock.dev/drydock/harness/cluster"
)

// Burst writes as fast as it is answered.
type Burst struct {
	Writes  int          `yaml:"writes"`  // how many
	Keys    int          `yaml:"keys"`    // written in turn; 0: each write has a key of its own
	Below   string       `yaml:"below"`   // the keys' own prefix; empty: burst/
	Size    cluster.Size `yaml:"size"`    // of a value; 0: 100 bytes
	Clients int          `yaml:"clients"` // at a time; 0: 32
}

// What a burst is where it does not say, and how long one try of a write may take: it is made again until the entry's time is over.
const (
	burstBelow   = "burst/"
	burstSize    = 100
	burstClients = 32
	burstTry     = 5 * time.Second
)

// maxValue is what a request may have at most by etcd's own limit (--max-request-bytes), less some room for the rest of it.
const maxValue cluster.Size = 1 << 20

func (b *Burst) complete() Burst {
	out := *b
	if out.Below == "" {
		out.Below = burstBelow
	}
	if out.Size == 0 {
		out.Size = burstSize
	}
	if out.Clients == 0 {
		out.Clients = burstClients
	}
	if out.Keys == 0 {
		out.Keys = out.Writes
	}
	return out
}

func (b *Burst) validate() error {
	switch {
	case b.Writes <= 0:
		return fmt.Errorf("burst: writes is %d; it is how many, at least 1", b.Writes)
	case b.Keys < 0 || b.Clients < 0:
		return fmt.Errorf("burst: keys is %d, clients %d; neither can be negative", b.Keys, b.Clients)
	case b.Size < 0 || b.Size > maxValue:
		return fmt.Errorf("burst: size is %s; it is at most %s", b.Size, maxValue)
	}
	return checkKey("burst: below", b.complete().Below)
}

// String is the burst in a plan.
func (b *Burst) String() string {
	full := b.complete()
	return fmt.Sprintf("a burst of %d writes of %s to %d keys below %s", full.Writes, full.Size, full.Keys, full.Below)
}

func (b *Burst) send(ctx context.Context, s *script, w who) (string, error) {
	c, err := s.client(ctx, w)
	if err != nil {
		return "", err
	}
	full, value := b.complete(), strings.Repeat("v", int(b.complete().Size))
	var next, again, acknowledged atomic.Int64
	begun := time.Now()
	g, within := errgroup.WithContext(ctx)
	for range full.Clients {
		g.Go(func() error {
			for {
				n := int(next.Add(1)) - 1
				if n >= full.Writes {
					return nil
				}
				key := fmt.Sprintf("%s%s%06d", scriptPrefix, full.Below, n%full.Keys)
				at, tries, err := writeUntil(within, c, key, value)
				again.Add(int64(tries - 1))
				if err != nil {
					return fmt.Errorf("write %d of %d: %w", n+1, full.Writes, err)
				}
				s.changed(Event{Revision: at, Key: key})
				acknowledged.Add(1)
			}
		})
	}
	err = g.Wait()
	return fmt.Sprintf("%d writes acknowledged in %s, %d tries more than that", acknowledged.Load(), time.Since(begun).Round(time.Millisecond), again.Load()), err
}

// writeUntil writes the same until it is acknowledged: to write it twice does no harm.
func writeUntil(ctx context.Context, c *clientv3.Client, key, value string) (revision int64, tries int, err error) {
	for tries = 1; ; tries++ {
		try, cancel := context.WithTimeout(ctx, burstTry)
		put, err := c.Put(try, key, value)
		cancel()
		if err == nil {
			return put.Header.Revision, tries, nil
		}
		select {
		case <-ctx.Done():
			return 0, tries, errors.Join(context.Cause(ctx), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
