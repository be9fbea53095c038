package template

import (
	"cmp"
	"strings"
)

// tests are the functions of comparison and of logic.
func tests() map[string]function {
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
		"bool": pure(1, 1, func(a []any) (any, error) { return boolean(a[0]) }),
		"true": pure(0, 0, func([]any) (any, error) { return true, nil }), "false": pure(0, 0, func([]any) (any, error) { return false, nil }),
		"null": pure(0, 0, func([]any) (any, error) { return nil, nil }),
		"if":   {least: 3, most: 3, lazy: ifElse}, "or": {least: 2, most: -1, lazy: logic("or", true)}, "and": {least: 2, most: -1, lazy: logic("and", false)},
		"coalesce": {least: 1, most: -1, lazy: coalesce},
	}
}

// compare orders two numbers, or two texts by their characters' codes.
func compare(name string, holds func(c int) bool) function {
	return pure(2, 2, func(a []any) (any, error) {
		i, ok := whole(a[0])
		j, ok2 := whole(a[1])
		if ok && ok2 {
			return holds(cmp.Compare(i, j)), nil
		}
		x, ok := real(a[0])
		y, ok2 := real(a[1])
		if ok && ok2 {
			return holds(cmp.Compare(x, y)), nil
		}
		s, ok := a[0].(string)
		t, ok2 := a[1].(string)
		if !ok || !ok2 {
			return nil, wrong(name, "two numbers or two strings", a)
		}
		return holds(strings.Compare(s, t)), nil
	})
}

// real reads any number.
func real(v any) (float64, bool) {
	if f, ok := v.(float64); ok {
		return f, true
	}
	n, ok := whole(v)
	return float64(n), ok
}

func boolean(v any) (any, error) {
	switch x := v.(type) {
	case bool:
		return x, nil
	case string:
		switch strings.ToLower(strings.TrimSpace(x)) {
		case "true", "1":
			return true, nil
		case "false", "0":
			return false, nil
		}
	default:
		if n, ok := whole(v); ok {
			return n != 0, nil
		}
	}
	return nil, wrong("bool", "'true', 'false' or a whole number", v)
}

func ifElse(s *Scope, a []node) (any, error) {
	c, err := s.eval(a[0])
	if err != nil {
		return nil, err
	}
	b, ok := c.(bool)
	switch {
	case !ok:
		return nil, wrong("if", "a boolean", c)
	case b:
		return s.eval(a[1])
	default:
		return s.eval(a[2])
	}
}

// logic is or, which ends at a true, and and, which ends at a false.
func logic(name string, ends bool) func(s *Scope, a []node) (any, error) {
	return func(s *Scope, a []node) (any, error) {
		for _, n := range a {
			v, err := s.eval(n)
			if err != nil {
				return nil, err
			}
			b, ok := v.(bool)
			if !ok {
				return nil, wrong(name, "a boolean", v)
			}
			if b == ends {
				return ends, nil
			}
		}
		return !ends, nil
	}
}

func coalesce(s *Scope, a []node) (any, error) {
	for _, n := range a {
		if v, err := s.eval(n); err != nil || v != nil {
			return v, err
		}
	}
	return nil, nil
}
