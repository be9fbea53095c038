package template

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// arithmetic is a function of two whole numbers.
func arithmetic(name string, do func(x, y int64) (int64, bool)) function {
	return pure(2, 2, func(a []any) (any, error) {
		x, ok := whole(a[0])
		y, ok2 := whole(a[1])
		if !ok || !ok2 {
			return nil, wrong(name, "whole numbers", a)
		}
		n, ok := do(x, y)
		if !ok {
			return nil, errorf("Unable to evaluate template language function '%s': the result of '%d' and '%d' is no whole number. Please see https://aka.ms/arm-functions/#%s for usage details.", name, x, y, name)
		}
		return n, nil
	})
}

func numbers() map[string]function {
	return map[string]function{
		"add": arithmetic("add", func(x, y int64) (int64, bool) { return x + y, true }),
		"sub": arithmetic("sub", func(x, y int64) (int64, bool) { return x - y, true }),
		"mul": arithmetic("mul", func(x, y int64) (int64, bool) { return x * y, true }),
		"div": arithmetic("div", func(x, y int64) (int64, bool) {
			if y == 0 || x == math.MinInt64 && y == -1 {
				return 0, false
			}
			return x / y, true
		}),
		"mod": arithmetic("mod", func(x, y int64) (int64, bool) {
			if y == 0 || y == -1 {
				return 0, y == -1
			}
			return x % y, true
		}),
		"int": pure(1, 1, func(a []any) (any, error) {
			if n, ok := whole(a[0]); ok {
				return n, nil
			}
			if t, ok := a[0].(string); ok {
				if n, err := strconv.ParseInt(strings.TrimSpace(t), 10, 64); err == nil {
					return n, nil
				}
			}
			return nil, wrong("int", "a whole number, or a string that is one", a[0])
		}),
		"min": pure(1, -1, func(a []any) (any, error) { return extreme("min", a, func(x, y int64) int64 { return min(x, y) }) }),
		"max": pure(1, -1, func(a []any) (any, error) { return extreme("max", a, func(x, y int64) int64 { return max(x, y) }) }),
	}
}

func extreme(name string, a []any, better func(x, y int64) int64) (any, error) {
	if list, ok := a[0].([]any); ok && len(a) == 1 {
		a = list
	}
	var best int64
	for i, x := range a {
		n, ok := whole(x)
		if !ok {
			return nil, wrong(name, "whole numbers", x)
		}
		if i == 0 {
			best = n
		}
		best = better(best, n)
	}
	if len(a) == 0 {
		return nil, wrong(name, "an array that is not empty", a)
	}
	return best, nil
}

func lists() map[string]function {
	return map[string]function{
		"concat": pure(1, -1, concat),
		"length": pure(1, 1, length),
		"take": pure(2, 2, func(a []any) (any, error) {
			return cut("take", a, func(n, all int) (int, int) { return 0, min(n, all) })
		}),
		"skip": pure(2, 2, func(a []any) (any, error) {
			return cut("skip", a, func(n, all int) (int, int) { return min(n, all), all })
		}),
		"first":       pure(1, 1, func(a []any) (any, error) { return end("first", a[0], func(int) int { return 0 }) }),
		"last":        pure(1, 1, func(a []any) (any, error) { return end("last", a[0], func(n int) int { return n - 1 }) }),
		"createarray": pure(0, -1, func(a []any) (any, error) { return a, nil }),
		"array": pure(1, 1, func(a []any) (any, error) {
			if list, ok := a[0].([]any); ok {
				return list, nil
			}
			return []any{a[0]}, nil
		}),
		"range": pure(2, 2, func(a []any) (any, error) {
			from, ok := whole(a[0])
			n, ok2 := whole(a[1])
			if !ok || !ok2 || n < 0 || n > 10_000 {
				return nil, wrong("range", "a whole number, and a count of 0 to 10000", a)
			}
			out := make([]any, n)
			for i := range out {
				out[i] = from + int64(i)
			}
			return out, nil
		}),
		"union":    pure(2, -1, union),
		"contains": pure(2, 2, contains),
		"indexof": onText("indexOf", 2, func(a []string) (any, error) {
			return int64(strings.Index(strings.ToLower(a[0]), strings.ToLower(a[1]))), nil
		}),
		"createobject": pure(0, -1, func(a []any) (any, error) {
			out := map[string]any{}
			for i := 0; i+1 < len(a); i += 2 {
				out[text(a[i])] = a[i+1]
			}
			return out, nil
		}),
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
			if out = append(out, list...); len(out) > 100_000 {
				return nil, errorf("The template language expression evaluation made an array of more than '100000' elements.")
			}
		}
		return out, nil
	}
	var b strings.Builder
	for _, x := range a {
		switch x.(type) {
		case []any, map[string]any:
			return nil, wrong("concat", "a string or a number", x)
		}
		b.WriteString(text(x))
		if b.Len() > maxWritten {
			return nil, errorf("The template language expression evaluation made more than '%d' characters.", maxWritten)
		}
	}
	return b.String(), nil
}

