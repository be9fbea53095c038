package resource

import (
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// Ref is a reference that the documents of a type make, and where the service tells the resource named of it. From is a path below the document to what
// has the id of the resource, "[]" after a property of which every element is meant: properties.ipConfigurations[].properties.publicIPAddress. Back is a
// property of the resource named that gets the id of what names it, the nearest around the reference that has one: ipConfiguration, or a list of such,
// backendIPConfigurations[].
type Ref struct{ From, Back string }

// link is one reference of a document.
type link struct{ to, back, by string }

// links are all references of a document.
func links(typ *Type, body map[string]any) (out []link) {
	if body == nil {
		return nil
	}
	for _, ref := range typ.Refs {
		follow(body, "", strings.Split(ref.From, "."), func(to, by string) { out = append(out, link{to, ref.Back, by}) })
	}
	return out
}

// follow finds the ids at the end of a path, each with the id of the nearest that has one before the end.
func follow(v any, by string, path []string, found func(to, by string)) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	id := arm.Text(m, "id")
	if len(path) == 0 {
		if id != "" {
			found(id, by)
		}
		return
	}
	if id != "" {
		by = id
	}
	name, every := strings.CutSuffix(path[0], "[]")
	if !every {
		follow(arm.Field(m, name), by, path[1:], found)
		return
	}
	for _, x := range arm.Objects(m, name) {
		follow(x, by, path[1:], found)
	}
}

// refer tells the resources a document names of it, and those it named before that it does not any more. The document is not stored yet; nil: it is gone.
// Those in other subscriptions are not told: nobody is alone in two.
func (tx *Tx) refer(id arm.ID, typ *Type, body, old map[string]any) {
	now := links(typ, body)
	for _, l := range links(typ, old) {
		if !slices.Contains(now, l) {
			tx.tell(id, body, l, false)
		}
	}
	for _, l := range now {
		tx.tell(id, body, l, true)
	}
}

// tell writes into the resource a link leads to that it is named, or takes that away. What is in the document itself is changed there.
func (tx *Tx) tell(own arm.ID, body map[string]any, l link, named bool) {
	to, ok := arm.ParseID(l.to)
	if !ok || !strings.EqualFold(to.Subscription, own.Subscription) {
		return
	}
	top, inside := to, ""
	if typ := tx.TypeOf(to); typ != nil && typ.Inside != "" {
		top, inside = to.Top(len(to.Types)-1), typ.Inside
	}
	doc := body
	if top.Key() != own.Key() {
		d := tx.Get(top)
		if d == nil {
			return
		}
		doc, top = d.Body(), d.ID
	} else if body == nil {
		return
	}
	target := doc
	if inside != "" {
		list := children(doc, inside)
		i := indexOf(list, to.Name())
		if i < 0 {
			return
		}
		target, _ = list[i].(map[string]any)
	}
	if mark(arm.Object(target, "properties"), l, named) && top.Key() != own.Key() {
		tx.Put(top, doc)
	}
}

// mark changes a property that tells who names a resource; false: it said so already.
func mark(properties map[string]any, l link, named bool) bool {
	by := map[string]any{"id": l.by}
	name, list := strings.CutSuffix(l.back, "[]")
	if !list {
		same := strings.EqualFold(arm.Text(properties, name, "id"), l.by)
		if same == named {
			return false
		}
		if properties[name] = by; !named {
			delete(properties, name)
		}
		return true
	}
	all, _ := arm.Field(properties, name).([]any)
	i := slices.IndexFunc(all, func(x any) bool { return strings.EqualFold(arm.Text(x, "id"), l.by) })
	switch {
	case (i >= 0) == named:
		return false
	case named:
		all = append(all, by)
	default:
		all = slices.Delete(all, i, i+1)
	}
	if properties[name] = all; len(all) == 0 { // as the service shows it: without any there is no such property
		delete(properties, name)
	}
	return true
}
