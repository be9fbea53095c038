package azure

import (
	"net/http"
	"strings"
)

// resourceType is a kind of resource and its rules. Every hook is optional.
type resourceType struct {
	name    string // with the case ARM writes it in
	located bool   // has a location
	single  bool   // one to a parent, without a name: GET only
	inside  string // the property of the parent's document that holds it: properties.subnets
	tagged  bool   // its document carries an etag

	// put does a PUT by itself.
	put func(t *Twin, r *request, body map[string]any) *Error
	// check says why a PUT or PATCH is refused; old is nil for a new resource.
	check func(t *Twin, id ID, body, old map[string]any) *Error
	// fill adds to a document what the provider does.
	fill func(t *Twin, id ID, body, old map[string]any)
	// made acts when the create or update has ended.
	made func(t *Twin, id ID) *Error
	// held says why it cannot be deleted.
	held func(t *Twin, id ID) *Error
	// gone acts when it was deleted; body is what it was.
	gone func(t *Twin, id ID, body map[string]any)
	// actions are its POSTs.
	actions map[string]action
	// show is the document of a single, or a view of another resource; nil: not there.
	show func(t *Twin, id ID) map[string]any
}

// action is a POST on a resource: it gives the answer at once, or an operation's end.
type action struct {
	anew bool // the resource need not be there
	now  func(t *Twin, r *request, body map[string]any) (map[string]any, *Error)
	then func(t *Twin, id ID, args map[string]any) *Error
}

// typeTable lists every type by its name in lower case.
func typeTable() map[string]*resourceType {
	out := map[string]*resourceType{}
	for _, list := range [][]*resourceType{resourceTypes(), deploymentTypes(), computeTypes(), scaleSetTypes(), networkTypes()} {
		for _, t := range list {
			out[strings.ToLower(t.name)] = t
		}
	}
	return out
}

// typeOf is the type of a resource; nil: the twin has none of that name.
func (t *Twin) typeOf(id ID) *resourceType { return t.types[strings.ToLower(id.Type())] }

// route finds the type of a path. A POST ends in an action of a type.
func (t *Twin) route(r *request) *Error {
	id := r.id
	if poll := pollOf(id); poll != "" {
		r.typ, r.call.Poll = &resourceType{name: poll}, true
		return nil
	}
	if r.Method == http.MethodPost && id.Collection() && len(id.Types) > 1 {
		id = id.parent()
	}
	r.typ = t.typeOf(id)
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
