package resource

import (
	"net/http"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// Request is one call on its way through.
type Request struct {
	*http.Request
	Call  *arm.Call
	ID    arm.ID
	Type  *Type
	Query map[string][]string
	Told  http.Header           // of the answer
	Fails func() *arm.Error     // by a fault: how the operation that it begins ends; nil: as it does
	Stale func() state.Snapshot // by a fault: what a read finds, instead of what there is
	Text  []byte                // of a type that is lenient: what the client has sent, to the letter

	key    string          // of the resource, once it was asked for
	there  *state.Document // and what is there
	looked bool
	status int // of the answer, which is written when nobody is kept waiting by a client that is slow to take it
	body   []byte
}

// Key is that of the resource.
func (r *Request) Key() string {
	if r.key == "" {
		r.key = r.ID.Key()
	}
	return r.key
}

// There is the document that is there, or was when the call first asked; nil: none.
func (r *Request) There(v state.View) *state.Document {
	if !r.looked {
		r.there, r.looked = v.At(r.Key()), true
	}
	return r.there
}

// stale is what a read finds; nil: what there is.
func (r *Request) stale() state.Snapshot {
	if r.Stale == nil {
		return nil
	}
	return r.Stale()
}

// unanswered notes that the twin does not have what is asked for, or a part of it: who looks at the twin is told, as the client is.
func (r *Request) unanswered(part string) {
	if r.URL != nil { // a question of what would be answered has none
		r.Call.Unanswered = r.Method + " " + arm.Pattern(r.URL.Path) + part
	}
}

// notAllowed refuses a verb.
func (r *Request) notAllowed() *arm.Error {
	r.unanswered("")
	return arm.NotAllowed(r.Request)
}

// Param is a parameter of the query, whatever the case of its name.
func (r *Request) Param(name string) string { return arm.Param(r.Query, name) }

// base is the URL the client used, for links back.
func (r *Request) base() string { return arm.BaseURL(r.Request) }

// Answer sets what is answered; body is anything that JSON can be made of.
func (r *Request) Answer(status int, body any) {
	r.AnswerRaw(status, arm.Marshal(body))
}

// AnswerRaw sets an answer that is JSON already; nil: without a body.
func (r *Request) AnswerRaw(status int, raw []byte) { r.status, r.body = status, raw }
