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
	return e.view().Get(r.ID)
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
		return arm.NotFound(r.ID)
	}
	if all, isList := body["value"].([]any); isList && r.ID.Collection() {
		keep, bad := r.filter()
		if bad != nil {
			return bad
		}
		if keep != nil {
			all = slices.DeleteFunc(all, func(x any) bool { m, _ := x.(map[string]any); return !keep(m) })
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
		return r.Type.Absent.Of(r.ID)
	}
	raw := d.Raw
	if strings.EqualFold(r.Param("$expand"), "instanceView") {
		raw = e.expanded(d)
	}
	r.Told["ETag"] = []string{d.ETag()}
	r.AnswerRaw(http.StatusOK, raw)
	return nil
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
	case r.Type.Show != nil:
		there = r.Type.Show(e.view(), r.ID) != nil
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
	page := e.options.Page
	if top := r.Param("$top"); top != "" {
		n, err := strconv.Atoi(top)
		if err != nil || n < 1 {
			return arm.Errorf(http.StatusBadRequest, "InvalidTopParameter", "The $top query parameter '%s' is not a positive number.", top)
		}
		page = min(n, 1000)
	}
	fits, bad := r.filter()
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
	show := func(d *state.Document) []byte { return d.Raw }
	switch {
	case r.Type.All:
		list, show = everything, brief
	case strings.EqualFold(r.Param("$expand"), "instanceView"):
		show = e.expanded
	}
	keep := func(d *state.Document) bool {
		return (!r.Type.All || e.tracked(d)) && (!r.Type.Own || strings.EqualFold(d.ID.ResourceGroup, r.ID.ResourceGroup)) && (fits == nil || fits(d.Body()))
	}
	docs, next := pageOf(list, r.ID, string(after), page, keep)
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

// tracked reports whether a resource is in the lists of all: those that have a location are, and groups are what such lists are of.
func (e *Engine) tracked(d *state.Document) bool {
	typ := e.typeOf(d.ID)
	return typ != nil && typ.Located && d.ID.Provider != ""
}

// brief is a resource as lists of all types show it: without its properties.
func brief(d *state.Document) []byte {
	body := d.Public()
	maps.DeleteFunc(body, func(k string, _ any) bool {
		return !slices.Contains([]string{"id", "name", "type", "location", "tags", "kind", "sku", "identity", "plan", "managedBy", "zones"}, k)
	})
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

// filter is what the call's $filter lets pass; nil: everything.
func (r *Request) filter() (func(body map[string]any) bool, *arm.Error) {
	keep, bad := filter(r.Param("$filter"))
	if bad != nil {
		r.unanswered("?$filter")
	}
	return keep, bad
}

// filter reads the part of OData that these services take: comparisons by eq, joined by and. The names are paths below the resource or its properties.
func filter(f string) (func(body map[string]any) bool, *arm.Error) {
	if f == "" || strings.EqualFold(f, "atScope()") {
		return nil, nil
	}
	type equal struct {
		path  []string
		value string
	}
	var all []equal
	tag := ""
	for _, part := range strings.Split(f, " and ") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), " eq ")
		value = strings.TrimSpace(value)
		if !ok || len(value) < 2 || value[0] != '\'' || value[len(value)-1] != '\'' {
			return nil, arm.Errorf(http.StatusBadRequest, "InvalidFilterInQueryString", "Invalid $filter '%s' specified in the query string.", f)
		}
		e := equal{strings.Split(strings.Trim(strings.TrimSpace(name), "'"), "/"), strings.ReplaceAll(value[1:len(value)-1], "''", "'")}
		switch strings.ToLower(e.path[0]) {
		case "resourcetype":
			e.path[0] = "type"
		case "tagname":
			tag = e.value
			continue
		case "tagvalue":
			e.path = []string{"tags", ""}
		}
		all = append(all, e)
	}
	for i := range all {
		if len(all[i].path) == 2 && all[i].path[0] == "tags" && all[i].path[1] == "" { // of the tag that is named before or after
			all[i].path[1] = tag
		}
	}
	return func(body map[string]any) bool {
		if _, tagged := arm.At(body, "tags", tag).(string); tag != "" && !tagged {
			return false
		}
		return !slices.ContainsFunc(all, func(e equal) bool {
			return !strings.EqualFold(arm.Text(body, e.path...), e.value) && !strings.EqualFold(arm.Text(body, append([]string{"properties"}, e.path...)...), e.value)
		})
	}, nil
}
