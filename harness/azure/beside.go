package azure

import (
	"cmp"
	"net"
	"net/http"

	"drydock.dev/drydock/harness/azure/identity"
)

// metadata is the metadata service of machines, on a listener of its own.
func (t *Twin) metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		t.store.Settle()
		r := t.receive(w, hr)
		defer t.finish(r)
		defer answerMistake(r)
		operation := identity.Operation(hr)
		if !identity.OfMachine(operation) {
			operation = hr.Method + " imds/other"
		}
		w.Header().Set("Server", "IMDS/150.870.65.1103") // as Azure/azure-sdk-for-net#39574 has it
		t.beside(r, operation, func() { t.identity.Metadata(r.w, hr) })
	})
}

// beside answers a call for no resource. It is in the log as others are, what it says and is told left out; it draws on no budget of Resource Manager's, and
// a fault strikes it that names it.
func (t *Twin) beside(r *request, operation string, serve func()) {
	r.Call.Operation, r.Call.Principal = operation, identity.Caller(r.Request.Request, operation)
	if identity.OfMachine(operation) {
		done, over, ok := t.throttle.Metadata(askedBy(r.Request.Request), identity.OfToken(operation))
		if !ok {
			r.Call.Throttled = over
			t.identity.Fail(r.w, operation, identity.Failure{Status: http.StatusTooManyRequests})
			return
		}
		defer done()
	}
	if !t.faults.beside(t, r) {
		serve()
	}
}

// askedBy is the machine that asks for its metadata: the one that the address names, for one address may stand for many, or else the address that asks.
func askedBy(r *http.Request) string {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return cmp.Or(r.URL.Query().Get("vm"), host)
}

// beside lets the first fault that selects a call for no resource act on it, and reports whether that has answered it.
func (fs *faults) beside(t *Twin, r *request) bool {
	f := fs.meets(t, r)
	if f == nil {
		return false
	}
	hit, ok := fs.struck(f, r.Call)
	if !ok {
		return false
	}
	failure := identity.Failure{Status: http.StatusTooManyRequests, Code: hit.Code, Message: hit.Message, RetryAfter: hit.RetryAfter}
	switch hit.Kind {
	case FaultError:
		failure.Status = cmp.Or(hit.Status, http.StatusServiceUnavailable)
	case FaultThrottle:
	default:
		_ = hit.act(t, r) // it comes late, or never
		return false
	}
	t.identity.Fail(r.w, r.Call.Operation, failure)
	return true
}
