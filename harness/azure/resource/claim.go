package resource

import (
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// Claim is what the engine does with a call, as its types say; nothing need be there for it.
type Claim struct {
	Type    string
	Action  string // of a POST, in lower case
	Codes   []int  // that it is answered when it is not refused
	Lasting bool   // an operation goes on after the answer
	Form    string // the way a client is told of that
}

// Claim says what a call would be answered; false: the engine knows no such thing.
func (e *Engine) Claim(method, path string) (Claim, bool) {
	id, ok := arm.ParseID(path)
	r := &Request{Request: &http.Request{Method: method}, Call: &arm.Call{}, ID: id}
	if !ok || e.Route(r) != nil || r.Call.Poll {
		return Claim{}, false
	}
	t := r.Type
	c := Claim{Type: t.Name, Form: e.view().Timing(t.Name).Form}
	if id.Provider == "" {
		c.Form = state.FormLocation
	}
	switch method {
	case http.MethodGet:
		c.Codes = []int{http.StatusOK}
	case http.MethodHead:
		c.Codes = []int{http.StatusNoContent, http.StatusNotFound}
	case http.MethodPost:
		if id.Collection() {
			c.Action = strings.ToLower(id.Types[len(id.Types)-1])
		}
		a, known := t.Actions[c.Action]
		if !known {
			return c, false
		}
		c.Codes, c.Lasting = []int{a.code()}, a.Then != nil
	case http.MethodPut:
		c.Codes, c.Lasting = []int{t.code(Updates)}, !t.atOnce(Creates) || !t.atOnce(Updates)
		if !t.Given {
			c.Codes = append(c.Codes, t.code(Creates))
		}
	case http.MethodPatch:
		c.Codes, c.Lasting = []int{t.code(Patches)}, !t.atOnce(Patches)
	case http.MethodDelete:
		c.Codes, c.Lasting = []int{t.code(Deletes), t.gone()}, !t.atOnce(Deletes)
	}
	c.Codes = slices.DeleteFunc(c.Codes, func(code int) bool { return code >= http.StatusBadRequest && method != http.MethodHead }) // a refusal
	reads := method == http.MethodGet || method == http.MethodHead
	return c, method == http.MethodPost || t.knows(method) && (reads || (t.Write != nil || !t.made()) && !id.Collection())
}
