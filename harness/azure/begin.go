package azure

import (
	"net/http"
	"strconv"
	"strings"
)

// begin starts an operation and tells the client where to ask after it, in the form its type has.
func (tx *Tx) begin(r *Request, target ID, verb, location string, finish func(*Tx) *Error) *operation {
	if r.fails {
		finish = func(tx *Tx) *Error {
			tx.setState(target, failed)
			return errorf(http.StatusInternalServerError, "InternalExecutionError", "An internal execution error occurred. Please retry later.")
		}
	}
	if work := finish; work != nil {
		finish = func(tx *Tx) *Error { return tx.guarded(target, func() *Error { return work(tx) }) }
	}
	timing := tx.timing(target.Type())
	if location == "" {
		location = tx.engine.options.Region
	}
	location = strings.ToLower(strings.ReplaceAll(location, " ", ""))
	op := tx.start(target, verb, location, finish)
	version := "?api-version=" + r.call.APIVersion
	h := r.told
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
		h["Retry-After"] = []string{strconv.Itoa(seconds(tx.clock(), timing.RetryAfter))}
	}
	return op
}

// guarded is that for the work of an operation on a resource, which ends Failed.
func (tx *Tx) guarded(target ID, do func() *Error) *Error {
	done := false
	defer func() {
		if !done {
			tx.setState(target, failed)
		}
	}()
	return guarded(func() *Error {
		failure := do()
		done = true
		return failure
	})
}

// poll tells how an operation goes: as Azure-AsyncOperation always with 200 and a status, as Location with 202 until it has ended.
func (e *Engine) poll(r *Request) *Error {
	op, ok := e.view().find(r.id.Name())
	if !ok || op.target.Subscription != "" && !strings.EqualFold(op.target.Subscription, r.id.Subscription) {
		return errorf(http.StatusNotFound, "OperationNotFound", "The operation '%s' was not found.", r.id.Name())
	}
	h := r.told
	if timing := e.view().timing(op.target.Type()); timing.RetryAfter > 0 && op.status == inProgress {
		h["Retry-After"] = []string{strconv.Itoa(seconds(e.view().clock(), timing.RetryAfter))}
	}
	last := strings.ToLower(r.id.Types[len(r.id.Types)-1])
	if last == "operationresults" || r.param("monitor") == "true" {
		return e.pollLocation(r, op)
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
	r.answer(http.StatusOK, status)
	return nil
}

func (e *Engine) pollLocation(r *Request, op operation) *Error {
	switch {
	case op.status == inProgress:
		r.told["Location"] = []string{r.base() + r.URL.RequestURI()}
		r.answerRaw(http.StatusAccepted, nil)
	case op.failure != nil:
		return op.failure
	default:
		if d := e.view().get(op.target); d != nil && op.verb != "delete" {
			r.answerRaw(http.StatusOK, d.raw)
			return nil
		}
		r.answerRaw(http.StatusNoContent, nil)
	}
	return nil
}
