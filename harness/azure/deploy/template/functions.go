package template

import (
	"fmt"
	"maps"
	"strings"
)

// function is one of the language. lazy ones evaluate their own arguments.
type function struct {
	least, most int // arguments; most -1: any number
	do          func(s *Scope, a []any) (any, error)
	lazy        func(s *Scope, a []node) (any, error)
}

func (f function) takes() string {
	switch {
	case f.most < 0:
		return fmt.Sprintf("at least '%d' argument(s)", f.least)
	case f.least == f.most:
		return fmt.Sprintf("'%d' argument(s)", f.least)
	default:
		return fmt.Sprintf("'%d' to '%d' argument(s)", f.least, f.most)
	}
}

func pure(least, most int, do func(a []any) (any, error)) function {
	return function{least: least, most: most, do: func(_ *Scope, a []any) (any, error) { return do(a) }}
}

// table has the functions by their names in lower case. The list is that of learn.microsoft.com "ARM template functions", with those that
// Bicep emits besides (github.com/Azure/bicep, SystemNamespaceType and AzNamespaceType), a test holds it against. What is not in it is refused by its name.
func table() map[string]function {
	out := map[string]function{}
	for _, more := range []map[string]function{texts(), encodings(), numbers(), lists(), objects(), tests(), dates(), networks(), lambdas(), scopes(), resources(), uris(), zones()} {
		maps.Copy(out, more)
	}
	return out
}

// function finds one by its name, whatever its case: the template's own have a namespace, list* are many.
func (s *Scope) function(name string) (function, bool, error) {
	key := strings.ToLower(name)
	if f, ok := s.shared().functions[key]; ok {
		return f, true, nil
	}
	if strings.Contains(key, ".") {
		f, ok, err := s.own(name)
		if ok {
			s.state.functions[key] = f
		}
		return f, ok, err
	}
	if strings.HasPrefix(key, "list") {
		f := function{least: 1, most: 3, do: func(s *Scope, a []any) (any, error) { return list(s, name, a) }}
		s.state.functions[key] = f
		return f, true, nil
	}
	return function{}, false, nil
}

func unknown(name string) error {
	return errorf("The template function '%s' is not valid. Please see https://aka.ms/arm-functions for usage details.", name)
}

func unexpected(name string) error {
	return errorf("The template function '%s' is not expected at this location. Please see https://aka.ms/arm-functions for usage details.", name)
}

func wrong(name, wanted string, got any) error {
	return errorf("Unable to evaluate template language function '%s': %s is expected, and '%s' was provided. Please see https://aka.ms/arm-functions/#%s for usage details.", name, wanted, short(got), strings.ToLower(name))
}

// short shows a value in an error. It is the type only of what is not plain: an object may hold what is secret.
func short(v any) string {
	switch x := v.(type) {
	case map[string]any, []any:
		return kind(v)
	case string:
		if len(x) > 80 {
			return x[:80] + "…"
		}
	}
	return compact(v)
}
