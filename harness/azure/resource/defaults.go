package resource

import (
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/schema"
)

// complete makes of what a client has written what the service would show of it: what the service alone writes is as it was, and what the client left out is
// filled in; of the children in the document too.
func (e *Engine) complete(typ *Type, body, old map[string]any) {
	m := e.model(http.MethodPut, typ)
	completeOne(typ, m, body, old)
	for _, child := range e.inside[strings.ToLower(typ.Name)] {
		before := children(old, child.Inside)
		for _, c := range arm.Objects(body, "properties", child.Inside) {
			var was map[string]any
			if i := indexOf(before, arm.Text(c, "name")); i >= 0 {
				was, _ = before[i].(map[string]any)
			}
			completeOne(child, m.In("properties").In(child.Inside), c, was)
		}
	}
}

func completeOne(typ *Type, m *schema.Model, body, old map[string]any) {
	properties := arm.Object(body, "properties")
	for _, name := range typ.ReadOnly {
		delete(properties, name)
	}
	keep(m.ReadOnly(), body, old)
	keep(append(m.In("properties").ReadOnly(), typ.ReadOnly...), properties, old["properties"])
	for path, value := range typ.Defaults {
		fill(body, strings.Split(path, "."), value)
	}
}

// keep leaves what the service alone writes as it was: a client has not said anything of it.
func keep(names []string, body map[string]any, old any) {
	was, _ := old.(map[string]any)
	for _, name := range names {
		if v, there := was[name]; there && body[name] == nil {
			body[name] = v
		}
	}
}

// fill puts a value where there is none, in every element where the path says so.
func fill(m map[string]any, path []string, value any) {
	name, every := strings.CutSuffix(path[0], "[]")
	switch {
	case every:
		for _, x := range arm.Objects(m, name) {
			fill(x, path[1:], value)
		}
	case len(path) > 1:
		fill(arm.Object(m, name), path[1:], value)
	case arm.Field(m, name) == nil:
		if list, ok := value.([]any); ok {
			value = slices.Clone(list)
		}
		m[name] = value
	}
}
