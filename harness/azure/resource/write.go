package resource

import (
	"maps"
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// write creates, replaces or patches a resource and starts the operation that ends it.
func (tx *Tx) write(r *Request, body map[string]any) *arm.Error {
	if bad := tx.may(r.ID, "Update"); bad != nil {
		return bad
	}
	if r.Type.Put != nil {
		return r.Type.Put(tx, r, body)
	}
	if r.Type.Inside != "" {
		return tx.putInside(r, body)
	}
	d := tx.Get(r.ID)
	if bad := precondition(r, d); bad != nil {
		return bad
	}
	if bad := tx.inProgress(r.ID); bad != nil {
		return bad
	}
	if r.Method == http.MethodPatch {
		if d == nil {
			return r.Type.Absent.Of(r.ID)
		}
		body = patched(d.Body(), body)
	}
	doc, isNew, bad := tx.Replace(r.ID, r.Type, body)
	if bad != nil {
		return bad
	}
	way, verb := verbOf(r.Method, isNew)
	_, running := tx.Running(doc.ID)
	switch {
	case !r.Type.atOnce(way):
		tx.Begin(r, doc.ID, verb, arm.Text(doc.Body(), "location"), state.Work{Do: Write})
	case !running: // what runs ends it
		bad = tx.FinishWrite(doc.ID, r.Type)
	}
	if bad != nil {
		return bad
	}
	now := tx.Get(doc.ID)
	if now == nil { // deleted meanwhile
		now = doc
	}
	r.Told["ETag"] = []string{now.ETag()}
	r.AnswerRaw(r.Type.code(way), now.Raw)
	return nil
}

// through writes a view of another resource.
func (tx *Tx) through(r *Request, body map[string]any) *arm.Error {
	bad := tx.groupThere(r.ID)
	switch {
	case bad == nil && r.Method == http.MethodDelete:
		bad = tx.Gate(r.ID, ToDelete)
	case bad == nil:
		bad = tx.may(r.ID, "Update")
	}
	if bad != nil {
		return bad
	}
	return r.Type.Write(tx, r, body)
}

// PutThrough writes a view of another resource as a PUT does, for a deployment.
func (tx *Tx) PutThrough(id arm.ID, typ *Type, body map[string]any) *arm.Error {
	return typ.Write(tx, &Request{Request: &http.Request{Method: http.MethodPut}, Call: &arm.Call{}, ID: id, Type: typ, Told: http.Header{}}, body)
}

// may is the error for a change of what cannot be changed now: its group or its parent is not there, the Resource Manager holds it, or it is being deleted.
func (tx *Tx) may(id arm.ID, change string) *arm.Error {
	if bad := tx.there(id); bad != nil {
		return bad
	}
	if bad := tx.Gate(id, ToWrite); bad != nil {
		return bad
	}
	return tx.Open(id, change)
}

// patched is a document with a patch over it. Tags are not merged: a PATCH sets all of them (the UpdateTags of every service; what merges is the API of tags).
func patched(doc, patch map[string]any) map[string]any {
	if tags := arm.Field(patch, "tags"); tags != nil {
		doc["tags"] = nil
	}
	arm.Merge(doc, patch)
	return doc
}

// Replace puts a document with what every resource has. It is what a PUT does and what a deployment does for each of its resources.
func (tx *Tx) Replace(id arm.ID, typ *Type, body map[string]any) (doc *state.Document, isNew bool, bad *arm.Error) {
	d := tx.Get(id)
	var old map[string]any
	if d != nil {
		old, id = d.Body(), d.ID // the name keeps the case it was created with
		if typ.Located && arm.Text(body, "location") != "" && !arm.SameLocation(arm.Text(body, "location"), arm.Text(old, "location")) {
			return nil, false, elsewhere(id, arm.Text(old, "location"), arm.Text(body, "location"))
		}
	}
	if bad := tx.engine.located(id, typ, body, old); bad != nil {
		return nil, false, bad
	}
	if typ.Located && arm.Text(body, "location") == "" {
		if old == nil {
			return nil, false, arm.Gatewayf(http.StatusBadRequest, "LocationRequired", "The location property is required for this definition.")
		}
		body["location"] = old["location"]
	}
	if bad := tx.check(typ, id, body, old); bad != nil {
		return nil, false, bad
	}
	fresh := maps.Clone(body)
	fresh["id"], fresh["name"], fresh["type"] = id.String(), id.Name(), typ.Name
	if id.Provider == "" {
		fresh["type"] = "Microsoft.Resources/" + typ.Name
	}
	if delete(fresh, "etag"); typ.Tagged { // it is the service's, not a client's
		fresh["etag"] = ""
	}
	properties := arm.Object(fresh, "properties")
	tx.engine.complete(typ, fresh, old)
	if typ.Fill != nil {
		typ.Fill(tx, id, fresh, old)
	}
	tx.engine.model(http.MethodPut, typ).Forget(fresh)
	typ.aside(fresh, old)
	tx.refer(id, typ, fresh, old)
	switch {
	case typ.Plain:
		delete(properties, "provisioningState")
	case old == nil:
		properties["provisioningState"] = "Creating"
	default:
		properties["provisioningState"] = "Updating"
	}
	return tx.Put(id, fresh), old == nil, nil
}

// check asks a type whether a document may take the place of another; nil: of none.
func (tx *Tx) check(typ *Type, id arm.ID, body, old map[string]any) *arm.Error {
	for _, rule := range typ.Rules {
		if bad := rule(tx, id, body, old); bad != nil {
			return bad
		}
	}
	if typ.Check == nil {
		return nil
	}
	return typ.Check(tx, id, body, old)
}

// FinishWrite ends a create or update.
func (tx *Tx) FinishWrite(id arm.ID, typ *Type) *arm.Error {
	var failure *arm.Error
	if typ.Made != nil {
		failure = typ.Made(tx, id)
	}
	became := arm.Succeeded
	if failure != nil {
		became = arm.Failed
	}
	if !typ.Plain && !deleting(tx.Get(id)) { // since then somebody has begun to
		tx.SetState(id, became)
	}
	return failure
}

// delete deletes a resource; one that is not there is deleted already.
func (tx *Tx) delete(r *Request) *arm.Error {
	if bad := tx.groupThere(r.ID); bad != nil {
		return bad
	}
	if bad := tx.Gate(r.ID, ToDelete); bad != nil {
		return bad
	}
	if r.Type.Inside != "" {
		return tx.removeInside(r)
	}
	d := tx.Get(r.ID)
	if bad := precondition(r, d); bad != nil && d != nil {
		return bad
	}
	if d == nil {
		if r.Type.Else != nil && r.Type.Else(tx.View, r.ID) != nil {
			return arm.Errorf(http.StatusConflict, "OperationNotAllowed", "'%s' is a resource of its own, and cannot be deleted as a part of another.", r.ID.Name())
		}
		r.AnswerRaw(r.Type.gone(), nil)
		return nil
	}
	if op, running := tx.Running(d.ID); running && deleting(d) { // it is told of the deletion that is under way
		tx.announce(r, &op)
		r.AnswerRaw(http.StatusAccepted, nil)
		return nil
	}
	if r.Type.Held != nil {
		if bad := r.Type.Held(tx, d.ID); bad != nil {
			return bad
		}
	}
	if r.Type.atOnce(Deletes) {
		tx.Erase(d.ID)
		if r.AnswerRaw(r.Type.code(Deletes), nil); r.Type.Returns {
			r.AnswerRaw(r.Type.code(Deletes), d.Raw)
		}
		return nil
	}
	tx.SetState(d.ID, arm.Deleting)
	tx.Begin(r, d.ID, "delete", arm.Text(d.Body(), "location"), state.Work{Do: Delete})
	r.AnswerRaw(r.Type.code(Deletes), nil)
	return nil
}

// finishDelete ends a deletion.
func (tx *Tx) finishDelete(id arm.ID, typ *Type) *arm.Error {
	if typ.Held != nil { // attached meanwhile
		if bad := typ.Held(tx, id); bad != nil {
			tx.SetState(id, arm.Failed)
			return bad
		}
	}
	tx.Erase(id)
	return nil
}

// Erase removes a document and everything below it.
func (tx *Tx) Erase(id arm.ID) {
	d := tx.Get(id)
	if d == nil {
		return
	}
	for _, child := range tx.Below(id) {
		if ct := tx.TypeOf(child.ID); ct != nil && ct.Gone != nil && tx.Get(child.ID) != nil {
			ct.Gone(tx, child.ID, child.Body())
		}
		tx.Cancel(child.ID)
		tx.forgo(child)
	}
	tx.forgo(d)
	if typ := tx.TypeOf(d.ID); typ != nil && typ.Gone != nil {
		typ.Gone(tx, d.ID, d.Body())
	}
}

// forgo takes a document away, what others were told of it, and what others loosely named of it.
func (tx *Tx) forgo(d *state.Document) {
	tx.state.Remove(d.ID)
	if typ := tx.TypeOf(d.ID); typ != nil {
		tx.refer(d.ID, typ, nil, d.Body())
	}
	tx.loosen(d)
}

// post does an action.
func (tx *Tx) post(r *Request, body map[string]any) *arm.Error {
	id := r.ID
	name := ""
	if id.Collection() {
		name = strings.ToLower(id.Types[len(id.Types)-1])
		id = id.Parent()
	}
	a, known := r.Type.Actions[name]
	if !known {
		r.unanswered("")
		return arm.Errorf(http.StatusNotFound, "InvalidAction", "The action '%s' is not one of the resource type '%s'.", name, r.Type.Name)
	}
	if !r.Type.made() && !a.Anew {
		if tx.Get(id) == nil {
			return r.Type.Absent.Of(id)
		}
		if bad := tx.Gate(id, ToWrite); bad != nil {
			return bad
		}
	}
	if a.Now != nil {
		answer, bad := a.Now(tx, r, body)
		if r.AnswerRaw(a.code(), nil); answer != nil {
			r.Answer(a.code(), answer)
		}
		return bad
	}
	if bad := tx.Open(id, name); bad != nil {
		return bad
	}
	if a.Check != nil {
		if bad := a.Check(tx, id, body); bad != nil {
			return bad
		}
	}
	tx.Begin(r, id, "action/"+name, arm.Text(tx.Get(id).Body(), "location"), state.Work{Do: name, Args: body})
	r.AnswerRaw(a.code(), nil)
	return nil
}
