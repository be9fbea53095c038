package azure

import "strings"

// View reads what there is, as hooks see it.
type View struct {
	StateView
	engine *Engine
}

func (e *Engine) view() View { return View{e.store.view(), e} }

// tenant is the id of the tenant.
func (v View) tenant() string { return v.engine.options.Tenant }

// subscription is the id of the subscription that is listed.
func (v View) subscription() string { return v.engine.options.Subscription }

// typeOf is the type of a resource; nil: there is none of that name.
func (v View) typeOf(id ID) *Type { return v.engine.typeOf(id) }

// typeNamed is the type of a name, in any case; nil: there is none.
func (v View) typeNamed(name string) *Type { return v.engine.types[strings.ToLower(name)] }

// exists reports whether an id, as a document names it, is a resource; children inside a parent's document count.
func (v View) exists(ref string) bool {
	id, ok := ParseID(ref)
	if !ok {
		return false
	}
	if v.get(id) != nil {
		return true
	}
	typ := v.typeOf(id)
	if typ == nil || typ.inside == "" || id.Collection() {
		return false
	}
	d := v.get(id.top(len(id.Types) - 1))
	return d != nil && indexOf(children(d.body(), typ.inside), id.Name()) >= 0
}

// Tx reads and writes what is in one subscription, alone in it, as hooks that write do.
type Tx struct {
	View
	state *StateTx
}

// write does what is to be done at once in a subscription.
func (e *Engine) write(subscription string, do func(tx *Tx)) {
	e.store.write(subscription, func(s *StateTx) { do(e.tx(s)) })
}

func (e *Engine) tx(s *StateTx) *Tx { return &Tx{View{s.StateView, e}, s} }

// put stores a document in place of the one that was there.
func (tx *Tx) put(id ID, body map[string]any) *document { return tx.state.put(id, body) }

// edit changes a document, if it is there.
func (tx *Tx) edit(id ID, change func(body map[string]any)) { tx.state.edit(id, change) }

// setState tells how far a resource is.
func (tx *Tx) setState(id ID, state string) { tx.state.setState(id, state) }

// start begins an operation that no client is told of: of a resource of a deployment.
func (tx *Tx) start(target ID, verb, location string, finish func(*Tx) *Error) *operation {
	return tx.state.start(target, verb, location, tx.engine.later(finish))
}

// later is the end of an operation, in a transaction of its own.
func (e *Engine) later(finish func(*Tx) *Error) func(*StateTx) *Error {
	if finish == nil {
		return nil
	}
	return func(s *StateTx) *Error { return finish(e.tx(s)) }
}

// hold lets an operation run until it is finished, whatever its time was.
func (tx *Tx) hold(op *operation) { tx.state.hold(op) }

// finish ends an operation that is held.
func (tx *Tx) finish(op *operation, failure *Error) { tx.state.finish(op, failure) }

// cancel ends what runs at a resource; false: nothing does.
func (tx *Tx) cancel(id ID) bool { return tx.state.cancel(id) }

// outside does what takes time of its own, such as booting a machine, and lets others write meanwhile: what was read before may be gone after.
func (tx *Tx) outside(do func() error) error { return tx.state.outside(do) }
