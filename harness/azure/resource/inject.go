package resource

import (
	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// Work is something that is about to be done to a resource, by a call or by a deployment.
type Work struct {
	Operation string // VERB type[/action], as policies name it
	ID        arm.ID
	Body      map[string]any // that is asked for: a document, of a PATCH a part of one, or an action's arguments
	Old       map[string]any // the document that is there; nil: none is
	Call      *arm.Call      // of a deployment's resource nil
	Preflight bool           // a deployment asks before it makes anything whether it would be refused
}

// Injector is asked before each piece of work what is to go wrong with it on purpose: that it is refused, or how the operation that it begins ends. What fails
// gives the error is called when there is such an operation, for one that is never begun has not failed, and gives nil if nothing is to go wrong any more.
// Either may be nil.
type Injector func(w Work) (refused *arm.Error, fails func() *arm.Error)

// inject asks about a call, and keeps for its operation how that ends.
func (e *Engine) inject(r *Request, body map[string]any) *arm.Error {
	if e.options.Inject == nil {
		return nil
	}
	id := r.ID
	if id.Collection() {
		id = id.Parent()
	}
	refused, fails := e.options.Inject(Work{Operation: r.Call.Operation, ID: id, Body: body, Old: bodyOf(e.view().Get(id)), Call: r.Call})
	r.Fails = fails
	return refused
}

// Inject asks about a resource that a deployment makes.
func (tx *Tx) Inject(typ *Type, id arm.ID, body map[string]any) (refused *arm.Error, fails func() *arm.Error) {
	return tx.ask(typ, id, body, false)
}

// Preflight asks whether a resource that a deployment is to make would be refused, before it makes any.
func (tx *Tx) Preflight(typ *Type, id arm.ID, body map[string]any) *arm.Error {
	refused, _ := tx.ask(typ, id, body, true)
	return refused
}

func (tx *Tx) ask(typ *Type, id arm.ID, body map[string]any, preflight bool) (refused *arm.Error, fails func() *arm.Error) {
	if tx.engine.options.Inject == nil {
		return nil, nil
	}
	old, verb := tx.Get(id), "UPDATE "
	if old == nil {
		verb = "CREATE "
	}
	return tx.engine.options.Inject(Work{Operation: verb + typ.Name, ID: id, Body: body, Old: bodyOf(old), Preflight: preflight})
}

func bodyOf(d *state.Document) map[string]any {
	if d == nil {
		return nil
	}
	return d.Body()
}
