package azure

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// Store is a twin's state: documents, and the operations that are under way on them. Reading takes no lock, for documents never change; whoever
// writes is alone in its subscription from its first look to its last write, the ends of operations included.
type Store struct {
	docs  documents
	ops   *operations
	clock Clock
	seed  maphash.Seed
	locks [locks]sync.Mutex // by subscription: clients make up as many as they like
}

// locks is how many writers there may be at a time. Two subscriptions that share one wait for each other, and nothing else.
const locks = 256

// NewStore is empty; seed is that of how long operations take.
func NewStore(c Clock, seed uint64) (*Store, error) {
	ops, err := newOperations(c, seed)
	if err != nil {
		return nil, err
	}
	return &Store{docs: documents{docs: map[string]*document{}, kinds: map[string][]string{}}, ops: ops, clock: c, seed: maphash.MakeSeed()}, nil
}

// SetTiming changes how the operations of a type run; what is left empty stays.
func (s *Store) SetTiming(typ string, change Timing) { s.ops.set(typ, change) }

// Beside lets operations end beside the calls that find them due: what they do takes time of its own.
func (s *Store) Beside() { s.ops.beside = true }

// Snapshot keeps what there is now.
func (s *Store) Snapshot() Snapshot { return s.docs.snapshot() }

// view reads.
func (s *Store) view() StateView { return StateView{s} }

// write does what is to be done at once in a subscription: nobody else writes there meanwhile.
func (s *Store) write(subscription string, do func(tx *StateTx)) {
	lock := &s.locks[maphash.String(s.seed, strings.ToLower(subscription))%locks]
	lock.Lock()
	defer lock.Unlock()
	do(&StateTx{StateView{s}, lock})
}

// settle ends the operations that are due by now. What is due ends when somebody looks, so that a virtual clock needs no timers.
func (s *Store) settle() {
	now := s.clock.Now()
	for {
		op := s.ops.next(now)
		if op == nil {
			return
		}
		if s.ops.beside { // a real machine boots: nobody's call waits for that
			go s.end(op)
			continue
		}
		s.end(op)
	}
}

// end does what an operation is for, and tells how that went.
func (s *Store) end(op *operation) {
	s.write(op.target.Subscription, func(tx *StateTx) {
		finish, runs := s.ops.work(op)
		if !runs { // preempted since
			return
		}
		var failure *Error
		if finish != nil {
			failure = guarded(func() *Error { return finish(tx) })
		}
		s.ops.finish(op, failure)
	})
}

// StateView reads the state as it is.
type StateView struct{ store *Store }

// get finds a document; nil: there is none.
func (v StateView) get(id ID) *document { return v.store.docs.get(id) }

// list gives a page of a collection: of a subscription, a resource group or a parent resource, after a key; next is the key to go on after, empty at the
// end.
func (v StateView) list(collection ID, after string, page int) (out []*document, next string) {
	return v.store.docs.list(collection, after, page)
}

// below lists everything whose path begins with a resource's.
func (v StateView) below(id ID) []*document { return v.store.docs.below(id) }

// all lists everything, in order.
func (v StateView) all() []*document { return v.store.docs.all() }

// size is how many documents there are.
func (v StateView) size() int { return v.store.docs.size() }

// find gives a copy of an operation.
func (v StateView) find(id string) (operation, bool) { return v.store.ops.find(id) }

// now is the twin's time.
func (v StateView) now() time.Time { return v.store.clock.Now() }

// clock is the twin's clock.
func (v StateView) clock() Clock { return v.store.clock }

// running tells what goes on at a resource.
func (v StateView) running(id ID) (operation, bool) { return v.store.ops.running(id) }

// operations are all that were begun, copied.
func (v StateView) operations() []operation { return v.store.ops.all() }

// immediate reports whether the operations of a type are over when the call that starts them returns.
func (v StateView) immediate(typ string) bool { return v.store.ops.immediate(typ) }

// timing is how the operations of a type run.
func (v StateView) timing(typ string) Timing { return v.store.ops.timingOf(typ) }

// StateTx reads and writes what is in one subscription. It is good until the function that got it returns.
type StateTx struct {
	StateView
	lock *sync.Mutex
}

// put stores a document in place of the one that was there.
func (tx *StateTx) put(id ID, body map[string]any) *document { return tx.store.docs.put(id, body) }

// remove takes a document away.
func (tx *StateTx) remove(id ID) { tx.store.docs.remove(id) }

// edit changes a document, if it is there.
func (tx *StateTx) edit(id ID, change func(body map[string]any)) {
	d := tx.get(id)
	if d == nil {
		return
	}
	body := d.body()
	change(body)
	tx.put(d.id, body)
}

// setState tells how far a resource is.
func (tx *StateTx) setState(id ID, state string) {
	tx.edit(id, func(body map[string]any) { object(body, "properties")["provisioningState"] = state })
}

// start begins an operation. One that runs on the same resource is preempted by it: that one ends Canceled.
func (tx *StateTx) start(target ID, verb, location string, finish func(*StateTx) *Error) *operation {
	return tx.store.ops.start(target, verb, location, finish)
}

// hold lets an operation run until it is finished, whatever its time was.
func (tx *StateTx) hold(op *operation) { tx.store.ops.hold(op) }

// finish ends an operation that is held.
func (tx *StateTx) finish(op *operation, failure *Error) { tx.store.ops.finish(op, failure) }

// cancel ends what runs at a resource; false: nothing does.
func (tx *StateTx) cancel(id ID) bool { return tx.store.ops.cancel(id) }

// outside does what takes time of its own, such as booting a machine, and lets others write meanwhile: what was read before may be gone after.
func (tx *StateTx) outside(do func() error) error {
	tx.lock.Unlock()
	defer tx.lock.Lock()
	return do()
}
