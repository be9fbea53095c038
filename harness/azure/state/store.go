// Package state keeps what a twin has: documents that are replaced and never changed, and the operations under way on them, by the twin's clock. Whoever
// writes is alone in a subscription. It knows no type of resource and no HTTP.
package state

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
)

// Store is a twin's state: documents, and the operations that are under way on them. Reading takes no lock, for documents never change; whoever
// writes is alone in its subscription from its first look to its last write, the ends of operations included.
type Store struct {
	docs  documents
	ops   *operations
	clock arm.Clock
	seed  maphash.Seed

	settling sync.Mutex // who ends what is due does it in order
	perform  func(tx *Tx, target arm.ID, w Work) *arm.Error

	locks [locks]sync.Mutex // by subscription: clients make up as many as they like
}

// locks is how many writers there may be at a time. Two subscriptions that share one wait for each other, and nothing else.
const locks = 256

// New is empty; seed is that of how long operations take, and own says of some that they take other times than the twin's; nil: of none.
func New(c arm.Clock, seed uint64, own *Timings) (*Store, error) {
	ops, err := newOperations(c, seed, own)
	if err != nil {
		return nil, err
	}
	return &Store{docs: newDocuments(), ops: ops, clock: c, seed: maphash.MakeSeed()}, nil
}

// Perform says what does the work of operations: the engine that gives it to them. Call it before anything is begun.
func (s *Store) Perform(do func(tx *Tx, target arm.ID, w Work) *arm.Error) { s.perform = do }

// SetTiming changes how the operations of a type run; what is left empty stays.
func (s *Store) SetTiming(typ string, change Timing) { s.ops.set(typ, change) }

// Beside lets operations end beside the calls that find them due: what they do takes time of its own.
func (s *Store) Beside() { s.ops.beside = true }

// Snapshot keeps what there is now.
func (s *Store) Snapshot() Snapshot { return s.docs.snapshot() }

// View reads.
func (s *Store) View() View { return View{store: s} }

// Write does what is to be done at once in a subscription: nobody else writes there meanwhile.
func (s *Store) Write(subscription string, do func(tx *Tx)) {
	lock := &s.locks[maphash.String(s.seed, strings.ToLower(subscription))%locks]
	lock.Lock()
	defer lock.Unlock()
	do(&Tx{View{store: s}, lock})
}

// Still does something while nobody writes anywhere.
func (s *Store) Still(do func(View)) {
	for i := range s.locks {
		s.locks[i].Lock()
		defer s.locks[i].Unlock()
	}
	do(s.View())
}

// Settle ends the operations that are due by now, in the order in which they are due; what their ends begin began then, and may be due as well. What is
// due ends when somebody looks, so that a virtual clock needs no timers.
func (s *Store) Settle() {
	now := s.clock.Now()
	s.settling.Lock()
	defer s.settling.Unlock()
	for {
		op := s.ops.next(now)
		if op == nil {
			return
		}
		if s.ops.beside && op.then == nil { // a real machine boots: nobody's call waits for that
			go s.end(op)
			continue
		}
		s.end(op)
	}
}

// end does what an operation is for, and tells how that went.
func (s *Store) end(op *Operation) {
	s.Write(op.Target.Subscription, func(tx *Tx) {
		if op.then != nil {
			tx.at = op.Ends
			_ = arm.Guarded(func() *arm.Error { op.then(tx); return nil })
			return
		}
		work, runs := s.ops.take(op)
		if !runs { // preempted since
			return
		}
		tx.at = op.Ends
		var failure *arm.Error
		for _, w := range work {
			if bad := arm.Guarded(func() *arm.Error { return s.perform(tx, op.Target, w) }); bad != nil && failure == nil {
				failure = bad
			}
		}
		s.ops.end(op, failure, tx.Now())
	})
}

// View reads the state as it is.
type View struct {
	store *Store
	at    time.Time // of the end of an operation: when that was due
}

// Get finds a document; nil: there is none.
func (v View) Get(id arm.ID) *Document { return v.store.docs.get(id) }

// At finds the document of a key, as the id of a resource has one.
func (v View) At(key string) *Document { return v.store.docs.at(key) }

// List gives a page of a collection: of a subscription, a resource group or a parent resource, after a key; next is the key to go on after, empty at the
// end.
func (v View) List(collection arm.ID, after string, page int) (out []*Document, next string) {
	return v.store.docs.list(collection, after, page)
}

// Everything gives a page of what is in a subscription or a resource group, of whichever type; as List does.
func (v View) Everything(scope arm.ID, after string, page int) (out []*Document, next string) {
	return v.store.docs.everything(scope, after, page)
}

