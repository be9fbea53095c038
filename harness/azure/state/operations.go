package state

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"drydock.dev/drydock/harness/azure/arm"
)

// Operation is one long-running operation.
type Operation struct {
	ID       string     `json:"id"`
	Target   arm.ID     `json:"target"`
	Verb     string     `json:"verb"` // create, update, delete, or action/ and its name
	Location string     `json:"location,omitempty"`
	Begun    time.Time  `json:"begun"`
	Ends     time.Time  `json:"ends"`
	Status   string     `json:"status"`
	Failure  *arm.Error `json:"failure,omitempty"`
	Work     []Work     `json:"work,omitempty"` // done in this order when it ends; what failed first is its failure
	Held     bool       `json:"held,omitempty"` // it has no time: whoever holds it ends it
	then     func(*Tx)
	index    int // in the heap; -1: not in it
}

// Work is something that is done when an operation ends. It is data, so that another operation can take it over; the engine knows what to do.
type Work struct {
	Do     string                `json:"do"`               // as the engine calls it
	Args   map[string]any        `json:"args,omitempty"`   // of an action
	Fails  *arm.Error            `json:"fails,omitempty"`  // by a fault: it is not done, and fails so
	Undone bool                  `json:"undone,omitempty"` // it is not done any more, since what it was for is deleted
	Told   func(*Tx, *arm.Error) `json:"-"`                // is told how it went, in the process that began it
}

// operations are those there are, by the twin's clock.
type operations struct {
	clock arm.Clock

	beside  bool // what operations do takes time of its own
	mu      sync.Mutex
	timing  *Timings
	random  *rand.Rand
	byID    map[string]*Operation
	due     dueHeap
	current map[string]*Operation // target -> the one that runs
	over    []string              // ids of those that have ended, oldest first
	working map[string]*Operation // target -> the one whose work is being done; another that begins meanwhile waits for it
}

func newOperations(c arm.Clock, seed uint64, own *Timings) (*operations, error) {
	t, err := timings(own)
	if err != nil {
		return nil, err
	}
	return &operations{clock: c, timing: t, random: rand.New(rand.NewPCG(seed, seed)), byID: map[string]*Operation{}, current: map[string]*Operation{}, working: map[string]*Operation{}}, nil
}

// lasts draws how long an operation takes; the caller holds the lock.
func (o *operations) lasts(typ, verb string) time.Duration {
	t := o.timing.of(typ)
	span := t.Action
	switch verb {
	case "create":
		span = t.Create
	case "update":
		span = t.Update
	case "delete":
		span = t.Delete
	}
	if span.Max > span.Min {
		return span.Min + time.Duration(o.random.Int64N(int64(span.Max-span.Min)))
	}
	return span.Min
}

// start begins an operation. One that runs on the same resource ends Canceled, and this one does its work as well.
func (o *operations) start(now time.Time, target arm.ID, verb, location string, work ...Work) *Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := target.Key()
	if old := o.current[key]; old != nil && old.Status == arm.InProgress && o.working[key] != old {
		work = inherited(old.Work, verb, work)
		o.stop(old, now)
		old.Failure = Preempted()
	}
	op := &Operation{ID: uuid.NewString(), Target: target, Verb: verb, Location: location, Begun: now, Ends: now.Add(o.lasts(target.Type(), verb)), Status: arm.InProgress, Work: work, index: -1}
	o.byID[op.ID], o.current[key] = op, op
	if o.working[key] == nil {
		heap.Push(&o.due, op)
	}
	return op
}

// Preempted is what an operation is told that another took the place of.
func Preempted() *arm.Error {
	return arm.Errorf(http.StatusConflict, "OperationPreempted", "The operation has been preempted by a more recent operation.")
}

// inherited is the work of an operation that takes another's place: all that the other was for, or, when it is a deletion, that others are told.
func inherited(old []Work, verb string, work []Work) []Work {
	var out []Work
	for _, w := range old {
		again := w.Told == nil && slices.ContainsFunc(work, func(n Work) bool { return n.Do == w.Do && w.Args == nil })
		switch {
		case verb != "delete" && !again:
			out = append(out, w)
		case verb == "delete" && w.Told != nil:
			w.Undone = true
			out = append(out, w)
		}
	}
	return append(out, work...)
}

