package provider

import (
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/resource"
)

// What is written of tags here is from learn.microsoft.com/rest/api/resources/tags and "Use tags to organize your Azure resources and management hierarchy".

// tagged is what has the tags of Microsoft.Resources/tags/default at a scope: a resource, a group, or of a subscription that document itself, for it has no
// other. The tags are below the property that it gives.
func tagged(v resource.View, id arm.ID) (of arm.ID, own bool, bad *arm.Error) {
	switch {
	case !strings.EqualFold(id.Name(), "default"):
		return id, false, arm.NotFound(id)
	case id.Scope != "":
		scope, ok := arm.ParseID(id.Scope)
		if !ok || v.Get(scope) == nil { // what is in its parent's document has no tags
			return id, false, arm.NotFound(scope)
		}
		return scope, false, nil
	case id.ResourceGroup != "":
		group := arm.GroupID(id)
		if v.Get(group) == nil {
			return id, false, arm.NotFound(group)
		}
		return group, false, nil
	}
	return id, true, nil
}

// tagsOf are the tags at a scope.
func tagsOf(v resource.View, of arm.ID, own bool) map[string]any {
	body := v.Get(of).Body()
	tags, _ := arm.Field(body, "tags").(map[string]any)
	if own {
		tags, _ = arm.At(body, "properties", "tags").(map[string]any)
	}
	if tags == nil {
		tags = map[string]any{}
	}
	return tags
}

func tagsBody(id arm.ID, tags map[string]any) map[string]any {
	return map[string]any{"id": id.String(), "name": "default", "type": "Microsoft.Resources/tags", "properties": map[string]any{"tags": tags}}
}

func askTags(v resource.View, id arm.ID, r *resource.Request) (map[string]any, *arm.Error) {
	if id.Collection() {
		return nil, arm.NotAllowed(r.Request)
	}
	of, own, bad := tagged(v, id)
	if bad != nil {
		return nil, bad
	}
	return tagsBody(id, tagsOf(v, of, own)), nil
}

func writeTags(tx *resource.Tx, r *resource.Request, body map[string]any) *arm.Error {
	of, own, bad := tagged(tx.View, r.ID)
	if bad == nil {
		bad = tx.Open(of, "Update")
	}
	if bad != nil {
		return bad
	}
	now, bad := tagsAfter(r.Method, tagsOf(tx.View, of, own), body)
	if bad != nil {
		return bad
	}
	switch {
	case own:
		tx.Put(of, tagsBody(r.ID, now))
	default:
		tx.Edit(of, func(doc map[string]any) {
			for k := range doc {
				if strings.EqualFold(k, "tags") {
					delete(doc, k)
				}
			}
			if len(now) > 0 {
				doc["tags"] = now
			}
		})
	}
	if r.AnswerRaw(http.StatusOK, nil); r.Method != http.MethodDelete {
		r.Answer(http.StatusOK, tagsBody(r.ID, now))
	}
	return nil
}

