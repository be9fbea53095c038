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
	begun   time.Time // by the wall's clock

	values [12]string // of headers, and how many of them are told
	told   int
}

// tell sets a header. Its name is as Azure writes it.
func (r *request) tell(name, value string) {
	if r.told == len(r.values) {
		r.w.Header()[name] = []string{value}
		return
	}
	r.values[r.told] = value
	r.w.Header()[name] = r.values[r.told : r.told+1 : r.told+1]
	r.told++
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

// receive begins a call; finish writes it down when it is over. All of it is one piece of memory: there are many of them.
func (t *Twin) receive(w http.ResponseWriter, hr *http.Request) *request {
	all := &struct {
		request
		call     arm.Call
		resource resource.Request
		recorder recorder
	}{}
	all.call = arm.Call{Time: t.clock.Now(), Method: hr.Method, Path: hr.URL.Path}
	all.resource = resource.Request{Request: hr, Query: hr.URL.Query(), Call: &all.call, Told: w.Header()}
	all.recorder.ResponseWriter = w
	all.Request, all.w, all.begun = &all.resource, &all.recorder, time.Now()
	return &all.request
}

func (t *Twin) finish(r *request) {
	r.Call.Status, r.Call.Seconds = r.w.status, time.Since(r.begun).Seconds()
	t.calls.add(*r.Call)
}

// fixed is a header that every answer has in the same words.
type fixed struct {
	name   string
	values []string
}

func stamped() []fixed {
	return []fixed{
		{"Cache-Control", []string{"no-cache"}}, {"Pragma", []string{"no-cache"}}, {"Expires", []string{"-1"}},
		{"Strict-Transport-Security", []string{"max-age=31536000; includeSubDomains"}}, {"X-Content-Type-Options", []string{"nosniff"}},
	}
}

// dated is a time in the words of headers.
type dated struct {
	second        int64
	date, routing string
	own           string // routing of the twin's own region
}

// date is now in the words of headers, which change once a second.
func (t *Twin) date() *dated {
	now := t.clock.Now()
	if d := t.dates.Load(); d != nil && d.second == now.Unix() {
		return d
	}
	d := &dated{second: now.Unix(), date: now.UTC().Format(http.TimeFormat), routing: ":" + arm.RoutingStamp(now) + ":"}
	d.own = strings.ToUpper(t.options.Region) + d.routing
	t.dates.Store(d)
	return d
}

// stamp sets the headers every answer has.
func (t *Twin) stamp(r *request) {
	h, now := r.w.Header(), t.date()
	r.subject.Region = t.options.Region
	if host, rest, ok := strings.Cut(r.Host, "."); ok && strings.HasPrefix(rest, "management.") { // a regional endpoint of the gateway
		r.subject.Region = host
	}
	r.Call.Region = r.subject.Region
	for _, one := range t.stamped {
		h[one.name] = one.values
	}
	id := uuid.NewString()
	r.tell("x-ms-request-id", id)
	h["x-ms-correlation-request-id"] = h["x-ms-request-id"]
	if correlation := r.Header.Get("X-Ms-Correlation-Request-Id"); correlation != "" {
		r.tell("x-ms-correlation-request-id", correlation)
	}
	routing := now.own
	if r.subject.Region != t.options.Region {
		routing = strings.ToUpper(r.subject.Region) + now.routing
	}
	r.tell("x-ms-routing-request-id", routing+id)
	r.tell("Date", now.date)
	if client := r.Header.Get("X-Ms-Client-Request-Id"); client != "" {
		r.tell("x-ms-client-request-id", client)
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
