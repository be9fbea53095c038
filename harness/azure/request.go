package azure

import (
	"net/http"
)

// Request is one call on its way through.
type Request struct {
	*http.Request
	call  *Call
	id    ID
	typ   *Type
	query map[string][]string
	told  http.Header // of the answer
	fails bool        // by a fault: the operation it begins
	stale Snapshot    // by a fault: what a read finds, instead of what there is

	status int // of the answer, which is written when nobody is kept waiting by a client that is slow to take it
	body   []byte
}

// param is a parameter of the query, whatever the case of its name.
func (r *Request) param(name string) string { return param(r.query, name) }

// base is the URL the client used, for links back.
func (r *Request) base() string { return base(r.Request) }

// answer sets what is answered; body is anything that JSON can be made of.
func (r *Request) answer(status int, body any) {
	r.answerRaw(status, marshal(body))
}

// answerRaw sets an answer that is JSON already; nil: without a body.
func (r *Request) answerRaw(status int, raw []byte) { r.status, r.body = status, raw }
