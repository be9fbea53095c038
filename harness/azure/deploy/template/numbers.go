package template

import (
	"math"
	"strconv"
	"strings"
)

func numbers() map[string]function {
	return map[string]function{
		"add": arithmetic("add", func(x, y int64) (int64, bool) { return x + y, (x+y > x) == (y > 0) }),
		"sub": arithmetic("sub", func(x, y int64) (int64, bool) { return x - y, (x-y < x) == (y > 0) }),
		"mul": arithmetic("mul", func(x, y int64) (int64, bool) {
			if x == 0 || y == 0 {
				return 0, true
			}
			if x == math.MinInt64 || y == math.MinInt64 {
				return x * y, x == 1 || y == 1
			}
			return x * y, x*y/y == x
		}),
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
		"int":       pure(1, 1, func(a []any) (any, error) { return integer(a[0]) }),
		"float":     pure(1, 1, func(a []any) (any, error) { return float(a[0]) }),
		"min":       pure(1, -1, func(a []any) (any, error) { return extreme("min", a, func(x, y int64) int64 { return min(x, y) }) }),
		"max":       pure(1, -1, func(a []any) (any, error) { return extreme("max", a, func(x, y int64) int64 { return max(x, y) }) }),
		"copyindex": {most: 2, do: copyIndex},
	}
}

// arithmetic is a function of two whole numbers.
func arithmetic(name string, do func(x, y int64) (int64, bool)) function {
	return pure(2, 2, func(a []any) (any, error) {
		x, ok := whole(a[0])
		y, ok2 := whole(a[1])
		if !ok || !ok2 {
			return nil, errorf("Unable to evaluate template language function '%s': whole numbers are expected, and values of type '%s' and '%s' were provided. Please see https://aka.ms/arm-functions/#%s for usage details.", name, kind(a[0]), kind(a[1]), name)
		}
		n, ok := do(x, y)
		if !ok {
			return nil, errorf("Unable to evaluate template language function '%s': the result of '%d' and '%d' is no whole number. Please see https://aka.ms/arm-functions/#%s for usage details.", name, x, y, name)
		}
		return n, nil
	})
}

func integer(v any) (any, error) {
	if n, ok := whole(v); ok {
		return n, nil
	}
	switch x := v.(type) {
	case float64:
		if math.Abs(x) < 1<<53 {
			return int64(x), nil
		}
	case string:
		if n, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64); err == nil {
			return n, nil
		}
	}
	return nil, errorf("The template language function 'int' was invoked with a parameter that is not valid. The value cannot be converted to the target type. Please see https://aka.ms/arm-functions/#int for usage details.")
}

func float(v any) (any, error) {
	if f, ok := real(v); ok {
		return f, nil
	}
	if t, ok := v.(string); ok {
		if f, err := strconv.ParseFloat(strings.TrimSpace(t), 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return f, nil
		}
	}
	return nil, wrong("float", "a number, or a string that is one", v)
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
