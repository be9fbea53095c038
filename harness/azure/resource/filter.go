package resource

import (
	"net/http"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/azure/arm"
)

// predicate says of a resource whether it is in a list.
type predicate func(id arm.ID, body map[string]any) bool

// filter is what the call's $filter lets pass; nil: everything. here: it asks for what is at the scope of the list, and not for what is below.
func (r *Request) filter() (keep predicate, here bool, bad *arm.Error) {
	text := r.Param("$filter")
	if strings.TrimSpace(text) == "" {
		return nil, false, nil
	}
	f := &filterer{rest: lex(text)}
	keep = f.either()
	if f.failed || len(f.rest) > 0 {
		r.unanswered("?$filter")
		return nil, false, arm.Errorf(http.StatusBadRequest, "InvalidFilterInQueryString", "Invalid $filter '%s' specified in the query string.", text)
	}
	return keep, f.here, nil
}

// filterer reads the part of OData that these services take: eq and ne, joined by and, or, not and brackets, substringof, startswith, endswith and contains
// (learn.microsoft.com/rest/api/resources/resources/list), and atScope and assignedTo of what is attached to a scope
// (learn.microsoft.com/rest/api/authorization/role-assignments/list-for-scope). The names are paths below the resource or its properties.
type filterer struct {
	rest   []token
	tag    string // that tagName names, before or after tagValue
	here   bool
	failed bool
}

// token is a word, a text without its quotes, or a bracket or comma.
type token struct {
	text   string
	quoted bool
}

func lex(s string) (out []token) {
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ' ' || c == '\t':
			i++
		case strings.IndexByte("(),", c) >= 0:
			out, i = append(out, token{text: string(c)}), i+1
		case c == '\'':
			var b strings.Builder
			for i++; i < len(s); i++ {
				if s[i] == '\'' {
					if i+1 == len(s) || s[i+1] != '\'' {
						break
					}
					i++
				}
				b.WriteByte(s[i])
			}
			if i >= len(s) {
				return append(out, token{text: ","}) // it does not end: nothing that could follow is right
			}
			out, i = append(out, token{b.String(), true}), i+1
		default:
			end := i + strings.IndexAny(s[i:]+" ", " \t(),'")
			out, i = append(out, token{text: s[i:end]}), end
		}
	}
	return out
}

// word takes a word if it is next.
func (f *filterer) word(w string) bool {
	if len(f.rest) == 0 || f.rest[0].quoted || !strings.EqualFold(f.rest[0].text, w) {
		return false
	}
	f.rest = f.rest[1:]
	return true
}

// need takes a word that must be next.
func (f *filterer) need(w string) {
	if !f.word(w) {
		f.failed = true
	}
}

// any takes what is next.
func (f *filterer) any() token {
	if len(f.rest) == 0 || !f.rest[0].quoted && strings.Contains("(),", f.rest[0].text) {
		f.failed = true
		return token{}
	}
	t := f.rest[0]
	f.rest = f.rest[1:]
	return t
}

func (f *filterer) either() predicate {
	all := []predicate{f.both()}
	for f.word("or") {
		all = append(all, f.both())
	}
	return func(id arm.ID, body map[string]any) bool {
		return slices.ContainsFunc(all, func(p predicate) bool { return p(id, body) })
	}
}

func (f *filterer) both() predicate {
	all := []predicate{f.one()}
	for f.word("and") {
		all = append(all, f.one())
	}
	return func(id arm.ID, body map[string]any) bool {
		return !slices.ContainsFunc(all, func(p predicate) bool { return !p(id, body) })
	}
}

func (f *filterer) one() predicate {
	switch {
	case f.failed || len(f.rest) == 0:
		f.failed = true
		return nil
	case f.word("not"):
		p := f.one()
		return func(id arm.ID, body map[string]any) bool { return !p(id, body) }
	case f.word("("):
		p := f.either()
		f.need(")")
		return p
	case len(f.rest) > 1 && f.rest[1].text == "(" && !f.rest[1].quoted:
		return f.call()
	default:
		return f.comparison()
	}
}

func (f *filterer) comparison() predicate {
	name, op, value := f.any().text, f.any().text, f.any()
	same := f.test(name, value.text, strings.EqualFold)
	switch strings.ToLower(op) {
	case "eq":
		if strings.EqualFold(name, "tagName") {
			f.tag = value.text
		}
		return same
	case "ne":
		return func(id arm.ID, body map[string]any) bool { return !same(id, body) }
	}
	f.failed = true
	return nil
}

func (f *filterer) call() predicate {
	name := strings.ToLower(f.any().text)
	f.need("(")
	if name == "atscope" || name == "atscopeandbelow" {
		f.need(")")
		f.here = name == "atscope"
		return func(arm.ID, map[string]any) bool { return true }
	}
	first := f.any()
	if name == "assignedto" { // the groups that somebody is in are not the twin's to know
		f.need(")")
		return f.test("principalId", first.text, strings.EqualFold)
	}
	f.need(",")
	second := f.any()
	f.need(")")
	path, value := first.text, second.text
	folded := func(has func(s, part string) bool) func(a, b string) bool {
		return func(a, b string) bool { return has(strings.ToLower(a), strings.ToLower(b)) }
	}
	switch name {
	case "substringof": // the text comes first
		return f.test(value, path, folded(strings.Contains))
	case "contains":
		return f.test(path, value, folded(strings.Contains))
	case "startswith":
		return f.test(path, value, folded(strings.HasPrefix))
	case "endswith":
		return f.test(path, value, folded(strings.HasSuffix))
	}
	f.failed = true
	return nil
}

// test compares what a resource has at a path with a value.
func (f *filterer) test(path, value string, fits func(has, value string) bool) predicate {
	switch strings.ToLower(path) {
	case "":
		f.failed = true
	case "tagname":
		return func(_ arm.ID, body map[string]any) bool {
			tags, _ := arm.Field(body, "tags").(map[string]any)
			for k := range tags {
				if fits(k, value) {
					return true
				}
			}
			return false
		}
	case "tagvalue":
		return func(_ arm.ID, body map[string]any) bool {
			tags, _ := arm.Field(body, "tags").(map[string]any)
			for k, v := range tags {
				if s, ok := v.(string); ok && fits(s, value) && (f.tag == "" || strings.EqualFold(k, f.tag)) {
					return true
				}
			}
			return false
		}
	case "resourcegroup":
		return func(id arm.ID, _ map[string]any) bool { return fits(id.ResourceGroup, value) }
	case "resourcetype":
		path = "type"
	case "location":
		return func(_ arm.ID, body map[string]any) bool {
			return holds(body, []string{"location"}, value, arm.SameLocation) || holds(body, []string{"locations"}, value, arm.SameLocation)
		}
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	return func(_ arm.ID, body map[string]any) bool {
		return holds(body, parts, value, fits) || holds(body, append([]string{"properties"}, parts...), value, fits)
	}
}

// holds reports whether a text at a path fits, or one in a list there.
func holds(body map[string]any, path []string, value string, fits func(has, value string) bool) bool {
	switch x := arm.At(body, path...).(type) {
	case string:
		return fits(x, value)
	case bool:
		return fits(map[bool]string{true: "true", false: "false"}[x], value)
	case []any:
		return slices.ContainsFunc(x, func(e any) bool { s, ok := e.(string); return ok && fits(s, value) })
	}
	return false
}
