package resource

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// The work of operations that every type has; that of an action is its name in lower case.
const (
	Write  = "Write"  // the end of a create or an update
	Delete = "Delete" // takes away
)

// Begin starts an operation and tells the client where to ask after it, in the form its type has.
func (tx *Tx) Begin(r *Request, target arm.ID, verb, location string, work ...state.Work) *state.Operation {
	if r.Fails != nil && len(work) > 0 { // one that is held ends by who holds it
		if failure := r.Fails(); failure != nil {
			work[0].Fails = failure
		}
	}
	if location == "" {
		location = tx.engine.options.Region
	}
	location = strings.ToLower(strings.ReplaceAll(location, " ", ""))
	op := tx.state.Start(target, verb, location, work...)
	tx.announce(r, op)
	return op
}

// perform does a piece of an operation's work, and tells whom it was for.
func (tx *Tx) perform(id arm.ID, w state.Work) (bad *arm.Error) {
	switch {
	case w.Undone:
		bad = state.Preempted()
	case w.Fails != nil:
		tx.SetState(id, arm.Failed)
		bad = w.Fails
	default:
		bad = tx.Guarded(id, func() *arm.Error { return tx.do(id, w) })
	}
	if w.Told != nil {
		w.Told(tx.state, bad)
	}
	return bad
}

func (tx *Tx) do(id arm.ID, w state.Work) *arm.Error {
	typ := tx.TypeOf(id)
	if typ == nil {
		return arm.NotFound(id)
	}
	switch w.Do {
	case Write:
		return tx.FinishWrite(id, typ)
	case Delete:
		return tx.finishDelete(id, typ)
	}
	if a := typ.Actions[w.Do]; a.Then != nil {
		return a.Then(tx, id, w.Args)
	}
	return arm.NotFound(id)
}

// announce says where to ask after an operation, in the form its type has, and when.
func (tx *Tx) announce(r *Request, op *state.Operation) {
	target, timing, location := op.Target, tx.Timing(op.Target.Type()), op.Location
	r.wait(tx.Clock(), timing.RetryAfter.Start(op.Verb))
	version := "?api-version=" + r.Call.APIVersion
	h := r.Told
	place := r.base() + "/subscriptions/" + target.Subscription
	if target.Provider == "" {
		h["Location"] = []string{place + "/operationresults/" + op.ID + version}
		return
	}
	place += "/providers/" + target.Provider + "/locations/" + location
	async, result := place+"/"+timing.At+"/"+op.ID+version, place+"/"+timing.At+"/"+op.ID+version+"&monitor=true"
	switch {
	case strings.EqualFold(target.Provider, "Microsoft.Network"):
		result = place + "/operationResults/" + op.ID + version
	case strings.EqualFold(target.Type(), "Microsoft.Resources/deployments"):
		async = r.base() + target.String() + "/operationStatuses/" + op.ID + version
	}
	if timing.Form != state.FormLocation {
		h["Azure-AsyncOperation"] = []string{async}
	}
	if timing.Form != state.FormAsync {
		h["Location"] = []string{result}
	}
}

// wait tells a client how long to wait before it asks after an operation.
func (r *Request) wait(c arm.Clock, d time.Duration) {
	if d > 0 {
		r.Told["Retry-After"] = []string{strconv.Itoa(arm.Seconds(c, d))}
	}
}

// Guarded does the work of an operation on a resource, which ends Failed when that makes a mistake.
func (tx *Tx) Guarded(target arm.ID, do func() *arm.Error) *arm.Error {
	done := false
	defer func() {
		if !done {
			tx.SetState(target, arm.Failed)
		}
	}()
	return arm.Guarded(func() *arm.Error {
		failure := do()
		done = true
		return failure
	})
}

// poll tells how an operation goes: as Azure-AsyncOperation always with 200 and a status, as Location with 202 until it has ended.
func (e *Engine) poll(r *Request) *arm.Error {
	op, ok := e.view().Find(r.ID.Name())
	if !ok || op.Target.Subscription != "" && !strings.EqualFold(op.Target.Subscription, r.ID.Subscription) {
		return arm.Errorf(http.StatusNotFound, "OperationNotFound", "The operation '%s' was not found.", r.ID.Name())
	}
	if op.Status == arm.InProgress {
		r.wait(e.view().Clock(), e.view().Timing(op.Target.Type()).RetryAfter.Poll)
	}
	last := strings.ToLower(r.ID.Types[len(r.ID.Types)-1])
	if last == "operationresults" || r.Param("monitor") == "true" {
		return e.pollLocation(r, op)
	}
	status := map[string]any{"id": r.ID.String(), "name": op.ID, "status": op.Status, "startTime": arm.Timestamp(op.Begun)}
	if strings.EqualFold(op.Target.Type(), "Microsoft.Resources/deployments") && op.Status == arm.InProgress {
		status["status"] = "Running"
	}
	if op.Status != arm.InProgress {
		status["endTime"] = arm.Timestamp(op.Ends)
	}
	if op.Failure != nil {
		status["error"] = op.Failure.Body()
	}
	if result := e.output(op); result != nil && strings.EqualFold(op.Target.Provider, "Microsoft.Compute") {
		status["properties"] = map[string]any{"output": result}
	}
	r.Answer(http.StatusOK, status)
	return nil
}

func (e *Engine) pollLocation(r *Request, op state.Operation) *arm.Error {
	switch {
	case op.Status == arm.InProgress:
		r.Told["Location"] = []string{r.base() + r.URL.RequestURI()}
		r.AnswerRaw(http.StatusAccepted, nil)
	case op.Failure != nil:
		return op.Failure
	default:
		e.result(r, op)
	}
	return nil
}

// result is what an operation that went well leaves: the resource that was written, or what an action gives, which may be nothing.
func (e *Engine) result(r *Request, op state.Operation) {
	d := e.view().Get(op.Target)
	if d == nil {
		r.AnswerRaw(http.StatusNoContent, nil)
		return
	}
	if op.Verb == "create" || op.Verb == "update" {
		r.AnswerRaw(http.StatusOK, d.Raw)
		return
	}
	r.AnswerRaw(http.StatusOK, nil)
	if result := e.output(op); result != nil {
		r.Answer(http.StatusOK, result)
	}
}

// output is what an action gives that went well; nil: nothing, or it is none. Of Microsoft.Compute it stands in its operation's status as well as at its
// Location: who asks by Azure-AsyncOperation alone looks for properties.output there (terraform-provider-azurerm, managed_disk_sas_token).
func (e *Engine) output(op state.Operation) map[string]any {
	action, isAction := strings.CutPrefix(op.Verb, "action/")
	t := e.typeOf(op.Target)
	if !isAction || op.Status != arm.Succeeded || t == nil || t.Actions[action].Result == nil {
		return nil
	}
	return t.Actions[action].Result(e.view(), op.Target)
}
