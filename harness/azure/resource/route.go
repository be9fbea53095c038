package resource

import (
	"net/http"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// Route finds the type of a path. A POST ends in an action of a type.
func (e *Engine) Route(r *Request) *arm.Error {
	id := r.ID
	if poll := id.Poll(); poll != "" {
		r.Type, r.Call.Poll = &Type{Name: poll}, true
		return nil
	}
	if r.Method == http.MethodPost && id.Collection() && len(id.Types) > 1 {
		id = id.Parent()
	}
	if r.Type = e.typeOf(id); r.Type != nil && r.Type.within(id) {
		return nil
	}
	r.unanswered("")
	if bad := e.unused(r); bad != nil {
		return bad
	}
	switch {
	case id.Provider == "":
		return arm.Gatewayf(http.StatusNotFound, "InvalidResourceType", "The resource type '%s' could not be found.", id.Type())
	case !e.spaces[strings.ToLower(id.Provider)]:
		return arm.Gatewayf(http.StatusNotFound, "InvalidResourceNamespace", "The resource namespace '%s' is invalid.", id.Provider)
	default:
		return arm.Gatewayf(http.StatusNotFound, "InvalidResourceType", "The resource type '%s' could not be found in the namespace '%s' for api version '%s'.",
			strings.Join(id.Types, "/"), id.Provider, r.Call.APIVersion)
	}
}

// unused is what the Resource Manager says first of a write into a namespace that it knows and the twin has no such type of: that nobody may.
func (e *Engine) unused(r *Request) *arm.Error {
	if r.Method != http.MethodPut && r.Method != http.MethodPatch || !e.spaces[strings.ToLower(r.ID.Provider)] {
		return nil
	}
	return e.view().Gate(r.ID, ToWrite)
}

// Operation names what the call does, as policies and faults select it.
func (e *Engine) Operation(r *Request) string {
	name := r.Type.Name
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if r.ID.Collection() && !r.Type.Single {
			return "LIST " + name
		}
		return "GET " + name
	case http.MethodPut:
		if e.view().Get(r.ID) == nil {
			return "CREATE " + name
		}
		return "UPDATE " + name
	case http.MethodPatch:
		return "UPDATE " + name
	case http.MethodDelete:
		return "DELETE " + name
	default:
		if r.ID.Collection() {
			return "POST " + name + "/" + r.ID.Types[len(r.ID.Types)-1]
		}
		return "POST " + name
	}
}
