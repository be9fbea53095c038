package template

import "strings"

// own finds a function that the template defines, by its namespace and name. Its expression sees its own parameters only
// (learn.microsoft.com "User-defined functions in ARM template"); that it may call others is languageVersion 2.0, which Bicep writes.
func (s *Scope) own(name string) (function, bool, error) {
	namespace, short, _ := strings.Cut(name, ".")
	for _, x := range s.Functions {
		f, _ := x.(map[string]any)
		if at, ok := f["namespace"].(string); !ok || !strings.EqualFold(at, namespace) {
			continue
		}
		members, _ := f["members"].(map[string]any)
		v, there := lookup(members, short)
		m, ok := v.(map[string]any)
		if !there {
			continue
		}
		output, hasOutput := m["output"].(map[string]any)
		if !ok || !hasOutput {
			return function{}, false, errorf("The template function '%s' is not valid: its output is missing. Please see https://aka.ms/arm-syntax-functions for usage details.", name)
		}
		declared, _ := m["parameters"].([]any)
		n := len(declared)
		return function{least: n, most: n, do: func(s *Scope, a []any) (any, error) { return s.callOwn(name, declared, output["value"], a) }}, true, nil
	}
	return function{}, false, nil
}

func (s *Scope) callOwn(name string, declared []any, value any, a []any) (any, error) {
	inner := s.within(aUserDefined)
	inner.Parameters = map[string]any{}
	for i, d := range declared {
		p, _ := d.(map[string]any)
		if want, ok := p["type"].(string); ok && !isOf(want, a[i]) {
			return nil, errorf("Unable to evaluate template language function '%s': the parameter '%s' is of type '%s', and a value of type '%s' was provided. Please see https://aka.ms/arm-syntax-functions for usage details.", name, text(p["name"]), want, kind(a[i]))
		}
		inner.Parameters[text(p["name"])] = a[i]
	}
	if s.state.depth++; s.state.depth > maxNesting {
		return nil, errorf("The template function '%s' is called within itself, '%d' deep. Please see https://aka.ms/arm-syntax-functions for usage details.", name, maxNesting)
	}
	defer func() { s.state.depth-- }()
	return inner.Eval(value)
}

// isOf says whether a value is of a type of the language.
func isOf(typ string, v any) bool {
	switch strings.ToLower(typ) {
	case "string", "securestring":
		_, ok := v.(string)
		return ok
	case "int":
		_, ok := whole(v)
		return ok
	case "bool":
		_, ok := v.(bool)
		return ok
	case "array":
		_, ok := v.([]any)
		return ok
	case "object", "secureobject":
		_, ok := v.(map[string]any)
		return ok
	default:
		return false
	}
}
