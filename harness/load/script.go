package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"drydock.dev/drydock/harness/observe"
)

// scriptPrefix is below which all keys of scripted traffic are.
const scriptPrefix = "/drydock/script/"

// script carries scripted traffic out, over connections that it keeps, and remembers what of it was acknowledged.
type script struct {
	target *observe.Target

	mu      sync.Mutex
	clients map[who]*clientv3.Client
	sent    []Sent
	acked   map[string]Event // the last acknowledged change of each key
	unsure  map[string]bool  // keys that a delete without an answer has taken, takes yet, or never does
	leases  []*lease
	made    []Event // changes that were acknowledged
	watches []*watcher
	auth    bool                 // etcd asks for names, as far as is known
	ends    []context.CancelFunc // of what goes on
	wg      sync.WaitGroup
}

// who is how an entry is sent.
type who struct {
	machine string // through its member; empty: through any
	user    string // with his name for a password; empty: with neither
}

func newScript(t *observe.Target) *script {
	return &script{target: t, clients: map[who]*clientv3.Client{}, acked: map[string]Event{}, unsure: map[string]bool{}}
}

func (s *script) send(ctx context.Context, t Traffic) (Sent, error) {
	machine, err := t.member(s.target.Cluster.Topology())
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
	out.Saw, err = given[0].send(limited, s, who{machine: machine, user: t.As})
	out.Returned = time.Now()
	if err != nil {
		out.Err = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, out)
	return out, t.expected(err)
}

// client is made when it is first asked for, and lives until close.
func (s *script) client(ctx context.Context, w who) (*clientv3.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[w]; c != nil {
		return c, nil
	}
	var machines []string
	if w.machine != "" {
		machines = append(machines, w.machine)
	}
	c, err := s.target.Etcd.As(w.user, w.user).Client(context.WithoutCancel(ctx), machines...)
	if err == nil {
		s.clients[w] = c
	}
	return c, err
}

// machines are those whose members an entry goes through one by one.
func (s *script) machines(w who) []string {
	if w.machine != "" {
		return []string{w.machine}
	}
	return s.target.Etcd.Machines()
}

// each is a client of each member, or of the one that the entry goes through.
func (s *script) each(ctx context.Context, w who) ([]*clientv3.Client, error) {
	var out []*clientv3.Client
	for _, m := range s.machines(w) {
		c, err := s.client(ctx, who{machine: m, user: w.user})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// goOn has what an entry began go on until the script is closed.
func (s *script) goOn(ctx context.Context, do func(ctx context.Context)) {
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, end)
	s.wg.Go(func() { do(ctx) })
}

// changed remembers a change that was acknowledged: of each key the last one has to be there at the end.
func (s *script) changed(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Revision > s.acked[e.Key].Revision {
		s.acked[e.Key] = e
	}
	s.made = append(s.made, e)
}

// unheard remembers a delete without an answer: from then on nobody knows who took the key when it is gone, also after a later write was acknowledged.
func (s *script) unheard(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsure[key] = true
}

// close ends what goes on, and waits for it; idempotent.
func (s *script) close() error {
	s.mu.Lock()
	ends, clients := s.ends, s.clients
	s.ends, s.clients = nil, map[who]*clientv3.Client{}
	s.mu.Unlock()
	for _, end := range ends {
		end()
	}
	s.wg.Wait()
	var errs []error
	for _, c := range clients {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// ledger reads what was acknowledged again; nil: nothing was.
func (s *script) ledger(ctx context.Context) *Ledger {
	s.mu.Lock()
	acked, unsure := maps.Clone(s.acked), maps.Clone(s.unsure)
	s.mu.Unlock()
	if len(acked) == 0 {
		return nil
	}
	found, err := readEtcd(ctx, s.target.Etcd, scriptPrefix)
	l := booked(acked, unsure, found, err)
	return &l
}

// booked is the ledger of what was acknowledged and found. One of which nothing can be said is there all the same, and says so: without it nobody would miss it.
func booked(acked map[string]Event, unsure map[string]bool, found []*mvccpb.KeyValue, err error) Ledger {
	done, there := entries(acked, unsure, found)
	if len(done) == 0 && err == nil {
		err = fmt.Errorf("%d acknowledged writes are gone, each of which a delete without an answer may have taken", len(acked))
	}
	return book(LedgerScript, done, there, err)
}

// entries are what was done last to each key, and what of it was found: a key at an older revision has lost the write, or the delete. Of a put whose key is
// gone, and may have been deleted, nothing is said.
func entries(acked map[string]Event, unsure map[string]bool, found []*mvccpb.KeyValue) (done, there []string) {
	at := map[string]int64{}
	for _, kv := range found {
		at[string(kv.Key)] = kv.ModRevision
	}
	for _, key := range slices.Sorted(maps.Keys(acked)) {
		e, gone := acked[key], at[key] == 0
		if gone && unsure[key] && !e.Deleted {
			continue
		}
		done = append(done, e.String())
		if at[key] >= e.Revision || e.Deleted && gone {
			there = append(there, e.String())
		}
	}
	return done, there
}
