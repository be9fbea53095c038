package resource

import (
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// asideTag begins the names under which a document has what is kept beside it.
const asideTag = state.HiddenPrefix + "Aside"

// aside puts what is not to be seen beside a document that is about to be stored: what the client has written there, or else what was there before.
func (t *Type) aside(body, old map[string]any) {
	for name, path := range t.Aside {
		if v := take(body, strings.Split(path, ".")); v != nil {
			body[asideTag+name] = v
		} else if was := old[asideTag+name]; was != nil {
			body[asideTag+name] = was
		}
	}
}

// take takes a value out of a document; nil: there is none.
func take(m map[string]any, path []string) any {
	v := arm.Field(m, path[0])
	if len(path) > 1 {
		within, _ := v.(map[string]any)
		if within == nil {
			return nil
		}
		return take(within, path[1:])
	}
	delete(m, path[0])
	return v
}

// beside is a document with what is kept beside it under a name.
func (t *Type) beside(d *state.Document, expand string) []byte {
	for name, path := range t.Aside {
		v := d.Hidden[asideTag+name]
		if v == nil || !strings.EqualFold(name, expand) {
			continue
		}
		body := d.Public()
		at, steps := body, strings.Split(path, ".")
		for _, step := range steps[:len(steps)-1] {
			at = arm.Object(at, step)
		}
		at[steps[len(steps)-1]] = v
		return arm.Marshal(body)
	}
	return d.Raw
}
