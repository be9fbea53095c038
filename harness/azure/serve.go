package azure

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxBody is what the gateway takes of a request (4 MB, learn.microsoft.com "Azure Resource Manager request limits").
const maxBody = 4 << 20

// serve does what an admitted call asks for.
func (t *Twin) serve(r *request) {
	if r.call.Poll {
		t.poll(r)
		return
	}
	var err *Error
	switch {
	case r.Method == http.MethodPost:
		err = t.post(r)
	case r.Method == http.MethodGet && r.typ.show != nil:
		err = t.shown(r)
	case r.Method == http.MethodGet && r.id.Collection():
		err = t.list(r)
	case r.Method == http.MethodGet:
		err = t.get(r)
	case r.Method == http.MethodHead:
		t.head(r)
	case !r.id.Collection() && (r.Method == http.MethodPut || r.Method == http.MethodPatch):
		err = t.put(r)
	case !r.id.Collection() && r.Method == http.MethodDelete:
		err = t.remove(r)
	default:
		err = notAllowed(r)
	}
	if err != nil {
		err.write(r.w)
	}
}

// there is the error for a resource whose group or parent does not exist.
func (t *Twin) there(id ID) *Error {
	if id.ResourceGroup == "" || id.Provider == "" {
		return nil
	}
	if bad := t.groupThere(id); bad != nil {
		return bad
	}
	if len(id.Types) > 1 && len(id.Names) > 0 {
		parent := id.top(len(id.Types) - 1)
		if t.typeOf(parent) != nil && t.store.get(parent) == nil {
			e := notFound(parent)
			e.Code = "ParentResourceNotFound"
			e.Message = fmt.Sprintf("Failed to perform '%s' on resource(s) of type '%s', because the parent resource '%s' could not be found.", "action", strings.Join(id.Types, "/"), parent)
			return e
		}
	}
	return nil
}

// groupThere is the error for a resource group that does not exist.
func (t *Twin) groupThere(id ID) *Error {
	if group := groupID(id); id.ResourceGroup != "" && t.store.get(group) == nil {
		return notFound(group)
	}
	return nil
}

func groupID(id ID) ID {
	return ID{Subscription: id.Subscription, ResourceGroup: id.ResourceGroup, Types: []string{"resourceGroups"}, Names: []string{id.ResourceGroup}}
}

// read finds a document; a stale read finds the one of some time ago.
func (t *Twin) read(id ID) *document {
	if docs := t.faults.staleDocs(); docs != nil {
		return docs[id.key()]
	}
	return t.store.get(id)
}

// shown answers what is made when somebody looks.
func (t *Twin) shown(r *request) *Error {
	body := r.typ.show(t, r.id)
	if body == nil {
		return notFound(r.id)
	}
	reply(r.w, http.StatusOK, body)
	return nil
}

func (t *Twin) get(r *request) *Error {
	if r.typ.inside != "" {
		return t.getInside(r)
	}
	d := t.read(r.id)
	if d == nil {
		if bad := t.groupThere(r.id); bad != nil {
			return bad
		}
		return notFound(r.id)
	}
	raw := d.raw
	if strings.EqualFold(r.param("$expand"), "instanceView") {
		raw = t.expanded(d)
	}
	r.w.Header()["ETag"] = []string{d.ETag()}
	replyRaw(r.w, http.StatusOK, raw)
	return nil
}

// expanded is the document with its instance view in it.
func (t *Twin) expanded(d *document) []byte {
	view := t.types[strings.ToLower(d.id.Type()+"/instanceView")]
	if view == nil {
		return d.raw
	}
	body := d.public()
	object(body, "properties")["instanceView"] = view.show(t, d.id)
	raw, err := json.Marshal(body)
	if err != nil {
		return d.raw
	}
	return raw
}

func (t *Twin) head(r *request) {
	status := http.StatusNoContent
	if t.read(r.id) == nil {
		status = http.StatusNotFound
	}
	r.w.WriteHeader(status)
}

