package azure

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// read finds a document; a stale read finds the one of some time ago.
func (e *Engine) read(r *Request) *document {
	if r.stale != nil {
		return r.stale.get(r.id)
	}
	return e.view().get(r.id)
}

// shown answers what is made when somebody looks.
func (e *Engine) shown(r *Request) *Error {
	body := r.typ.show(e.view(), r.id)
	if body == nil {
		return notFound(r.id)
	}
	r.answer(http.StatusOK, body)
	return nil
}

func (e *Engine) get(r *Request) *Error {
	if r.typ.inside != "" {
		return e.getInside(r)
	}
	d := e.read(r)
	if d == nil {
		if bad := e.view().groupThere(r.id); bad != nil {
			return bad
		}
		return notFound(r.id)
	}
	raw := d.raw
	if strings.EqualFold(r.param("$expand"), "instanceView") {
		raw = e.expanded(d)
	}
	r.told["ETag"] = []string{d.ETag()}
	r.answerRaw(http.StatusOK, raw)
	return nil
}

// expanded is the document with its instance view in it.
func (e *Engine) expanded(d *document) []byte {
	view := e.types[strings.ToLower(d.id.Type()+"/instanceView")]
	if view == nil {
		return d.raw
	}
	body := d.public()
	object(body, "properties")["instanceView"] = view.show(e.view(), d.id)
	raw, err := json.Marshal(body)
	if err != nil {
		return d.raw
	}
	return raw
}

func (e *Engine) head(r *Request) {
	status := http.StatusNoContent
	if e.read(r) == nil {
		status = http.StatusNotFound
	}
	r.answerRaw(status, nil)
}

// list answers a page. The documents are copied as they are.
func (e *Engine) list(r *Request) *Error {
	if r.typ.inside != "" {
		return e.listInside(r)
	}
	if err := e.view().there(r.id); err != nil {
		return err
	}
	page := e.options.Page
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
	docs, next := e.page(r.id, string(after), page, keep)
	out := make([]byte, 0, 1024)
	out = append(out, `{"value":[`...)
	expand := strings.EqualFold(r.param("$expand"), "instanceView")
	for i, d := range docs {
		if i > 0 {
			out = append(out, ',')
		}
		if expand {
			out = append(out, e.expanded(d)...)
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
	r.answerRaw(http.StatusOK, append(out, '}'))
	return nil
}

// page collects documents that pass the filter until the page is full.
func (e *Engine) page(collection ID, after string, size int, keep func(*document) bool) (out []*document, next string) {
	for {
		docs, more := e.view().list(collection, after, size-len(out))
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
