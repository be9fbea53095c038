package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// misfit is how a value is not of a type.
type misfit struct {
	mismatch         bool
	expected, actual string
	message          string
	path             string
}

func (m *misfit) place() string {
	if m.path == "" {
		return ""
	}
	return " (at '" + strings.TrimPrefix(m.path, ".") + "')"
}

// resolved follows $ref to a definition; what is declared beside it goes before what the definition says.
func (t *Template) resolved(typ map[string]any) (map[string]any, error) {
	for range maxNesting {
		v, there := lookup(typ, "$ref")
		if !there {
			if name, _ := lookup(typ, "type"); name != nil && !slices.Contains([]string{"string", "securestring", "int", "bool", "array", "object", "secureobject"}, strings.ToLower(text(name))) {
				return nil, &Error{Message: fmt.Sprintf("Error converting value \"%s\" to type 'TemplateParameterType'.", text(name)), Parse: true}
			}
			return typ, nil
		}
		name, ok := strings.CutPrefix(text(v), "#/definitions/")
		next, known := t.Definitions[name].(map[string]any)
		if !ok || !known {
			return nil, errorf("The template type reference '%s' is not valid: there is no such definition in the template. Please see https://aka.ms/arm-syntax-definitions for usage details.", text(v))
		}
		joint := maps.Clone(next)
		for k, e := range typ {
			if k != "$ref" {
				joint[k] = e
			}
		}
		typ = joint
	}
	return nil, errorf("The template's type definitions refer to each other without an end. Please see https://aka.ms/arm-syntax-definitions for usage details.")
}

// Secure says whether a parameter or an output is declared secure: its value is never told.
func (t *Template) Secure(declared map[string]any) bool {
	typ, err := t.resolved(declared)
	if err != nil {
		return true
	}
	name, _ := lookup(typ, "type")
	return strings.HasPrefix(strings.ToLower(text(name)), "secure")
}

// TypeName is a type as deployments tell it.
func (t *Template) TypeName(declared map[string]any) string {
	typ, err := t.resolved(declared)
	if err != nil {
		return ""
	}
	name, _ := lookup(typ, "type")
	for _, known := range []string{"String", "SecureString", "Int", "Bool", "Array", "Object", "SecureObject"} {
		if strings.EqualFold(known, text(name)) {
			return known
		}
	}
	return text(name)
}

// fits holds a value against a type (learn.microsoft.com "Type definitions in ARM templates"); nil: it is of it.
func (t *Template) fits(typ map[string]any, v any, path string, depth int) *misfit {
	typ, err := t.resolved(typ)
	if err != nil || depth > maxNesting {
		return &misfit{message: fmt.Sprint(err), path: path}
	}
	if yes, _ := typ["nullable"].(bool); yes && v == nil {
		return nil
	}
	name, _ := lookup(typ, "type")
	if name != nil && !isOf(text(name), v) {
		return &misfit{mismatch: true, expected: expected(text(name)), actual: kind(v), path: path}
	}
	if bad := limits(typ, v); bad != "" {
		return &misfit{message: bad, path: path}
	}
	switch x := v.(type) {
	case map[string]any:
		return t.fitsObject(typ, x, path, depth)
	case []any:
		return t.fitsArray(typ, x, path, depth)
	}
	return nil
}

func expected(typ string) string {
	switch strings.ToLower(typ) {
	case "string", "securestring":
		return "String, Uri"
	case "int":
		return "Integer"
	case "bool":
		return "Boolean"
	case "array":
		return "Array"
	default:
		return "Object"
	}
}

