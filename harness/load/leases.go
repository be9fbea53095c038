package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

// Leases are granted, each with a key, and renewed to the end of the run.
type Leases struct {
	Count int           `yaml:"count"`
	TTL   time.Duration `yaml:"ttl"` // in seconds; they are renewed five times in it
}

// Limits of leases: below them etcd grants its own least, two election time-outs, and more are no more evidence.
const (
	leastTTL   = 2 * time.Second
	mostLeases = 1000
	renewals   = 5 // within the time to live
)

func (l *Leases) validate() error {
	switch {
	case l.Count < 1 || l.Count > mostLeases:
		return fmt.Errorf("leases: count is %d; it is 1 to %d", l.Count, mostLeases)
	case l.TTL < leastTTL || l.TTL%time.Second != 0:
		return fmt.Errorf("leases: ttl is %s; it is in whole seconds, and %s at least", l.TTL, leastTTL)
	}
	return nil
}

// String is the leases in a plan.
func (l *Leases) String() string {
	return fmt.Sprintf("%d leases of %s, renewed to the end of the run", l.Count, l.TTL)
}

func (l *Leases) send(ctx context.Context, s *script, w who) (string, error) {
	client, err := s.client(ctx, w)
	if err != nil {
		return "", err
	}
	granted := make([]*lease, l.Count)
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(burstClients)
	for i := range granted {
		g.Go(func() error {
			called := time.Now()
			got, err := client.Grant(within, int64(l.TTL/time.Second))
			if err != nil {
				return fmt.Errorf("grant: %w", err)
			}
			granted[i] = &lease{Lease: Lease{ID: fmt.Sprintf("%x", got.ID), TTL: time.Duration(got.TTL) * time.Second, Renewals: 1, Renewed: called}, id: got.ID}
			_, err = client.Put(within, fmt.Sprintf("%sleases/%s", scriptPrefix, granted[i].ID), "", clientv3.WithLease(got.ID))
			if err != nil {
				return fmt.Errorf("the key of lease %s: %w", granted[i].ID, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	each, err := s.each(ctx, w)
	if err != nil {
		return "", err
	}
	for i, one := range granted {
		s.goOn(ctx, func(ctx context.Context) { one.renew(ctx, each, i) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leases = append(s.leases, granted...)
	return fmt.Sprintf("%d leases granted", len(granted)), nil
}

// Lease is one that was renewed all through a run. It may not end sooner than its time to live after a renewal was asked for that was then acknowledged: who
// grants it counts from later.
type Lease struct {
	ID       string        `json:"id"`
	TTL      time.Duration `json:"ttl"`
	Renewals int           `json:"renewals"`         // acknowledged ones, the grant among them
	Renewed  time.Time     `json:"renewed"`          // when the last of them was asked for
	Gone     time.Time     `json:"gone,omitzero"`    // when somebody said that there is no such lease
	Missed   int           `json:"missed,omitempty"` // renewals that were not answered
}

type lease struct {
	mu sync.Mutex
	Lease
	id clientv3.LeaseID
}

// renew asks again and again, until the end or until there is no such lease. Where one member does not answer, the next is asked soon: that a lease ends
// because its owner has waited for a dead one proves nothing.
func (l *lease) renew(ctx context.Context, members []*clientv3.Client, first int) {
	for n := first; ctx.Err() == nil; {
		try, cancel := context.WithTimeout(ctx, probeFor)
		called := time.Now()
		_, err := members[n%len(members)].KeepAliveOnce(try, l.id)
		cancel()
		if ctx.Err() == nil && l.note(called, err) {
			return
		}
		rest := l.TTL / renewals
		if err != nil {
			n, rest = n+1, l.TTL/renewals/10
		}
		select {
		case <-ctx.Done():
		case <-time.After(rest):
		}
	}
}

// note keeps what came of a renewal, and reports whether the lease is gone.
func (l *lease) note(called time.Time, err error) (gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		l.Gone = time.Now()
	case err != nil:
		l.Missed++
	default:
		l.Renewals, l.Renewed = l.Renewals+1, called
	}
	return !l.Gone.IsZero()
}

// told are the leases and what became of them.
func (s *script) told() []Lease {
	s.mu.Lock()
	all := slices.Clone(s.leases)
	s.mu.Unlock()
	var out []Lease
	for _, l := range all {
		l.mu.Lock()
		out = append(out, l.Lease)
		l.mu.Unlock()
	}
	return out
}
