package resource

import (
	"maps"
	"slices"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// View reads what there is, as hooks see it.
type View struct {
	state.View
	engine *Engine
}

func (e *Engine) view() View { return View{e.store.View(), e} }

// Tenant is the id of the tenant.
func (v View) Tenant() string { return v.engine.options.Tenant }

// Subscription is the id of the subscription that is listed.
func (v View) Subscription() string { return v.engine.options.Subscription }

// TypeOf is the type of a resource; nil: there is none of that name.
func (v View) TypeOf(id arm.ID) *Type { return v.engine.typeOf(id) }

// TypeNamed is the type of a name, in any case; nil: there is none.
func (v View) TypeNamed(name string) *Type { return v.engine.types[strings.ToLower(name)] }

// Body is a resource as clients see it; children inside a parent's document count. nil: there is none.
func (v View) Body(id arm.ID) map[string]any {
	if d := v.Get(id); d != nil {
		return d.Public()
	}
	typ := v.TypeOf(id)
	if typ == nil || typ.Inside == "" || id.Collection() {
		return nil
	}
	d := v.Get(id.Top(len(id.Types) - 1))
	if d == nil {
		return nil
	}
	list := children(d.Public(), typ.Inside)
	if i := indexOf(list, id.Name()); i >= 0 {
		body, _ := list[i].(map[string]any)
		return body
	}
	return nil
}

// Types are all types there are, by name.
func (v View) Types() []*Type {
	return slices.SortedFunc(maps.Values(v.engine.types), func(a, b *Type) int { return strings.Compare(a.Name, b.Name) })
}

// Exists reports whether an id, as a document names it, is a resource; children inside a parent's document count.
func (v View) Exists(ref string) bool {
	id, ok := arm.ParseID(ref)
	if !ok {
		return false
	}
	if v.Get(id) != nil {
		return true
	}
	typ := v.TypeOf(id)
	if typ == nil || typ.Inside == "" || id.Collection() {
		return false
	}
	d := v.Get(id.Top(len(id.Types) - 1))
	return d != nil && indexOf(children(d.Body(), typ.Inside), id.Name()) >= 0
}

// Tx reads and writes what is in one subscription, alone in it, as hooks that write do.
type Tx struct {
	View
	state *state.Tx
}

// write does what is to be done at once in a subscription.
func (e *Engine) write(subscription string, do func(tx *Tx)) {
	e.store.Write(subscription, func(s *state.Tx) { do(e.tx(s)) })
}

func (e *Engine) tx(s *state.Tx) *Tx { return &Tx{View{s.View, e}, s} }

// Put stores a document in place of the one that was there.
func (tx *Tx) Put(id arm.ID, body map[string]any) *state.Document { return tx.state.Put(id, body) }

// Edit changes a document, if it is there.
func (tx *Tx) Edit(id arm.ID, change func(body map[string]any)) { tx.state.Edit(id, change) }

// SetState tells how far a resource is.
func (tx *Tx) SetState(id arm.ID, state string) { tx.state.SetState(id, state) }

// Start begins an operation that no client is told of: of a resource of a deployment, which is told how it went.
func (tx *Tx) Start(target arm.ID, verb string, work state.Work, told func(*Tx, *arm.Error)) *state.Operation {
	e := tx.engine
	work.Told = func(s *state.Tx, failure *arm.Error) { told(e.tx(s), failure) }
	return tx.state.Start(target, verb, "", work)
}

// After does something later, in a transaction of its own over a subscription: nobody can ask after it.
func (tx *Tx) After(subscription string, wait time.Duration, do func(*Tx)) {
	e := tx.engine
	tx.state.After(subscription, wait, func(s *state.Tx) { do(e.tx(s)) })
}

// Attend has somebody told how the write that runs at a resource went, as whoever began it in another process was; false: none runs.
func (tx *Tx) Attend(id arm.ID, told func(*Tx, *arm.Error)) bool {
	e := tx.engine
	return tx.state.Attend(id, func(s *state.Tx, failure *arm.Error) { told(e.tx(s), failure) })
}

// Held is the operation that is held at a resource; nil: none is.
func (tx *Tx) Held(id arm.ID) *state.Operation { return tx.state.Held(id) }

// Hold lets an operation run until it is finished, whatever its time was.
func (tx *Tx) Hold(op *state.Operation) { tx.state.Hold(op) }

// StartHeld begins an operation that no client is told of, and that runs until it is finished.
func (tx *Tx) StartHeld(target arm.ID, verb string) *state.Operation {
	op := tx.state.Start(target, verb, "")
	tx.state.Hold(op)
	return op
}

// Finish ends an operation that is held.
func (tx *Tx) Finish(op *state.Operation, failure *arm.Error) { tx.state.Finish(op, failure) }

// Cancel ends what runs at a resource, and tells whom it was for; false: nothing runs.
func (tx *Tx) Cancel(id arm.ID) bool {
	work, ran := tx.state.Cancel(id)
	for _, w := range work {
		w.Undone = true
		_ = tx.perform(id, w)
	}
	return ran
}

// Outside does what takes time of its own, such as booting a machine, and lets others write meanwhile: what was read before may be gone after.
func (tx *Tx) Outside(do func() error) error {
	err := tx.state.Outside(do)
	tx.View.View = tx.state.View
	return err
}