// Named finds a resource of a type by its name, wherever it is, or by no name any of the type; the first in order where there are more. nil: there is none.
func (v View) Named(typ, name string) *Document { return v.store.docs.called(typ, name) }

// Below lists everything whose path begins with a resource's.
func (v View) Below(id arm.ID) []*Document { return v.store.docs.below(id) }

// Naming lists the documents, of any subscription, that name a resource anywhere, in order; its own and those below it are not among them.
func (v View) Naming(id arm.ID) []*Document { return v.store.docs.naming(id) }

// All lists everything, in order.
func (v View) All() []*Document { return v.store.docs.all() }

// Size is how many documents there are.
func (v View) Size() int { return v.store.docs.size() }

// Find gives a copy of an operation.
func (v View) Find(id string) (Operation, bool) { return v.store.ops.find(id) }

// Now is the twin's time. To what is done at the end of an operation it is the time of that end, whenever somebody looks.
func (v View) Now() time.Time {
	if !v.at.IsZero() {
		return v.at
	}
	return v.store.clock.Now()
}

// Clock is the twin's clock.
func (v View) Clock() arm.Clock { return v.store.clock }

// Running tells what goes on at a resource.
func (v View) Running(id arm.ID) (Operation, bool) { return v.store.ops.running(id) }

// Operations are all that were begun, copied.
func (v View) Operations() []Operation { return v.store.ops.all() }

// Timing is how the operations of a type run.
func (v View) Timing(typ string) Timing { return v.store.ops.timingOf(typ) }

// Tx reads and writes what is in one subscription. It is good until the function that got it returns.
type Tx struct {
	View
	lock *sync.Mutex
}

// Put stores a document in place of the one that was there.
func (tx *Tx) Put(id arm.ID, body map[string]any) *Document { return tx.store.docs.put(id, body) }

// Restore stores a document as it was saved, its etag included.
func (tx *Tx) Restore(id arm.ID, body map[string]any) *Document {
	return tx.store.docs.restore(id, body)
}

// Resume goes on with an operation as it was saved.
func (tx *Tx) Resume(op Operation) { tx.store.ops.restore(op, tx.Now()) }

// Attend has somebody told how the write that runs at a resource went, as whoever began it in another process was; false: none runs.
func (tx *Tx) Attend(id arm.ID, told func(*Tx, *arm.Error)) bool {
	return tx.store.ops.attend(id, told)
}

// Held is the operation that is held at a resource; nil: none is.
func (tx *Tx) Held(id arm.ID) *Operation {
	if op := tx.store.ops.at(id); op != nil && op.Held && op.Status == arm.InProgress {
		return op
	}
	return nil
}

// Remove takes a document away.
func (tx *Tx) Remove(id arm.ID) { tx.store.docs.remove(id) }

// Edit changes a document, if it is there.
func (tx *Tx) Edit(id arm.ID, change func(body map[string]any)) {
	d := tx.Get(id)
	if d == nil {
		return
	}
	body := d.Body()
	change(body)
	tx.Put(d.ID, body)
}

// SetState tells how far a resource is.
func (tx *Tx) SetState(id arm.ID, state string) {
	tx.Edit(id, func(body map[string]any) { arm.Object(body, "properties")["provisioningState"] = state })
}

// Start begins an operation, with what is done at its end. It takes the place of one that runs on the same resource, which ends Canceled, and does the
// work of that as well; unless it is a deletion. One whose work is being done is waited for.
func (tx *Tx) Start(target arm.ID, verb, location string, work ...Work) *Operation {
	return tx.store.ops.start(tx.Now(), target, verb, location, work...)
}

// After does something later, in a transaction of its own over a subscription: nobody can ask after it.
func (tx *Tx) After(subscription string, wait time.Duration, do func(*Tx)) {
	tx.store.ops.after(tx.Now(), subscription, wait, do)
}

// Hold lets an operation run until it is finished, whatever its time was.
func (tx *Tx) Hold(op *Operation) { tx.store.ops.hold(op) }

// Finish ends an operation that is held.
func (tx *Tx) Finish(op *Operation, failure *arm.Error) { tx.store.ops.end(op, failure, tx.Now()) }

// Cancel ends what runs at a resource, and gives what it would have done; false: nothing runs.
func (tx *Tx) Cancel(id arm.ID) ([]Work, bool) { return tx.store.ops.cancel(id, tx.Now()) }

// Outside does what takes time of its own, such as booting a machine, and lets others write meanwhile: what was read before may be gone after.
func (tx *Tx) Outside(do func() error) error {
	tx.lock.Unlock()
	defer func() { tx.lock.Lock(); tx.at = time.Time{} }() // it took the time it took
	return do()
}