// limits are the constraints of a plain value.
func limits(typ map[string]any, v any) string {
	if list, ok := typ["allowedValues"].([]any); ok && !allowed(list, v) {
		words := make([]string, len(list))
		for i, x := range list {
			words[i] = text(x)
		}
		return fmt.Sprintf("The parameter value is not part of the allowed value(s): '%s'.", strings.Join(words, ","))
	}
	if n, ok := whole(v); ok {
		if low, has := whole(typ["minValue"]); has && n < low {
			return fmt.Sprintf("The value should be greater than or equal to '%d'.", low)
		}
		if high, has := whole(typ["maxValue"]); has && n > high {
			return fmt.Sprintf("The value should be less than or equal to '%d'.", high)
		}
	}
	long := int64(-1)
	switch x := v.(type) {
	case string:
		long = int64(len(units(x)))
	case []any:
		long = int64(len(x))
	}
	if low, has := whole(typ["minLength"]); has && long >= 0 && long < low {
		return fmt.Sprintf("Length of the value should be greater than or equal to '%d'.", low)
	}
	if high, has := whole(typ["maxLength"]); has && long > high {
		return fmt.Sprintf("Length of the value should be less than or equal to '%d'.", high)
	}
	return ""
}

// allowed: an array is allowed as one of the values, or when all its elements are.
func allowed(list []any, v any) bool {
	is := func(v any) bool { return slices.ContainsFunc(list, func(a any) bool { return equal(a, v) }) }
	if elements, ok := v.([]any); ok && !is(v) {
		return !slices.ContainsFunc(elements, func(e any) bool { return !is(e) })
	}
	return is(v)
}

func (t *Template) fitsObject(typ, v map[string]any, path string, depth int) *misfit {
	if d, ok := typ["discriminator"].(map[string]any); ok {
		by := text(d["propertyName"])
		tag, _ := lookup(v, by)
		kinds, _ := d["mapping"].(map[string]any)
		own, known := kinds[text(tag)].(map[string]any)
		if !known {
			return &misfit{message: fmt.Sprintf("The property '%s' should be one of '%s'.", by, strings.Join(slices.Sorted(maps.Keys(kinds)), ",")), path: path}
		}
		rest := maps.Clone(v)
		maps.DeleteFunc(rest, func(k string, _ any) bool { return strings.EqualFold(k, by) })
		if properties, own2 := own["properties"].(map[string]any); own2 && properties[by] != nil {
			rest[by] = tag
		}
		return t.fits(own, rest, path, depth+1)
	}
	properties, _ := typ["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		p, _ := properties[name].(map[string]any)
		own, there := lookup(v, name)
		if !there {
			resolved, err := t.resolved(p)
			if yes, _ := resolved["nullable"].(bool); err == nil && yes {
				continue
			}
			return &misfit{message: fmt.Sprintf("The property '%s' is missing.", name), path: path}
		}
		if bad := t.fits(p, own, path+"."+name, depth+1); bad != nil {
			return bad
		}
	}
	more := typ["additionalProperties"]
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if _, declared := lookup(properties, name); declared {
			continue
		}
		if more == false {
			return &misfit{message: fmt.Sprintf("The property '%s' is not allowed.", name), path: path}
		}
		if of, ok := more.(map[string]any); ok {
			if bad := t.fits(of, v[name], path+"."+name, depth+1); bad != nil {
				return bad
			}
		}
	}
	return nil
}

func (t *Template) fitsArray(typ map[string]any, v []any, path string, depth int) *misfit {
	first, _ := typ["prefixItems"].([]any)
	if len(v) < len(first) {
		return &misfit{message: fmt.Sprintf("The array should have '%d' elements at least.", len(first)), path: path}
	}
	if typ["items"] == false && len(v) > len(first) {
		return &misfit{message: fmt.Sprintf("The array should have '%d' elements.", len(first)), path: path}
	}
	for i, e := range v {
		var of map[string]any
		if i < len(first) {
			of, _ = first[i].(map[string]any)
		} else {
			of, _ = typ["items"].(map[string]any)
		}
		if of == nil {
			continue
		}
		if bad := t.fits(of, e, fmt.Sprintf("%s[%d]", path, i), depth+1); bad != nil {
			return bad
		}
	}
	return nil
}
