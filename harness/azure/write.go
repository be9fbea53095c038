package azure

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// put creates, replaces or patches a resource and starts the operation that ends it.
func (t *Twin) put(r *request) *Error {
	body, bad := decode(r)
	if bad != nil {
		return bad
	}
	if r.typ.show != nil && t.store.get(r.id) == nil && r.typ.single {
		return notAllowed(r)
	}
	if bad = t.there(r.id); bad != nil {
		return bad
	}
	if r.typ.put != nil {
		return r.typ.put(t, r, body)
	}
	if r.typ.inside != "" {
		return t.putInside(r, body)
	}
	d := t.store.get(r.id)
	if bad = precondition(r, d); bad != nil {
		return bad
	}
	if bad = t.inProgress(r.id); bad != nil {
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
	doc, isNew, bad := t.write(r.id, r.typ, body)
	if bad != nil {
		return bad
	}
	status, verb := http.StatusOK, "update"
	if isNew {
		status, verb = http.StatusCreated, "create"
	}
	if r.id.Provider == "" || t.ops.immediate(r.typ.name) {
		bad = t.finishWrite(doc.id, r.typ)
	} else {
		t.begin(r, doc.id, verb, text(doc.body(), "location"), func() *Error { return t.finishWrite(doc.id, r.typ) })
	}
	if bad != nil {
		return bad
	}
	now := t.store.get(doc.id)
	if now == nil { // deleted meanwhile
		now = doc
	}
	r.w.Header()["ETag"] = []string{now.ETag()}
	replyRaw(r.w, status, now.raw)
	return nil
}

// inProgress is Microsoft.Network's answer to a write of what another operation writes; elsewhere the later write preempts the earlier one.
func (t *Twin) inProgress(id ID) *Error {
	op, running := t.ops.running(id)
	if !running || !strings.EqualFold(id.Provider, "Microsoft.Network") {
		return nil
	}
	return errorf(http.StatusConflict, "AnotherOperationInProgress",
		"Another operation on this or dependent resource is in progress. To retrieve status of the operation use uri: /subscriptions/%s/providers/Microsoft.Network/locations/%s/operations/%s.", id.Subscription, op.location, op.id)
}

// write puts a document with what every resource has. It is what a PUT does and what a deployment does for each of its resources.
func (t *Twin) write(id ID, typ *resourceType, body map[string]any) (doc *document, isNew bool, bad *Error) {
	d := t.store.get(id)
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
		if bad := typ.check(t, id, body, old); bad != nil {
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
		typ.fill(t, id, fresh, old)
	}
	properties["provisioningState"] = "Updating"
	if old == nil {
		properties["provisioningState"] = "Creating"
	}
	return t.store.put(id, fresh), old == nil, nil
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

func sameLocation(a, b string) bool {
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }
	return plain(a) == plain(b)
}

// finishWrite ends a create or update.
func (t *Twin) finishWrite(id ID, typ *resourceType) *Error {
	var failure *Error
	if typ.made != nil {
		failure = typ.made(t, id)
	}
	state := succeeded
	if failure != nil {
		state = failed
	}
	t.setState(id, state)
	return failure
}

// setState tells how far a resource is.
func (t *Twin) setState(id ID, state string) {
	t.edit(id, func(body map[string]any) { object(body, "properties")["provisioningState"] = state })
}

// edit changes a document, if it is still there.
func (t *Twin) edit(id ID, change func(body map[string]any)) {
	d := t.store.get(id)
	if d == nil {
		return
	}
	body := d.body()
	change(body)
	t.store.put(d.id, body)
}

// remove deletes a resource; one that is not there is deleted already.
func (t *Twin) remove(r *request) *Error {
	if r.typ.inside != "" {
		return t.removeInside(r)
	}
	d := t.store.get(r.id)
	if bad := precondition(r, d); bad != nil && d != nil {
		return bad
	}
	if d == nil {
		if bad := t.groupThere(r.id); bad != nil {
			return bad
		}
		r.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if r.typ.held != nil {
		if bad := r.typ.held(t, d.id); bad != nil {
			return bad
		}
	}
	if t.ops.immediate(r.typ.name) {
		t.erase(d.id, r.typ)
		replyRaw(r.w, http.StatusOK, d.raw)
		return nil
	}
	t.setState(d.id, "Deleting")
	t.begin(r, d.id, "delete", text(d.body(), "location"), func() *Error {
		if r.typ.held != nil { // attached meanwhile
			if bad := r.typ.held(t, d.id); bad != nil {
				t.setState(d.id, failed)
				return bad
			}
		}
		t.erase(d.id, r.typ)
		return nil
	})
	r.w.WriteHeader(http.StatusAccepted)
	return nil
}

// erase removes a document and everything below it.
func (t *Twin) erase(id ID, typ *resourceType) {
	d := t.store.get(id)
	if d == nil {
		return
	}
	for _, child := range t.store.below(id) {
		if ct := t.typeOf(child.id); ct != nil && ct.gone != nil && t.store.get(child.id) != nil {
			ct.gone(t, child.id, child.body())
		}
		t.store.remove(child.id)
	}
	t.store.remove(id)
	if typ.gone != nil {
		typ.gone(t, d.id, d.body())
	}
}

// post does an action.
func (t *Twin) post(r *request) *Error {
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
	body, bad := decode(r)
	if bad != nil {
		return bad
	}
	if r.typ.show == nil && !a.anew && t.store.get(id) == nil {
		return notFound(id)
	}
	if a.now != nil {
		answer, bad := a.now(t, r, body)
		if bad == nil {
			reply(r.w, http.StatusOK, answer)
		}
		return bad
	}
	t.begin(r, id, name, text(t.store.get(id).body(), "location"), func() *Error { return a.then(t, id, body) })
	r.w.WriteHeader(http.StatusAccepted)
	return nil
}

// begin starts an operation and tells the client where to ask after it, in the form its type has.
func (t *Twin) begin(r *request, target ID, verb, location string, finish func() *Error) *operation {
	if r.fails {
		finish = func() *Error {
			t.setState(target, failed)
			return errorf(http.StatusInternalServerError, "InternalExecutionError", "An internal execution error occurred. Please retry later.")
		}
	}
	if work := finish; work != nil {
		finish = func() *Error { return t.guarded(target, work) }
	}
	timing := t.ops.timingOf(target.Type())
	if location == "" {
		location = t.options.Region
	}
	location = strings.ToLower(strings.ReplaceAll(location, " ", ""))
	op := t.ops.start(target, verb, location, finish)
	version := "?api-version=" + r.call.APIVersion
	h := r.w.Header()
	place := r.base() + "/subscriptions/" + target.Subscription
	if target.Provider == "" {
		h["Location"] = []string{place + "/operationresults/" + op.id + version}
		return op
	}
	place += "/providers/" + target.Provider + "/locations/" + location
	async, result := place+"/"+timing.At+"/"+op.id+version, place+"/"+timing.At+"/"+op.id+version+"&monitor=true"
	switch {
	case strings.EqualFold(target.Provider, "Microsoft.Network"):
		result = place + "/operationResults/" + op.id + version
	case strings.EqualFold(target.Type(), "Microsoft.Resources/deployments"):
		async = r.base() + target.String() + "/operationStatuses/" + op.id + version
	}
	if timing.Form != FormLocation {
		h["Azure-AsyncOperation"] = []string{async}
	}
	if timing.Form != FormAsync {
		h["Location"] = []string{result}
	}
	if timing.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(seconds(t.clock, timing.RetryAfter))}
	}
	return op
}

