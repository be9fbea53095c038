package resource

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// maxBody is what the gateway takes of a request (4 MB, learn.microsoft.com "Azure Resource Manager request limits").
const maxBody = 4 << 20

// Serve does what an admitted call asks for.
func (e *Engine) Serve(r *Request, w http.ResponseWriter) {
	if err := e.do(r); err != nil {
		err.Write(w)
		return
	}
	if r.body == nil {
		w.WriteHeader(r.status)
		return
	}
	arm.ReplyRaw(w, r.status, r.body)
}

func (e *Engine) do(r *Request) *arm.Error {
	switch {
	case r.Call.Poll:
		return e.poll(r)
	case r.Method == http.MethodPost:
		return e.change(r, (*Tx).post)
	case !r.Type.knows(r.Method):
		return r.notAllowed()
	case r.Method == http.MethodGet && r.Type.made():
		return e.shown(r)
	case !r.ID.Collection() && r.Type.Write != nil && r.Method != http.MethodHead:
		return e.change(r, (*Tx).through)
	case r.Method != http.MethodHead && r.Type.made():
		return r.notAllowed()
	case r.Method == http.MethodGet && r.ID.Collection():
		return e.list(r)
	case r.Method == http.MethodGet:
		return e.get(r)
	case r.Method == http.MethodHead:
		e.head(r)
		return nil
	case !r.ID.Collection() && (r.Method == http.MethodPut || r.Method == http.MethodPatch):
		return e.change(r, (*Tx).write)
	case !r.ID.Collection() && r.Method == http.MethodDelete:
		return e.change(r, func(tx *Tx, r *Request, _ map[string]any) *arm.Error { return tx.delete(r) })
	default:
		return r.notAllowed()
	}
}

// change does a call that writes, alone in its subscription. What the client has to say is read before: it may be slow to say it.
func (e *Engine) change(r *Request, do func(*Tx, *Request, map[string]any) *arm.Error) (bad *arm.Error) {
	var body map[string]any
	if r.Method != http.MethodDelete {
		if body, bad = decode(r); bad != nil {
			return bad
		}
		if body, bad = e.understand(r.Type, r.ID, r.Method, r.Call.APIVersion, body); bad != nil {
			return bad
		}
	}
	if bad = e.inject(r, body); bad != nil {
		return bad
	}
	e.write(r.ID.Subscription, func(tx *Tx) { bad = do(tx, r, body) })
	return bad
}

// decode reads a JSON object; an empty body is an empty object.
func decode(r *Request) (map[string]any, *arm.Error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, arm.Errorf(http.StatusBadRequest, "InvalidRequestContent", "The request content could not be read: '%v'.", err)
	}
	if r.Type.Lenient {
		r.Text = raw
	}
	if len(raw) > maxBody {
		return nil, arm.Gatewayf(http.StatusRequestEntityTooLarge, "RequestContentTooLarge", "The request content size exceeds the maximum size of '4 MB'.")
	}
	body := map[string]any{}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return body, nil
	}
	err = json.Unmarshal(raw, &body)
	if err != nil && r.Type.Lenient && json.Unmarshal(arm.Lenient(raw), &body) == nil {
		err = nil
	}
	if err == nil && body == nil {
		err = errors.New("a JSON object is expected, and there is null")
	}
	if err != nil {
		return nil, arm.Gatewayf(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid and could not be deserialized: '%v'.", err)
	}
	maps.DeleteFunc(body, func(k string, _ any) bool { return strings.HasPrefix(strings.ToLower(k), state.HiddenPrefix) })
	return body, nil
}

// precondition compares If-Match and If-None-Match.
func precondition(r *Request, d *state.Document) *arm.Error {
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	switch {
	case match != "" && (d == nil || match != "*" && !d.Has(match)):
		return arm.Errorf(http.StatusPreconditionFailed, "PreconditionFailed", "Precondition given in request header 'If-Match' failed for resource '%s'.", r.ID)
	case none == "*" && d != nil:
		return arm.Errorf(http.StatusPreconditionFailed, "PreconditionFailed", "Precondition given in request header 'If-None-Match' failed: resource '%s' exists.", r.ID)
	}
	return nil
}
