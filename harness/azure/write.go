package azure

import (
	"maps"
	"net/http"
	"strings"
)

// put creates, replaces or patches a resource and starts the operation that ends it.
func (tx *Tx) write(r *Request, body map[string]any) *Error {
	if r.typ.show != nil && tx.get(r.id) == nil && r.typ.single {
		return notAllowed(r.Request)
	}
	if bad := tx.there(r.id); bad != nil {
		return bad
	}
	if r.typ.put != nil {
		return r.typ.put(tx, r, body)
	}
	if r.typ.inside != "" {
		return tx.putInside(r, body)
	}
	d := tx.get(r.id)
	if bad := precondition(r, d); bad != nil {
		return bad
	}
	if bad := tx.inProgress(r.id); bad != nil {
		return bad
	}
	if r.Method == http.MethodPatch {
		if d == nil {
			return notFound(r.id)
		}
		patched := d.body()
		merge(patched, body)
		body = patched
	}
	doc, isNew, bad := tx.replace(r.id, r.typ, body)
	if bad != nil {
		return bad
	}
	status, verb := http.StatusOK, "update"
	if isNew {
		status, verb = http.StatusCreated, "create"
	}
	if r.id.Provider == "" || tx.immediate(r.typ.name) {
		bad = tx.finishWrite(doc.id, r.typ)
	} else {
		tx.begin(r, doc.id, verb, text(doc.body(), "location"), func(tx *Tx) *Error { return tx.finishWrite(doc.id, r.typ) })
	}
	if bad != nil {
		return bad
	}
	now := tx.get(doc.id)
	if now == nil { // deleted meanwhile
		now = doc
	}
	r.told["ETag"] = []string{now.ETag()}
	r.answerRaw(status, now.raw)
	return nil
}

// inProgress is Microsoft.Network's answer to a write of what another operation writes; elsewhere the later write preempts the earlier one.
func (tx *Tx) inProgress(id ID) *Error {
	op, running := tx.running(id)
	if !running || !strings.EqualFold(id.Provider, "Microsoft.Network") {
		return nil
	}
	return errorf(http.StatusConflict, "AnotherOperationInProgress",
		"Another operation on this or dependent resource is in progress. To retrieve status of the operation use uri: /subscriptions/%s/providers/Microsoft.Network/locations/%s/operations/%s.", id.Subscription, op.location, op.id)
}

// replace puts a document with what every resource has. It is what a PUT does and what a deployment does for each of its resources.
func (tx *Tx) replace(id ID, typ *Type, body map[string]any) (doc *document, isNew bool, bad *Error) {
	d := tx.get(id)
	var old map[string]any
	if d != nil {
		old, id = d.body(), d.id // the name keeps the case it was created with
		if typ.located && text(body, "location") != "" && !sameLocation(text(body, "location"), text(old, "location")) {
			return nil, false, gatewayf(http.StatusConflict, "InvalidResourceLocation",
				"The resource '%s' already exists in location '%s' in resource group '%s'. A resource with the same name cannot be created in location '%s'. Please select a new resource name.",
				id.Name(), text(old, "location"), id.ResourceGroup, text(body, "location"))
		}
	}
	if typ.located && text(body, "location") == "" {
		if old == nil {
			return nil, false, gatewayf(http.StatusBadRequest, "LocationRequired", "The location property is required for this definition.")
		}
		body["location"] = old["location"]
	}
	if typ.check != nil {
		if bad := typ.check(tx, id, body, old); bad != nil {
			return nil, false, bad
		}
	}
	forget(body)
	fresh := maps.Clone(body)
	fresh["id"], fresh["name"], fresh["type"] = id.String(), id.Name(), typ.name
	if id.Provider == "" {
		fresh["type"] = "Microsoft.Resources/" + typ.name
	}
	if typ.tagged {
		fresh["etag"] = ""
	}
	properties := object(fresh, "properties")
	if typ.fill != nil {
		typ.fill(tx, id, fresh, old)
	}
	properties["provisioningState"] = "Updating"
	if old == nil {
		properties["provisioningState"] = "Creating"
	}
	return tx.put(id, fresh), old == nil, nil
}

// forget takes away what is written and never read: passwords and their like, which no GET of Azure answers.
func forget(v any) {
	switch x := v.(type) {
	case map[string]any:
		maps.DeleteFunc(x, func(k string, _ any) bool {
			return strings.EqualFold(k, "adminPassword") || strings.EqualFold(k, "customData") || strings.EqualFold(k, "protectedSettings")
		})
		for _, e := range x {
			forget(e)
		}
	case []any:
		for _, e := range x {
			forget(e)
		}
	}
}

// finishWrite ends a create or update.
func (tx *Tx) finishWrite(id ID, typ *Type) *Error {
	var failure *Error
	if typ.made != nil {
		failure = typ.made(tx, id)
	}
	state := succeeded
	if failure != nil {
		state = failed
	}
	tx.setState(id, state)
	return failure
}

// delete deletes a resource; one that is not there is deleted already.
func (tx *Tx) delete(r *Request) *Error {
	if r.typ.inside != "" {
		return tx.removeInside(r)
	}
	d := tx.get(r.id)
	if bad := precondition(r, d); bad != nil && d != nil {
		return bad
	}
	if d == nil {
		if bad := tx.groupThere(r.id); bad != nil {
			return bad
		}
		r.answerRaw(http.StatusNoContent, nil)
		return nil
	}
	if r.typ.held != nil {
		if bad := r.typ.held(tx, d.id); bad != nil {
			return bad
		}
	}
	if tx.immediate(r.typ.name) {
		tx.erase(d.id)
		r.answerRaw(http.StatusOK, d.raw)
		return nil
	}
	tx.setState(d.id, "Deleting")
	tx.begin(r, d.id, "delete", text(d.body(), "location"), func(tx *Tx) *Error {
		if r.typ.held != nil { // attached meanwhile
			if bad := r.typ.held(tx, d.id); bad != nil {
				tx.setState(d.id, failed)
				return bad
			}
		}
		tx.erase(d.id)
		return nil
	})
	r.answerRaw(http.StatusAccepted, nil)
	return nil
}

// erase removes a document and everything below it.
func (tx *Tx) erase(id ID) {
	d := tx.get(id)
	if d == nil {
		return
	}
	for _, child := range tx.below(id) {
		if ct := tx.typeOf(child.id); ct != nil && ct.gone != nil && tx.get(child.id) != nil {
			ct.gone(tx, child.id, child.body())
		}
		tx.state.remove(child.id)
	}
	tx.state.remove(id)
	if typ := tx.typeOf(d.id); typ != nil && typ.gone != nil {
		typ.gone(tx, d.id, d.body())
	}
}

// post does an action.
func (tx *Tx) post(r *Request, body map[string]any) *Error {
	id := r.id
	name := ""
	if id.Collection() {
		name = strings.ToLower(id.Types[len(id.Types)-1])
		id = id.parent()
	}
	a, known := r.typ.actions[name]
	if !known {
		return errorf(http.StatusNotFound, "InvalidAction", "The action '%s' is not one of the resource type '%s'.", name, r.typ.name)
	}
	if r.typ.show == nil && !a.anew && tx.get(id) == nil {
		return notFound(id)
	}
	if a.now != nil {
		answer, bad := a.now(tx, r, body)
		if bad == nil {
			r.answer(http.StatusOK, answer)
		}
		return bad
	}
	tx.begin(r, id, name, text(tx.get(id).body(), "location"), func(tx *Tx) *Error { return a.then(tx, id, body) })
	r.answerRaw(http.StatusAccepted, nil)
	return nil
}
