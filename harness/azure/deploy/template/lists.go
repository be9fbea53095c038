package template

import (
	"math"
	"slices"
	"strings"
)

// lists are the functions of arrays, and those that take texts as well.
func lists() map[string]function {
	return map[string]function{
		"concat": pure(1, -1, concat),
		"length": pure(1, 1, func(a []any) (any, error) { return length("length", a[0]) }),
		"take": pure(2, 2, func(a []any) (any, error) {
			return cut("take", a, func(n, all int) (int, int) { return 0, min(n, all) })
		}),
		"skip": pure(2, 2, func(a []any) (any, error) {
			return cut("skip", a, func(n, all int) (int, int) { return min(n, all), all })
		}),
		"first":        pure(1, 1, func(a []any) (any, error) { return end("first", a[0], func(int) int { return 0 }) }),
		"last":         pure(1, 1, func(a []any) (any, error) { return end("last", a[0], func(n int) int { return n - 1 }) }),
		"createarray":  pure(0, -1, func(a []any) (any, error) { return a, nil }),
		"array":        pure(1, 1, array),
		"range":        pure(2, 2, numbered),
		"flatten":      pure(1, 1, flatten),
		"union":        pure(2, -1, union),
		"intersection": pure(2, -1, intersection),
		"contains":     pure(2, 2, contains),
		"empty":        pure(1, 1, empty),
		"indexof":      pure(2, 2, func(a []any) (any, error) { return position("indexOf", a, strings.Index, slices.IndexFunc[[]any]) }),
		"lastindexof":  pure(2, 2, func(a []any) (any, error) { return position("lastIndexOf", a, strings.LastIndex, lastIndex) }),
		"indexfromend": pure(2, 2, func(a []any) (any, error) {
			v, there, err := fromEnd("indexFromEnd", a)
			if err == nil && !there {
				err = errorf("The language expression property array index '%s' is out of bounds.", text(a[1]))
			}
			return v, err
		}),
		"tryindexfromend": pure(2, 2, func(a []any) (any, error) { v, _, err := fromEnd("tryIndexFromEnd", a); return v, err }),
	}
}

// concat joins arrays when the first argument is one, and text otherwise.
func concat(a []any) (any, error) {
	if _, ok := a[0].([]any); ok {
		out := []any{}
		for _, x := range a {
			list, ok := x.([]any)
			if !ok {
				return nil, wrong("concat", "an array, as the first argument is one,", x)
			}
			out = append(out, list...)
		}
		return out, nil
	}
	var b strings.Builder
	for _, x := range a {
		switch x.(type) {
		case []any, map[string]any:
			return nil, errorf("The provided parameters for language function 'concat' are invalid. Either all or none of the parameters must be an array. Please see https://aka.ms/arm-functions/#concat for usage details.")
		}
		b.WriteString(text(x))
	}
	return b.String(), nil
}

func length(name string, v any) (any, error) {
	switch x := v.(type) {
	case string:
		return int64(len(units(x))), nil
	case []any:
		return int64(len(x)), nil
	case map[string]any:
		return int64(len(x)), nil
	}
	return nil, wrong(name, "a string, an array or an object", v)
}

func empty(a []any) (any, error) {
	if a[0] == nil {
		return true, nil
	}
	n, err := length("empty", a[0])
	return n == int64(0), err
}

func array(a []any) (any, error) {
	if list, ok := a[0].([]any); ok {
		return list, nil
	}
	return []any{a[0]}, nil
}

// numbered is range: the sum must not exceed 2147483647, and the count not 10000.
func numbered(a []any) (any, error) {
	from, ok := whole(a[0])
	n, ok2 := whole(a[1])
	if !ok || !ok2 || n < 0 || n > 10_000 || from > math.MaxInt32-n || from < math.MinInt32 {
		return nil, wrong("range", "a whole number, and a count of 0 to 10000, of a sum of 2147483647 at most,", a)
	}
	out := make([]any, n)
	for i := range out {
		out[i] = from + int64(i)
	}
	return out, nil
}

func flatten(a []any) (any, error) {
	lists, ok := a[0].([]any)
	out := []any{}
	for _, l := range lists {
		list, isList := l.([]any)
		if !isList {
			ok = false
		}
		out = append(out, list...)
	}
	if !ok {
		return nil, wrong("flatten", "an array of arrays", a[0])
	}
	return out, nil
}

func cut(name string, a []any, bounds func(n, all int) (int, int)) (any, error) {
	n, ok := whole(a[1])
	if !ok {
		return nil, wrong(name, "a whole number", a[1])
	}
	n = max(0, min(n, math.MaxInt32))
	switch x := a[0].(type) {
	case string:
		u := units(x)
		from, to := bounds(int(n), len(u))
		return ofUnits(u[from:to]), nil
	case []any:
		from, to := bounds(int(n), len(x))
		return slices.Clone(x[from:to]), nil
	}
	return nil, wrong(name, "a string or an array", a[0])
}

func end(name string, v any, at func(n int) int) (any, error) {
	switch x := v.(type) {
	case string:
		u := units(x)
		if len(u) == 0 {
			return "", nil
		}
		return ofUnits(u[at(len(u)) : at(len(u))+1]), nil
	case []any:
		if len(x) == 0 {
			return nil, nil
		}
		return x[at(len(x))], nil
	}
	return nil, wrong(name, "a string or an array", v)
}

// fromEnd counts from 1, the last.
func fromEnd(name string, a []any) (v any, there bool, err error) {
	list, ok := a[0].([]any)
	n, ok2 := whole(a[1])
	switch {
	case !ok || !ok2:
		return nil, false, wrong(name, "an array and a whole number", a)
	case n < 1 || n > int64(len(list)):
		return nil, false, nil
	}
	return list[int64(len(list))-n], true, nil
}

// position finds a text in a text whatever its case, or an element of an array.
func position(name string, a []any, inText func(s, part string) int, inList func([]any, func(any) bool) int) (any, error) {
	switch x := a[0].(type) {
	case string:
		if part, ok := a[1].(string); ok {
			s := strings.ToLower(x)
			at := inText(s, strings.ToLower(part))
			if at > 0 {
				at = len(units(s[:at]))
			}
			return int64(at), nil
		}
	case []any:
		return int64(inList(x, func(e any) bool { return equal(e, a[1]) })), nil
	}
	return nil, wrong(name, "two strings, or an array", a)
}

func lastIndex(list []any, is func(any) bool) int {
	for i := len(list) - 1; i >= 0; i-- {
		if is(list[i]) {
			return i
		}
	}
	return -1
}

func contains(a []any) (any, error) {
	switch x := a[0].(type) {
	case string:
		return strings.Contains(x, text(a[1])), nil
	case []any:
		return slices.ContainsFunc(x, func(e any) bool { return equal(e, a[1]) }), nil
	case map[string]any:
		_, there := lookup(x, text(a[1]))
		return there, nil
	}
	return nil, wrong("contains", "a string, an array or an object", a[0])
}
