package load

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
)

// scriptPrefix is below which all keys of scripted traffic are.
const scriptPrefix = "/drydock/script/"

// script carries scripted traffic out, over connections that it keeps, and remembers what of it was acknowledged.
type script struct {
	target *observe.Target

	mu      sync.Mutex
	clients map[string]*clientv3.Client // by the machine they go through; "" goes through any
	sent    []Sent
	acked   map[string]bool // keys that are there, as far as anybody was told; an answer that never came leaves none
}

func newScript(t *observe.Target) *script {
	return &script{target: t, clients: map[string]*clientv3.Client{}, acked: map[string]bool{}}
}

func (s *script) send(ctx context.Context, t Traffic) (Sent, error) {
	through, err := t.member(s.target.Cluster.Topology())
	if err != nil {
		return Sent{}, err
	}
	given, _ := t.kinds()
	within := t.Within
	if within == 0 {
		within = trafficWithin
	}
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	out := Sent{Entry: t.String(), Called: time.Now()}
	out.Saw, err = given[0].send(limited, s, through)
	out.Returned = time.Now()
	if err != nil {
		out.Err = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, out)
	return out, t.expected(err)
}

// client is the one that goes through the machines, made when it is first asked for; none: through any. It lives until close.
func (s *script) client(ctx context.Context, machines ...string) (*clientv3.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := ""
	if len(machines) > 0 {
		name = machines[0]
	}
	if c := s.clients[name]; c != nil {
		return c, nil
	}
	c, err := s.target.Etcd.Client(context.WithoutCancel(ctx), machines...)
	if err == nil {
		s.clients[name] = c
	}
	return c, err
}

// acknowledge remembers that a key was written, or was deleted.
func (s *script) acknowledge(key string, there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if there {
		s.acked[key] = true
	} else {
		delete(s.acked, key)
	}
}

func (s *script) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, c := range s.clients {
		errs = append(errs, c.Close())
	}
	s.clients = map[string]*clientv3.Client{}
	return errors.Join(errs...)
}

// story is what was sent.
func (s *script) story() []Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// ledger reads what was acknowledged again; nil: nothing was.
func (s *script) ledger(ctx context.Context, a *etcd.Access) *Ledger {
	s.mu.Lock()
	keys := make([]string, 0, len(s.acked))
	for k := range s.acked {
		keys = append(keys, k)
	}
	s.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	l := &Ledger{Name: LedgerScript, Acknowledged: keys}
	found, err := readEtcd(ctx, a, scriptPrefix)
	if err != nil {
		l.Error = err.Error()
		return l
	}
	l.Found = found
	return l
}