func length(a []any) (any, error) {
	switch x := a[0].(type) {
	case string:
		return int64(len([]rune(x))), nil
	case []any:
		return int64(len(x)), nil
	case map[string]any:
		return int64(len(x)), nil
	}
	return nil, wrong("length", "a string, an array or an object", a[0])
}

func cut(name string, a []any, bounds func(n, all int) (int, int)) (any, error) {
	n, ok := whole(a[1])
	if !ok {
		return nil, wrong(name, "a whole number", a[1])
	}
	n = max(0, min(n, math.MaxInt32))
	switch x := a[0].(type) {
	case string:
		from, to := bounds(int(n), len(x))
		return x[from:to], nil
	case []any:
		from, to := bounds(int(n), len(x))
		return slices.Clone(x[from:to]), nil
	}
	return nil, wrong(name, "a string or an array", a[0])
}

func end(name string, v any, at func(n int) int) (any, error) {
	switch x := v.(type) {
	case string:
		if x == "" {
			return "", nil
		}
		return x[at(len(x)) : at(len(x))+1], nil
	case []any:
		if len(x) == 0 {
			return nil, nil
		}
		return x[at(len(x))], nil
	}
	return nil, wrong(name, "a string or an array", v)
}

func union(a []any) (any, error) {
	if _, ok := a[0].(map[string]any); ok {
		out := map[string]any{}
		for _, x := range a {
			m, ok := x.(map[string]any)
			if !ok {
				return nil, wrong("union", "an object, as the first argument is one,", x)
			}
			maps.Copy(out, m)
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

func contains(a []any) (any, error) {
	switch x := a[0].(type) {
	case string:
		return strings.Contains(x, text(a[1])), nil
	case []any:
		return slices.ContainsFunc(x, func(e any) bool { return equal(e, a[1]) }), nil
	case map[string]any:
		_, err := property(x, text(a[1]))
		return err == nil, nil
	}
	return nil, wrong("contains", "a string, an array or an object", a[0])
}

// equal compares as the language does: numbers by value, whatever they were read from.
func equal(a, b any) bool {
	x, ok := whole(a)
	y, ok2 := whole(b)
	if ok && ok2 {
		return x == y
	}
	return reflect.DeepEqual(a, b)
}

func tests() map[string]function {
	compare := func(name string, holds func(c int) bool) function {
		return pure(2, 2, func(a []any) (any, error) {
			x, ok := whole(a[0])
			y, ok2 := whole(a[1])
			if ok && ok2 {
				return holds(int(max(-1, min(1, x-y)))), nil
			}
			s, ok := a[0].(string)
			t, ok2 := a[1].(string)
			if !ok || !ok2 {
				return nil, wrong(name, "two whole numbers or two strings", a)
			}
			return holds(strings.Compare(s, t)), nil
		})
	}
	return map[string]function{
		"equals":          pure(2, 2, func(a []any) (any, error) { return equal(a[0], a[1]), nil }),
		"less":            compare("less", func(c int) bool { return c < 0 }),
		"lessorequals":    compare("lessOrEquals", func(c int) bool { return c <= 0 }),
		"greater":         compare("greater", func(c int) bool { return c > 0 }),
		"greaterorequals": compare("greaterOrEquals", func(c int) bool { return c >= 0 }),
		"not": pure(1, 1, func(a []any) (any, error) {
			b, ok := a[0].(bool)
			if !ok {
				return nil, wrong("not", "a boolean", a[0])
			}
			return !b, nil
		}),
		"bool": pure(1, 1, func(a []any) (any, error) {
			switch x := a[0].(type) {
			case bool:
				return x, nil
			case string:
				return strings.EqualFold(x, "true"), nil
			}
			n, ok := whole(a[0])
			if !ok {
				return nil, wrong("bool", "a string or a whole number", a[0])
			}
			return n != 0, nil
		}),
		"empty": pure(1, 1, func(a []any) (any, error) {
			if a[0] == nil {
				return true, nil
			}
			n, err := length(a)
			return n == int64(0), err
		}),
		"true": pure(0, 0, func([]any) (any, error) { return true, nil }), "false": pure(0, 0, func([]any) (any, error) { return false, nil }),
		"null": pure(0, 0, func([]any) (any, error) { return nil, nil }),
		"coalesce": pure(1, -1, func(a []any) (any, error) {
			for _, x := range a {
				if x != nil {
					return x, nil
				}
			}
			return nil, nil
		}),
	}
}
