package state

import (
	"container/heap"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"drydock.dev/drydock/harness/azure/arm"
)

// Operation is one long-running operation.
type Operation struct {
	ID       string
	Target   arm.ID
	Verb     string // create, update, delete, or the action's name
	Location string
	Begun    time.Time
	Ends     time.Time
	Status   string
	Failure  *arm.Error
	finish   func(*Tx) *arm.Error // run once, when it ends; nil error: it succeeded
	index    int                  // in the heap
}

// operations are those there are, by the twin's clock.
type operations struct {
	clock arm.Clock

	beside  bool // what operations do takes time of its own
	mu      sync.Mutex
	timing  timings
	random  *rand.Rand
	byID    map[string]*Operation
	due     dueHeap
	current map[string]*Operation // target -> the one that runs
}

func newOperations(c arm.Clock, seed uint64) (*operations, error) {
	t, err := loadTimings()
	if err != nil {
		return nil, err
	}
	return &operations{clock: c, timing: t, random: rand.New(rand.NewPCG(seed, seed)), byID: map[string]*Operation{}, current: map[string]*Operation{}}, nil
}

// start begins an operation. One that runs on the same resource is preempted by a write: it ends Canceled.
func (o *operations) start(target arm.ID, verb, location string, finish func(*Tx) *arm.Error) *Operation {
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
	op := &Operation{
		ID: uuid.NewString(), Target: target, Verb: verb, Location: location, Begun: now, Ends: now.Add(lasts), Status: arm.InProgress, finish: finish,
	}
	if old := o.current[target.Key()]; old != nil && old.Status == arm.InProgress {
		o.stop(old)
		old.Failure = arm.Errorf(http.StatusConflict, "OperationPreempted", "The operation has been preempted by a more recent operation.")
	}
	o.byID[op.ID], o.current[target.Key()] = op, op
	heap.Push(&o.due, op)
	return op
}

// after schedules work that is no resource's operation.
func (o *operations) after(subscription string, wait time.Duration, do func(*Tx) *arm.Error) {
	now := o.clock.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	heap.Push(&o.due, &Operation{Target: arm.ID{Subscription: subscription}, Begun: now, Ends: now.Add(wait), Status: arm.InProgress, finish: do})
}

// hold lets an operation run until finish, whatever its time was.
func (o *operations) hold(op *Operation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if op.Status == arm.InProgress {
		o.unschedule(op)
	}
}

// unschedule takes an operation out of what is due; the caller holds the lock.
func (o *operations) unschedule(op *Operation) {
	if op.index >= 0 {
		heap.Remove(&o.due, op.index)
	}
}

// stop ends an operation as canceled; the caller holds the lock.
func (o *operations) stop(op *Operation) {
	o.unschedule(op)
	op.Status, op.Ends, op.finish = arm.Canceled, o.clock.Now(), nil
}

// finish ends one that is held.
func (o *operations) finish(op *Operation, failure *arm.Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if op.Status != arm.InProgress {
		return
	}
	op.Ends = o.clock.Now()
	if op.Status = arm.Succeeded; failure != nil {
		op.Status, op.Failure = arm.Failed, failure
	}
	if o.current[op.Target.Key()] == op {
		delete(o.current, op.Target.Key())
	}
}

// cancel ends what runs at a resource; false: nothing does.
func (o *operations) cancel(id arm.ID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	op := o.current[id.Key()]
	if op == nil || op.Status != arm.InProgress {
		return false
	}
	o.stop(op)
	delete(o.current, id.Key())
	return true
}

// next takes the operation that is due first; nil: none is due yet.
func (o *operations) next(now time.Time) *Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.due) == 0 || o.due[0].Ends.After(now) {
		return nil
	}
	op, _ := heap.Pop(&o.due).(*Operation)
	return op
}

// work is what an operation has to do at its end; false: it has ended.
func (o *operations) work(op *Operation) (func(*Tx) *arm.Error, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return op.finish, op.Status == arm.InProgress
}

// find gives a copy of an operation.
func (o *operations) find(id string) (Operation, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	op, ok := o.byID[id]
	if !ok {
		return Operation{}, false
	}
	return *op, true
}

// all copies them.
func (o *operations) all() []Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]Operation, 0, len(o.byID))
	for _, op := range o.byID {
		out = append(out, *op)
	}
	return out
}

// running tells what goes on at a resource.
func (o *operations) running(id arm.ID) (Operation, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	op, ok := o.current[id.Key()]
	if !ok {
		return Operation{}, false
	}
	return *op, op.Status == arm.InProgress
}

// dueHeap is ordered by when operations end.
type dueHeap []*Operation

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].Ends.Before(h[j].Ends) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }

// Push is heap.Interface's.
func (h *dueHeap) Push(x any) {
	op, _ := x.(*Operation)
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