// poll tells how an operation goes: as Azure-AsyncOperation always with 200 and a status, as Location with 202 until it has ended.
func (t *Twin) poll(r *request) {
	op, ok := t.ops.find(r.id.Name())
	if !ok || op.target.Subscription != "" && !strings.EqualFold(op.target.Subscription, r.id.Subscription) {
		errorf(http.StatusNotFound, "OperationNotFound", "The operation '%s' was not found.", r.id.Name()).write(r.w)
		return
	}
	h := r.w.Header()
	if timing := t.ops.timingOf(op.target.Type()); timing.RetryAfter > 0 && op.status == inProgress {
		h["Retry-After"] = []string{strconv.Itoa(seconds(t.clock, timing.RetryAfter))}
	}
	last := strings.ToLower(r.id.Types[len(r.id.Types)-1])
	if last == "operationresults" || r.param("monitor") == "true" {
		t.pollLocation(r, op)
		return
	}
	status := map[string]any{"id": r.id.String(), "name": op.id, "status": op.status, "startTime": timestamp(op.begun)}
	if strings.EqualFold(op.target.Type(), "Microsoft.Resources/deployments") && op.status == inProgress {
		status["status"] = "Running"
	}
	if op.status != inProgress {
		status["endTime"] = timestamp(op.ends)
	}
	if op.failure != nil {
		status["error"] = op.failure.body()
	}
	reply(r.w, http.StatusOK, status)
}

func (t *Twin) pollLocation(r *request, op operation) {
	switch {
	case op.status == inProgress:
		r.w.Header()["Location"] = []string{r.base() + r.URL.RequestURI()}
		r.w.WriteHeader(http.StatusAccepted)
	case op.failure != nil:
		op.failure.write(r.w)
	default:
		if d := t.store.get(op.target); d != nil && op.verb != "delete" {
			replyRaw(r.w, http.StatusOK, d.raw)
			return
		}
		r.w.WriteHeader(http.StatusNoContent)
	}
}
