package resource

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
	"drydock.dev/drydock/harness/azure/state"
)

// read finds a document; a stale read finds the one of some time ago.
func (e *Engine) read(r *Request) *state.Document {
	if s := r.stale(); s != nil {
		return s.Get(r.ID)
	}
	return r.There(e.store.View())
}

// shown answers what is made when somebody looks.
func (e *Engine) shown(r *Request) *arm.Error {
	if r.Type.Ask != nil {
		body, bad := r.Type.Ask(e.view(), r.ID, r)
		if bad == nil {
			r.Answer(http.StatusOK, body)
		}
		return bad
	}
	body := r.Type.Show(e.view(), r.ID)
	if body == nil {
		return r.Type.Absent.Of(r.ID)
	}
	if all, isList := body["value"].([]any); isList && r.ID.Collection() {
		keep, _, bad := r.filter()
		if bad != nil {
			return bad
		}
		if keep != nil {
			all = slices.DeleteFunc(all, func(x any) bool { m, _ := x.(map[string]any); return !keep(r.ID, m) })
		}
		if body["value"] = all; r.Type.Bare {
			r.Answer(http.StatusOK, all)
			return nil
		}
	}
	r.Answer(http.StatusOK, body)
	return nil
}

func (e *Engine) get(r *Request) *arm.Error {
	if r.Type.Inside != "" {
		return e.getInside(r)
	}
	d := e.read(r)
	if d == nil {
		if bad := e.view().groupThere(r.ID); bad != nil {
			return bad
		}
		if e.elsewhere(r) {
			return nil
		}
		return r.Type.Absent.Of(r.ID)
	}
	raw := d.Raw
	switch expand := r.Param("$expand"); {
	case strings.EqualFold(expand, "instanceView"):
		raw = e.expanded(d)
	case expand != "" && r.Type.Aside != nil:
		raw = r.Type.beside(d, expand)
	case expand != "":
		r.unanswered("?$expand=" + expand)
	}
	r.Told["ETag"] = []string{d.ETag()}
	r.AnswerRaw(http.StatusOK, raw)
	return nil
}

// elsewhere answers with what is not where it was asked for; false: there is no such thing.
func (e *Engine) elsewhere(r *Request) bool {
	if r.Type.Else == nil {
		return false
	}
	body := r.Type.Else(e.view(), r.ID)
	if body != nil {
		r.Answer(http.StatusOK, body)
	}
	return body != nil
}

// expanded is the document with its instance view in it.
func (e *Engine) expanded(d *state.Document) []byte {
	typ := e.typeOf(d.ID)
	if typ == nil || typ.View == nil {
		return d.Raw
	}
	body := d.Public()
	arm.Object(body, "properties")["instanceView"] = typ.View(e.view(), d.ID)
	raw, err := json.Marshal(body)
	if err != nil {
		return d.Raw
	}
	return raw
}

// head answers whether there is such a thing.
func (e *Engine) head(r *Request) {
	there := false
	switch {
	case r.Type.made():
		there = e.shown(r) == nil
	case r.Type.Inside != "":
		there = e.getInside(r) == nil
	default:
		there = e.read(r) != nil
	}
	status := http.StatusNotFound
	if there {
		status = http.StatusNoContent
	}
	r.AnswerRaw(status, nil)
}

