package azure

import (
	"net/http"
	"strings"
)

// route finds the type of a path. A POST ends in an action of a type.
func (e *Engine) route(r *Request) *Error {
	id := r.id
	if poll := pollOf(id); poll != "" {
		r.typ, r.call.Poll = &Type{name: poll}, true
		return nil
	}
	if r.Method == http.MethodPost && id.Collection() && len(id.Types) > 1 {
		id = id.parent()
	}
	r.typ = e.typeOf(id)
	if r.typ == nil {
		if id.Provider == "" {
			return gatewayf(http.StatusNotFound, "InvalidResourceType", "The resource type '%s' could not be found.", id.Type())
		}
		return gatewayf(http.StatusNotFound, "InvalidResourceType", "The resource type '%s' could not be found in the namespace '%s' for api version '%s'.",
			strings.Join(id.Types, "/"), id.Provider, r.call.APIVersion)
	}
	return nil
}

// pollOf names the kind of poll a path is, as policies select it; empty: it is none.
func pollOf(id ID) string {
	if id.Collection() || len(id.Types) == 0 {
		return ""
	}
	first, last := strings.ToLower(id.Types[0]), strings.ToLower(id.Types[len(id.Types)-1])
	switch {
	case last == "operationstatuses":
		return "Microsoft.Resources/deployments/operationStatuses"
	case last == "operationresults" && len(id.Types) == 1:
		return "operationResults"
	case first == "locations" && last == "diskoperations":
		return "Microsoft.Compute/locations/DiskOperations"
	case first == "locations" && (last == "operations" || last == "operationresults"):
		for _, known := range []string{"Microsoft.Compute", "Microsoft.Network"} {
			if strings.EqualFold(known, id.Provider) {
				return known + "/locations/operations"
			}
		}
		return "locations/operations"
	}
	return ""
}

// operation names what the call does, as policies and faults select it.
func (e *Engine) operation(r *Request) string {
	name := r.typ.name
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if r.id.Collection() && !r.typ.single {
			return "LIST " + name
		}
		return "GET " + name
	case http.MethodPut:
		if e.view().get(r.id) == nil {
			return "CREATE " + name
		}
		return "UPDATE " + name
	case http.MethodPatch:
		return "UPDATE " + name
	case http.MethodDelete:
		return "DELETE " + name
	default:
		if r.id.Collection() {
			return "POST " + name + "/" + r.id.Types[len(r.id.Types)-1]
		}
		return "POST " + name
	}
}

// limited is the resource a per-resource policy counts for: what an operation works on, when one is polled.
func (e *Engine) limited(r *Request) string {
	if r.call.Poll {
		if op, ok := e.view().find(r.id.Name()); ok {
			return op.target.key()
		}
	}
	id := r.id
	if id.Collection() && r.Method == http.MethodPost {
		id = id.parent()
	}
	return id.key()
}
