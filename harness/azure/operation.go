package azure

import (
	"container/heap"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
)

// operation is one long-running operation.
type operation struct {
	id       string
	target   ID
	verb     string // create, update, delete, or the action's name
	location string
	begun    time.Time
	ends     time.Time
	status   string
	failure  *Error
	finish   func(*StateTx) *Error // run once, when it ends; nil error: it succeeded
	index    int                   // in the heap
}

// operations are those there are, by the twin's clock.
type operations struct {
	clock Clock

	beside  bool // what operations do takes time of its own
	mu      sync.Mutex
	timing  timings
	random  *rand.Rand
	byID    map[string]*operation
	due     dueHeap
	current map[string]*operation // target -> the one that runs
}

func newOperations(c Clock, seed uint64) (*operations, error) {
	t, err := loadTimings()
	if err != nil {
		return nil, err
	}
	return &operations{clock: c, timing: t, random: rand.New(rand.NewPCG(seed, seed)), byID: map[string]*operation{}, current: map[string]*operation{}}, nil
}

// start begins an operation. One that runs on the same resource is preempted by a write: it ends Canceled.
func (o *operations) start(target ID, verb, location string, finish func(*StateTx) *Error) *operation {
	now := o.clock.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.of(target.Type())
	span := t.Action
	switch verb {
	case "create":
		span = t.Create
	case "update":
		span = t.Update
	case "delete":
		span = t.Delete
	}
	lasts := span.Min
	if span.Max > span.Min {
		lasts += time.Duration(o.random.Int64N(int64(span.Max - span.Min)))
	}
	op := &operation{
		id: uuid.NewString(), target: target, verb: verb, location: location, begun: now, ends: now.Add(lasts), status: inProgress, finish: finish,
	}
	if old := o.current[target.key()]; old != nil && old.status == inProgress {
		o.stop(old)
		old.failure = errorf(http.StatusConflict, "OperationPreempted", "The operation has been preempted by a more recent operation.")
	}
	o.byID[op.id], o.current[target.key()] = op, op
	heap.Push(&o.due, op)
	return op
}

// hold lets an operation run until finish, whatever its time was.
func (o *operations) hold(op *operation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if op.status == inProgress {
		o.unschedule(op)
	}
}

// unschedule takes an operation out of what is due; the caller holds the lock.
func (o *operations) unschedule(op *operation) {
	if op.index >= 0 {
		heap.Remove(&o.due, op.index)
	}
}

// stop ends an operation as canceled; the caller holds the lock.
func (o *operations) stop(op *operation) {
	o.unschedule(op)
	op.status, op.ends, op.finish = canceled, o.clock.Now(), nil
}

// finish ends one that is held.
func (o *operations) finish(op *operation, failure *Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if op.status != inProgress {
		return
	}
	op.ends = o.clock.Now()
	if op.status = succeeded; failure != nil {
		op.status, op.failure = failed, failure
	}
	if o.current[op.target.key()] == op {
		delete(o.current, op.target.key())
	}
}

// cancel ends what runs at a resource; false: nothing does.
func (o *operations) cancel(id ID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	op := o.current[id.key()]
	if op == nil || op.status != inProgress {
		return false
	}
	o.stop(op)
	delete(o.current, id.key())
	return true
}

// next takes the operation that is due first; nil: none is due yet.
func (o *operations) next(now time.Time) *operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.due) == 0 || o.due[0].ends.After(now) {
		return nil
	}
	op, _ := heap.Pop(&o.due).(*operation)
	return op
}

// work is what an operation has to do at its end; false: it has ended.
func (o *operations) work(op *operation) (func(*StateTx) *Error, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return op.finish, op.status == inProgress
}

// find gives a copy of an operation.
func (o *operations) find(id string) (operation, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	op, ok := o.byID[id]
	if !ok {
		return operation{}, false
	}
	return *op, true
}

// all copies them.
func (o *operations) all() []operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]operation, 0, len(o.byID))
	for _, op := range o.byID {
		out = append(out, *op)
	}
	return out
}

// running tells what goes on at a resource.
func (o *operations) running(id ID) (operation, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	op, ok := o.current[id.key()]
	if !ok {
		return operation{}, false
	}
	return *op, op.status == inProgress
}

// dueHeap is ordered by when operations end.
type dueHeap []*operation

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].ends.Before(h[j].ends) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }

// Push is heap.Interface's.
func (h *dueHeap) Push(x any) {
	op, _ := x.(*operation)
	op.index = len(*h)
	*h = append(*h, op)
}

// Pop is heap.Interface's.
func (h *dueHeap) Pop() any {
	old := *h
	op := old[len(old)-1]
	op.index = -1
	*h = old[:len(old)-1]
	return op
}
