package resource

import (
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// Rename gives resources of a group, and what is below them, other ids, and whatever in their subscription names them the new ones; but not those of the types
// that stay, neither their ids nor what they say. names are the old paths and the new ones.
func (tx *Tx) Rename(group arm.ID, names map[string]string, stays func(d *state.Document) bool) {
	n := renames{}
	for from, to := range names {
		n[strings.ToLower(from)] = to
	}
	docs, _ := tx.Everything(arm.ID{Subscription: group.Subscription}, "", 1<<30)
	within := group.Key() + "/"
	for _, d := range docs {
		text := strings.HasPrefix(d.ID.Key(), within) || strings.Contains(strings.ToLower(string(d.Raw)), within) || d.Hidden != nil
		if !text || stays(d) {
			continue
		}
		body := d.Body()
		tags, tagged := body["tags"] // are the client's words, whatever stands in them
		delete(body, "tags")
		path, moved := n.path(d.ID.String())
		if !n.rewrite(body) && !moved {
			continue
		}
		if tagged {
			body["tags"] = tags
		}
		to, ok := arm.ParseID(path)
		if !moved || !ok {
			tx.Put(d.ID, body)
			continue
		}
		tx.Put(to, body) // before the other goes: who reads meanwhile finds one of them
		tx.state.Remove(d.ID)
	}
}

// renames are new paths by the old ones in lower case.
type renames map[string]string

// path is what a path becomes; false: it stays.
func (n renames) path(s string) (string, bool) {
	for end := len(s); end > 0; end = strings.LastIndexByte(s[:end], '/') {
		if to, ok := n[strings.ToLower(s[:end])]; ok {
			return to + s[end:], true
		}
	}
	return s, false
}

// rewrite changes every path in a document, in place; false: there was none to change.
func (n renames) rewrite(v any) (changed bool) {
	one := func(x any) (any, bool) {
		s, ok := x.(string)
		if !ok {
			return x, n.rewrite(x)
		}
		if !strings.HasPrefix(s, "/") {
			return s, false
		}
		return n.path(s)
	}
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			now, did := one(e)
			x[k], changed = now, changed || did
		}
	case []any:
		for i, e := range x {
			now, did := one(e)
			x[i], changed = now, changed || did
		}
	}
	return changed
}
