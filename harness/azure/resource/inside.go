package resource

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// Subnets, security rules, routes and their like live in an array of their parent's document: a PUT of the one is a change of the other, and
// an operation on the one holds up the other.

// parentOf is the resource whose document holds the child's.
func (v View) parentOf(id arm.ID) (*state.Document, *arm.Error) {
	parent := id.Top(len(id.Types) - 1)
	d := v.Get(parent)
	if d == nil {
		if bad := v.there(parent); bad != nil {
			return nil, bad
		}
		return nil, arm.NotFound(parent)
	}
	return d, nil
}

// readParent is that for a read, which a fault may answer from some time ago.
func (e *Engine) readParent(r *Request) (*state.Document, *arm.Error) {
	d, bad := e.view().parentOf(r.ID)
	if s := r.stale(); s != nil && bad == nil {
		if d = s.Get(d.ID); d == nil {
			return nil, arm.NotFound(r.ID)
		}
	}
	return d, bad
}

func children(body map[string]any, property string) []any {
	list, _ := arm.At(body, "properties", property).([]any)
	return list
}

func indexOf(list []any, name string) int {
	return slices.IndexFunc(list, func(x any) bool { return strings.EqualFold(arm.Text(x, "name"), name) })
}

func (e *Engine) getInside(r *Request) *arm.Error {
	d, bad := e.readParent(r)
	if bad != nil {
		return bad
	}
	list := children(d.Body(), r.Type.Inside)
	i := indexOf(list, r.ID.Name())
	if i < 0 {
		return arm.NotFound(r.ID)
	}
	r.Told["ETag"] = []string{d.ETag()}
	r.Answer(http.StatusOK, list[i])
	return nil
}

func (e *Engine) listInside(r *Request) *arm.Error {
	d, bad := e.readParent(r)
	if bad != nil {
		return bad
	}
	list := children(d.Body(), r.Type.Inside)
	if list == nil {
		list = []any{}
	}
	r.Answer(http.StatusOK, map[string]any{"value": list})
	return nil
}

// busy is the answer to a change of something that another operation changes (notes of Microsoft.Network: 429 RetryableError, as a lock conflict and no quota).
func (tx *Tx) busy(d *state.Document) *arm.Error {
	op, running := tx.Running(d.ID)
	if !running {
		return nil
	}
	left := arm.Seconds(tx.Clock(), op.Ends.Sub(tx.Now()))
	e := arm.Errorf(http.StatusTooManyRequests, "RetryableError", "A retryable error occurred.")
	e.Details = []arm.Error{*arm.Errorf(0, "RetryableErrorDueToAnotherOperation", "Operation %s (%s) is updating resource %s. The call can be retried in %d seconds.",
		strings.ToUpper(op.Verb[:1])+op.Verb[1:]+"Operation", op.ID, d.ID, left)}
	e.Header = map[string]string{"Retry-After": strconv.Itoa(left)}
	return e
}

// preconditionInside compares If-Match and If-None-Match with what a child has: its parent's etag.
func (tx *Tx) preconditionInside(r *Request) *arm.Error {
	if r.Header.Get("If-Match")+r.Header.Get("If-None-Match") == "" { // most have none: the parent need not be taken apart
		return nil
	}
	d := tx.Get(r.ID.Top(len(r.ID.Types) - 1))
	if d != nil && indexOf(children(d.Body(), r.Type.Inside), r.ID.Name()) < 0 {
		d = nil
	}
	return precondition(r, d)
}

func (tx *Tx) putInside(r *Request, body map[string]any) *arm.Error {
	if bad := tx.preconditionInside(r); bad != nil {
		return bad
	}
	d, isNew, bad := tx.ReplaceInside(r.ID, r.Type, body)
	if bad != nil {
		return bad
	}
	way, verb := verbOf(r.Method, isNew)
	tx.Begin(r, d.ID, verb, arm.Text(d.Body(), "location"), state.Work{Do: Write})
	r.Told["ETag"] = []string{d.ETag()}
	r.Answer(r.Type.code(way), body)
	return nil
}

// ReplaceInside puts a child into its parent's document, which it gives: a write of the child is an operation on the parent. It is what a PUT does and
// what a deployment does for each of its resources.
func (tx *Tx) ReplaceInside(id arm.ID, typ *Type, body map[string]any) (d *state.Document, isNew bool, bad *arm.Error) {
	if d, bad = tx.parentOf(id); bad == nil {
		bad = tx.busy(d)
	}
	if bad != nil {
		return nil, false, bad
	}
	parent, old := d.Body(), d.Body()
	list := children(parent, typ.Inside)
	body["name"], body["id"], body["type"], body["etag"] = id.Name(), id.String(), typ.Name, ""
	arm.Object(body, "properties")["provisioningState"] = arm.Succeeded
	var was map[string]any
	i := indexOf(list, id.Name())
	if isNew = i < 0; isNew {
		i, list = len(list), append(list, nil)
	} else {
		was, _ = list[i].(map[string]any)
	}
	completeOne(typ, tx.engine.model(http.MethodPut, typ), body, was)
	if list[i] = body; typ.Fill != nil {
		typ.Fill(tx, id, body, was)
	}
	p := arm.Object(parent, "properties")
	p[typ.Inside] = list
	if bad = tx.check(tx.TypeOf(d.ID), d.ID, parent, old); bad != nil { // what holds among children is a rule of their parent's document
		return nil, false, bad
	}
	p["provisioningState"] = "Updating"
	tx.refer(d.ID, tx.TypeOf(d.ID), parent, old)
	return tx.Put(d.ID, parent), isNew, nil
}

func (tx *Tx) removeInside(r *Request) *arm.Error {
	d, bad := tx.parentOf(r.ID)
	if bad == nil {
		bad = tx.busy(d)
	}
	if bad == nil && r.Type.Held != nil {
		bad = r.Type.Held(tx, r.ID)
	}
	if bad == nil && r.Header.Get("If-Match") != "" {
		bad = tx.preconditionInside(r)
	}
	if bad != nil {
		return bad
	}
	parent := d.Body()
	list := children(parent, r.Type.Inside)
	i := indexOf(list, r.ID.Name())
	if i < 0 {
		r.AnswerRaw(r.Type.gone(), nil)
		return nil
	}
	arm.Object(parent, "properties")[r.Type.Inside] = slices.Delete(list, i, i+1)
	tx.refer(d.ID, tx.TypeOf(d.ID), parent, d.Body())
	tx.Put(d.ID, parent)
	tx.Begin(r, d.ID, "delete", arm.Text(parent, "location"), state.Work{Do: Write})
	r.AnswerRaw(r.Type.code(Deletes), nil)
	return nil
}

// NameInside names children that a PUT of their parent brought along. An array without any is told all the same: clients rely on it.
func NameInside(property, typ string) func(tx *Tx, id arm.ID, body, old map[string]any) {
	return func(_ *Tx, id arm.ID, body, _ map[string]any) { NameChildren(id, body, property, typ) }
}

// NameChildren gives the children in a property of a document what a PUT of each by itself would: its id, type and state.
func NameChildren(id arm.ID, body map[string]any, property, typ string) {
	if p := arm.Object(body, "properties"); arm.Field(p, property) == nil {
		p[property] = []any{}
	}
	last := typ[strings.LastIndexByte(typ, '/')+1:]
	for _, c := range arm.Objects(body, "properties", property) {
		c["id"], c["type"] = id.String()+"/"+last+"/"+arm.Text(c, "name"), typ
		c["etag"] = "" // its parent's, which is not yet known
		arm.Object(c, "properties")["provisioningState"] = arm.Succeeded
	}
}