// after schedules what is no resource's operation.
func (o *operations) after(now time.Time, subscription string, wait time.Duration, do func(*Tx)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	heap.Push(&o.due, &Operation{Target: arm.ID{Subscription: subscription}, Begun: now, Ends: now.Add(wait), Status: arm.InProgress, then: do})
}

// hold lets an operation run until it is ended, whatever its time was.
func (o *operations) hold(op *Operation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if op.Status == arm.InProgress {
		op.Held = true
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
func (o *operations) stop(op *Operation, now time.Time) {
	o.unschedule(op)
	op.Status, op.Ends = arm.Canceled, now
	o.ended(op)
}

// maxOver is how many operations are kept that have ended, for whoever asks after them: of ten begun in a second, those of half an hour. Who asks later is
// told that there is none, as Azure tells after a time that nobody says.
const maxOver = 20_000

// ended lets an operation age; the caller holds the lock.
func (o *operations) ended(op *Operation) {
	op.Work = nil
	if o.over = append(o.over, op.ID); len(o.over) <= maxOver {
		return
	}
	oldest := len(o.over) - maxOver*9/10
	for _, id := range o.over[:oldest] {
		delete(o.byID, id)
	}
	o.over = slices.Delete(o.over, 0, oldest)
}

// end ends one whose work is done, or that is held.
func (o *operations) end(op *Operation, failure *arm.Error, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := op.Target.Key()
	if o.working[key] == op {
		delete(o.working, key)
		if next := o.current[key]; next != nil && next != op && next.Status == arm.InProgress && !next.Held && next.index < 0 {
			heap.Push(&o.due, next)
		}
	}
	if op.Status != arm.InProgress {
		return
	}
	op.Ends = now
	if op.Status = arm.Succeeded; failure != nil {
		op.Status, op.Failure = arm.Failed, failure
	}
	o.ended(op)
	if o.current[key] == op {
		delete(o.current, key)
	}
}

// cancel ends what runs at a resource, and gives what it would have done; false: nothing runs.
func (o *operations) cancel(id arm.ID, now time.Time) ([]Work, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	op := o.current[id.Key()]
	if op == nil || op.Status != arm.InProgress {
		return nil, false
	}
	work := op.Work
	o.stop(op, now)
	delete(o.current, id.Key())
	return work, true
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

// take begins with the work of an operation; false: it has ended, or another is at work.
func (o *operations) take(op *Operation) ([]Work, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if op.Status != arm.InProgress || op.Held {
		return nil, false
	}
	o.working[op.Target.Key()] = op
	return op.Work, true
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

// restore puts an operation back that was saved; one that is there stays.
func (o *operations) restore(op Operation, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byID[op.ID] != nil {
		return
	}
	op.index = -1
	o.byID[op.ID] = &op
	if op.Status != arm.InProgress {
		o.ended(&op)
		return
	}
	if old := o.current[op.Target.Key()]; old != nil && old.Status == arm.InProgress {
		o.stop(old, now)
	}
	o.current[op.Target.Key()] = &op
	if !op.Held {
		heap.Push(&o.due, &op)
	}
}

// attend has somebody told how the write that runs at a resource went; false: none runs.
func (o *operations) attend(id arm.ID, told func(*Tx, *arm.Error)) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	op := o.current[id.Key()]
	if op == nil || op.Status != arm.InProgress || op.Verb == "delete" || len(op.Work) == 0 {
		return false
	}
	op.Work[0].Told = told
	return true
}

// at is the one that runs at a resource.
func (o *operations) at(id arm.ID) *Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.current[id.Key()]
}

// all copies them, in the order in which they began.
func (o *operations) all() []Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]Operation, 0, len(o.byID))
	for _, op := range o.byID {
		out = append(out, *op)
	}
	slices.SortFunc(out, func(a, b Operation) int { return cmp.Or(a.Begun.Compare(b.Begun), strings.Compare(a.ID, b.ID)) })
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