// list answers a page. The documents are copied as they are.
func (e *Engine) list(r *Request) *arm.Error {
	if r.Type.Inside != "" {
		return e.listInside(r)
	}
	if err := e.view().there(r.ID); err != nil {
		return err
	}
	if r.Type.All { // it is of no provider, and there leaves it alone
		if err := e.view().groupThere(r.ID); err != nil {
			return err
		}
	}
	if e.elsewhere(r) {
		return nil
	}
	page := e.options.Page
	if top := r.Param("$top"); top != "" {
		n, err := strconv.Atoi(top)
		if err != nil || n < 1 {
			return arm.Errorf(http.StatusBadRequest, "InvalidTopParameter", "The $top query parameter '%s' is not a positive number.", top)
		}
		page = min(n, 1000)
	}
	fits, here, bad := r.filter()
	if bad != nil {
		return bad
	}
	after, err := base64.RawURLEncoding.DecodeString(r.Param("$skiptoken"))
	if err != nil {
		return arm.Errorf(http.StatusBadRequest, "InvalidSkipToken", "The provided skip token '%s' is invalid.", r.Param("$skiptoken"))
	}
	list, everything := e.view().List, e.view().Everything
	if s := r.stale(); s != nil {
		list, everything = s.List, s.Everything
	}
	show := e.shows(r)
	if r.Type.All {
		list = everything
	}
	of := r.ID
	if r.Type.Wide {
		of = arm.ID{Subscription: r.ID.Subscription, Provider: r.ID.Provider, Types: r.ID.Types}
	}
	keep := func(d *state.Document) bool {
		return (!r.Type.All || e.tracked(d)) && (!r.Type.Own || strings.EqualFold(d.ID.ResourceGroup, r.ID.ResourceGroup)) && (!r.Type.Wide || about(d.ID, r.ID, here)) && (fits == nil || fits(d.ID, d.Body()))
	}
	docs, next := pageOf(list, of, string(after), page, keep)
	out := make([]byte, 0, 1024)
	out = append(out, `{"value":[`...)
	for i, d := range docs {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, show(d)...)
	}
	out = append(out, ']')
	if next != "" {
		q := url.Values{}
		for k, v := range r.Query {
			q[k] = v
		}
		q.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(next)))
		link, err := json.Marshal(r.base() + r.URL.Path + "?" + q.Encode())
		if err == nil {
			out = append(append(out, `,"nextLink":`...), link...)
		}
	}
	r.AnswerRaw(http.StatusOK, append(out, '}'))
	return nil
}

// about reports whether what is attached to a scope is in the list of another: of that, of what is above it, which holds for it as well, and of what is
// below it, unless only what holds there is asked for (learn.microsoft.com/rest/api/authorization/role-assignments/list-for-scope).
func about(attached, list arm.ID, here bool) bool {
	at, of := ScopeOf(attached)+"/", ScopeOf(list)+"/"
	return strings.HasPrefix(of, at) || !here && strings.HasPrefix(at, of)
}

// ScopeOf is what an extension resource, or a collection of such, is attached to: a subscription, a group or a resource, as keys are written.
func ScopeOf(id arm.ID) string {
	key := id.Key()
	return key[:max(0, strings.LastIndex(key, "/providers/"))]
}

// tracked reports whether a resource is in the lists of all: those that have a location are, and groups are what such lists are of.
func (e *Engine) tracked(d *state.Document) bool {
	typ := e.typeOf(d.ID)
	return typ != nil && typ.Located && d.ID.Provider != ""
}

// shows is how a list shows each of its resources: as it is, expanded, or in brief. What else is asked for, or to be left out or ordered, is not done.
func (e *Engine) shows(r *Request) func(d *state.Document) []byte {
	expand := strings.ToLower(strings.ReplaceAll(r.Param("$expand"), " ", ""))
	for _, name := range []string{"$select", "$orderby"} {
		if r.Param(name) != "" {
			r.unanswered("?" + name)
		}
	}
	switch {
	case r.Type.All:
		if expand != "" && expand != "provisioningstate" { // of the times, nothing is kept
			r.unanswered("?$expand=" + expand)
		}
		return func(d *state.Document) []byte { return brief(d, strings.Contains(expand, "provisioningstate")) }
	case expand == "instanceview":
		return e.expanded
	case expand != "":
		r.unanswered("?$expand=" + expand)
	}
	return func(d *state.Document) []byte { return d.Raw }
}

// brief is a resource as lists of all types show it: without its properties, but with how far it is where that is asked for.
func brief(d *state.Document, far bool) []byte {
	body := d.Public()
	reached := arm.Text(body, "properties", "provisioningState")
	maps.DeleteFunc(body, func(k string, _ any) bool {
		return !slices.Contains([]string{"id", "name", "type", "location", "tags", "kind", "sku", "identity", "plan", "managedBy", "zones"}, k)
	})
	if far && reached != "" {
		body["provisioningState"] = reached
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return d.Raw
	}
	return raw
}

// pageOf collects documents that pass the filter until the page is full.
func pageOf(list func(collection arm.ID, after string, page int) ([]*state.Document, string), collection arm.ID, after string, size int, keep func(*state.Document) bool) (out []*state.Document, next string) {
	for {
		docs, more := list(collection, after, size-len(out))
		for _, d := range docs {
			if keep(d) {
				out = append(out, d)
			}
		}
		if more == "" || len(out) == size {
			return out, more
		}
		after = more
	}
}
