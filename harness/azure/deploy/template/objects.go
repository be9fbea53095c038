package template

import (
	"maps"
	"slices"
	"strings"
)

// objects are the functions of objects (learn.microsoft.com "Object functions for ARM templates"; Bicep's own has tryGet, shallowMerge and objectKeys).
func objects() map[string]function {
	return map[string]function{
		"createobject": pure(0, -1, createObject),
		"items":        pure(1, 1, items),
		"objectkeys":   pure(1, 1, objectKeys),
		"shallowmerge": pure(1, 1, shallowMerge),
		"tryget":       pure(2, -1, tryGet),
	}
}

func createObject(a []any) (any, error) {
	if len(a)%2 != 0 {
		return nil, errorf("The template function 'createObject' expects an even number of parameters, and there are '%d'. Please see https://aka.ms/arm-functions/#createobject for usage details.", len(a))
	}
	out := map[string]any{}
	for i := 0; i < len(a); i += 2 {
		k, ok := a[i].(string)
		if !ok {
			return nil, wrong("createObject", "a string, for a key,", a[i])
		}
		out[k] = a[i+1]
	}
	return out, nil
}

// items go by their keys' order.
func items(a []any) (any, error) {
	m, ok := a[0].(map[string]any)
	if !ok {
		return nil, wrong("items", "an object", a[0])
	}
	out := []any{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, map[string]any{"key": k, "value": m[k]})
	}
	return out, nil
}

func objectKeys(a []any) (any, error) {
	m, ok := a[0].(map[string]any)
	if !ok {
		return nil, wrong("objectKeys", "an object", a[0])
	}
	out := []any{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k)
	}
	return out, nil
}

// set gives an object's member; its name is there already, in whatever case, or it is new.
func set(m map[string]any, name string, v any) {
	if _, exact := m[name]; !exact {
		for k := range m {
			if strings.EqualFold(k, name) {
				name = k
				break
			}
		}
	}
	m[name] = v
}

func shallowMerge(a []any) (any, error) {
	list, ok := a[0].([]any)
	out := map[string]any{}
	for _, x := range list {
		m, isObject := x.(map[string]any)
		if !isObject {
			ok = false
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			set(out, k, m[k])
		}
	}
	if !ok {
		return nil, wrong("shallowMerge", "an array of objects", a[0])
	}
	return out, nil
}

// tryGet goes along keys and indices, and gives null where one is not there.
func tryGet(a []any) (any, error) {
	v := a[0]
	for _, at := range a[1:] {
		switch x := v.(type) {
		case nil:
			return nil, nil
		case map[string]any:
			k, ok := at.(string)
			if !ok {
				return nil, wrong("tryGet", "a string, for a key of an object,", at)
			}
			v, _ = lookup(x, k)
		case []any:
			i, ok := whole(at)
			switch {
			case !ok:
				return nil, wrong("tryGet", "a whole number, for an index of an array,", at)
			case i < 0 || i >= int64(len(x)):
				return nil, nil
			}
			v = x[i]
		default:
			return nil, wrong("tryGet", "an object or an array", v)
		}
	}
	return v, nil
}

// union has what is in any of its arguments. Objects within objects are merged, arrays within them are not.
func union(a []any) (any, error) {
	if _, ok := a[0].(map[string]any); ok {
		out := map[string]any{}
		for _, x := range a {
			m, ok := x.(map[string]any)
			if !ok {
				return nil, wrong("union", "an object, as the first argument is one,", x)
			}
			out = merged(out, m)
		}
		return out, nil
	}
	out := []any{}
	for _, x := range a {
		list, ok := x.([]any)
		if !ok {
			return nil, wrong("union", "arrays or objects", x)
		}
		for _, e := range list {
			if !slices.ContainsFunc(out, func(o any) bool { return equal(o, e) }) {
				out = append(out, e)
			}
		}
	}
	return out, nil
}

func merged(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	for _, k := range slices.Sorted(maps.Keys(b)) {
		v := b[k]
		old, _ := lookup(out, k)
		o, isObject := old.(map[string]any)
		if n, too := v.(map[string]any); isObject && too {
			v = merged(o, n)
		}
		set(out, k, v)
	}
	return out
}

// intersection has what is in all of its arguments.
func intersection(a []any) (any, error) {
	switch first := a[0].(type) {
	case map[string]any:
		out := maps.Clone(first)
		for _, x := range a[1:] {
			m, ok := x.(map[string]any)
			if !ok {
				return nil, wrong("intersection", "an object, as the first argument is one,", x)
			}
			maps.DeleteFunc(out, func(k string, v any) bool {
				other, there := lookup(m, k)
				return !there || !equal(v, other)
			})
		}
		return out, nil
	case []any:
		out := []any{}
		for _, e := range first {
			if !slices.ContainsFunc(out, func(o any) bool { return equal(o, e) }) {
				out = append(out, e)
			}
		}
		for _, x := range a[1:] {
			list, ok := x.([]any)
			if !ok {
				return nil, wrong("intersection", "an array, as the first argument is one,", x)
			}
			out = slices.DeleteFunc(out, func(e any) bool { return !slices.ContainsFunc(list, func(o any) bool { return equal(o, e) }) })
		}
		return out, nil
	}
	return nil, wrong("intersection", "arrays or objects", a[0])
}