// tagsAfter are the tags that a call leaves. Their names are the same in any case.
func tagsAfter(method string, tags, body map[string]any) (map[string]any, *arm.Error) {
	if method == http.MethodDelete {
		return map[string]any{}, nil
	}
	given, _ := arm.At(body, "properties", "tags").(map[string]any)
	for k, v := range given {
		if _, ok := v.(string); !ok || k == "" {
			return nil, arm.Gatewayf(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid: the value of the tag '%s' is not a string.", k)
		}
	}
	operation := "Replace"
	if method == http.MethodPatch {
		operation = arm.Text(body, "operation")
	}
	switch strings.ToLower(operation) {
	case "replace":
		tags = map[string]any{}
		fallthrough
	case "merge":
		for k, v := range given {
			tags[tagName(tags, k)] = v
		}
	case "delete": // by name, or by name and value
		for k, v := range given {
			if name := tagName(tags, k); v == "" || v == tags[name] {
				delete(tags, name)
			}
		}
	default:
		return nil, arm.Gatewayf(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid: the operation '%s' is not one of 'Replace,Merge,Delete'.", operation)
	}
	return tags, nil
}

// tagName is how a tag's name is written among others.
func tagName(tags map[string]any, name string) string {
	if _, ok := tags[name]; ok {
		return name
	}
	for k := range tags {
		if strings.EqualFold(k, name) {
			return k
		}
	}
	return name
}

// tagUse is how often the values of a tag are used, by name and value as they were first written.
type tagUse struct {
	name   string
	count  int
	values map[string]int
}

// tagUses are the tags of what is in a subscription, and those made beforehand, by name in lower case.
func tagUses(v resource.View, subscription string) map[string]*tagUse {
	uses := map[string]*tagUse{}
	use := func(name string) *tagUse {
		key := strings.ToLower(name)
		if uses[key] == nil {
			uses[key] = &tagUse{name: name, values: map[string]int{}}
		}
		return uses[key]
	}
	docs, _ := v.Everything(arm.ID{Subscription: subscription}, "", 1<<30)
	for _, d := range docs {
		switch strings.ToLower(d.ID.Type()) {
		case "tagnames":
			use(d.ID.Name())
			continue
		case "tagnames/tagvalues":
			use(d.ID.Names[0]).values[d.ID.Name()] += 0
			continue
		}
		tags, _ := d.Public()["tags"].(map[string]any)
		for k, value := range tags {
			s, _ := value.(string)
			u := use(k)
			u.count++
			u.values[s]++
		}
	}
	return uses
}

func tagCount(n int) map[string]any { return map[string]any{"type": "Total", "value": n} }

// body is a tag as clients are told of it.
func (u tagUse) body(subscription string) map[string]any {
	id := "/subscriptions/" + subscription + "/tagNames/" + u.name
	values := []any{}
	for value, n := range u.values {
		values = append(values, map[string]any{"id": id + "/tagValues/" + value, "tagValue": value, "count": tagCount(n)})
	}
	slices.SortFunc(values, func(a, b any) int { return strings.Compare(arm.Text(a, "tagValue"), arm.Text(b, "tagValue")) })
	return map[string]any{"id": id, "tagName": u.name, "count": tagCount(u.count), "values": values}
}

func askTagNames(v resource.View, id arm.ID, r *resource.Request) (map[string]any, *arm.Error) {
	if !id.Collection() {
		return nil, arm.NotAllowed(r.Request)
	}
	all := []any{}
	for _, u := range tagUses(v, id.Subscription) {
		all = append(all, u.body(id.Subscription))
	}
	slices.SortFunc(all, func(a, b any) int { return strings.Compare(arm.Text(a, "tagName"), arm.Text(b, "tagName")) })
	return map[string]any{"value": all}, nil
}

// writeTagName makes a name of tags, or a value of one, known beforehand, and forgets it. What is in use is not forgotten, nor is a name that has values; how
// the service calls that is not known.
func writeTagName(tx *resource.Tx, r *resource.Request, _ map[string]any) *arm.Error {
	id, there := r.ID, tx.Get(r.ID) != nil
	name, value := id.Names[0], ""
	if len(id.Names) > 1 {
		value = id.Names[1]
		if tx.Get(id.Top(1)) == nil && (r.Method == http.MethodPut || there) {
			return arm.Gatewayf(http.StatusNotFound, "TagNotFound", "The tag '%s' could not be found.", name)
		}
	}
	use := tagUses(tx.View, id.Subscription)[strings.ToLower(name)]
	if r.Method == http.MethodDelete {
		switch {
		case !there:
			r.AnswerRaw(http.StatusNoContent, nil)
		case value == "" && (use.count > 0 || len(use.values) > 0) || value != "" && use.values[value] > 0:
			return arm.Gatewayf(http.StatusConflict, "TagInUse", "The tag '%s' is in use and cannot be deleted.", strings.Join(id.Names, ":"))
		default:
			tx.Erase(id)
			r.AnswerRaw(http.StatusOK, nil)
		}
		return nil
	}
	status := http.StatusOK
	if !there {
		status = http.StatusCreated
		tx.Put(id, map[string]any{"id": id.String()})
		use = tagUses(tx.View, id.Subscription)[strings.ToLower(name)]
	}
	if value == "" {
		r.Answer(status, use.body(id.Subscription))
		return nil
	}
	r.Answer(status, map[string]any{"id": id.String(), "tagValue": value, "count": tagCount(use.values[value])})
	return nil
}
