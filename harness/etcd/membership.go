package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Membership is the member list as a quorum has it: the list is read linearizably (etcd's MemberListRequest.linearizable, which the client
// sets), so whoever gives one was confirmed by a quorum at that moment. A member that merely answers confirms nothing.
type Membership struct {
	Members []Listed `json:"members,omitempty"`
	Error   string   `json:"error,omitempty"` // why nobody could give it: no quorum, or nobody answered in time
	// Revision is what the one that gave it answered a linearizable read at; 0: it did not.
	Revision int64 `json:"revision,omitempty"`
}

// Listed is one entry of the list.
type Listed struct {
	ID      uint64 `json:"id"`
	Machine string `json:"machine,omitempty"` // whose address it has; empty: a stranger
	Name    string `json:"name,omitempty"`    // empty until the member has started
	Peer    string `json:"peer,omitempty"`
	Learner bool   `json:"learner,omitempty"`
}

// Well reports whether the entry is of a member that answers by that id on its machine, and is well: another id there is nobody's vote, and nobody has asked
// a stranger.
func (l Listed) Well(members []Member) bool {
	return slices.ContainsFunc(members, func(m Member) bool { return m.Machine == l.Machine && m.ID == l.ID && m.Healthy() })
}

// Membership asks every member for the list at the same time; the first answer counts, since a quorum stands behind it.
func (w *Watcher) Membership(ctx context.Context, timeout time.Duration) Membership {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type answer struct {
		by   *clientv3.Client
		list *clientv3.MemberListResponse
		err  error
	}
	clients := w.known()
	answers := make(chan answer, len(clients))
	for machine, c := range clients {
		go func() {
			list, err := c.MemberList(ctx)
			if err != nil {
				err = fmt.Errorf("%s: %w", machine, err)
			}
			answers <- answer{c, list, err}
		}()
	}
	var errs []error
	for range clients {
		a := <-answers
		if a.err == nil {
			return Membership{Members: w.access.listed(a.list), Revision: revision(ctx, a.by)}
		}
		errs = append(errs, a.err)
	}
	return Membership{Error: fmt.Sprintf("no linearizable read succeeded: %v", errors.Join(errs...))}
}

// revision is what a linearizable read is answered at, of a key that nobody has; 0: it is not.
func revision(ctx context.Context, c *clientv3.Client) int64 {
	r, err := c.Get(ctx, "/drydock/none", clientv3.WithCountOnly())
	if err != nil {
		return 0
	}
	return r.Header.Revision
}

func (a *Access) listed(list *clientv3.MemberListResponse) []Listed {
	owner := map[string]string{}
	for _, name := range a.machines {
		if m, err := a.cluster.Machine(name); err == nil {
			owner[peerURL(m, a.scheme())] = name
		}
	}
	var out []Listed
	for _, m := range list.Members {
		l := Listed{ID: m.ID, Name: m.Name, Learner: m.IsLearner}
		if len(m.PeerURLs) > 0 {
			l.Peer = m.PeerURLs[0]
		}
		l.Machine = owner[l.Peer]
		out = append(out, l)
	}
	return out
}

// Exact says why a list is not one voting member a machine: a stray or duplicate member, a missing one, a learner.
func Exact(list []Listed, machines []string) error {
	missing := map[string]bool{}
	for _, m := range machines {
		missing[m] = true
	}
	for _, l := range list {
		switch {
		case !missing[l.Machine]:
			return fmt.Errorf("member %x (%s, %s) belongs to no machine, or is there twice", l.ID, l.Name, l.Peer)
		case l.Learner:
			return fmt.Errorf("the member on %s is a learner and has no vote", l.Machine)
		}
		delete(missing, l.Machine)
	}
	for _, m := range machines {
		if missing[m] {
			return fmt.Errorf("the machine %s has no member", m)
		}
	}
	return nil
}

// lastKey is written by Synced and by nobody else.
const lastKey = "/drydock/last-write"

// Synced is what members hold after a last write that all of them were given the time to apply.
type Synced struct {
	Revision int64             `json:"revision"`          // of the write
	Applied  map[string]int64  `json:"applied,omitempty"` // by machine, the revision the member has come to
	Hashes   map[string]uint32 `json:"hashes,omitempty"`  // by machine, of everything up to the write's revision
	Error    string            `json:"error,omitempty"`
}

// Synced writes once and compares the members at that revision: one that does not apply has not got there, however healthy it calls itself.
// (The raft index itself moves on with every client's write between two looks; a revision that all must have stands still.)
func (w *Watcher) Synced(ctx context.Context, timeout time.Duration) Synced {
	return w.compare(ctx, timeout, func(ctx context.Context, c *clientv3.Client) (int64, error) {
		put, err := c.Put(ctx, lastKey, time.Now().UTC().Format(time.RFC3339Nano))
		if err != nil {
			return 0, fmt.Errorf("a last write: %w", err)
		}
		return put.Header.Revision, nil
	})
}

// Compared compares the members at the revision that a quorum confirms, and writes nothing: whether the next write would get to all it cannot say.
func (w *Watcher) Compared(ctx context.Context, timeout time.Duration) Synced {
	return w.compare(ctx, timeout, func(ctx context.Context, c *clientv3.Client) (int64, error) {
		got, err := c.Get(ctx, lastKey)
		if err != nil {
			return 0, fmt.Errorf("the revision to compare at: %w", err)
		}
		return got.Header.Revision, nil
	})
}

func (w *Watcher) compare(ctx context.Context, timeout time.Duration, mark func(ctx context.Context, c *clientv3.Client) (int64, error)) Synced {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s := Synced{Applied: map[string]int64{}, Hashes: map[string]uint32{}}
	if err := w.sync(ctx, &s, mark); err != nil {
		s.Error = err.Error()
	}
	return s
}

func (w *Watcher) sync(ctx context.Context, s *Synced, mark func(ctx context.Context, c *clientv3.Client) (int64, error)) error {
	c, err := w.access.Client(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if s.Revision, err = mark(ctx, c); err != nil {
		return err
	}
	for _, machine := range w.access.machines { // of one that is not there nobody knows what it holds
		c, endpoint, err := w.to(ctx, machine)
		if err != nil {
			return err
		}
		// A linearizable read from the member itself waits until it has applied everything before it.
		got, err := c.Get(ctx, lastKey)
		if err != nil {
			return fmt.Errorf("the member on %s does not come to revision %d: %w", machine, s.Revision, err)
		}
		if s.Applied[machine] = got.Header.Revision; got.Header.Revision < s.Revision { // it has applied all that the others have, and something of it has changed nothing there
			continue
		}
		h, err := c.HashKV(ctx, endpoint, s.Revision)
		if err != nil {
			return fmt.Errorf("hash of the member on %s at revision %d: %w", machine, s.Revision, err)
		}
		s.Applied[machine], s.Hashes[machine] = h.Header.Revision, h.Hash
	}
	return nil
}

// Equal says which member is behind the last write or holds other data.
func (s Synced) Equal(machines []string) error {
	if s.Error != "" {
		return errors.New(s.Error)
	}
	for _, m := range machines {
		hash, there := s.Hashes[m]
		switch applied, asked := s.Applied[m]; {
		case asked && applied < s.Revision:
			return fmt.Errorf("the member on %s has applied all that the others have and come to revision %d of %d: it holds other data", m, applied, s.Revision)
		case !there:
			return fmt.Errorf("the data of the member on %s was not compared", m)
		case hash != s.Hashes[machines[0]]:
			return fmt.Errorf("the member on %s holds other data at revision %d: %v", m, s.Revision, s.Hashes)
		}
	}
	return nil
}
