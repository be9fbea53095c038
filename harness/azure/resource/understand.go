package resource

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/schema"
)

// model is what a verb writes of a type; nil: nothing is known of it.
func (e *Engine) model(verb string, typ *Type) *schema.Model {
	return e.options.Models.For(verb, typ.Name)
}

// WithoutSecrets is a document that was sent without what is written and never read, whatever case the client wrote its names in.
func (v View) WithoutSecrets(typ *Type, body map[string]any) map[string]any {
	m := v.engine.model(http.MethodPut, typ)
	if m == nil {
		return body
	}
	own, _ := m.Read(body, false)
	m.Forget(own)
	return own
}

// Understand makes of the body of a resource that a deployment writes what the services read of it.
func (v View) Understand(typ *Type, id arm.ID, apiVersion string, body map[string]any) (map[string]any, *arm.Error) {
	return v.engine.understand(typ, id, http.MethodPut, apiVersion, body)
}

// understand makes of a body what the services read of it: first the gateway, what all resources have; then the provider, their properties. Types that do a
// PUT by themselves read it by themselves.
func (e *Engine) understand(typ *Type, id arm.ID, verb, apiVersion string, body map[string]any) (map[string]any, *arm.Error) {
	m := e.model(verb, typ)
	if m == nil || typ.Put != nil || typ.Write != nil || verb != http.MethodPut && verb != http.MethodPatch {
		return body, nil
	}
	if bad := onlyTags(m, id, verb, body); bad != nil {
		return nil, bad
	}
	hidden, read := map[string]any{}, map[string]any{}
	for k, v := range body { // what the gateway knows and this type has not, stays without meaning
		if isCommon(k) && !m.Has(k) {
			hidden[k] = v
		} else {
			read[k] = v
		}
	}
	out, problems := m.Read(read, verb == http.MethodPatch)
	maps.Copy(out, hidden)
	return out, refusal(typ, id, apiVersion, e.unless(id, apiVersion, problems))
}

// unless is what is wrong with a document when properties and values are left out that the models cannot know: those of an api-version which is newer than
// they are.
func (e *Engine) unless(id arm.ID, apiVersion string, problems []schema.Problem) []schema.Problem {
	if len(problems) == 0 || e.options.Versions == nil {
		return problems
	}
	if known := e.options.Versions(id.Provider); len(known) == 0 || apiVersion <= known[0] {
		return problems
	}
	return slices.DeleteFunc(problems, func(p schema.Problem) bool { return p.Unknown || p.OfSet })
}

// onlyTags refuses a patch of more than tags where the service has none of more (Azure/azure-sdk-for-go#2608).
func onlyTags(m *schema.Model, id arm.ID, verb string, body map[string]any) *arm.Error {
	if verb != http.MethodPatch || !strings.EqualFold(id.Provider, "Microsoft.Network") || m.Has("properties") || arm.Field(body, "properties") == nil {
		return nil
	}
	return arm.Errorf(http.StatusBadRequest, "OnlyTagsSupportedForPatch", "PATCH request content includes properties property. Only tags property is currently supported.")
}

// isCommon reports whether the gateway knows a property of all resources.
func isCommon(name string) bool {
	return slices.ContainsFunc([]string{
		"id", "name", "type", "apiVersion", "location", "tags", "kind", "sku", "plan", "identity", "zones", "managedBy", "managedByExtended", "extendedLocation", "etag", "systemData", "scale", "properties",
	}, func(known string) bool { return strings.EqualFold(known, name) })
}

// since is the version from which on a property that the newest model has not is taken for a mistake: older ones had some that are gone.
const since = "2020-01-01"

// refusal is the answer to a document that cannot be read, by whoever cannot read it; nil: it is good enough. Beside properties that is the gateway
// (Azure/azure-sdk-for-net#3487, Azure/azure-sdk-for-java#1891). In the properties Microsoft.Network says all that is wrong (Azure/azure-cli#1619), and Microsoft.Compute
// one thing (Azure/azure-cli#3951); both refuse what they do not know. Of the others' words nothing is known: they get the gateway's, and only where
// what was sent could not be answered to a client either.
func refusal(typ *Type, id arm.ID, apiVersion string, problems []schema.Problem) *arm.Error {
	compute, network := strings.EqualFold(id.Provider, "Microsoft.Compute"), strings.EqualFold(id.Provider, "Microsoft.Network")
	var within []schema.Problem
	for _, p := range problems {
		inside := strings.HasPrefix(strings.ToLower(p.Path), "properties.")
		switch {
		case p.Unknown && (apiVersion < since || inside && !compute && !network || !inside && !typ.Located):
		case p.OfSet && !compute && !network: // which values others take is their own
		case inside && (compute || network):
			within = append(within, p)
		default:
			return arm.Gatewayf(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid and could not be deserialized: '%s'.", p.Message)
		}
	}
	if len(within) == 0 {
		return nil
	}
	if network {
		bad := arm.Errorf(http.StatusBadRequest, "InvalidRequestFormat", "Cannot parse the request.")
		for _, p := range within {
			bad.Details = append(bad.Details, *arm.Errorf(0, "InvalidJson", "%s", p.Message))
		}
		return bad
	}
	bad := arm.Errorf(http.StatusBadRequest, "BadRequest", "%s", within[0].Message)
	if bad.Target = within[0].Path; typ.Called != "" {
		bad.Target = strings.ToLower(typ.Called) + "." + within[0].Path
	}
	return bad
}
