package resource

import (
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// Ref is a reference that the documents of a type make, and where the service tells the resource named of it. From is a path below the document to what
// has the id of the resource, "[]" after a property of which every element is meant: properties.ipConfigurations[].properties.publicIPAddress. Back is a
// property of the resource named that gets the id of what names it, the nearest around the reference that has one: ipConfiguration, or a list of such,
// backendIPConfigurations[]. A loose one goes with the resource named, which does not need to be let go of first.
type Ref struct {
	From, Back string
	Loose      bool
}

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

// refer tells the resources a document names of it, and those it named before that it does not any more, and has its type act. The document is not stored
// yet; nil: it is gone. Those in other subscriptions are not told: nobody is alone in two.
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
	if body != nil {
		tx.loosenRemoved(typ, body, old)
	}
	if typ.Changed != nil {
		typ.Changed(tx, id, body, old)
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

// loosen takes the loose references to a resource that is gone, and to what was in its document, out of the documents that made them.
func (tx *Tx) loosen(gone *state.Document) {
	typ, body := tx.TypeOf(gone.ID), gone.Body()
	if typ == nil {
		return
	}
	tx.loosenOne(gone.ID.String(), body)
	for _, child := range tx.engine.inside[strings.ToLower(typ.Name)] {
		for _, c := range arm.Objects(body, "properties", child.Inside) {
			tx.loosenOne(arm.Text(c, "id"), c)
		}
	}
}

// loosenRemoved does that for what a document had in it and has no more.
func (tx *Tx) loosenRemoved(typ *Type, body, old map[string]any) {
	for _, child := range tx.engine.inside[strings.ToLower(typ.Name)] {
		left := children(body, child.Inside)
		for _, c := range arm.Objects(old, "properties", child.Inside) {
			if indexOf(left, arm.Text(c, "name")) < 0 {
				tx.loosenOne(arm.Text(c, "id"), c)
			}
		}
	}
}

func (tx *Tx) loosenOne(gone string, body map[string]any) {
	for _, l := range tx.engine.loose {
		name, _ := strings.CutSuffix(l.ref.Back, "[]")
		for _, by := range arm.Objects(body, "properties", name) {
			id, ok := arm.ParseID(arm.Text(by, "id"))
			if !ok || len(id.Types) == 0 {
				continue
			}
			if id = id.Top(1); tx.TypeOf(id) == l.typ { // whose document names it, itself or in something below
				tx.Edit(id, func(body map[string]any) { drop(body, strings.Split(l.ref.From, "."), gone) })
			}
		}
	}
}

// drop takes the references to an id at the end of a path away.
func drop(m map[string]any, path []string, gone string) {
	name, every := strings.CutSuffix(path[0], "[]")
	named := func(x any) bool { return strings.EqualFold(arm.Text(x, "id"), gone) }
	switch list, _ := arm.Field(m, name).([]any); {
	case len(path) > 1 && every:
		for _, x := range arm.Objects(m, name) {
			drop(x, path[1:], gone)
		}
	case len(path) > 1:
		drop(arm.Object(m, name), path[1:], gone)
	case every && slices.ContainsFunc(list, named):
		if m[name] = slices.DeleteFunc(list, named); len(list) == 1 {
			delete(m, name)
		}
	case !every && named(arm.Field(m, name)):
		delete(m, name)
	}
}
