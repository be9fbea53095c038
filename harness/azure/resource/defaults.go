package resource

import (
	"maps"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// complete makes of what a client has written what the service would show of it: read-only properties are as they were, whatever the client sent, and what
// it left out is filled in; of the children in the document too.
func (e *Engine) complete(typ *Type, body, old map[string]any) {
	completeOne(typ, body, old)
	for _, child := range e.inside[strings.ToLower(typ.Name)] {
		before := children(old, child.Inside)
		for _, c := range arm.Objects(body, "properties", child.Inside) {
			var was map[string]any
			if i := indexOf(before, arm.Text(c, "name")); i >= 0 {
				was, _ = before[i].(map[string]any)
			}
			completeOne(child, c, was)
		}
	}
}

func completeOne(typ *Type, body, old map[string]any) {
	properties := arm.Object(body, "properties")
	for _, name := range typ.ReadOnly {
		maps.DeleteFunc(properties, func(k string, _ any) bool { return strings.EqualFold(k, name) })
		if was := arm.At(old, "properties", name); was != nil {
			properties[name] = was
		}
	}
	for path, value := range typ.Defaults {
		fill(body, strings.Split(path, "."), value)
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
