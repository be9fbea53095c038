package azure

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Subnets, security rules, routes and their like live in an array of their parent's document: a PUT of the one is a change of the other, and
// an operation on the one holds up the other.

// parentOf is the resource whose document holds the child's.
func (v View) parentOf(r *Request) (*document, *Error) {
	parent := r.id.top(len(r.id.Types) - 1)
	d := v.get(parent)
	if d == nil {
		if bad := v.there(parent); bad != nil {
			return nil, bad
		}
		return nil, notFound(parent)
	}
	return d, nil
}

func children(body map[string]any, property string) []any {
	list, _ := at(body, "properties", property).([]any)
	return list
}

func indexOf(list []any, name string) int {
	return slices.IndexFunc(list, func(x any) bool { return strings.EqualFold(text(x, "name"), name) })
}

func (e *Engine) getInside(r *Request) *Error {
	d, bad := e.view().parentOf(r)
	if bad != nil {
		return bad
	}
	list := children(d.body(), r.typ.inside)
	i := indexOf(list, r.id.Name())
	if i < 0 {
		return notFound(r.id)
	}
	r.answer(http.StatusOK, list[i])
	return nil
}

func (e *Engine) listInside(r *Request) *Error {
	d, bad := e.view().parentOf(r)
	if bad != nil {
		return bad
	}
	list := children(d.body(), r.typ.inside)
	if list == nil {
		list = []any{}
	}
	r.answer(http.StatusOK, map[string]any{"value": list})
	return nil
}

// busy is the answer to a change of something that another operation changes (notes of Microsoft.Network: 429 RetryableError, as a lock conflict and no quota).
func (tx *Tx) busy(d *document) *Error {
	op, running := tx.running(d.id)
	if !running {
		return nil
	}
	left := seconds(tx.clock(), op.ends.Sub(tx.now()))
	e := errorf(http.StatusTooManyRequests, "RetryableError", "A retryable error occurred.")
	e.Details = []Error{*errorf(0, "RetryableErrorDueToAnotherOperation", "Operation %s (%s) is updating resource %s. The call can be retried in %d seconds.",
		strings.ToUpper(op.verb[:1])+op.verb[1:]+"Operation", op.id, d.id, left)}
	e.Header = map[string]string{"Retry-After": strconv.Itoa(left)}
	return e
}

func (tx *Tx) putInside(r *Request, body map[string]any) *Error {
	d, bad := tx.parentOf(r)
	if bad == nil {
		bad = tx.busy(d)
	}
	if bad != nil {
		return bad
	}
	parent := d.body()
	list := children(parent, r.typ.inside)
	body["name"], body["id"], body["type"] = r.id.Name(), r.id.String(), r.typ.name
	object(body, "properties")["provisioningState"] = succeeded
	status, verb := http.StatusOK, "update"
	if i := indexOf(list, r.id.Name()); i >= 0 {
		list[i] = body
	} else {
		list, status, verb = append(list, body), http.StatusCreated, "create"
	}
	p := object(parent, "properties")
	p[r.typ.inside] = list
	p["provisioningState"] = "Updating"
	tx.put(d.id, parent)
	tx.begin(r, d.id, verb, text(parent, "location"), func(tx *Tx) *Error { return tx.finishWrite(d.id, tx.typeOf(d.id)) })
	r.answer(status, body)
	return nil
}

func (tx *Tx) removeInside(r *Request) *Error {
	d, bad := tx.parentOf(r)
	if bad == nil {
		bad = tx.busy(d)
	}
	if bad == nil && r.typ.held != nil {
		bad = r.typ.held(tx, r.id)
	}
	if bad != nil {
		return bad
	}
	parent := d.body()
	list := children(parent, r.typ.inside)
	i := indexOf(list, r.id.Name())
	if i < 0 {
		r.answerRaw(http.StatusNoContent, nil)
		return nil
	}
	object(parent, "properties")[r.typ.inside] = slices.Delete(list, i, i+1)
	tx.put(d.id, parent)
	tx.begin(r, d.id, "delete", text(parent, "location"), func(tx *Tx) *Error { return tx.finishWrite(d.id, tx.typeOf(d.id)) })
	r.answerRaw(http.StatusAccepted, nil)
	return nil
}

// nameInside names children that a PUT of their parent brought along. An array without any is told all the same: clients rely on it.
func nameInside(property, typ string) func(tx *Tx, id ID, body, old map[string]any) {
	return func(_ *Tx, id ID, body, _ map[string]any) { nameChildren(id, body, property, typ) }
}

func nameChildren(id ID, body map[string]any, property, typ string) {
	if p := object(body, "properties"); field(p, property) == nil {
		p[property] = []any{}
	}
	last := typ[strings.LastIndexByte(typ, '/')+1:]
	for _, c := range objects(body, "properties", property) {
		c["id"], c["type"] = id.String()+"/"+last+"/"+text(c, "name"), typ
		object(c, "properties")["provisioningState"] = succeeded
	}
}