// list answers a page. The documents are copied as they are.
func (t *Twin) list(r *request) *Error {
	if r.typ.inside != "" {
		return t.listInside(r)
	}
	if err := t.there(r.id); err != nil {
		return err
	}
	page := t.options.Page
	if top := r.param("$top"); top != "" {
		n, err := strconv.Atoi(top)
		if err != nil || n < 1 {
			return errorf(http.StatusBadRequest, "InvalidTopParameter", "The $top query parameter '%s' is not a positive number.", top)
		}
		page = min(n, 1000)
	}
	keep, bad := filter(r.param("$filter"))
	if bad != nil {
		return bad
	}
	after, err := base64.RawURLEncoding.DecodeString(r.param("$skiptoken"))
	if err != nil {
		return errorf(http.StatusBadRequest, "InvalidSkipToken", "The provided skip token '%s' is invalid.", r.param("$skiptoken"))
	}
	docs, next := t.page(r.id, string(after), page, keep)
	out := make([]byte, 0, 1024)
	out = append(out, `{"value":[`...)
	expand := strings.EqualFold(r.param("$expand"), "instanceView")
	for i, d := range docs {
		if i > 0 {
			out = append(out, ',')
		}
		if expand {
			out = append(out, t.expanded(d)...)
		} else {
			out = append(out, d.raw...)
		}
	}
	out = append(out, ']')
	if next != "" {
		q := url.Values{}
		for k, v := range r.query {
			q[k] = v
		}
		q.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(next)))
		link, err := json.Marshal(r.base() + r.URL.Path + "?" + q.Encode())
		if err == nil {
			out = append(append(out, `,"nextLink":`...), link...)
		}
	}
	replyRaw(r.w, http.StatusOK, append(out, '}'))
	return nil
}

// page collects documents that pass the filter until the page is full.
func (t *Twin) page(collection ID, after string, size int, keep func(*document) bool) (out []*document, next string) {
	for {
		docs, more := t.store.list(collection, after, size-len(out))
		for _, d := range docs {
			if keep == nil || keep(d) {
				out = append(out, d)
			}
		}
		if more == "" || len(out) == size {
			return out, more
		}
		after = more
	}
}

// filter reads the part of OData that these services take: comparisons by eq, joined by and. The names are paths below the resource or its properties.
func filter(f string) (func(*document) bool, *Error) {
	if f == "" || strings.EqualFold(f, "atScope()") {
		return nil, nil
	}
	type equal struct {
		path  []string
		value string
	}
	var all []equal
	for _, part := range strings.Split(f, " and ") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), " eq ")
		value = strings.TrimSpace(value)
		if !ok || len(value) < 2 || value[0] != '\'' || value[len(value)-1] != '\'' {
			return nil, errorf(http.StatusBadRequest, "InvalidFilterInQueryString", "Invalid $filter '%s' specified in the query string.", f)
		}
		all = append(all, equal{strings.Split(strings.Trim(strings.TrimSpace(name), "'"), "/"), strings.ReplaceAll(value[1:len(value)-1], "''", "'")})
	}
	return func(d *document) bool {
		body := d.body()
		return !slices.ContainsFunc(all, func(e equal) bool {
			return !strings.EqualFold(text(body, e.path...), e.value) && !strings.EqualFold(text(body, append([]string{"properties"}, e.path...)...), e.value)
		})
	}, nil
}

// decode reads a JSON object; an empty body is an empty object.
func decode(r *request) (map[string]any, *Error) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, errorf(http.StatusBadRequest, "InvalidRequestContent", "The request content could not be read: '%v'.", err)
	}
	if len(raw) > maxBody {
		return nil, gatewayf(http.StatusRequestEntityTooLarge, "RequestContentTooLarge", "The request content size exceeds the maximum size of '4 MB'.")
	}
	body := map[string]any{}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return body, nil
	}
	if err := json.Unmarshal(raw, &body); err != nil || body == nil {
		return nil, gatewayf(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid and could not be deserialized: '%v'.", err)
	}
	maps.DeleteFunc(body, func(k string, _ any) bool { return strings.HasPrefix(k, hiddenPrefix) })
	return body, nil
}

// precondition compares If-Match and If-None-Match.
func precondition(r *request, d *document) *Error {
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	switch {
	case match != "" && (d == nil || match != "*" && match != d.ETag() && match != "W/"+d.ETag()):
		return errorf(http.StatusPreconditionFailed, "PreconditionFailed", "Precondition given in request header 'If-Match' failed for resource '%s'.", r.id)
	case none == "*" && d != nil:
		return errorf(http.StatusPreconditionFailed, "PreconditionFailed", "Precondition given in request header 'If-None-Match' failed: resource '%s' exists.", r.id)
	}
	return nil
}
