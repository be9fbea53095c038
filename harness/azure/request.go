package azure

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
	"drydock.dev/drydock/harness/azure/throttle"
)

// connection is what the twin knows of a connection; the hourly gateway chooses its instance by it.
type connection struct{ number int }

type connectionKey struct{}

// request is one call on its way through.
type request struct {
	*resource.Request
	w       *recorder
	subject throttle.Subject
}

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find what the connection can do: flush, for answers that come bit by bit.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// receive begins a call; log writes it down when it is over.
func (t *Twin) receive(w http.ResponseWriter, hr *http.Request) (r *request, log func()) {
	begun := time.Now()
	call := &arm.Call{Time: t.clock.Now(), Method: hr.Method, Path: hr.URL.Path}
	r = &request{Request: &resource.Request{Request: hr, Query: hr.URL.Query(), Call: call, Told: w.Header()}, w: &recorder{ResponseWriter: w}}
	return r, func() {
		r.Call.Status, r.Call.Seconds = r.w.status, time.Since(begun).Seconds()
		t.calls.add(*r.Call)
	}
}

// stamp sets the headers every answer has.
func (t *Twin) stamp(r *request) {
	now, h := t.clock.Now(), r.w.Header()
	id := uuid.NewString()
	correlation := r.Header.Get("x-ms-correlation-request-id")
	if correlation == "" {
		correlation = id
	}
	r.subject.Region = t.options.Region
	if host, rest, ok := strings.Cut(r.Host, "."); ok && strings.HasPrefix(rest, "management.") { // a regional endpoint of the gateway
		r.subject.Region = host
	}
	r.Call.Region = r.subject.Region
	h["x-ms-request-id"], h["x-ms-correlation-request-id"] = []string{id}, []string{correlation}
	h["x-ms-routing-request-id"] = []string{strings.ToUpper(r.subject.Region) + ":" + arm.RoutingStamp(now) + ":" + id}
	h["Cache-Control"], h["Pragma"], h["Expires"] = []string{"no-cache"}, []string{"no-cache"}, []string{"-1"}
	h["Strict-Transport-Security"], h["X-Content-Type-Options"] = []string{"max-age=31536000; includeSubDomains"}, []string{"nosniff"}
	h["Date"] = []string{now.UTC().Format(http.TimeFormat)}
	if client := r.Header.Get("x-ms-client-request-id"); client != "" {
		h["x-ms-client-request-id"] = []string{client}
	}
	if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
		r.Call.Connection, r.subject.Instance = c.number, c.number
	}
}

// answerMistake turns a panic within a call into an answer; call it deferred. The one that cuts a connection on purpose goes on.
func answerMistake(r *request) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) || r.w.status != 0 {
		panic(p)
	}
	arm.Mistake(p).Write(r.w)
}
