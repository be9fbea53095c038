package template

import (
	"maps"
	"slices"
	"strings"
)

// lambdas are the functions that take one (learn.microsoft.com "Lambda functions for ARM templates"; Bicep's own has groupBy and mapValues, and a lambda's index).
func lambdas() map[string]function {
	return map[string]function{
		"filter": {least: 2, most: 2, lazy: func(s *Scope, a []node) (any, error) {
			out := []any{}
			err := s.each("filter", a[0], a[1], func(x, v any) error {
				keep, ok := v.(bool)
				if !ok {
					return wrong("filter", "a boolean, for what the lambda gives,", v)
				}
				if keep {
					out = append(out, x)
				}
				return nil
			})
			return out, err
		}},
		"map": {least: 2, most: 2, lazy: func(s *Scope, a []node) (any, error) {
			out := []any{}
			err := s.each("map", a[0], a[1], func(_, v any) error { out = append(out, v); return nil })
			return out, err
		}},
		"reduce":    {least: 3, most: 3, lazy: reduce},
		"sort":      {least: 2, most: 2, lazy: sorted},
		"toobject":  {least: 2, most: 3, lazy: func(s *Scope, a []node) (any, error) { return keyed(s, "toObject", a, false) }},
		"groupby":   {least: 2, most: 3, lazy: func(s *Scope, a []node) (any, error) { return keyed(s, "groupBy", a, true) }},
		"mapvalues": {least: 2, most: 2, lazy: mapValues},
		"lambda":    {least: 1, most: -1, lazy: func(*Scope, []node) (any, error) { return nil, unexpected("lambda") }},
		"lambdavariables": {least: 1, most: 1, do: func(s *Scope, a []any) (any, error) {
			v, there := lookup(s.lambdas, text(a[0]))
			if !there {
				return nil, errorf("The template function 'lambdaVariables' has no variable '%s' at this location. Please see https://aka.ms/arm-functions for usage details.", text(a[0]))
			}
			return v, nil
		}},
	}
}

// lambda is one that was read: its variables' names and what it gives.
type lambda struct {
	names []string
	body  node
}

func lambdaOf(name string, n node, least, most int) (lambda, error) {
	c, ok := n.(call)
	if !ok || !strings.EqualFold(c.name, "lambda") || len(c.args)-1 < least || len(c.args)-1 > most {
		return lambda{}, errorf("Unable to evaluate template language function '%s': a lambda of %d to %d variables is expected. Please see https://aka.ms/arm-functions/#%s for usage details.", name, least, most, strings.ToLower(name))
	}
	l := lambda{body: c.args[len(c.args)-1]}
	for _, a := range c.args[:len(c.args)-1] {
		text, ok := a.(literal)
		variable, isText := text.value.(string)
		if !ok || !isText {
			return lambda{}, errorf("Unable to evaluate template language function 'lambda': the names of its variables are string literals. Please see https://aka.ms/arm-functions for usage details.")
		}
		l.names = append(l.names, variable)
	}
	return l, nil
}

// apply gives what a lambda makes of values; those it has no name for are not looked at.
func (s *Scope) apply(l lambda, values ...any) (any, error) {
	if err := s.step(); err != nil {
		return nil, err
	}
	inner := *s
	inner.lambdas = maps.Clone(s.lambdas)
	if inner.lambdas == nil {
		inner.lambdas = map[string]any{}
	}
	for i, name := range l.names {
		inner.lambdas[name] = values[i]
	}
	return inner.eval(l.body)
}

func (s *Scope) list(name string, n node) ([]any, error) {
	v, err := s.eval(n)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return nil, wrong(name, "an array", v)
	}
	return list, nil
}

// each goes through an array with a lambda of an element and, if it names one, its index.
func (s *Scope) each(name string, of, by node, do func(x, v any) error) error {
	list, err := s.list(name, of)
	if err != nil {
		return err
	}
	l, err := lambdaOf(name, by, 1, 2)
	if err != nil {
		return err
	}
	for i, x := range list {
		v, err := s.apply(l, x, int64(i))
		if err != nil {
			return err
		}
		if err := do(x, v); err != nil {
			return err
		}
	}
	return nil
}

func reduce(s *Scope, a []node) (any, error) {
	list, err := s.list("reduce", a[0])
	if err != nil {
		return nil, err
	}
	sum, err := s.eval(a[1])
	if err != nil {
		return nil, err
	}
	l, err := lambdaOf("reduce", a[2], 2, 3)
	for i, x := range list {
		if err != nil {
			break
		}
		sum, err = s.apply(l, sum, x, int64(i))
	}
	return sum, err
}

// sorted keeps the order of what its lambda says comes neither way first.
func sorted(s *Scope, a []node) (any, error) {
	list, err := s.list("sort", a[0])
	if err != nil {
		return nil, err
	}
	l, err := lambdaOf("sort", a[1], 2, 2)
	if err != nil {
		return nil, err
	}
	before := func(x, y any) bool {
		if err != nil {
			return false
		}
		v, bad := s.apply(l, x, y)
		b, ok := v.(bool)
		if err = bad; err == nil && !ok {
			err = wrong("sort", "a boolean, for what the lambda gives,", v)
		}
		return b
	}
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(x, y any) int {
		switch {
		case before(x, y):
			return -1
		case before(y, x):
			return 1
		}
		return 0
	})
	return out, err
}

// keyed makes an object of an array: toObject has one value for each key, the last, and groupBy all of them.
func keyed(s *Scope, name string, a []node, groups bool) (any, error) {
	out := map[string]any{}
	value := lambda{}
	if len(a) > 2 {
		var err error
		if value, err = lambdaOf(name, a[2], 1, 1); err != nil {
			return nil, err
		}
	}
	err := s.each(name, a[0], a[1], func(x, k any) error {
		key, ok := k.(string)
		if !ok {
			return wrong(name, "a string, for a key,", k)
		}
		v := x
		if len(a) > 2 {
			var err error
			if v, err = s.apply(value, x); err != nil {
				return err
			}
		}
		if groups {
			old, _ := lookup(out, key)
			list, _ := old.([]any)
			v = append(list, v)
		}
		set(out, key, v)
		return nil
	})
	return out, err
}

func mapValues(s *Scope, a []node) (any, error) {
	v, err := s.eval(a[0])
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, wrong("mapValues", "an object", v)
	}
	l, err := lambdaOf("mapValues", a[1], 1, 1)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if out[k], err = s.apply(l, m[k]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
